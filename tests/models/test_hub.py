"""Fetching weights, by the hub's own client from a small hub on this machine."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI, Response
from fastapi.responses import RedirectResponse

from models.bundled import Bundled, File, Hub
from models.catalog import Catalog
from models.errors import WeightsError
from tests.ollama_server import served

COMMIT = "0123456789abcdef0123456789abcdef01234567"
VOICE = "fr/fr_FR/siwis/medium/fr_FR-siwis-medium.onnx"
FILES = {
    "rhasspy/piper-voices": {f"{VOICE}.json": b"{}", VOICE: b"a voice", "README.md": b"not wanted"},
    "Systran/faster-whisper-medium": {"model.bin": b"weights", "config.json": b"{}", "README.md": b"no"},
    "owner/name": {"model.bin": b"others"},
    "owner/minds": {"small/mind.gguf": b"thoughts"},
}


def hub() -> FastAPI:
    app = FastAPI()

    @app.get("/api/models/{owner}/{name}/revision/{revision}")
    async def info(owner: str, name: str) -> dict[str, object]:
        files = FILES[f"{owner}/{name}"]
        return {
            "id": f"{owner}/{name}",
            "sha": COMMIT,
            "siblings": [{"rfilename": file} for file in files],
        }

    @app.get("/api/models/{owner}/{name}/tree/{revision}")
    async def tree(owner: str, name: str) -> list[dict[str, object]]:
        files = FILES[f"{owner}/{name}"]
        return [
            {"type": "file", "path": path, "size": len(content), "oid": "0" * 40}
            for path, content in files.items()
        ]

    @app.api_route("/{owner}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
    async def file(owner: str, name: str, path: str) -> Response:
        content = FILES[f"{owner}/{name}"][path]
        return Response(content, headers={"ETag": f'"{len(content)}"', "X-Repo-Commit": COMMIT})

    @app.get("/release/mind.gguf")
    async def release() -> RedirectResponse:
        return RedirectResponse("/owner/minds/resolve/main/small/mind.gguf")

    return app


@pytest.fixture
async def endpoint() -> AsyncIterator[str]:
    async with served(hub()) as url:
        yield url


@pytest.fixture
def catalog(tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    template = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return Catalog(tmp_path / "cache")


async def test_a_voice_is_fetched_with_its_settings(
    catalog: Catalog, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TQDM_POSITION", "-1")  # bars, though there is no terminal
    path = await asyncio.to_thread(catalog.pull, "fr_FR-siwis-medium", "voice")
    assert path.read_bytes() == b"a voice"
    assert catalog.voice("fr_FR-siwis-medium") == path
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "fr_FR-siwis-medium.onnx",
        "fr_FR-siwis-medium.onnx.json",
        "fr_FR-siwis-medium.sha256",
    ]
    assert "fr_FR-siwis-medium.onnx: 100%" in capfd.readouterr().err


@pytest.mark.parametrize(("name", "weights"), [("medium", b"weights"), ("owner/name", b"others")])
async def test_a_recognizer_is_fetched_without_what_it_doesnt_need(
    catalog: Catalog, name: str, weights: bytes
) -> None:
    folder = await asyncio.to_thread(catalog.pull, name, "speech-to-text")
    assert (folder / "model.bin").read_bytes() == weights
    assert not (folder / "README.md").exists()
    assert catalog.whisper(name) == folder


def speaker(weights: bytes, hub: Hub) -> Bundled:
    """A language model that is on its hub alone."""
    file = File("mind.gguf", len(weights), hashlib.sha256(weights).hexdigest())
    return Bundled("mind", "language model", (file,), (file,), hub)


REPOSITORY = Hub("owner/minds", folder="small")


async def test_a_bundled_model_is_fetched_from_its_hub(catalog: Catalog) -> None:
    catalog = Catalog(catalog.cache, [speaker(b"thoughts", REPOSITORY)])
    assert catalog.language_model("mind") is None
    folder = await asyncio.to_thread(catalog.pull, "mind", "bundled")
    assert [path.name for path in folder.iterdir()] == ["mind.gguf"]
    assert (folder / "mind.gguf").read_bytes() == b"thoughts"
    assert catalog.language_model("mind") == folder / "mind.gguf"
    assert catalog.verify("mind") == "right"
    assert catalog.entries()[0].state == "ready"


@pytest.mark.parametrize("wanted", [b"insights", b"thought", b"thoughts!"])
async def test_another_file_than_the_pinned_one_isnt_kept(catalog: Catalog, wanted: bytes) -> None:
    catalog = Catalog(catalog.cache, [speaker(wanted, REPOSITORY)])
    with pytest.raises(WeightsError, match=r"^mind\.gguf came"):
        await asyncio.to_thread(catalog.pull, "mind", "bundled")
    assert catalog.language_model("mind") is None
    assert not list(catalog.cache.glob("bundled/mind/*"))


async def test_a_bundled_model_is_fetched_from_the_web(catalog: Catalog, endpoint: str) -> None:
    catalog = Catalog(catalog.cache, [speaker(b"thoughts", Hub(web=f"{endpoint}/release"))])
    told: list[tuple[str, int, int]] = []
    folder = await asyncio.to_thread(catalog.pull, "mind", "bundled", lambda *news: told.append(news))
    assert (folder / "mind.gguf").read_bytes() == b"thoughts"
    assert told[0] == ("mind.gguf", 8, 8)
    gone = Catalog(catalog.cache / "other", [speaker(b"thoughts", Hub(web=f"{endpoint}/gone"))])
    with pytest.raises(WeightsError, match=r"^mind couldn't be fetched: .*404"):
        await asyncio.to_thread(gone.pull, "mind", "bundled")


async def test_another_conversion_on_the_hub_has_sums_of_its_own(catalog: Catalog) -> None:
    ours = speaker(b"elsewhere", REPOSITORY)
    other = replace(ours, hub_files=speaker(b"thoughts", REPOSITORY).files)
    catalog = Catalog(catalog.cache, [other])
    folder = await asyncio.to_thread(catalog.pull, "mind", "bundled")
    assert (folder / "mind.gguf").read_bytes() == b"thoughts"
    assert catalog.language_model("mind") == folder / "mind.gguf"


async def test_what_was_fetched_is_compared_with_what_it_was(catalog: Catalog) -> None:
    folder = await asyncio.to_thread(catalog.pull, "medium", "speech-to-text")
    assert catalog.verify("medium") == "as fetched"
    (folder / "model.bin").write_bytes(b"weighty")
    with pytest.raises(WeightsError, match=r"model\.bin is not the file .* fetch it again: .* pull medium$"):
        catalog.verify("medium")
    (folder / "model.bin").unlink()
    await asyncio.to_thread(catalog.pull, "medium", "speech-to-text")
    assert catalog.verify("medium") == "as fetched"


async def test_what_nobody_noted_is_unknown_until_it_is_fetched_again(catalog: Catalog) -> None:
    path = await asyncio.to_thread(catalog.pull, "fr_FR-siwis-medium", "voice")
    path.with_suffix(".sha256").unlink()
    assert catalog.verify("fr_FR-siwis-medium") == "unknown"
    await asyncio.to_thread(catalog.pull, "fr_FR-siwis-medium", "voice")
    assert catalog.verify("fr_FR-siwis-medium") == "as fetched"
    (path.with_suffix(".onnx.json")).unlink()
    with pytest.raises(WeightsError, match=r"onnx\.json is gone; fetch it again"):
        catalog.verify("fr_FR-siwis-medium")


async def test_two_who_fetch_the_same_at_once_both_have_it(catalog: Catalog) -> None:
    catalogs = [Catalog(catalog.cache, [speaker(b"thoughts", REPOSITORY)]) for _ in range(4)]
    folders = await asyncio.gather(*(asyncio.to_thread(each.pull, "mind", "bundled") for each in catalogs))
    assert [(folder / "mind.gguf").read_bytes() for folder in folders] == [b"thoughts"] * 4


async def test_what_broke_off_isnt_taken_for_whole_while_the_hub_is_away(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = catalog.cache / "whisper" / "medium"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}")
    with monkeypatch.context() as away:
        away.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(WeightsError, match=r"^medium couldn't be fetched: "):
            await asyncio.to_thread(catalog.pull, "medium", "speech-to-text")
    await asyncio.to_thread(catalog.pull, "medium", "speech-to-text")
    assert (folder / "model.bin").read_bytes() == b"weights"
