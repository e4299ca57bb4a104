"""`offhook demo`, where it can't begin."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli import app


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file or directory."), (b"hello", "it must be a WAV file (mono, 16 bit).")],
)
def test_a_recording_that_cannot_be_played_is_told_before_all_is_loaded(
    tmp_path: Path, content: bytes | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.cli.demo._demo", None)  # would load it
    if content is not None:
        (tmp_path / "a.wav").write_bytes(content)
    result = CliRunner().invoke(app, ["demo", str(tmp_path / "a.wav")])
    assert result.exit_code == 2
    assert result.stderr.endswith(f"{said}\n")
