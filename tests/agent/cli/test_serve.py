from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from agent.cli.serve import _hosts, _introduce
from config.answering import Personas, load_personas
from config.persona import load_persona
from config.settings import Settings, SipSettings

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


def test_the_brackets_of_an_address_are_printed() -> None:
    pool = SimpleNamespace(
        health=list,
        gpu=lambda: None,
        devices=SimpleNamespace(no_gpu=""),
        llm=SimpleNamespace(endpoint=SimpleNamespace(why="")),
    )
    settings = Settings(sip=SipSettings(host="fd00::2"))
    server: Any = SimpleNamespace(
        settings=settings, sip=True, http=None, personas=Personas((load_persona("en"),)), pool=pool
    )
    console = Console(file=io.StringIO(), width=100)
    _introduce(console, server, 1.0)
    assert "sip:agent@[fd00::2]\n" in console.file.getvalue().replace(" ", "")  # type: ignore[attr-defined]


def test_who_answers_what_is_introduced() -> None:
    settings = Settings(languages=("en", "fr"), numbers={f"60{n}": "fr" for n in range(7)})
    pool = SimpleNamespace(
        health=list,
        gpu=lambda: None,
        devices=SimpleNamespace(no_gpu=""),
        llm=SimpleNamespace(endpoint=SimpleNamespace(why="")),
    )
    server: Any = SimpleNamespace(
        settings=settings, sip=None, http=None, personas=load_personas(settings), pool=pool
    )
    console = Console(file=io.StringIO(), width=100)
    _introduce(console, server, 1.0)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert lines[1:3] == [
        "Persona Joe (en), or Claire (fr), as the caller speaks",
        "Claire (fr) on 600, 601, 602, 603, 604 and 2 more",
    ]
