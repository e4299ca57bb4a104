"""Datagrams made such as the stack reads: of who knows RFC 2543 alone, or sends empty lines first."""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import md5

from transports.sip.message import Message, parameter

_VIA = re.compile(rb"^(?:v|via)[ \t]*:((?:[^\r\n,]|\r?\n[ \t])*)", re.IGNORECASE | re.MULTILINE)
_BRANCH = re.compile(rb";\s*branch\s*=\s*([^;\s]*)", re.IGNORECASE)
_COOKIE = b"z9hG4bK"  # in front of a branch since RFC 3261; the stack refuses an INVITE without
_OURS = re.compile(r"z9hG4bKoffhook[0-9a-f]{32}-|;branch=z9hG4bKoffhook[0-9a-f]{32}(?!-)")
_LOOKED_AT = 8192  # bytes; where headers stand
_KEEP_ALIVE = 4  # bytes at most: line ends


def without_empty_lines(datagram: bytes) -> bytes:
    """RFC 3261 7.5: in front of a message they mean nothing."""
    return datagram if len(datagram) <= _KEEP_ALIVE else datagram.lstrip(b"\r\n")


def with_branch(text: bytes) -> bytes:
    """A request with a branch in its Via that names its transaction, which is an INVITE's CANCEL's, too."""
    if text.startswith(b"SIP/2.0 "):
        return text
    via = _VIA.search(text, 0, _LOOKED_AT)
    if via is None:
        return text
    branch = _BRANCH.search(via[1])
    if branch and branch[1].startswith(_COOKIE):
        return text
    try:
        request = Message.parse(text)
    except ValueError:
        return text
    parts = (  # RFC 3261 17.2.3
        request.uri,
        via[1].decode(errors="surrogateescape").strip(),
        parameter(request.header("From"), "tag"),
        request.header("Call-ID"),
        request.header("CSeq").partition(" ")[0],
    )
    digest = md5("\n".join(parts).encode(errors="surrogateescape"), usedforsecurity=False).hexdigest()
    ours = b"%boffhook%b" % (_COOKIE, digest.encode())
    if branch:
        at = via.start(1) + branch.start(1)
        return b"%b%b-%b" % (text[:at], ours, text[at:])
    return b"%b;branch=%b%b" % (text[: via.end()].rstrip(), ours, text[via.end() :])


def as_sent(response: Message) -> Message:
    """A response of ours with Via as it came."""
    headers = tuple((name, _OURS.sub("", value)) for name, value in response.headers)
    return response if headers == response.headers else replace(response, headers=headers)
