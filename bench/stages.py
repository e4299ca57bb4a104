"""Each model by itself, ready to be timed. What it needs is imported when it is loaded: without it the others
are timed all the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from itertools import cycle
from pathlib import Path

import numpy as np

from config.settings import Settings
from models.bearing import CHUNKS, LOOKS, READ_TOKENS, SPOKEN_S, WRITTEN_TOKENS
from models.catalog import Catalog
from models.devices import Devices
from models.errors import WeightsError

Figures = Mapping[str, float]

PIPER, KOKORO = "en_US-joe-medium", "ff_siwis"
WHISPERS = ("tiny.en", "base")
LANGUAGE_MODELS = ("qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b", "smollm2-135m")
# Of several lengths: what is prepared for each must not be hidden.
ENGLISH = (
    "We open at nine and close at six, seven days a week.",
    "Yes, of course.",
    "I have a table for four at half past seven tomorrow evening. Shall I put it down in your name?",
)
FRENCH = (
    "Nous ouvrons à neuf heures et fermons à dix-huit heures.",
    "Oui, bien sûr.",
    "J'ai une table pour quatre demain soir à dix-neuf heures trente. Je la réserve à votre nom ?",
)
LENGTHS_S = (0.0, 1.5, 3.0)  # of silence before the question
RATE_HZ = 16_000


@dataclass(frozen=True)
class Loaded:
    """`run` does the work once and tells how long each part of it took, in the unit that its name ends in."""

    run: Callable[[], Figures]
    precision: str
    pids: tuple[int, ...] = ()
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Stage:
    """`seconds` makes of a run's figures what a turn takes of the model."""

    name: str
    model: str
    device: str
    load: Callable[[], Loaded]
    seconds: Callable[[Figures], float]


def stages(settings: Settings, catalog: Catalog, devices: Devices) -> Iterator[Stage]:
    """Each model that is here, on each device: what an English call needs stands first of its name.

    The small ones and the bundled language model have no other device than the processor.
    """
    found = ("cpu", "cuda") if devices.gpu() else ("cpu",)
    yield Stage("voice activity", "silero", "cpu", _silero, lambda run: CHUNKS * run["chunk_ms"] / 1000)
    for name in dict.fromkeys((*((settings.stt.model,) if settings.stt.model != "auto" else ()), *WHISPERS)):
        for device in found:
            yield Stage(
                "speech-to-text",
                name,
                device,
                partial(_whisper, settings, catalog, devices, name, device),
                lambda run: LOOKS * run["transcribe_ms"] / 1000,
            )
    for name, texts in ((PIPER, ENGLISH), (KOKORO, FRENCH)):
        for device in found:
            yield Stage(
                "text-to-speech",
                name,
                device,
                partial(_voice, settings, catalog, devices, name, texts, device),
                lambda run: SPOKEN_S * run["realtime_factor"],
            )
    for name in LANGUAGE_MODELS:
        yield Stage(
            "language model",
            name,
            "cpu",
            partial(_language_model, settings, catalog, name),
            lambda run: READ_TOKENS / run["read_tokens_s"] + WRITTEN_TOKENS / run["written_tokens_s"],
        )


def _question() -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.frombuffer((files("models") / "data" / "question.pcm").read_bytes(), np.int16)


def _silero() -> Loaded:
    from models.silero import CHUNK_SAMPLES, SileroModel

    model, pcm = SileroModel(), _question().tobytes()

    def run() -> Figures:
        detector = model.voice_activity()
        took_ms = _timed(lambda: detector.process(pcm))
        return {"chunk_ms": took_ms / (len(pcm) // 2 // CHUNK_SAMPLES)}

    return Loaded(run, "float32")


def _whisper(settings: Settings, catalog: Catalog, devices: Devices, name: str, device: str) -> Loaded:
    from models.whisper import Recognizer

    folder = catalog.whisper(name)
    if device == "cuda":
        devices.whisper("cuda", (folder / "model.bin").stat().st_size)  # raises where it can't be had
    stt = settings.stt
    recognizer = Recognizer.load(
        folder, name=name, device=device, compute_type=stt.compute_type, threads=stt.threads
    )
    question = _question()
    lengths = cycle(LENGTHS_S)

    def run() -> Figures:
        # Behind silence: words said twice would be listened to twice.
        samples = np.concatenate((np.zeros(int(next(lengths) * RATE_HZ), np.int16), question))
        return {
            "encode_ms": _timed(lambda: recognizer.encode(samples)),
            "transcribe_ms": _timed(lambda: recognizer.transcribe_now(samples, "en")),
        }

    return Loaded(run, recognizer.compute_type, close=lambda: asyncio.run(recognizer.close()))


def _voice(
    settings: Settings, catalog: Catalog, devices: Devices, name: str, texts: tuple[str, ...], device: str
) -> Loaded:
    from models import kokoro, piper
    from models.speech import SAMPLE_RATE_HZ, Voice

    voice: Voice
    threads = settings.tts.threads
    if name in kokoro.NAMES:
        path = _present(catalog.kokoro(), "kokoro-82m")
        if device == "cuda":
            devices.kokoro("cuda", path.stat().st_size)
        kept = catalog.kokoro_measurements
        voice = kokoro.load(path, (name,), device=device, threads=threads, measurements=kept)[name]
    else:
        path = catalog.voice(name)
        if device == "cuda":
            devices.piper("cuda", path.stat().st_size)
        voice = piper.Voice(name, path, device=device, threads=threads)
    next_text = cycle(texts)

    def run() -> Figures:
        began = time.perf_counter()
        parts = voice.parts(next(next_text))
        sound = len(next(parts).pcm)
        first_ms = (time.perf_counter() - began) * 1000
        sound += sum(len(part.pcm) for part in parts)
        spoken_s = sound / 2 / SAMPLE_RATE_HZ
        return {
            "first_chunk_ms": first_ms,
            "realtime_factor": (time.perf_counter() - began) / spoken_s,
        }

    return Loaded(run, voice.precision)


def _language_model(settings: Settings, catalog: Catalog, name: str) -> Loaded:
    from models.llm.child import START_DEADLINE_S, LlamaChild
    from models.llm.resident import BY_NAME

    child = LlamaChild(
        _present(catalog.language_model(name), name),
        adapter=BY_NAME[name].adapter_file if name in BY_NAME else None,
        threads=settings.llm.threads,
        slots=1,
        slot_ctx=2048,
    )
    runner = asyncio.Runner()

    def close() -> None:
        runner.run(child.close())
        runner.close()

    async def start() -> None:
        await child.start()
        await child.wait_ready(START_DEADLINE_S)

    def run() -> Figures:
        runner.run(child.measure())
        return {"read_tokens_s": child.prompt_tokens_s, "written_tokens_s": child.answer_tokens_s}

    try:
        runner.run(start())
    except BaseException:
        close()
        raise
    return Loaded(run, "4-bit", (child.pid,) if child.pid else (), close)


def _present(path: Path | None, name: str) -> Path:
    if path is None:
        raise WeightsError(f"{name} isn't here; fetch it: offhook models pull {name}")
    return path


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000
