"""How many calls this machine bears with the models that are loaded: each is tried for a moment, once.

`offhook bench models` measures the same at length, of every model that is here.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from loguru import logger

from models.bearing import CHUNKS, LOOKS, READ_TOKENS, SPOKEN_S, WRITTEN_TOKENS, Limit, Work, limits
from models.capacity import cpu_model, usable_cores
from models.errors import ModelError
from models.files import write_whole
from models.pool import ModelPool
from models.question import question
from models.silero import CHUNK_SAMPLES
from models.speech import SAMPLE_RATE_HZ
from models.voices import Choice

T = TypeVar("T")

RUNS = 3
DEADLINE_S = 20.0
_UNDISTURBED = 0.8  # of a core that voice activity, which is one thread, gets where nobody else computes
_ID = "calibration"


async def least_limit(
    pool: ModelPool, texts: Sequence[str], *, voice: Choice, language: str, kept: Path
) -> Limit:
    """What limits calls first. It takes a second or two, and none once it was measured undisturbed.

    `texts` are spoken with `voice`. `kept` is the file for later starts, on the same machine and with the
    same models. Raises ModelError where it takes longer than 20 s.
    """
    made_of = _made_of(pool)
    works = await asyncio.to_thread(_read, kept, made_of)
    if works is None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(DEADLINE_S):
                works, undisturbed = await _measure(pool, texts, voice, language)
        except TimeoutError:
            raise ModelError(f"A trial of the models took more than {DEADLINE_S:.0f} s.") from None
        logger.info(f"tried in {time.monotonic() - began:.1f} s how many calls this machine bears")
        if undisturbed:
            await asyncio.to_thread(_keep, kept, made_of, works)
    speaker = pool.llm.speaker
    if speaker and speaker is pool.llm.endpoint and speaker.state == "ready":  # it was measured as it came up
        seconds = READ_TOKENS / speaker.child.prompt_tokens_s + WRITTEN_TOKENS / speaker.child.answer_tokens_s
        mind = Work("language model", speaker.device, seconds, speaker.child.threads)
        works = [*works, mind]
    return limits(works, usable_cores())[0]


async def _measure(
    pool: ModelPool, texts: Sequence[str], voice: Choice, language: str
) -> tuple[list[Work], bool]:
    """What a turn takes of each model, and whether nothing else had the processor meanwhile."""
    pcm, parts = question(), {part.name: part for part in pool.health()}

    async def hear_voice() -> float:
        await asyncio.to_thread(pool.vad.voice_activity().process, pcm)
        return len(pcm) / 2 / CHUNK_SAMPLES

    async def hear() -> float:
        await pool.recognizer.transcribe(pcm, call_id=_ID, language=language)
        return 1

    def speak(text: str) -> Callable[[], Awaitable[float]]:
        async def run() -> float:
            speech = await pool.voices.synthesize(text, voice=voice, call_id=_ID, language=language)
            return len(speech.pcm) / 2 / SAMPLE_RATE_HZ

        return run

    activity = await _quickest("voice activity", "cpu", CHUNKS, [hear_voice] * RUNS)
    device = parts["speech-to-text"].device
    hearing = await _quickest("speech-to-text", device, LOOKS, [hear] * RUNS)
    device = parts["text-to-speech"].device
    speaking = await _quickest("text-to-speech", device, SPOKEN_S, [speak(text) for text in texts])
    return [activity, hearing, speaking], activity.cores > _UNDISTURBED


async def _quickest(
    name: str, device: str, wanted: float, runs: Sequence[Callable[[], Awaitable[float]]]
) -> Work:
    """What `wanted` takes, by the quickest of the runs, each of which tells how much it did."""
    found = []
    for run in runs:
        began, cpu = time.perf_counter(), time.process_time()
        done = await run()
        took_s = time.perf_counter() - began
        found.append((took_s / done * wanted, (time.process_time() - cpu) / took_s))
    seconds, cores = min(found)
    return Work(name, device, seconds, cores)


def _made_of(pool: ModelPool) -> str:
    models = (f"{part.name}: {part.model} on {part.device} {part.precision}" for part in pool.health()[:3])
    return "; ".join((f"{usable_cores()} of {cpu_model()}", *models))


def _read(path: Path, made_of: str) -> list[Work] | None:
    try:
        kept = json.loads(path.read_text())
        return [Work(**work) for work in kept["works"]] if kept["made_of"] == made_of else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _keep(path: Path, made_of: str, works: Sequence[Work]) -> None:
    document = {"made_of": made_of, "works": [asdict(work) for work in works]}
    try:
        write_whole(path, json.dumps(document, indent=1).encode())
    except OSError as error:  # it is measured again at the next start
        logger.debug(f"{path} couldn't be written: {error}")
