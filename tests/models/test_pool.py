import asyncio
import hashlib
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings, SttSettings
from models.bundled import Bundled, File, Hub
from models.catalog import Catalog
from models.errors import ModelFailed, WeightsError
from models.lanes import Lane
from models.pool import ComponentHealth, ModelPool, speech_model
from models.speech import Speech
from tests.models.conftest import VOICE
from tests.weights import CACHE


def pool(stt: SttSettings | None = None) -> ModelPool:
    settings = Settings(cache_dir=CACHE, stt=stt or SttSettings())
    return ModelPool(settings, voices=[VOICE], languages=["en"])


@pytest.mark.models
async def test_everything_is_loaded_warmed_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    before = {thread.name for thread in threading.enumerate()}
    models = pool()
    news: list[tuple[str, str]] = []
    began = time.monotonic()
    await models.start(lambda part: news.append((part.name, part.state)))
    assert time.monotonic() - began < 30
    names = ["speech-to-text", "text-to-speech", "voice activity", "language model"]
    assert [(part.name, part.state) for part in models.health()] == [(name, "ready") for name in names]
    assert sorted(news) == sorted([(name, state) for name in names for state in ("loading", "ready")])
    assert all(part.model and part.last_error is None for part in models.health())
    assert all(part.device.partition(" ")[0] in ("cpu", "cuda") for part in models.health())

    speech = await models.voices.synthesize("What time do you open?", voice=VOICE, call_id="a")
    heard = await models.recognizer.transcribe(speech.pcm, call_id="a", language="en")
    assert "open" in heard.text
    assert max(models.vad.voice_activity().process(speech.pcm)) > 0.9

    await models.close()
    assert {thread.name for thread in threading.enumerate()} <= before | {"asyncio_0"}
    assert {part.state for part in models.health()} == {"down"}
    with pytest.raises(ModelFailed, match=r"^The models aren't loaded\.$"):
        _ = models.recognizer


@pytest.mark.models
async def test_weights_that_are_missing_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    models = pool(stt=SttSettings(model="missing"))
    before = set(threading.enumerate())
    news: list[ComponentHealth] = []
    with pytest.raises(WeightsError, match="offhook models pull missing"):
        await models.start(news.append)
    failed = [part for part in news if part.state == "failed"]
    assert [part.name for part in failed] == ["speech-to-text"]
    assert "missing" in (failed[0].last_error or "")
    started = set(threading.enumerate()) - before
    assert not [thread.name for thread in started if thread.name.startswith(("lane", "load"))]


@pytest.mark.models
async def test_an_english_model_isnt_given_to_another_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    tree = Settings(cache_dir=CACHE, stt=SttSettings(model="tiny.en"))
    models = ModelPool(tree, voices=[VOICE], languages=["fr"])
    with pytest.raises(WeightsError, match=r"tiny\.en doesn't hear the persona's language \(fr\)"):
        await models.start()


@pytest.mark.models
async def test_the_loop_goes_on_while_models_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    models = pool(stt=SttSettings(model="tiny.en"))
    starting = asyncio.create_task(models.start())
    turns = 0
    while not starting.done():
        await asyncio.sleep(0.001)
        turns += 1
    await starting
    await models.close()
    assert turns > 20


def test_base_hears_english_where_it_must(tmp_path: Path) -> None:
    file = File("model.bin", 1, hashlib.sha256(b".").hexdigest())
    models = [Bundled(name, "speech-to-text", (file,), (file,), Hub()) for name in ("tiny.en", "base")]
    catalog, auto = Catalog(tmp_path, models), Settings(stt=SttSettings(model="auto"))

    def chosen() -> list[str]:
        return [speech_model(auto, languages, catalog) for languages in (["en", "en-GB"], ["en", "fr"])]

    assert chosen() == ["tiny.en", "base"]
    (tmp_path / "bundled" / "base").mkdir(parents=True)
    (tmp_path / "bundled" / "base" / "model.bin").write_bytes(b".")
    assert chosen() == ["base", "base"]
    (tmp_path / "bundled" / "base").rename(tmp_path / "bundled" / "tiny.en")
    assert chosen() == ["tiny.en", "base"]
    assert speech_model(Settings(stt=SttSettings(model="small")), ["en"], catalog) == "small"


async def test_a_part_whose_work_doesnt_end_is_down_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.lanes.CLOSE_S", 0.1)
    models = pool()
    models._hearing.state = "ready"
    models._hearing.lane = lane = Lane("recognizer", deadline_s=0.2)
    let_go = threading.Event()
    with pytest.raises(ModelFailed):
        await lane.run("a", lambda: let_go.wait(10))
    hearing = models.health()[0]
    assert hearing.state == "down"
    assert "recognizer has been at one piece of work" in (hearing.last_error or "")
    let_go.set()
    await lane.close()


async def test_a_voice_that_fails_at_once_leaves_no_thread(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where a server speaks, the start goes on without it."""

    class Broken:
        engine, device, precision, weights = "none", "cpu", "float32", tmp_path

        def synthesize(self, *_: Any, **__: Any) -> Speech:
            raise ValueError("broken")

    before = set(threading.enumerate())
    monkeypatch.setattr("models.pool.load_voices", lambda *_, **__: {VOICE: Broken()})
    with pytest.raises(ModelFailed, match="voices failed: ValueError"):
        await pool()._load_local_voices(asyncio.to_thread)
    started = set(threading.enumerate()) - before
    assert not [thread.name for thread in started if thread.name.startswith("lane")]
