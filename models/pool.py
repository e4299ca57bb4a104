"""The models that all calls share: loaded and warmed once, off the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from loguru import logger

from config.redaction import without_credentials
from config.settings import Settings
from models.capacity import available_memory_bytes, overtaxed, usable_cores
from models.catalog import Catalog
from models.devices import Devices
from models.errors import ModelError, ModelFailed, ModelUnloaded, WeightsError
from models.knowledge.embedder import NAME, Embedder
from models.knowledge.knowledge import Knowledge
from models.lanes import Lane
from models.llm.brief import Brief
from models.llm.completeness import Completeness
from models.llm.language_model import Llm
from models.nvml import Gpu
from models.question import question
from models.remote_recognizer import RemoteRecognizer
from models.remote_voices import RemoteVoices
from models.silero import SileroModel
from models.speech_server import SpeechServer
from models.voices import Choice, Voices, names_in
from models.voices import load as load_voices
from models.whisper import Recognizer

T = TypeVar("T")
_NOT_LOADED = "The models aren't loaded."


class _Run(Protocol):
    """Runs a function on a loading thread."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """One model at one moment. `state` is loading, ready, degraded, restarting, down or failed.

    `note` says why a GPU that is there isn't used, or what went wrong earlier.
    """

    name: str
    state: str
    device: str
    model: str
    last_error: str | None
    queued: int
    precision: str | None = None
    weights_bytes: int | None = None
    note: str | None = None
    oldest_s: float = 0.0  # of the work for calls that isn't done
    remedy: str | None = None  # what to do about `last_error`, where that doesn't say it


Progress = Callable[[ComponentHealth], None]
"""Told a component's health when it begins to load and when it is ready or has failed."""


@dataclass(slots=True)
class _Component:
    name: str
    model: str
    state: str = "loading"
    device: str = ""
    error: str | None = None
    lane: Lane | SpeechServer | None = field(default=None)
    precision: str | None = None
    weights_bytes: int | None = None
    note: str | None = None
    oldest_s: float = 0.0

    def health(self) -> ComponentHealth:
        stats = self.lane.stats if self.lane else None
        stuck = stats.stuck if stats else None
        return ComponentHealth(
            name=self.name,
            state="down" if stuck else self.state,
            device=self.device,
            model=self.model,
            last_error=stuck or self.error or (stats.last_error if stats else None),
            queued=stats.queued if stats else 0,
            precision=self.precision,
            weights_bytes=self.weights_bytes,
            note=self.note,
            oldest_s=stats.oldest_s if stats else self.oldest_s,
        )


class ModelPool:
    """Loads, warms and owns the models. `start` it before anything else is asked of it.

    `voices` and `languages` are those of the personas that will answer; `briefs` of them are what the
    language model reads ahead.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        voices: Sequence[Choice],
        languages: Sequence[str],
        briefs: Sequence[Brief] = (),
    ) -> None:
        self.catalog = Catalog(settings.cache_dir)
        self.devices = Devices()
        self._settings = settings
        self._choices = tuple(dict.fromkeys(voices))
        self._languages = tuple(languages)
        self._briefs = tuple(briefs)
        self._recognizer: Recognizer | RemoteRecognizer | None = None
        self._voices: Voices | RemoteVoices | None = None
        self._vad: SileroModel | None = None
        self._llm: Llm | None = None
        self._stt_model = speech_model(settings, languages, self.catalog)
        self._hearing = _Component("speech-to-text", self._stt_model)
        self._speaking = _Component(
            "text-to-speech", ", ".join(names_in(choice)[0] for choice in self._choices)
        )
        self._activity = _Component("voice activity", "silero")
        self._thinking = _Component("language model", settings.llm.model)
        self._knowing = _Component("knowledge", "")
        self._embedding: tuple[Embedder, Lane] | None = None
        self.loading_s: dict[str, float] = {}

    def speaks(self, voices: Iterable[Choice], languages: Iterable[str]) -> bool:
        """Whether what these need has been loaded."""
        return set(voices) <= set(self._choices) and set(languages) <= set(self._languages)

    @property
    def recognizer(self) -> Recognizer | RemoteRecognizer:
        if self._recognizer is None:
            raise ModelUnloaded(_NOT_LOADED)
        return self._recognizer

    @property
    def voices(self) -> Voices | RemoteVoices:
        if self._voices is None:
            raise ModelUnloaded(_NOT_LOADED)
        return self._voices

    @property
    def vad(self) -> SileroModel:
        return _loaded(self._vad)

    @property
    def llm(self) -> Llm:
        return _loaded(self._llm)

    @property
    def completeness(self) -> Completeness:
        return self.llm.completeness

    async def start(self, on_progress: Progress | None = None) -> None:
        """Load everything at once and put a real utterance through each model.

        Raises the first ModelError; what was loaded by then is closed again.
        """
        with ThreadPoolExecutor(max_workers=6, thread_name_prefix="load") as threads:

            def run(work: Callable[[], T], /) -> Awaitable[T]:
                return asyncio.get_running_loop().run_in_executor(threads, work)

            loads = (
                (self._thinking, self._load_llm),
                (self._hearing, self._load_recognizer),
                (self._speaking, self._load_voices),
                (self._activity, self._load_vad),
                *self._knows(),
            )
            results = await asyncio.gather(
                *(self._load(part, load(run), on_progress) for part, load in loads), return_exceptions=True
            )
        errors = [result for result in results if isinstance(result, BaseException)]
        if errors:
            await self.close()
            raise errors[0]

    async def start_llm(self, on_progress: Progress | None = None) -> None:
        """Load the language model alone, for conversations in text. Raises ModelError."""

        def run(work: Callable[[], T], /) -> Awaitable[T]:
            return asyncio.get_running_loop().run_in_executor(None, work)

        try:
            for part, load in ((self._thinking, self._load_llm), *self._knows()):
                await self._load(part, load(run), on_progress)
        except ModelError:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop every thread and process of the models. Waits for the work at hand."""
        owned = [self._recognizer, self._voices, self._llm, self._knowing.lane]
        self._recognizer = self._voices = self._llm = self._vad = None
        results = await asyncio.gather(*(part.close() for part in owned if part), return_exceptions=True)
        for component in (self._hearing, self._speaking, self._activity, self._thinking, self._knowing):
            component.lane = None
            component.state = "down" if component.state == "ready" else component.state
        for result in results:
            if isinstance(result, BaseException):
                logger.warning(f"A model didn't close cleanly: {result!r}")

    def gpu(self) -> Gpu | None:
        """As it is now."""
        return self.devices.gpu()

    def health(self) -> list[ComponentHealth]:
        if self._llm is not None:
            llm = self._llm
            self._thinking.state, self._thinking.error = llm.state, llm.last_error
            self._thinking.oldest_s = llm.oldest_s
            if llm.started:
                self._thinking.model, self._thinking.device = llm.endpoint.model, llm.device
        for part, model in ((self._hearing, self._recognizer), (self._speaking, self._voices)):
            if isinstance(model, RemoteRecognizer | RemoteVoices):
                part.state, part.lane, part.error = model.state, model.lane, model.server.down
        parts = (self._hearing, self._speaking, self._activity, self._thinking)
        return [part.health() for part in (*parts, *(part for part, _ in self._knows()))]

    @property
    def away(self) -> str:
        """Why a caller would not be heard, or be told nothing; empty where all is well."""
        for part in (self._recognizer, self._voices):
            if isinstance(part, RemoteRecognizer | RemoteVoices) and part.state == "down":
                return part.server.down or ""
        return ""

    async def _load(self, part: _Component, load: Awaitable[None], on_progress: Progress | None) -> None:
        tell = on_progress or (lambda _: None)
        tell(part.health())
        began = time.monotonic()
        try:
            await load
        except ModelError as error:
            part.state, part.error = "failed", str(error)
            raise
        except Exception as error:
            part.state, part.error = "failed", f"The {part.name} model couldn't be started: {error}"
            raise ModelFailed(part.error) from error
        finally:
            self.loading_s[part.name] = time.monotonic() - began
            if part.state == "loading":
                part.state = "ready"
            tell(part.health())

    async def _load_recognizer(self, run: _Run) -> None:
        stt = self._settings.stt
        if stt.url is None:
            self._recognizer = await self._load_whisper(run)
            return
        local = await _or_none(self._load_whisper(run)) if stt.fallback == "bundled" else None
        self._recognizer = remote = RemoteRecognizer(stt, local=local)
        _elsewhere(self._hearing, remote.name, stt.url)
        await remote.start()

    async def _load_whisper(self, run: _Run) -> Recognizer:
        stt, name = self._settings.stt, self._stt_model

        def load() -> Recognizer:
            folder = self.catalog.whisper(name)
            size, memory = (folder / "model.bin").stat().st_size, available_memory_bytes()
            self._hearing.weights_bytes = size
            placement = self.devices.whisper(stt.device, size)
            loaded = self.devices.load(
                placement,
                lambda device: Recognizer.load(
                    folder,
                    name=self._stt_model,
                    device=device,
                    compute_type=stt.compute_type,
                    threads=stt.threads,
                ),
            )
            lack = overtaxed(size, usable_cores(), memory) if loaded.device == "cpu" else None
            if lack:
                logger.warning(
                    f"The speech-to-text model {name} {lack}: answers will be late. Set stt.model to base."
                )
            return loaded

        recognizer = await run(load)
        self._hearing.device, self._hearing.precision = recognizer.device, recognizer.compute_type
        self._hearing.note = self.devices.notes.get("stt.device")
        self._hearing.lane = recognizer.lane
        try:
            await self._try_whisper(recognizer)
        except ModelError:
            await recognizer.close()
            raise
        return recognizer

    async def _try_whisper(self, recognizer: Recognizer) -> None:
        name = recognizer.name
        for language in self._languages:
            if not recognizer.hears(language):
                raise WeightsError(
                    f"The speech-to-text model {name} doesn't hear the persona's language ({language}); "
                    "set stt.model to base, which is multilingual."
                )
        heard = await recognizer.transcribe(question(), call_id="warm-up", language="en")
        if not heard.text:
            raise WeightsError(f"The speech-to-text model {name} hears nothing in plain speech.")

    async def _load_voices(self, run: _Run) -> None:
        tts = self._settings.tts
        if tts.url is None:
            self._voices = await self._load_local_voices(run)
            return
        local = await _or_none(self._load_local_voices(run)) if tts.fallback == "bundled" else None
        self._voices = remote = RemoteVoices(tts, self._choices, local=local)
        _elsewhere(self._speaking, remote.described, tts.url)
        await remote.start()

    async def _load_local_voices(self, run: _Run) -> Voices:
        tts = self._settings.tts
        loaded = await run(
            lambda: load_voices(
                self._choices, self.catalog, devices=self.devices, device=tts.device, threads=tts.threads
            )
        )
        voices = Voices(loaded)
        self._speaking.model = voices.described
        self._speaking.device, self._speaking.precision = voices.device, voices.precision
        self._speaking.weights_bytes = voices.weights_bytes
        self._speaking.note = self.devices.notes.get("tts.device")
        self._speaking.lane = voices.lane
        try:
            for name in loaded:  # numbers, which are read in every language
                speech = await voices.synthesize("1, 2, 3.", voice=name, call_id="warm-up")
                if not speech.words:
                    raise WeightsError(f"The voice {name} doesn't speak.")
        except ModelError:
            await voices.close()
            raise
        return voices

    async def _load_vad(self, run: _Run) -> None:
        self._vad = vad = await run(SileroModel)
        self._activity.device, self._activity.precision = "cpu", "float32"
        probabilities = vad.voice_activity().process(question())
        if max(probabilities) < 0.5:
            raise WeightsError("The voice activity model takes plain speech for silence.")

    def _knows(self) -> list[tuple[_Component, Callable[[_Run], Awaitable[None]]]]:
        """What finds pages, where any persona has some."""
        return [(self._knowing, self._load_knowledge)] if _knowledge(self._briefs) else []

    async def _load_knowledge(self, run: _Run) -> None:
        known = _knowledge(self._briefs)
        self._knowing.model = f"{sum(len(one.passages) for one in known)} passages"
        if not any(one.learns_from() for one in known):
            return
        weights = await run(self.catalog.embedding)
        if weights is None:
            self._knowing.state = "degraded"
            self._knowing.error = "Pages are found by their words alone: offhook models install minilm-l6."
            return
        embedder = await run(lambda: Embedder(weights))
        self._knowing.lane = lane = Lane("knowledge")
        self._embedding = embedder, lane
        self._knowing.device, self._knowing.model = "cpu", f"{NAME}, {self._knowing.model}"
        await run(lambda: self.learn(self._briefs))

    def tell(self, briefs: Sequence[Brief]) -> None:
        """What the language model reads ahead instead; before `start`."""
        self._briefs = tuple(briefs)

    def learn(self, briefs: Sequence[Brief]) -> None:
        """Have what pages say found by its meaning, where that can be. Blocks: call it off the event loop."""
        for one in _knowledge(briefs):
            if self._embedding is not None and one.learns_from():
                one.learn(*self._embedding, self.catalog.vectors)

    async def _load_llm(self, _run: _Run) -> None:
        self._llm = llm = Llm(
            self._settings.llm,
            weights=self.catalog.language_model,
            states=self.catalog.prompts,
            max_calls=self._settings.call.wanted or 1,
        )
        await llm.start(self._briefs)


def speech_model(settings: Settings, languages: Sequence[str], catalog: Catalog) -> str:
    """The Whisper model here that hears `languages`: stt.model, or what it chooses where it is auto."""
    if settings.stt.model != "auto" and settings.stt.url is None:
        return settings.stt.model
    english = all(language.partition("-")[0] == "en" for language in languages)
    return "tiny.en" if english and (catalog.has("tiny.en") or not catalog.has("base")) else "base"


def _knowledge(briefs: Iterable[Brief]) -> list[Knowledge]:
    """Each once."""
    return list(dict.fromkeys(brief.knowledge for brief in briefs if brief.knowledge is not None))


def _loaded(model: T | None) -> T:
    if model is None:
        raise ModelUnloaded(_NOT_LOADED)
    return model


async def _or_none(loading: Awaitable[T]) -> T | None:
    """What need not be here, since a server does its work."""
    try:
        return await loading
    except ModelError as error:
        logger.info(f"Nothing here takes over from a server: {error}")
        return None


def _elsewhere(part: _Component, model: str, url: str) -> None:
    """It is a server's: what was loaded here only takes over."""
    part.model, part.device = model, without_credentials(url)
    part.precision, part.weights_bytes, part.note = None, None, None
