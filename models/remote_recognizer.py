"""Speech to text on a server with OpenAI's API, and by Whisper here where that fails."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import cache

from babel import Locale
from pydantic import BaseModel, Field, ValidationError

from config.settings import SttSettings
from models.errors import ModelFailed, ModelLate
from models.expected import NOTHING, Expected
from models.lanes import Priority, Speculative
from models.noise import is_noise
from models.question import question
from models.speech import SAMPLE_RATE_HZ, wav
from models.speech_server import Refused, Remote, SpeechServer, besides_work_ms
from models.transcript import LanguageChoice, Languages, Transcript
from models.whisper import LONGEST_S, Recognizer


class SegmentHeard(BaseModel):
    avg_logprob: float | None = None
    no_speech_prob: float | None = None


class Beyond(BaseModel):
    """What a server of ours tells beyond OpenAI's API: see `Transcript`."""

    word_logprob: float = 0.0
    finished: float | None = None
    sings: float | None = None
    languages: dict[str, float] | None = None
    audible_s: float = 0.0


class Heard(BaseModel):
    """An answer, as verbose_json or json."""

    text: str
    language: str | None = Field(None, description="A code (en), or its English name.")
    duration: float | None = None
    segments: list[SegmentHeard] | None = []
    offhook: Beyond | None = None


class RemoteRecognizer(Remote[Recognizer]):
    """As `Recognizer`, over a server: without what that can't tell where it isn't one of ours.

    `local` hears while the server doesn't.
    """

    compute_type = None

    def __init__(self, settings: SttSettings, *, local: Recognizer | None) -> None:
        self.name = "whisper-1" if settings.model == "auto" else settings.model
        super().__init__(SpeechServer("stt", settings, self._try), local)
        self._timeout_s = settings.timeout_s
        self._format = "verbose_json"

    def hears(self, language: str) -> bool:
        """What a server knows, only its answers tell."""
        return True

    async def transcribe(
        self,
        pcm: bytes,
        *,
        call_id: str,
        language: str | LanguageChoice | None,
        speculative: Speculative = False,
        expected: Expected = NOTHING,
        priority: Priority = Priority.CALL,
    ) -> Transcript:
        """Transcribe one utterance of s16le mono PCM at 16 kHz, at most 30 s long: as `Recognizer` does.

        Raises ValueError for longer audio, ModelBusy, ModelFailed.
        """
        if len(pcm) > LONGEST_S * SAMPLE_RATE_HZ * 2:
            seconds = len(pcm) / 2 / SAMPLE_RATE_HZ
            raise ValueError(f"{seconds:.1f} s of audio; {LONGEST_S} s is the most.")
        try:
            return await self._heard(pcm, language, expected.hint, priority, speculative)
        except ModelFailed:
            if self._local is None:
                raise
        return await self._local.transcribe(
            pcm,
            call_id=call_id,
            language=language,
            speculative=speculative,
            expected=expected,
            priority=priority,
        )

    async def _try(self) -> None:
        heard = await self._ask(question(), "en", trial=True)
        if not heard.text:
            raise ModelFailed(f"{self.server.url} hears nothing in plain speech.")

    async def _heard(
        self,
        pcm: bytes,
        language: str | LanguageChoice | None,
        hint: str,
        priority: Priority,
        speculative: Speculative,
    ) -> Transcript:
        guess = speculative() if callable(speculative) else speculative
        if language is None or isinstance(language, str):
            return await self._ask(pcm, language, hint, priority, guess=guess)
        heard = await self._ask(pcm, None, hint, priority, guess=guess)
        languages = heard.languages or Languages({heard.language: 1.0}, len(pcm) / 2 / SAMPLE_RATE_HZ)
        if (wanted := language(languages)) != heard.language:
            heard = await self._ask(pcm, wanted, hint, priority, guess=guess)
        return replace(heard, languages=languages)

    async def _ask(
        self,
        pcm: bytes,
        language: str | None,
        hint: str = "",
        priority: Priority = Priority.CALL,
        *,
        guess: bool = False,
        trial: bool = False,
    ) -> Transcript:
        wanted = language and language.partition("-")[0].lower()
        fields = {"model": self.name, "response_format": self._format, "temperature": "0"}
        fields |= {name: value for name, value in (("language", wanted), ("prompt", hint)) if value}
        began = time.monotonic()
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self.server.asked(
                    "audio/transcriptions",
                    within_s=self._timeout_s,
                    priority=priority,
                    guess=guess,
                    trial=trial,
                    data=fields,
                    files={"file": ("speech.wav", wav(pcm), "audio/wav")},
                ) as answer,
            ):
                body = await answer.aread()
            heard = Heard.model_validate_json(body)
        except TimeoutError:
            late = ModelLate(f"{self.server.url} didn't transcribe within {self._timeout_s:.1f} s.")
            self.server.failed(late)
            raise late from None
        except ValidationError:
            raise ModelFailed(f"{self.server.url} doesn't answer as OpenAI's API does.") from None
        except Refused:
            if self._format == "json":
                self._format = "verbose_json"  # it wasn't that
                raise
            self._format = "json"  # all that some models answer with
            return await self._ask(pcm, language, hint, priority, guess=guess, trial=trial)
        network_ms = besides_work_ms(answer, began)
        took_ms = (time.monotonic() - began) * 1000
        return _transcript(heard, wanted, took_ms, network_ms)


def _transcript(heard: Heard, wanted: str | None, took_ms: float, network_ms: float) -> Transcript:
    segments, beyond = heard.segments or (), heard.offhook or Beyond()
    logprob = min((one.avg_logprob for one in segments if one.avg_logprob is not None), default=None)
    no_speech = min((one.no_speech_prob or 0.0 for one in segments), default=0.0)
    text = "" if is_noise(heard.text, logprob or 0.0, no_speech) else heard.text.strip()
    return Transcript(
        text,
        _code(heard.language) or wanted or "en",
        logprob,
        no_speech,
        took_ms - network_ms,
        beyond.word_logprob,
        Languages(beyond.languages, beyond.audible_s) if beyond.languages else None,
        beyond.finished,
        beyond.sings,
        network_ms,
    )


def _code(language: str | None) -> str:
    """Of a language by its code or its English name."""
    said = (language or "").strip().lower()
    return said if len(said) == 2 else _codes().get(said, "")


@cache
def _codes() -> dict[str, str]:
    return {str(name).lower(): code for code, name in Locale("en").languages.items() if len(code) == 2}
