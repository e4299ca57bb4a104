"""Whom a peer asks us to call in its place (RFC 3515), and whose place is taken (RFC 3891)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

# Without brackets, parameters are the header's, and there are no headers (RFC 3261 20).
_REFER_TO = re.compile(
    r'(?:"(?:\\.|[^"\\])*+"\s*|[^"<>]*)<\s*(?P<uri>[^<>\s]+)\s*>(?:\s*;[^<>]*)?'
    r"|(?P<bare>[^<>;?,\s]+)(?:\s*;[^<>?,]*)?"
)
USER_PARAMETER = re.compile(r";user=(?:phone|ip)(?=;|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Referral:
    """`to` is a URI without headers, `replaces` a Replaces header's value, escaped; empty for none."""

    to: str
    replaces: str
    cseq: str  # of the request

    @classmethod
    def parse(cls, refer_to: str, cseq: str) -> Referral:
        """Of a Refer-To. Other headers in it than Replaces go nowhere. Raises ValueError."""
        found = _REFER_TO.fullmatch(refer_to.strip())
        if not found:
            raise ValueError("no Refer-To")
        uri, _, headers = (found["uri"] or found["bare"]).partition("?")
        replaces = ""
        for header in filter(None, headers.split("&")):
            name, _, value = header.partition("=")
            if name.lower() == "replaces":
                replaces = unquote(value, errors="strict")
        if replaces and not _REPLACES.fullmatch(replaces):
            raise ValueError("no dialog")
        return cls(USER_PARAMETER.sub("", uri), quote(replaces, safe=""), cseq)


@dataclass(frozen=True, slots=True)
class Replaces:
    """The dialog of ours that an INVITE asks to take the place of; `tags` are ours and the peer's."""

    call_id: str
    tags: tuple[str, str]
    early_only: bool

    @classmethod
    def parse(cls, header: str) -> Replaces:
        """Raises ValueError."""
        if not _REPLACES.fullmatch(header):
            raise ValueError("no dialog")
        call_id, *parameters = header.split(";")
        named = [parameter.partition("=")[::2] for parameter in parameters]
        found = {name.lower(): value for name, value in named}
        if len(found) < len(named) or not (found.get("to-tag") and found.get("from-tag")):
            raise ValueError("not one tag of each side")
        return cls(call_id, (found["to-tag"], found["from-tag"]), "early-only" in found)


_WORD = r"[A-Za-z0-9.!%*_+`'~()<>:\\\"/\[\]?{}-]+"
_REPLACES = re.compile(rf"{_WORD}(?:@{_WORD})?(?:;[A-Za-z0-9.=!%*_+`'~-]+)+")
