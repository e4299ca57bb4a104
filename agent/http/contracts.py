"""What the HTTP server asks of the rest of the process.

Structural types: the session directory, the model pool and the listeners fit them as they are, and a
test can be any of them in a few lines.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Literal, Protocol

from httpx2 import Response
from openai.types.chat import ChatCompletionChunk

from agent.conversation import CallState
from agent.events import Event, Relayed
from agent.http.attempts import Rates
from agent.observer import Observed
from agent.peer import Peer
from agent.recordings.listener import Listener
from models.lanes import Priority
from models.llm.brevity import Brevity
from transports.call import MediaStats


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
    def at(self) -> float | datetime:
        """When the turn was over; a number is Unix time."""

    @property
    def began(self) -> float | datetime | None:
        """When its first sound was."""

    @property
    def end_of_turn(self) -> Mapping[str, float | str]:
        """Why a turn of the caller's was taken to be over."""

    @property
    def ledger(self) -> Mapping[str, float]:
        """Where this turn's latency went: stage to milliseconds; empty for the caller's turns."""

    @property
    def sources(self) -> Sequence[str]:
        """The passages of the persona's pages on which an agent's was given."""


class Control(Protocol):
    """What may be done with a call. Raises CantBeDone."""

    @property
    def caller_muted(self) -> bool: ...
    @property
    def agent_muted(self) -> bool: ...
    async def transfer(self, to: str) -> None:
        """Returns once the caller was put through. Raises UnknownTarget, TransferFailed as well."""

    async def take_message(self) -> str | None:
        """The id of what the caller left; None for nothing."""

    async def say(self, text: str) -> None: ...
    async def hold(self) -> None: ...
    async def send_keys(self, keys: str) -> None: ...
    async def ask_for_keys(self, name: str) -> str | None:
        """What the caller entered; None for nothing, or a secret."""

    async def resume(self) -> None: ...
    def mute(self, *, caller: bool, agent: bool) -> None: ...
    async def inject(self, text: str, *, answer: bool) -> None: ...
    def hand_over(self, name: str) -> None:
        """Raises UnknownPersona as well."""


class Monitor(Protocol):
    """What is recorded of a call, and who listens to it. Raises CantBeHeard."""

    @property
    def paused(self) -> bool: ...
    def pause(self, paused: bool) -> None: ...
    def listen(self, on_over: Callable[[], None]) -> Listener: ...


class ToolCall(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> Mapping[str, Any]: ...
    @property
    def at(self) -> float | datetime: ...
    @property
    def seconds(self) -> float | None: ...
    @property
    def result(self) -> Any: ...
    @property
    def error(self) -> str | None: ...


class Action(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> Mapping[str, Any]: ...
    @property
    def by(self) -> str: ...
    @property
    def at(self) -> float | datetime: ...


class Problem(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def at(self) -> float | datetime: ...


class LiveCall(Observed, Protocol):
    @property
    def state(self) -> CallState: ...
    async def media_stats(self) -> MediaStats:
        """How the media of its wire flow."""

    @property
    def control(self) -> Control: ...
    @property
    def monitor(self) -> Monitor: ...
    def note(self, action: str, by: str, **arguments: Any) -> None:
        """Somebody has done this to the call, by the name of their key."""

    async def hangup(self) -> None:
        """Ask for the end of the call. Returns at once."""


class Capacity(Protocol):
    @property
    def max_calls(self) -> int: ...
    @property
    def capacity(self) -> str:
        """A sentence: how many calls are taken, and why so many."""


class Calls(Protocol):
    """The directory of live calls, over every transport."""

    def live(self) -> Sequence[LiveCall]: ...
    async def gone(self, id: str) -> None:
        """Return once no live call has this id."""

    @property
    def accepting(self) -> tuple[bool, str]:
        """Whether a new call would be answered, and a sentence that says why not."""

    @property
    def admission(self) -> Capacity: ...

    draining: bool  # no new calls are taken


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
    @property
    def oldest_s(self) -> float:
        """Since the oldest work for calls was asked for that isn't done."""

    @property
    def precision(self) -> str | None: ...
    @property
    def weights_bytes(self) -> int | None: ...
    @property
    def note(self) -> str | None: ...
    @property
    def remedy(self) -> str | None:
        """What to do about `last_error`, where that doesn't say it."""


class Gpu(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def driver(self) -> str: ...
    @property
    def memory_bytes(self) -> int | None: ...
    @property
    def used_bytes(self) -> int | None: ...
    @property
    def utilisation(self) -> int | None:
        """In percent."""


class HasHealth(Protocol):
    def health(self) -> Sequence[ComponentHealth]: ...


class Account(Protocol):
    """Of the SIP line, at a provider or PBX."""

    @property
    def name(self) -> str: ...
    @property
    def server(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def expires_in_s(self) -> float | None:
        """None where nothing is registered."""

    @property
    def last_error(self) -> str | None:
        """A sentence that says what to do."""


class Ban(Protocol):
    """An address that the SIP line ignores, or an IPv6 network."""

    @property
    def address(self) -> str: ...
    @property
    def why(self) -> str: ...
    @property
    def seconds_left(self) -> float: ...


class LlmEndpoint(Protocol):
    """A language model that may answer."""

    @property
    def room(self) -> int | None:
        """Tokens that a conversation may have before an answer; None where nobody knows."""

    @property
    def reads_tokens_s(self) -> float | None:
        """How fast it reads a prompt; None where nobody waits for that."""

    async def count(self, text: str) -> int:
        """How many tokens it is."""

    @property
    def url(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def last_error(self) -> str | None: ...


class Chain(Protocol):
    """Who answers one caller or reader."""

    @property
    def current(self) -> LlmEndpoint: ...
    def answer(
        self, params: Mapping[str, Any], *, keep: int, brevity: Callable[[], Brevity] | None = None
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """Stream an answer to an OpenAI chat completion's parameters; the first `keep` messages stay.

        Raises ModelFailed.
        """

    def close(self) -> None: ...


class Llm(Protocol):
    """Raises ModelError where it hasn't been started."""

    @property
    def endpoint(self) -> LlmEndpoint:
        """Who answers now."""

    @property
    def endpoints(self) -> Sequence[LlmEndpoint]:
        """Who may answer, the best first."""

    @property
    def why(self) -> str:
        """A sentence: who answers now, and why."""

    def chain(self) -> Chain: ...


class Speech(Protocol):
    @property
    def pcm(self) -> bytes:
        """s16le mono PCM at 16 kHz."""


class Voices(Protocol):
    def stream(
        self,
        text: str,
        *,
        voice: str | tuple[str, ...],
        call_id: str,
        language: str | None,
        priority: Priority,
    ) -> AsyncIterator[Speech]: ...


class Transcript(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def avg_logprob(self) -> float | None: ...
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
    def gpu(self) -> Gpu | None:
        """As it is now; None where there is none that may be used."""


class Elsewhere(Protocol):
    """The calls that other processes of this server have."""

    @property
    def calls(self) -> int:
        """How many there are."""

    def having(self, id: str) -> Peer | None:
        """The process that has the live call of this id; None if it is none of theirs."""

    async def ask(self, path: str) -> Mapping[int, Response]:
        """What all of them that answer answer to a GET, by the number of the process; this one is 1."""


class Node(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def configuration(self) -> str: ...
    @property
    def personas(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def alive(self) -> bool: ...
    @property
    def silent_s(self) -> float: ...
    @property
    def calls(self) -> int: ...
    @property
    def max_calls(self) -> int: ...


class Nodes(Protocol):
    """The nodes of the cluster, and the calls that the others have."""

    @property
    def name(self) -> str:
        """This one's."""

    @property
    def nodes(self) -> Sequence[Node]:
        """As they last were, this one among them."""

    @property
    def strays(self) -> Sequence[str]:
        """Names of those that aren't as most others."""

    @property
    def away(self) -> bool:
        """Whether that may be old, since the database is away."""

    def share(self, rates: Rates) -> None:
        """Have these hold over all nodes."""

    async def having(self, id: str, *, past: bool = False) -> Peer | None:
        """The other node that has the live call of this id, or had it where `past`; None if none does."""

    async def placing(self, id: str) -> Peer | None:
        """The other node that places the outgoing call of this id, or has placed it; None if none does."""

    async def ask(self, target: str, headers: Mapping[str, str]) -> Mapping[str, Response | None]:
        """What each of the other nodes answers to a GET, by name; None where it didn't, in time."""

    def following(
        self,
        tell: Callable[[Event | Relayed], None],
        on_gap: Callable[[], None],
        headers: Mapping[str, str],
    ) -> AbstractAsyncContextManager[None]:
        """Has `tell` called with what happens at other nodes, and `on_gap` where some of it was missed."""
