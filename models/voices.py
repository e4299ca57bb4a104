"""Text to speech: the voices that all calls share, of whatever engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from pathlib import Path

from loguru import logger

from models import kokoro, piper
from models.catalog import Catalog
from models.errors import ModelError, WeightsError
from models.lanes import Lane, Priority, Speculative
from models.speech import LONGEST_CHARACTERS, Speech, Voice

Choice = str | tuple[str, ...]
"""A voice by its name, or several of which the first that is loaded speaks."""


def load(choices: Iterable[Choice], catalog: Catalog, *, device: str, threads: int) -> dict[str, Voice]:
    """Of each choice the first voice that is here. Blocks. Raises WeightsError where none is, ModelError."""
    loaded: dict[str, Voice] = {}
    of_kokoro: dict[str, None] = {}
    for choice in choices:
        missing: list[str] = []
        for name in names_in(choice):
            if name in loaded or name in of_kokoro:
                break
            try:
                if name in kokoro.NAMES:
                    _kokoro(catalog, name)
                    of_kokoro[name] = None
                else:
                    loaded[name] = piper.Voice(name, catalog.voice(name), device=device, threads=threads)
                break
            except WeightsError as error:
                logger.info(f"{error}")
                missing.append(str(error))
        else:
            raise WeightsError(" Or: ".join(missing))
    if of_kokoro:
        name, *_ = of_kokoro
        loaded |= kokoro.load(
            _kokoro(catalog, name),
            tuple(of_kokoro),
            device=device,
            threads=threads,
            measurements=catalog.kokoro_measurements,
        )
    return loaded


def _kokoro(catalog: Catalog, name: str) -> Path:
    path = catalog.kokoro()
    if path is None:
        raise WeightsError(
            f"The voice {name} needs Kokoro, which isn't here; fetch it: offhook models pull kokoro-82m"
        )
    return path


def names_in(choice: Choice) -> tuple[str, ...]:
    return (choice,) if isinstance(choice, str) else choice


class Voices:
    """The voices that are loaded, and the lane on which they speak."""

    def __init__(self, voices: Mapping[str, Voice]) -> None:
        self._voices = dict(voices)
        self._known: dict[tuple[str, str], Speech] = {}
        self.lane = Lane("voices")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._voices)

    @property
    def device(self) -> str:
        return ", ".join(dict.fromkeys(voice.device for voice in self._voices.values())) or "cpu"

    @property
    def described(self) -> str:
        """Who speaks, and by which engine."""
        return ", ".join(f"{name} ({voice.engine})" for name, voice in self._voices.items())

    async def synthesize(
        self,
        text: str,
        *,
        voice: Choice,
        call_id: str,
        speculative: Speculative = False,
        priority: Priority = Priority.CALL,
    ) -> Speech:
        """Speak `text` (at most 2,000 characters). What has nothing to speak gives empty speech.

        Raises ValueError for longer text, ModelError for a voice that isn't loaded, ModelBusy, ModelFailed.
        """
        name = self._chosen(text, voice)
        known = self._known.get((name, text))
        if known is not None:
            return known
        return await self.lane.run(
            call_id,
            lambda: self._voices[name].synthesize(text),
            speculative=speculative,
            priority=priority,
        )

    async def stream(
        self,
        text: str,
        *,
        voice: Choice,
        call_id: str,
        speculative: Speculative = False,
        priority: Priority = Priority.CALL,
    ) -> AsyncGenerator[Speech, None]:
        """The same, part by part; other calls' work comes in between. Raises what `synthesize` raises."""
        name = self._chosen(text, voice)
        known = self._known.get((name, text))
        if known is not None:
            yield known
            return
        parts = self._voices[name].parts(text)
        while part := await self.lane.run(
            call_id, lambda: next(parts, None), speculative=speculative, priority=priority
        ):
            yield part

    async def remember(self, texts: Iterable[str], *, voice: Choice) -> None:
        """Synthesize what will be said again and again, so that it is there at once, whatever fails later."""
        for text in texts:
            speech = await self.synthesize(text, voice=voice, call_id="remember")
            self._known[self._chosen(text, voice), text] = speech

    async def close(self) -> None:
        await self.lane.close()

    def _chosen(self, text: str, voice: Choice) -> str:
        names = names_in(voice)
        name = next((name for name in names if name in self._voices), None)
        if name is None:
            raise ModelError(f"The voice {names[0]} isn't loaded; loaded are: {', '.join(self._voices)}.")
        if len(text) > LONGEST_CHARACTERS:
            raise ValueError(f"{len(text)} characters to speak; {LONGEST_CHARACTERS} is the most.")
        return name
