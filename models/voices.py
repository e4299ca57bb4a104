"""Text to speech: the voices that all calls share, of whatever engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from pathlib import Path

from loguru import logger

from config.settings import Device
from models import kokoro, piper
from models.catalog import Catalog
from models.devices import Devices
from models.errors import ModelError, WeightsError
from models.lanes import Lane, Priority, Speculative
from models.speech import LONGEST_CHARACTERS, Speech, Voice

Choice = str | tuple[str, ...]
"""A voice by its name, or several of which the first that is loaded speaks."""


def load(
    choices: Iterable[Choice], catalog: Catalog, *, devices: Devices, device: Device, threads: int
) -> dict[str, Voice]:
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
                    loaded[name] = _piper(name, catalog.voice(name), devices, device, threads)
                break
            except WeightsError as error:
                logger.info(f"{error}")
                missing.append(str(error))
        else:
            raise WeightsError(" Or: ".join(missing))
    if of_kokoro:
        name, *_ = of_kokoro
        path = _kokoro(catalog, name)
        loaded |= devices.load(
            devices.kokoro(device, path.stat().st_size),
            lambda device: kokoro.load(
                path,
                tuple(of_kokoro),
                device=device,
                threads=threads,
                measurements=catalog.kokoro_measurements,
            ),
        )
    return loaded


def _piper(name: str, path: Path, devices: Devices, wanted: Device, threads: int) -> Voice:
    return devices.load(
        devices.piper(wanted, path.stat().st_size),
        lambda device: piper.Voice(name, path, device=device, threads=threads),
    )


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
        self._known: dict[tuple[str, str, str | None], Speech] = {}
        self.lane = Lane("voices")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._voices)

    @property
    def device(self) -> str:
        return ", ".join(dict.fromkeys(voice.device for voice in self._voices.values())) or "cpu"

    @property
    def precision(self) -> str:
        return ", ".join(dict.fromkeys(voice.precision for voice in self._voices.values()))

    @property
    def weights_bytes(self) -> int:
        return sum(path.stat().st_size for path in {voice.weights for voice in self._voices.values()})

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
        language: str | None = None,
        before: str = "",
        priority: Priority = Priority.CALL,
    ) -> Speech:
        """Speak `text` (at most 2,000 characters). What has nothing to speak gives empty speech.

        It is read as `language` is (en-GB), by default as the voice's own; `before` is what was just said.
        Raises ValueError for longer text, ModelError for a voice that isn't loaded, ModelBusy, ModelFailed.
        """
        name = self._chosen(text, voice)
        known = self._known.get((name, text, language))
        if known is not None:
            return known
        speaker = self._voices[name]
        return await self.lane.run(
            call_id,
            lambda: speaker.synthesize(text, language=language, before=before),
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
        language: str | None = None,
        before: str = "",
        priority: Priority = Priority.CALL,
    ) -> AsyncGenerator[Speech, None]:
        """The same, part by part; other calls' work comes in between. Raises what `synthesize` raises."""
        name = self._chosen(text, voice)
        known = self._known.get((name, text, language))
        if known is not None:
            yield known
            return
        parts = self._voices[name].parts(text, language=language, before=before)
        while part := await self.lane.run(
            call_id, lambda: next(parts, None), speculative=speculative, priority=priority
        ):
            yield part

    async def remember(self, texts: Iterable[str], *, voice: Choice, language: str | None = None) -> None:
        """Synthesize what will be said again and again, so that it is there at once, whatever fails later."""
        for text in texts:
            speech = await self.synthesize(text, voice=voice, call_id="remember", language=language)
            self._known[self._chosen(text, voice), text, language] = speech

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
