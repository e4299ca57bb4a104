"""A call, as the agent sees it, however it reached us."""

from __future__ import annotations

import abc
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from pipecat.transports.base_transport import BaseTransport

from transports.playout import Playout

_LONGEST_NAME = 128


class EndReason(StrEnum):
    """Why a call ended. Every call ends for exactly one of these."""

    CALLER_HANGUP = "caller_hangup"
    CALLER_CANCELLED = "caller_cancelled"
    CALLER_GONE = "caller_gone"
    AGENT_HANGUP = "agent_hangup"
    OPERATOR_HANGUP = "operator_hangup"
    TRANSFERRED = "transferred"
    IDLE = "idle"
    MAX_DURATION = "max_duration"
    LIMIT_REACHED = "limit_reached"
    DRAIN = "drain"
    MODEL_FAILURE = "model_failure"
    TRANSPORT_FAILURE = "transport_failure"
    # Of calls that we make:
    CALLED_HANGUP = "called_hangup"
    CALLED_GONE = "called_gone"
    BUSY = "busy"
    DECLINED = "declined"
    NO_ANSWER = "no_answer"
    NOT_REACHED = "not_reached"
    UNAUTHORIZED = "unauthorized"
    ANSWERING_MACHINE = "answering_machine"


def printable(name: str) -> str:
    """What may be shown and kept of a name or number from the network: of bounded length, too."""
    return "".join(c for c in name if c.isprintable()).strip()[:_LONGEST_NAME]


@dataclass(frozen=True, slots=True)
class CallInfo:
    """Who calls whom, over what. Strings come from the network: never trust, never log numbers."""

    transport: str
    caller: str
    called: str
    remote: str = ""
    codec: str = ""
    encryption: str = ""  # of the media, as `sdes` or `dtls-srtp`; empty if there is none
    call_id: str = ""
    caller_name: str = ""
    diverted_from: tuple[str, ...] = ()  # whose calls were diverted to us, the last diversion first
    account: str = ""  # of sip.accounts, by which the call came
    headers: Mapping[str, str] = field(default_factory=dict)  # that routes look at, by lower-case name
    direction: Literal["inbound", "outbound"] = "inbound"
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    since: float = field(default_factory=time.time)

    @property
    def source(self) -> str:
        """What stands for whoever is responsible for the call: an account, or the address it came from."""
        return self.account or self.remote


@dataclass(frozen=True, slots=True)
class MediaStats:
    """What the wire knows of its media by now; None for what it can't know."""

    packets_received: int | None = None
    packets_lost: int | None = None  # on their way to us; packets that came twice count against them
    jitter_ms: float | None = None  # between arrivals here, as RFC 3550 smooths it
    round_trip_ms: float | None = None  # by RTCP


class CallTransport(BaseTransport, abc.ABC):
    """One call's Pipecat transport, with the call's events and commands.

    Events, named as Pipecat names dial-in events (register with `add_event_handler`):

    - `on_dialin_connected(transport)`: media flows both ways; the greeting may start.
    - `on_dialin_stopped(transport, reason: EndReason)`: the wire is gone; fires exactly once.
    - `on_dtmf_event(transport, digit: str)`: also pushed down the pipeline as an `InputDTMFFrame`,
      except for A to D, which Pipecat's keypad lacks.
    - `on_message(transport, message: dict)`: on wires that carry messages beside the sound.
    - `on_moved(transport, to: str)`: the peer has put us through to somebody else, by their number or name.

    Of a call that we make, in the place of the first two, as Pipecat names dial-out events:

    - `on_dialout_ringing(transport, early_media: bool)`: it rings there; may come again.
    - `on_dialout_answered(transport)`
    - `on_dialout_stopped(transport, reason: EndReason)`: also where it was never answered.

    The agent runs a pipeline that starts with `input()` and has `output()` before the assistant
    aggregator, and ends the call with `hangup`.
    """

    carries_messages = False  # whether `send_message` reaches anyone
    connected_event = "on_dialin_connected"
    stopped_event = "on_dialin_stopped"

    def __init__(self, info: CallInfo, playout: Playout) -> None:
        super().__init__()
        self.info = info
        self.playout = playout
        # What the wire adds, for honest latencies: from `playout.pull` to the packet's departure. Seconds.
        self.send_delay_s = 0.0
        self.sent_delay_s = 0.0  # and from where `playout.sent` is told of it
        self._register_event_handler(self.connected_event)
        self._register_event_handler(self.stopped_event)
        self._register_event_handler("on_dialout_ringing")
        self._register_event_handler("on_dtmf_event")
        self._register_event_handler("on_message")
        self._register_event_handler("on_moved")

    async def fire(self, event: str, *args: Any) -> None:
        """Have the handlers of one of the events called, for the wire that saw it happen."""
        await self._call_event_handler(event, *args)

    @property
    def on_hold(self) -> bool:
        """Whether the caller is silent by agreement: they hold the call, or only listen."""
        return False

    async def media_stats(self) -> MediaStats:
        """How the media flow by now."""
        return MediaStats()

    @abc.abstractmethod
    async def answer(self) -> None:
        """Accept the call, or wait until the one that we made is. Returns before media flows.

        Raises CallGone if the caller has already left, nobody answers, or the wire fails.
        """

    @abc.abstractmethod
    async def hangup(self) -> None:
        """End the call on the wire now. Safe to call twice, in any state; never raises."""

    async def hold(self) -> None:
        """Tell the peer that it is held, where the wire can. It hears what the playout has."""
        return

    async def resume(self) -> None:
        """Tell it that it isn't any more."""
        return

    async def transfer(self, to: str | CallTransport, *, timeout_s: float) -> None:
        """Have the caller call a URI instead of us, or whom another call of ours is with, which is replaced.

        Returns once that was answered, and this call is over. Raises TransferFailed with the call as it was,
        unless it is over meanwhile.
        """
        raise TransferFailed(f"A call over {self.info.transport} can't be transferred.")

    async def send_keys(self, keys: str) -> None:
        """Press `keys`, of 0 to 9, A to D, * and #, one after the other. Raises NotSupported, CallGone."""
        raise NotSupported(f"Keys can't be sent over {self.info.transport}.")

    async def send_message(self, message: dict[str, Any]) -> None:
        """Send a message (RTVI) beside the sound, on wires that carry them; dropped on the others."""
        return


BY_PEER = "peer"  # who asks for what the other side of a call does, where others are named by their keys


class CallGone(Exception):
    """The call ended, for `reason`, before the command reached the wire."""

    def __init__(self, message: str, reason: EndReason = EndReason.CALLER_CANCELLED) -> None:
        super().__init__(message)
        self.reason = reason


class NotSupported(Exception):
    """The wire has no way to do that; the message is a sentence."""


class TransferFailed(Exception):
    """The caller couldn't be put through, for a reason that is a sentence.

    `status` is what SIP says of it: 486 where the target is busy, None where nobody said anything.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


# What a listener (SIP server, WebRTC endpoint, media stream) is given: called once a call asks to be
# answered. It admits the call and runs it, or raises CallRefused.
CallHandler = Callable[[CallTransport], Awaitable[None]]


class CallRefused(Exception):
    """No place for this call: the wire answers with its own 'busy' (SIP 486, HTTP 503).

    `divert_to` is the SIP address to which SIP sends the caller instead (302).
    """

    def __init__(self, message: str = "", divert_to: str | None = None) -> None:
        super().__init__(message)
        self.divert_to = divert_to


class LinesBusy(CallRefused):
    """Every line is taken: another server may have one (486 with Q.850's cause 34, no circuit available)."""


class CallsStopped(CallRefused):
    """No call is taken now, also where lines are free: another server may be asked (503)."""
