"""What peers on the Internet are told of a server behind 1:1 NAT: the address that they see. No I/O."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from ipaddress import ip_address, ip_network

from transports.sip.message import Message
from transports.sip.sdp import Ip

_HOST = r"\[[0-9A-Fa-f:]+\]|\d+\.\d+\.\d+\.\d+"
_CONTACT = re.compile(rf"(?<=[@:])(?P<host>{_HOST})(?=[:;>?,\s]|$)")
_VIA = re.compile(rf"(?P<head>SIP/2\.0/\w+\s+)(?P<host>{_HOST})")
_SDP = re.compile(rb"^(?P<head>(?:o=\S+ \d+ \d+|c=)\s*IN IP[46] )(?P<host>[0-9A-Fa-f.:]+)", re.MULTILINE)


class PublicAddress:
    def __init__(self, address: str, inside: tuple[str, ...]) -> None:
        """`address` is what peers outside of the networks `inside` see."""
        self._address = ip_address(address)
        self._inside = [ip_network(one) for one in inside]

    def towards(self, peer: Ip, own: Ip) -> Ip:
        """What to tell a peer of an address of ours."""
        outside = not any(peer in network for network in self._inside)
        return self._address if outside and own.version == self._address.version else own

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
