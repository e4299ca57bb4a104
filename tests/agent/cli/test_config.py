from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli import app
from config.keys import KEYS


@pytest.fixture(autouse=True)
def _nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name in [name for name in os.environ if name.upper().startswith("OFFHOOK_")]:
        monkeypatch.delenv(name)


def offhook(*arguments: str, status: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == status, result.output
    return result.stdout, result.stderr


def test_help_lists_the_commands() -> None:
    shown, _ = offhook("--help")

    assert "Show and check the settings." in shown


def test_help_breaks_lines_where_the_terminal_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = [line.strip() for line in offhook("serve", "--help")[0].splitlines()]
    at = next(number for number, line in enumerate(lines) if line.startswith("SIGTERM"))
    assert lines[at + 1].endswith("reads the settings again.")
    lines = [line.strip() for line in offhook("sip", "trace", "--help")[0].splitlines()]
    assert "\u2022 offhook sip trace | tail -40" in lines


def test_version() -> None:
    assert offhook("--version")[0].startswith("offhook")


def test_show_says_where_values_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("offhook.yaml").write_text("sip: {port: 5070}")
    monkeypatch.setenv("OFFHOOK_HTTP__API_KEY", "hush-hush-hush-hush")

    shown, _ = offhook("config", "show", "--set", "llm.model=qwen3")

    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in shown.splitlines() if line.strip()}
    assert rows["sip.port"] == "5070 offhook.yaml"
    assert rows["llm.model"] == "qwen3 flag"
    assert rows["http.api_key"] == "(set, not shown) OFFHOOK_HTTP__API_KEY"
    assert rows["http.port"] == "8080 default"
    assert set(KEYS) <= set(rows)


def test_show_one_section_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFHOOK_HTTP__API_KEY", "hush-hush-hush-hush")

    shown, _ = offhook("config", "show", "http", "--json", "--explain")

    records = json.loads(shown)
    assert set(records) == {key for key in KEYS if key.startswith("http.")}
    assert records["http.api_key"]["value"] == "**********"
    assert records["http.port"] == {
        "value": 8080,
        "from": "default",
        "what": "TCP port to listen on.",
        "allowed": "a whole number from 1 to 65535",
        "variable": "OFFHOOK_HTTP__PORT",
    }


def test_check_accepts_a_right_file() -> None:
    Path("mine.yaml").write_text("sip: {port: 5070}\npersona: fr")

    assert offhook("config", "check", "mine.yaml")[0] == (
        "mine.yaml is right: it sets 2 keys; Claire answers, in 'fr'.\n"
    )


def test_check_loads_every_persona() -> None:
    Path("mine.yaml").write_text("languages: [en, fr]\nnumbers: {600: fr}")

    assert offhook("config", "check", "mine.yaml")[0] == (
        "mine.yaml is right: it sets 2 keys; Joe answers, in 'en', Claire answers, in 'fr'.\n"
    )


def test_a_mapping_is_shown_as_it_is_given() -> None:
    out, _ = offhook("config", "show", "numbers", "--set", "numbers=600=fr, 601=en")
    assert "600=fr, 601=en" in out
    out, _ = offhook("config", "show", "numbers", "--json", "--set", "numbers=600=fr")
    assert json.loads(out)["numbers"]["value"] == {"600": "fr"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "numbers: {600: frr}",
            "numbers.600 can't be used: There is no persona 'frr'; did you mean fr?",
        ),
        ("sip: {prot: 1}", "sip.prot in mine.yaml is not a setting; did you mean sip.port?"),
        ("persona: frr", "There is no persona 'frr'; did you mean fr?"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_exit_code_2(text: str, sentence: str) -> None:
    Path("mine.yaml").write_text(text)

    out, error = offhook("config", "check", "mine.yaml", status=2)

    assert (out, error) == ("", f"offhook: {sentence}\n")


def test_the_file_may_be_named_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFHOOK_CONFIG", "none.yaml")

    assert offhook("config", "show", status=2)[1] == "offhook: The settings file none.yaml doesn't exist.\n"


def test_set_needs_a_value() -> None:
    _, error = offhook("config", "show", "--set", "sip.port", status=2)

    assert (
        error == "offhook: --set sip.port can't be used; it must be KEY=VALUE, as in --set sip.port=5070.\n"
    )


def test_an_unknown_key_to_show() -> None:
    assert offhook("config", "show", "spi", status=2)[1].startswith("offhook: spi is not a setting; ")


def test_credentials_in_a_url_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFHOOK_LLM__URL", "http://me:hush@gpu-box/v1")
    for options in ((), ("--json",)):
        shown, _ = offhook("config", "show", "llm.url", *options)
        assert "http://gpu-box/v1" in shown
        assert "hush" not in shown
    Path("mine.yaml").write_text("tools: {mcp: {shop: {url: 'http://me:hush@a.example/mcp'}}}")
    shown, _ = offhook("config", "show", "tools.mcp", "--config", "mine.yaml")
    assert "http://a.example/mcp" in shown
    assert "hush" not in shown
    monkeypatch.setenv("OFFHOOK_LLM__URL", "ftp://me:" + "hush" * 20 + "@gpu-box/v1")
    _, error = offhook("config", "show", status=2)
    assert "ftp://gpu-box/v1" in error
    assert "hush" not in error
