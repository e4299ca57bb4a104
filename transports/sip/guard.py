"""Keeps floods and scanners away from the SIP stack.

`received` and `traced` run on the SIP thread for each datagram and message, so they do little: a look
into a dictionary, and for strangers a search for a scanner's name. Whoever gave `on_ban` has the kernel
drop what the banned send.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Container, Iterable
from ipaddress import ip_network

from transports.sip.limits import SOURCES, Ban, Source, SourceLimits, network_of
from transports.sip.tap import Traced
from transports.sip.trace import call_id_of

# How the tools that scan the Internet for telephones call themselves, as they come.
_SCANNER = re.compile(
    rb"^(?:user-agent|from|f|to|t)[ \t]*:[^\r\n]*"
    rb"(?:friendly-scanner|friendly-request|sipvicious|sipcli|sip-scan|sundayddr|VaxSIPUserAgent|pplsip|SIVuS"
    rb"|siparmyknife|iWar)",
    re.IGNORECASE | re.MULTILINE,
)
CONNECTIONS = 100  # of one source: an office behind one address has one a telephone
_LOOKED_AT = 4096  # bytes; where headers stand
# A peer that is set up wrongly gets one of these now and then, who guesses names and passwords all the time.
# A 401 asks for a password; to a wrong one 403 is said.
_REFUSALS = frozenset((b"400", b"403", b"404", b"405", b"407", b"420", b"501"))


class Guard:
    """Knows who may send. Its methods may be called on any thread."""

    def __init__(
        self,
        limits: SourceLimits,
        exempt: Iterable[str],
        live: Container[str],
        on_ban: Callable[[Source], None],
    ) -> None:
        """`exempt`: networks (CIDR) that may do as they like. `live`: the Call-IDs of the calls there are.

        `on_ban` is called on the thread that the ban was earned on.
        """
        self._limits = limits
        self._always = tuple(exempt)
        self._live = live
        self._on_ban = on_ban
        self._lock = threading.Lock()
        self.exempt(())

    def exempt(self, networks: Iterable[str], always: Iterable[str] | None = None) -> None:
        """Neither limit nor ban these either, instead of those of the last time; `always` are others yet."""
        if always is not None:
            self._always = tuple(always)
        self._exempt = [ip_network(text) for text in (*self._always, *networks)]
        self._exempted: dict[Source, bool] = {}

    def bans(self) -> dict[Source, Ban]:
        """Whoever is banned now, the longest first. `until` is of the monotonic clock."""
        with self._lock:
            self._limits.expire(time.monotonic())
            return dict(self._limits.bans)

    def banned(self, source: Source) -> bool:
        with self._lock:
            self._limits.expire(time.monotonic())
            return source in self._limits.bans

    def had_call(self, source: Source) -> None:
        """Note that a call with this source was established."""
        with self._lock:
            self._limits.had_call(source, time.monotonic())

    def call_over(self, source: Source) -> None:
        """Note the end of a call, which of those who never had one was cancelled or not acknowledged."""
        if not self._is_exempt(source):
            with self._lock:
                self._strike(source, "its calls come to nothing", time.monotonic())

    def keeps(self, source: Source) -> bool:
        """Whether this is no stranger: exempt, or has had a call."""
        with self._lock:
            return self._is_exempt(source) or self._limits.known(source, time.monotonic())

    def connected(self, source: Source, connections: int) -> None:
        """Judge how many TCP connections there are with a source at once."""
        if connections > CONNECTIONS and not self._is_exempt(source):
            with self._lock:
                now = time.monotonic()
                self._tell(source, self._limits.ban(source, "it holds many connections", now, proved=True))

    def received(self, source: Source, datagram: bytes) -> bool:
        """Whether to drop what came by UDP."""
        if self._is_exempt(source):
            return False
        with self._lock:
            return not self._admits(source, datagram, time.monotonic())

    def traced(self, message: Traced) -> None:
        """Judge what the stack read, and what it answers."""
        source, raw = message.source, message.raw
        if self._is_exempt(source):
            return
        now = time.monotonic()
        with self._lock:
            if message.sent:
                if raw.startswith(b"SIP/2.0 ") and raw[8:11] in _REFUSALS:
                    proved = message.protocol != "UDP"
                    self._strike(source, "what it asks for is refused", now, proved=proved)
            elif message.protocol != "UDP":
                self._admits(source, raw, now, proved=True)

    def unban(self, source: Source) -> bool:
        """End a ban; whether there was one."""
        with self._lock:
            return self._limits.unban(source)

    def _admits(self, source: Source, message: bytes, now: float, *, proved: bool = False) -> bool:
        if source in self._limits.bans:  # sent before the kernel knew
            return False
        if not self._limits.admit(source, now, len(message)):
            if (call_id := call_id_of(message)) in self._live:
                return self._limits.admit_in_call(call_id, now, len(message))
            self._strike(source, "it sends too much", now, proved=proved)
            return False
        if len(message) <= 4 or message[0] < 2:  # keeps a NAT's binding alive: line ends, or STUN
            return True
        if b"SIP/2.0" not in message[: message.find(b"\n")]:
            self._strike(source, "what it sends isn't SIP", now, proved=proved)
            return False
        if not self._limits.known(source, now) and _SCANNER.search(message, 0, _LOOKED_AT):
            self._tell(source, self._limits.ban(source, "it is a scanner", now, proved=proved))
            return False
        return True

    def _strike(self, source: Source, why: str, now: float, *, proved: bool = False) -> None:
        self._tell(source, self._limits.strike(source, why, now, proved=proved))

    def _tell(self, source: Source, banned: bool) -> None:
        if banned:
            self._on_ban(source)

    def _is_exempt(self, source: Source) -> bool:
        exempted = self._exempted  # or another thread's new networks would be noted as the old ones are
        exempt = exempted.get(source)
        if exempt is None:
            if len(exempted) >= SOURCES:
                exempted.clear()
            network = network_of(source)
            exempt = exempted[source] = any(
                network.version == other.version and network.overlaps(other) for other in self._exempt
            )
        return exempt
