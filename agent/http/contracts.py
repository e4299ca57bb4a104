"""What the HTTP server asks of the rest of the process.

Structural types: the session directory, the model pool and the listeners fit them as they are, and a
test can be any of them in a few lines.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from openai.types.chat import ChatCompletionChunk

from config.persona import Persona
from models.lanes import Priority
from models.llm.brevity import Brevity
from transports.call import CallInfo

CallState = Literal["ringing", "greeting", "listening", "thinking", "speaking", "ending"]


class Turn(Protocol):
    """One side's uninterrupted speech."""

    @property
    def speaker(self) -> Literal["caller", "agent"]: ...
    @property
    def text(self) -> str:
        """What was said; of an agent's turn, what the caller really heard."""

    @property
    def cut_off(self) -> bool: ...
    @property
    def at(self) -> float:
        """Unix time at which the turn began."""

    @property
    def ledger(self) -> Mapping[str, float]:
        """Where this turn's latency went: stage to milliseconds; empty for the caller's turns."""


class LiveCall(Protocol):
    @property
    def info(self) -> CallInfo: ...
    @property
    def persona(self) -> Persona:
        """Who answers it now."""

    @property
    def state(self) -> CallState: ...
    @property
    def turns(self) -> Sequence[Turn]: ...
    @property
    def last_voice_to_voice_ms(self) -> float | None: ...
    @property
    def guesses(self) -> tuple[int, int]:
        """Answers begun before the caller's turn was surely over, and how many of them were thrown away."""

    async def hangup(self) -> None:
        """Ask for the end of the call. Returns at once."""


class Calls(Protocol):
    """The directory of live calls, over every transport."""

    def live(self) -> Sequence[LiveCall]: ...
    async def gone(self, id: str) -> None:
        """Return once no live call has this id."""

    @property
    def accepting(self) -> tuple[bool, str]:
        """Whether a new call would be answered, and a sentence that says why not."""


class ComponentHealth(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str:
        """`ready`, `degraded`, `loading`, `restarting`, `down`, `failed` or `off`."""

    @property
    def device(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def last_error(self) -> str | None: ...
    @property
    def queued(self) -> int: ...


class HasHealth(Protocol):
    def health(self) -> Sequence[ComponentHealth]: ...


class LlmEndpoint(Protocol):
    @property
    def url(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def why(self) -> str: ...


class Llm(Protocol):
    """Raises ModelError where it hasn't been started."""

    @property
    def endpoint(self) -> LlmEndpoint: ...
    def fit(self, params: dict[str, Any], *, slot: int | None, keep: int) -> dict[str, Any]:
        """The parameters with what the endpoint needs besides, and with history that fits."""

    async def chat(
        self, params: dict[str, Any], *, brevity: Brevity | None = None
    ) -> AsyncIterator[ChatCompletionChunk]:
        """Open the stream of an answer to an OpenAI chat completion's parameters."""


class Speech(Protocol):
    @property
    def pcm(self) -> bytes:
        """s16le mono PCM at 16 kHz."""


class Voices(Protocol):
    def stream(
        self, text: str, *, voice: str | tuple[str, ...], call_id: str, priority: Priority
    ) -> AsyncIterator[Speech]: ...


class Transcript(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def avg_logprob(self) -> float: ...
    @property
    def no_speech_prob(self) -> float: ...
    @property
    def decode_ms(self) -> float: ...


class Recognizer(Protocol):
    async def transcribe(
        self,
        pcm: bytes,
        *,
        call_id: str,
        language: str | None,
        priority: Priority,
    ) -> Transcript: ...


class VoiceActivity(Protocol):
    def process(self, pcm: bytes) -> list[float]: ...


class Vad(Protocol):
    def voice_activity(self) -> VoiceActivity: ...


class Models(HasHealth, Protocol):
    """The pool of models, as far as HTTP uses it. Each raises ModelError until it is loaded."""

    @property
    def llm(self) -> Llm: ...
    @property
    def voices(self) -> Voices: ...
    @property
    def recognizer(self) -> Recognizer: ...
    @property
    def vad(self) -> Vad: ...


JsonObject = dict[str, Any]
