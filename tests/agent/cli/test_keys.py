"""`offhook keys`, on a database that a server may have open."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agent.cli import app


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OFFHOOK_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("OFFHOOK_HTTP__API_KEY", "s3cret-s3cret-s3cret")


def keys(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments])


def test_a_key_is_printed_once_and_kept_as_a_digest(tmp_path: Path) -> None:
    made = keys("create", "grafana", "--scope", "read", "--scope", "listen", "--expires", "90d")
    assert made.exit_code == 0
    key = made.stdout.strip()
    assert key.startswith("offhook_")
    assert len(key) == 51
    [kept] = json.loads(keys("list", "--json").stdout)
    assert kept["name"] == "grafana"
    assert kept["scopes"] == ["listen", "read"]
    assert key.startswith(kept["prefix"])
    assert (kept["state"], kept["last_used"], kept["revoked"]) == ("valid", None, None)
    left = datetime.fromisoformat(kept["expires"]) - datetime.now(UTC)
    assert timedelta(days=89) < left <= timedelta(days=90)
    files = [path for path in tmp_path.iterdir() if path.name.startswith("calls.db")]
    assert files
    assert not any(key.encode() in path.read_bytes() for path in files)
    assert key not in keys("list").stdout


def test_a_revoked_key_keeps_its_name() -> None:
    first = json.loads(keys("create", "desk", "--scope", "operate", "--json").stdout)
    assert first["key"].startswith(first["prefix"])
    assert keys("revoke", "desk").stdout == "desk is revoked.\n"
    assert json.loads(keys("list", "--json").stdout)[0]["state"] == "revoked"
    assert "revoked" in keys("list").stdout
    taken = keys("create", "desk", "--scope", "read")
    assert taken.exit_code == 1
    assert "there is a key named desk, or was one" in taken.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("create", "a b", "--scope", "read"), 1, "'a b' can't be a name"),
        (("create", "http.api_key", "--scope", "read"), 1, "'http.api_key' can't be a name"),
        (("create", "peer", "--scope", "read"), 1, "'peer' can't be a name"),
        (("create", "a", "--scope", "read", "--expires", "soon"), 1, "--expires soon can't be used"),
        (("create", "a", "--scope", "read", "--expires", "0d"), 1, "--expires 0d can't be used"),
        (("create", "a", "--scope", "root"), 2, "root"),
        (("create", "a"), 2, "--scope"),
        (("revoke", "nobody"), 1, "there is no key nobody that could be revoked"),
        (("list", "--set", "records.enabled=false"), 1, "set records.enabled"),
        (("list", "--set", "state_dir=/proc/nothing"), 1, "/proc/nothing/calls.db can't be used"),
    ],
)
def test_what_cant_be_done_is_said(arguments: tuple[str, ...], code: int, said: str) -> None:
    result = keys(*arguments)
    assert result.exit_code == code
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_who_is_asked_for_no_key_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFHOOK_HTTP__API_KEY")
    assert "asks for no key" in keys("create", "a", "--scope", "read").stderr
