"""One call's dialog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from transports.sip.encryption import Secured
from transports.sip.parties import Parties
from transports.sip.referral import Referral
from transports.sip.sdp import Direction
from transports.sip.session_timer import SessionTimer


class DialogEvent(Enum):
    AGREED = auto()  # anew: on a direction, a codec, an address, or a session timer that starts anew
    PRACKED = auto()  # the provisional response arrived
    UNANSWERED = auto()  # our offer got no answer: end the call
    RESPONDED = auto()  # the peer, to anything
    REFRESHED = auto()  # the session, by a request of ours


@dataclass(frozen=True, slots=True)
class Agreement:
    """What an INVITE or UPDATE asks for, and a 2xx agrees to."""

    direction: Direction = Direction.SENDRECV
    muted: bool = False  # the peer has no audio at all
    timer: SessionTimer | None = None


@dataclass(slots=True)
class Dialog:
    """What is known of it; `on_event` tells whoever has the call."""

    parties: Parties
    tag: str  # the peer's; empty until it asks something in a dialog that we began
    tags: tuple[str, str] | None = None  # ours and the peer's, once it is confirmed
    agreed: Agreement = field(default_factory=Agreement)
    asked: tuple[str, Agreement] | None = None  # in the request with this CSeq
    private: bool = False  # nobody can read the signalling on its way to the peer
    secured: Secured | None = None  # as was agreed on first
    must_encrypt: bool = False
    awaits_prack: bool = False
    late: bool = False  # the offer is ours, and not answered yet
    account: str = ""  # by which the call came
    came_from: str = ""  # the address of who calls, also where proxies of ours are between
    offer: bytes = b""  # the last SDP of ours that was sent as one
    heard_of: bool = False  # by SDP in a request of the peer's
    described: bytes = b""  # by the last answer to it that can be used
    unusable: bool = False  # as is the answer to the first
    codecs: tuple[str, ...] = ()  # that may be agreed on, best first
    responded: bool = False  # the peer, to anything
    refers: bool = False  # we have asked the peer to call somebody else
    transferring: bool = False  # and it isn't known what came of it
    handed_over: bool = False  # the peer has agreed to that, and told of no failure
    referral: Referral | None = None  # whom the peer has asked us to call
    quiet: bool = False  # provisional responses would have to be reliable, and can't be
    on_event: Callable[[DialogEvent], object] = field(default=lambda _: None)

    def agree(self, agreement: Agreement) -> None:
        self.agreed = agreement
        self.on_event(DialogEvent.AGREED)
