from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from agent.cli.serve import _hosts, _introduce
from config.answering import Personas, load_personas
from config.persona import load_persona
from config.settings import LineTestSettings, Settings
from config.sip import SipSettings
from models.nvml import Gpu
from models.pool import ComponentHealth

ADAPTERS = [
    SimpleNamespace(ips=[SimpleNamespace(ip="192.0.2.7"), SimpleNamespace(ip=("2001:db8::7", 0, 0))]),
    SimpleNamespace(ips=[SimpleNamespace(ip=("fe80::1", 0, 2))]),
    SimpleNamespace(ips=[SimpleNamespace(ip="127.0.0.1"), SimpleNamespace(ip=("::1", 0, 0))]),
]


@pytest.mark.parametrize(
    ("host", "hosts"),
    [
        ("192.0.2.7", ["192.0.2.7"]),
        ("2001:db8::7", ["[2001:db8::7]"]),
        ("localhost", ["localhost"]),
        ("0.0.0.0", ["127.0.0.1", "192.0.2.7"]),
        ("::", ["127.0.0.1", "[::1]", "192.0.2.7", "[2001:db8::7]"]),
    ],
)
def test_where_it_is_reached(host: str, hosts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ifaddr.get_adapters", lambda: ADAPTERS)
    assert _hosts(host) == hosts


def server(**parts: Any) -> Any:
    admission = SimpleNamespace(capacity="10 calls at once")
    return SimpleNamespace(http=None, sessions=SimpleNamespace(admission=admission), **parts)


def test_the_brackets_of_an_address_are_printed() -> None:
    pool = SimpleNamespace(
        health=list,
        gpu=lambda: None,
        devices=SimpleNamespace(no_gpu=""),
        llm=SimpleNamespace(why=""),
    )
    settings = Settings(sip=SipSettings(host="fd00::2"))
    serving = server(settings=settings, sip=True, personas=Personas((load_persona("en"),)), pool=pool)
    console = Console(file=io.StringIO(), width=100)
    _introduce(console, serving, 1.0)
    assert "sip:agent@[fd00::2]\n" in console.file.getvalue().replace(" ", "")  # type: ignore[attr-defined]


def test_who_answers_what_is_introduced() -> None:
    settings = Settings(
        languages=("en", "fr"),
        numbers={f"60{n}": "fr" for n in range(7)},
        test_numbers=LineTestSettings(numbers={f"91{n}": "echo" for n in range(7)}),
    )
    pool = SimpleNamespace(
        health=list,
        gpu=lambda: None,
        devices=SimpleNamespace(no_gpu=""),
        llm=SimpleNamespace(why=""),
    )
    serving = server(settings=settings, sip=None, personas=load_personas(settings), pool=pool)
    console = Console(file=io.StringIO(), width=100)
    _introduce(console, serving, 1.0)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert lines[1:3] == [
        "Persona Joe (en), or Claire (fr), as the caller speaks",
        "Claire (fr) on 600, 601, 602, 603, 604 and 2 more",
    ]
    tests = " ".join(lines[3:])
    assert tests.startswith("Line tests echo tone keys repeat latency quality 910 (echo)")
    assert "914 (echo) and 2 more" in tests


def test_what_runs_where_is_introduced(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [
        ComponentHealth("speech-to-text", "ready", "cuda", "base", None, 0, "int8_float16", 145_000_000),
        ComponentHealth("text-to-speech", "ready", "cpu", "joe", None, 0, note="The GPU isn't used: [full]."),
        ComponentHealth("language model", "ready", "", "llama3.2", None, 0),
    ]
    found: list[Gpu | None] = [Gpu("NVIDIA L4", "580.95", (13, 0), 24_000_000_000, 20_000_000_000, 0)]
    pool = SimpleNamespace(
        health=lambda: parts,
        gpu=lambda: found[0],
        devices=SimpleNamespace(no_gpu="There is no driver."),
        llm=SimpleNamespace(why=""),
    )
    serving = server(settings=Settings(), sip=None, personas=Personas((load_persona("en"),)), pool=pool)

    def lines() -> list[str]:
        console = Console(file=io.StringIO(), width=100)
        _introduce(console, serving, 1.0)
        text: str = console.file.getvalue()  # type: ignore[attr-defined]
        return [" ".join(line.split()) for line in text.splitlines()]

    assert lines()[2:9] == [
        "Speech-to-text base on cuda, int8_float16, 145 MB ready",
        "Text-to-speech joe on cpu ready",
        "The GPU isn't used: [full].",
        "Language model llama3.2 ready",
        "",
        "Lines 10 calls at once",
        "GPU NVIDIA L4, 4.0 of 24.0 GB used, driver 580.95",
    ]
    found[0] = None
    monkeypatch.setattr("models.cuda.installed", lambda: True)
    assert lines()[8] == "GPU none, so that everything runs on the processor. There is no driver."
    monkeypatch.setattr("models.cuda.installed", lambda: False)
    assert len(lines()) == 8
