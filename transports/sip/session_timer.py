"""Session timers, RFC 4028: who refreshes the session, and until when. No I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass

from transports.sip.message import Message, parameter

MIN_SE_S = 90  # RFC 4028 5
_LONGEST_S = 2**31  # RFC 4028 says no more than that it is a number
_GRACE_S = 32  # RFC 4028 10: at most so long before the session expires it is ended


@dataclass(frozen=True, slots=True)
class SessionTimer:
    """`ours`: we refresh. `supported`: the peer knows of timers, and not only a proxy between."""

    expires_s: int
    ours: bool
    supported: bool

    @property
    def due_s(self) -> float:
        """After how long to refresh the session, or to end it if the peer hasn't."""
        return self.expires_s / 2 if self.ours else self.expires_s - min(_GRACE_S, self.expires_s / 3)

    def in_response(self) -> list[tuple[str, str]]:
        """The headers of the 2xx that agrees to it."""
        agreed = ("Session-Expires", f"{self.expires_s};refresher={'uas' if self.ours else 'uac'}")
        return [agreed, ("Require", "timer")] if self.supported else [agreed]

    def in_request(self) -> list[tuple[str, str]]:
        """The headers of a request of ours that goes on with it: there the roles change."""
        return [("Session-Expires", f"{self.expires_s};refresher={'uac' if self.ours else 'uas'}")]


class TooSmall(Exception):
    """The interval is shorter than MIN_SE_S: 422."""


def asked_for(request: Message) -> SessionTimer | None:
    """What an INVITE or UPDATE wants; None if no timer. Raises TooSmall."""
    value = request.header("Session-Expires")
    seconds = value.partition(";")[0].strip()
    if not seconds.isdecimal():
        return None
    supported = "timer" in {*request.values("Supported"), *request.values("Require")}
    if supported and int(seconds) < MIN_SE_S:
        raise TooSmall
    refresher = parameter(value, "refresher").lower()
    # RFC 4028 9, table 2: who doesn't know of timers can't refresh; otherwise whoever asks.
    ours = not supported or refresher == "uas"
    return SessionTimer(min(max(int(seconds), MIN_SE_S), _LONGEST_S), ours, supported)
