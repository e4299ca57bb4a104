"""Where peers behind NAT are sent requests within a call: to where theirs come from. No I/O."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from config.section import PRIVATE_NETWORKS
from transports.sip.message import Message
from transports.sip.parties import uri_of
from transports.sip.registrar import Peer, reached
from transports.sip.sdp import Ip

_HOST = re.compile(r"sips?:(?:[^@]*@)?\[?(?P<host>[0-9a-f:.]+?)\]?(?::\d+)?(?:[;?].*)?", re.IGNORECASE)
_PRIVATE = tuple(map(ip_network, PRIVATE_NETWORKS))


def with_contact(message: Message, peer: Peer) -> Message:
    """What came from a peer outside, without a Contact that only its own network knows.

    Where proxies have recorded a route, requests go by that.
    """
    if message.header("Record-Route") or _is_private(peer.address):
        return message
    uri = uri_of(message.header("Contact"))
    found = _HOST.fullmatch(uri)
    try:
        named = ip_address(found["host"]) if found else None
    except ValueError:
        return message
    if named is None or not _is_private(named):
        return message
    return message.replace("Contact", f"<{reached(uri, peer)}>")


def _is_private(address: Ip) -> bool:
    return any(address in network for network in _PRIVATE)
