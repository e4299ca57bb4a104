from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from models import calibration
from models.calibration import least_limit
from models.errors import ModelError
from models.pool import ComponentHealth, ModelPool

TEXTS = ("Goodbye.", "Sorry.")


class Pool:
    """Hears a question in `hearing_s`, and speaks a second of sound in as long; voice activity is nothing."""

    def __init__(self, hearing_s: float, model: str = "base") -> None:
        self.tried = 0
        self._hearing_s = hearing_s
        self._model = model
        self.vad = SimpleNamespace(voice_activity=lambda: SimpleNamespace(process=self._compute))
        self.recognizer = SimpleNamespace(transcribe=self._hear)
        self.voices = SimpleNamespace(synthesize=self._speak)
        self.endpoint = SimpleNamespace(state="ready")
        self.llm = SimpleNamespace(speaker=None, endpoint=self.endpoint)

    def health(self) -> list[ComponentHealth]:
        names = ("speech-to-text", "text-to-speech", "voice activity", "language model")
        return [ComponentHealth(name, "ready", "cuda", self._model, None, 0) for name in names]

    def speaks(self, read_tokens_s: float, written_tokens_s: float) -> None:
        child = SimpleNamespace(prompt_tokens_s=read_tokens_s, answer_tokens_s=written_tokens_s, threads=1)
        self.llm.speaker = self.llm.endpoint = SimpleNamespace(child=child, device="cpu", state="ready")

    def _compute(self, _: bytes) -> None:
        until = time.thread_time() + 0.001
        while time.thread_time() < until:
            pass

    async def _hear(self, _: bytes, **__: Any) -> None:
        self.tried += 1
        await asyncio.sleep(self._hearing_s)

    async def _speak(self, _: str, **__: Any) -> Any:
        return SimpleNamespace(pcm=bytes(32_000 * 1000))  # so long that it is no limit


def least(pool: Pool, kept: Path) -> Any:
    return least_limit(cast(ModelPool, pool), TEXTS, voice="joe", language="en-GB", kept=kept)


async def test_the_slowest_model_limits(tmp_path: Path) -> None:
    limit = await least(Pool(0.5), tmp_path / "bearing.json")
    assert limit.what == "speech-to-text on cuda"
    assert 1 <= limit.calls <= 5  # two looks of half a second in each 10 s, half of the time


async def test_a_bundled_language_model_counts_as_it_was_when_it_came_up(tmp_path: Path) -> None:
    pool = Pool(0.0)
    pool.speaks(60.0, 5.0)  # a second and four
    limit = await least(pool, tmp_path / "bearing.json")
    assert (limit.what, limit.calls) == ("language model on cpu", 1)
    pool.llm.endpoint = pool.endpoint  # somebody else answers
    assert (await least(pool, tmp_path / "bearing.json")).calls > 1


async def test_it_is_measured_once_for_a_machine_and_its_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "_UNDISTURBED", 0.0)  # whatever else runs here
    kept = tmp_path / "cache" / "bearing.json"
    first, later, other = Pool(0.01), Pool(0.01), Pool(0.01, "small")
    limits = [await least(pool, kept) for pool in (first, later)]
    assert (first.tried, later.tried) == (calibration.RUNS, 0)
    assert limits[0] == limits[1]
    await least(other, kept)
    assert other.tried == calibration.RUNS
    kept.write_text('{"made_of": 1}')
    await least(later, kept)
    assert later.tried == calibration.RUNS
    assert json.loads(kept.read_text())["works"]


async def test_nothing_is_kept_of_a_machine_that_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "_UNDISTURBED", 1e9)
    await least(Pool(0.01), tmp_path / "bearing.json")
    assert not (tmp_path / "bearing.json").exists()


async def test_a_trial_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "DEADLINE_S", 0.05)
    with pytest.raises(ModelError, match="took more than"):
        await least(Pool(60.0), tmp_path / "bearing.json")
