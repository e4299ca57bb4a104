"""From where a request came to the proxies in front, which are believed about it. No I/O."""

from __future__ import annotations

import re
from collections.abc import Container
from ipaddress import ip_address

from transports.sip.message import Message, parameter
from transports.sip.sdp import Ip

_SENT_BY = re.compile(r"SIP\s*/\s*2\.0\s*/\s*\w+\s+(?:\[(?P<v6>[^\]]*)\]|(?P<host>[^:;\s]+))", re.IGNORECASE)


def origin(request: Message, peer: Ip, proxies: Container[Ip]) -> Ip:
    """Who sent it to the first of our proxies; `peer` where it came by none.

    A proxy notes in the Via below its own where it got the request (RFC 3261 18.2.1), whatever stood there.
    """
    if peer not in proxies:
        return peer
    for via in request.values("Via")[1:]:
        sent_by = _SENT_BY.match(via)
        noted = parameter(via, "received").strip("[]") or (sent_by and (sent_by["v6"] or sent_by["host"]))
        try:
            peer = ip_address(noted or "")
        except ValueError:
            break
        if peer not in proxies:
            break
    return peer
