"""From where a request came to the proxies in front, which are believed about it. No I/O."""

from __future__ import annotations

import re
from collections.abc import Container
from ipaddress import ip_address

from transports.sip.message import Message
from transports.sip.sdp import Ip

UNKNOWN = ip_address("0.0.0.0")
# Plain parameters alone: in quotes, brackets or a comment a client may hide another `received`.
_VIA = re.compile(
    r"SIP\s*/\s*2\.0\s*/\s*\w+\s+(?:\[(?P<v6>[^\]]*)\]|(?P<host>[\w.-]+))(?:\s*:\s*\d+)?"
    r'(?P<parameters>\s*(?:;[^;,"<>()\\]*)*)',
    re.IGNORECASE,
)
_RECEIVED = re.compile(r";\s*received\s*=\s*\[?([^;\s\]]*)", re.IGNORECASE)


def origin(request: Message, peer: Ip, proxies: Container[Ip]) -> Ip:
    """Who sent it to the first of our proxies; `peer` where it came by none, UNKNOWN where nobody can tell.

    A proxy notes in the Via below its own where it got the request (RFC 3261 18.2.1). Of two such notes one
    is the client's: Kamailio writes over the last one alone.
    """
    if peer not in proxies:
        return peer
    for value in request.values("Via")[1:]:
        via = _VIA.fullmatch(value)
        if via is None:
            return UNKNOWN
        noted = _RECEIVED.findall(via["parameters"]) or [via["v6"] or via["host"]]
        try:
            [peer] = map(ip_address, noted)
        except ValueError:
            return UNKNOWN
        if peer not in proxies:
            break
    return peer
