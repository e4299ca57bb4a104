"""Has the kernel drop what strangers and the banned send, and says in the log who is banned.

Newer kernels (seen in 6.18) take such a filter for TCP from a privileged process only. Then strangers'
connections are closed here, and what they send isn't answered.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Collection, Container, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from transports.sip import packet_filter, process
from transports.sip.guard import Guard
from transports.sip.limits import Ban, Source, name_of, network_of, source_of
from transports.sip.own_sockets import count_connections, cut_connections, cut_strangers
from transports.sip.sdp import Ip

# To tell the kernel takes milliseconds, and forged addresses earn hundreds of bans a second.
BANS_INTERVAL_S = 0.1
STRANGERS_LOG_INTERVAL_S = 60.0
_BANS_TOLD = 10  # each in a line of the log, of those that are new at once

logger = logging.getLogger("offhook.sip")


@dataclass(frozen=True, slots=True)
class BannedSource:
    address: str  # or an IPv6 network
    why: str
    seconds_left: float


class KernelFilter:
    """Of the sockets that are listened on, which may come and go."""

    def __init__(
        self,
        sockets: list[socket.socket],
        ports: Collection[int],
        ban_s: int,
        guard: Guard,
        *,
        allowed: Callable[[], Sequence[str]],
    ) -> None:
        """`allowed`: the networks that are heard; asked each time, as is the guard for who is banned."""
        self._sockets = sockets
        self._ports = ports
        self._ban_s = ban_s
        self._allowed = allowed
        self._guard = guard
        self._bans: dict[Source, Ban] = {}  # that the kernel knows
        self._uncut = False  # somebody banned may have connections still
        self._tcp_is_open = False  # the kernel doesn't take a filter for it
        self._putting = threading.Lock()
        self._dropped_told = 0  # packets
        self._quiet_until = 0.0
        self._loop = asyncio.get_running_loop()
        self._due: asyncio.TimerHandle | None = None
        self._cut_due: asyncio.TimerHandle | None = None

    def listed(self) -> list[BannedSource]:
        """Who is banned now."""
        now = time.monotonic()
        return [
            BannedSource(name_of(source), ban.why, ban.until - now)
            for source, ban in self._guard.bans().items()
        ]

    def unban(self, address: str) -> bool:
        """Whether this address or network, as it is listed, was banned."""
        try:
            known = self._guard.unban(source_of(address.partition("/")[0]))
        except ValueError:
            return False
        with suppress(OSError):  # no file is left: the next look does it
            self.apply()
        return known

    def close(self) -> None:
        for due in (self._due, self._cut_due):
            if due:
                due.cancel()

    def compiled(self) -> Callable[[socket.socket], None]:
        """What makes a socket deaf to strangers and to whoever is banned."""
        denied = [network_of(source) for source in list(self._bans)]
        allowed = self._allowed()
        programs = {
            family: packet_filter.compile_filter(allowed, family, denied)
            for family in (socket.AF_INET, socket.AF_INET6)
        }

        def put_on(sock: socket.socket) -> None:
            try:
                packet_filter.attach(sock, programs[socket.AddressFamily(sock.family)])
            except PermissionError:
                if sock.type != socket.SOCK_STREAM:
                    raise
                if not self._tcp_is_open:
                    logger.info(
                        "the kernel filters TCP for root only: strangers' connections are closed here"
                    )
                self._tcp_is_open = True

        return put_on

    def passes_tcp(self, address: Ip) -> bool:
        """Whether who sends this by TCP is heard. Else its connections are closed soon. On any thread."""
        if not self._tcp_is_open or self._is_heard(address):
            return True
        self._loop.call_soon_threadsafe(self._cut_soon)
        return False

    def close_sockets(self, addresses: Container[str]) -> None:
        """Close those that are bound to one of these, and put nothing on them any more."""
        with self._putting:
            for sock in [sock for sock in self._sockets if sock.getsockname()[0] in addresses]:
                self._sockets.remove(sock)
                sock.close()

    def tell_dropped(self) -> None:
        """Say in the log, now and then, how many packets the kernel has dropped since it was said last."""
        dropped = sum(map(packet_filter.dropped, self._sockets))
        self._dropped_told = min(self._dropped_told, dropped)  # a socket may have gone
        if dropped > self._dropped_told and self._loop.time() >= self._quiet_until:
            logger.warning(
                "dropped %d packets from addresses that sip.allow doesn't list, or that are banned",
                dropped - self._dropped_told,
            )
            self._dropped_told, self._quiet_until = dropped, self._loop.time() + STRANGERS_LOG_INTERVAL_S

    def put(self) -> None:
        """Tell the kernel anew. On any thread."""
        with self._putting:
            put_on = self.compiled()
            for sock in self._sockets:
                put_on(sock)

    async def judge_connections(self) -> None:
        """Have the guard know who holds how many: one that says nothing takes a descriptor all the same."""
        for source, number in (await asyncio.to_thread(count_connections, self._ports)).items():
            self._guard.connected(source, number)
        if self._tcp_is_open:
            await asyncio.to_thread(self._cut_unheard)

    async def make_room(self) -> None:
        """Close connections of strangers, each of whom may hold few: calls need the descriptors."""
        cut = await asyncio.to_thread(cut_strangers, self._ports, self._guard.keeps, process.CONNECTIONS)
        if cut:
            logger.warning("closed %d connections of strangers: too few descriptors are left for calls", cut)

    def on_ban(self, _: Source) -> None:
        """On any thread."""
        self._loop.call_soon_threadsafe(self._apply_soon)

    def apply(self) -> None:
        """Have the kernel know who is banned now, and who no longer.

        Raises OSError where no file is left to look for their connections with: the next time does.
        """
        if self._due:
            self._due.cancel()
        self._due = None
        bans = self._guard.bans()
        if bans.keys() == self._bans.keys() and not self._uncut:
            return
        new, over = list(bans.keys() - self._bans.keys()), list(self._bans.keys() - bans.keys())
        for source in new[:_BANS_TOLD]:
            logger.warning("banned %s for %d s: %s", name_of(source), self._ban_s, bans[source].why)
        for source in over[:_BANS_TOLD]:
            logger.info("%s is no longer banned", name_of(source))
        if max(len(new), len(over)) > _BANS_TOLD:
            logger.warning("banned %d sources in all, and %d no longer", len(new), len(over))
        self._bans, self._uncut = bans, True
        self.put()
        cut_connections(self._ports, lambda address: source_of(address) in bans)
        self._uncut = False

    def _apply_soon(self) -> None:
        if self._due is None:
            self._due = self._loop.call_later(BANS_INTERVAL_S, self.apply)

    def _is_heard(self, address: Ip) -> bool:
        return (
            any(address in ip_network(one) for one in self._allowed())
            and source_of(str(address)) not in self._bans
        )

    def _cut_soon(self) -> None:
        now = self._loop.time()
        if self._cut_due is None or self._cut_due.when() <= now:
            self._cut_due = self._loop.call_at(now + BANS_INTERVAL_S, self._cut_unheard)

    def _cut_unheard(self) -> None:
        cut_connections(self._ports, lambda address: not self._is_heard(ip_address(address)))
