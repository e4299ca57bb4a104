"""What peers on the Internet are told of a server behind 1:1 NAT: the address that they see."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from ipaddress import ip_address, ip_network

from transports.sip.message import Message
from transports.sip.sdp import Ip

LOOK_UP_S = 60.0
_HOST = r"\[[0-9A-Fa-f:]+\]|\d+\.\d+\.\d+\.\d+"
_CONTACT = re.compile(rf"(?<=[@:])(?P<host>{_HOST})(?=[:;>?,\s]|$)")
_VIA = re.compile(rf"(?P<head>SIP/2\.0/\w+\s+)(?P<host>{_HOST})")
_SDP = re.compile(rb"^(?P<head>(?:o=\S+ \d+ \d+|c=)\s*IN IP[46] )(?P<host>[0-9A-Fa-f.:]+)", re.MULTILINE)

logger = logging.getLogger("offhook.sip")


class PublicAddress:
    def __init__(self, address: str, inside: tuple[str, ...]) -> None:
        """`address` is what peers outside of the networks `inside` see, or its name, to be looked up."""
        self._name: str | None = None
        self._address: Ip | None = None
        try:
            self._address = ip_address(address)
        except ValueError:
            self._name = address
        self._inside = [ip_network(one) for one in inside]

    async def keep(self, on_change: Callable[[], object]) -> None:
        """Look the name up again and again, until cancelled."""
        while self._name:
            await asyncio.sleep(LOOK_UP_S)
            if await self.look_up():
                on_change()

    async def look_up(self) -> bool:
        """Go by the address that the name has now; where it has none, by the one that it had.

        Returns whether that is another one.
        """
        if not self._name:
            return False
        try:
            found = await asyncio.get_running_loop().getaddrinfo(self._name, None, type=socket.SOCK_DGRAM)
        except OSError as error:
            logger.warning("no address is known for %s (sip.public_address): %s", self._name, error.strerror)
            return False
        addresses = sorted({ip_address(entry[4][0]) for entry in found}, key=lambda ip: (ip.version, ip))
        if self._address in addresses:
            return False
        logger.info("the public address %s is %s", self._name, addresses[0])
        self._address = addresses[0]
        return True

    def towards(self, peer: Ip, own: Ip) -> Ip:
        """What to tell a peer of an address of ours."""
        outside = not any(peer in network for network in self._inside)
        seen = self._address
        return seen if seen and outside and own.version == seen.version else own

    def told(self, message: Message, peer: Ip, own: AbstractSet[str]) -> Message:
        """A message of ours to `peer`, where `own` are the addresses that are listened on."""

        def seen(host: str) -> str:
            bare = host.strip("[]")
            if bare not in own:
                return host
            address = self.towards(peer, ip_address(bare))
            return f"[{address}]" if host.startswith("[") else str(address)

        headers, first = [], not message.status  # the first Via of a request is ours
        for name, value in message.headers:
            if name.lower() in ("contact", "m"):
                value = _CONTACT.sub(lambda found: seen(found["host"]), value)
            elif name.lower() in ("via", "v") and first:
                value = _VIA.sub(lambda found: found["head"] + seen(found["host"]), value, count=1)
                first = False
            headers.append((name, value))
        changed = Message(message.start, tuple(headers), message.body)
        if "application/sdp" not in message.header("Content-Type").lower():
            return changed
        body = _SDP.sub(lambda found: found["head"] + seen(found["host"].decode()).encode(), message.body)
        return changed if body == message.body else changed.with_body(body, message.header("Content-Type"))
