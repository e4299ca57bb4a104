"""SIP messages as text: what is read of them, and made anew where the stack would stumble. No I/O."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

# RFC 3261 7.3.3 and the RFCs that came after it.
_COMPACT = {
    "c": "content-type",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "v": "via",
    "x": "session-expires",
}
_UNFOLDED = re.compile(r"\r?\n[ \t]+")
# What stands between commas: neither in quotes nor in angle brackets; those that nobody closes go on to the
# end, so that no header takes long.
_VALUE = re.compile(r'(?:"(?:\\.|[^"\\])*+"?|<[^>]*>?|[^,"<])++', re.DOTALL)
# As the stack has them: no white space but blanks and tabs.
_ADDRESS = re.compile(r'[ \t]*+(?:"(?:\\.|[^"\\])*+"|[^<;]*+)[ \t]*+<[^>]*+>', re.DOTALL)
_PARAMETER = re.compile(
    r'[^;"]*+;[ \t]*+(?P<name>[^;=,"\ \t]*+)[ \t]*+'
    r'(?:=[ \t]*+(?:"(?P<quoted>(?:\\.|[^"\\])*+)"|(?P<plain>[^;,"\ \t]*+)))?',
    re.DOTALL,
)
_ONCE = ("from", "to", "call-id", "cseq")  # of two, the stack takes the other than we do
_MOST_HEADERS = 256  # each look for one goes through them all


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a response: its first line, its headers in order and as they are named there, its body."""

    start: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> Message:
        """Raises ValueError."""
        head, end, body = data.partition(b"\r\n\r\n")
        if not end:
            head, end, body = data.partition(b"\n\n")
        start, *lines = re.split(r"\r?\n", _UNFOLDED.sub(" ", head.decode(errors="surrogateescape")))
        fields = (line.partition(":") for line in lines)
        headers = tuple((name.strip(" \t"), value.strip(" \t")) for name, colon, value in fields if colon)
        if not end or len(start.split(" ", 2)) < 3:
            raise ValueError("no SIP message")
        if len(headers) > _MOST_HEADERS:
            raise ValueError("too many headers")
        names = [_long(name) for name, _ in headers]
        if any(names.count(name) > 1 for name in _ONCE):
            raise ValueError("a header twice")
        return cls(start, headers, body)

    def __bytes__(self) -> bytes:
        lines = [self.start, *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, "", ""]).encode(errors="surrogateescape") + self.body

    @property
    def method(self) -> str:
        """Of the request, or of the one that is responded to."""
        return self.header("CSeq").rpartition(" ")[2] if self.status else self.start.partition(" ")[0]

    @property
    def uri(self) -> str:
        """The Request-URI."""
        return self.start.split(" ", 2)[1]

    @property
    def status(self) -> int:
        """0 for a request."""
        first, second, _ = self.start.split(" ", 2)
        return int(second) if first.startswith("SIP/") and second.isdecimal() else 0

    @property
    def in_dialog(self) -> bool:
        return parameter(self.header("To"), "tag") != ""

    def header(self, name: str) -> str:
        """The first header's value, also by its short form; empty if there is none."""
        return next((value for own, value in self.headers if _same(own, name)), "")

    def values(self, name: str) -> list[str]:
        """Every value of a header that is a list."""
        lists = (value for own, value in self.headers if _same(own, name))
        return [one.strip() for values in lists for one in _VALUE.findall(values) if one.strip()]

    def replace(self, name: str, value: str | None) -> Message:
        """With this header once, in the first one's place or at the end; None takes it away."""
        kept: list[tuple[str, str]] = []
        for own, old in self.headers:
            if not _same(own, name):
                kept.append((own, old))
            elif value is not None:
                kept.append((name, value))
                value = None
        if value is not None:
            kept.append((name, value))
        return dataclasses.replace(self, headers=tuple(kept))

    def to(self, uri: str) -> Message:
        """The request with another Request-URI."""
        return dataclasses.replace(self, start=f"{self.method} {uri} SIP/2.0")

    def with_body(self, body: bytes, content_type: str) -> Message:
        """With another body, and the headers that go with it."""
        typed = self.replace("Content-Type", content_type).replace("Content-Length", str(len(body)))
        return dataclasses.replace(typed, body=body)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is said to a request that the stack isn't to see."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()


def parameter(value: str, name: str) -> str:
    """A parameter of a header's value, behind what stands in angle brackets; empty if it isn't there."""
    address = _ADDRESS.match(value)
    start = address.end() if address else 0
    while found := _PARAMETER.match(value, start):
        if found["name"].lower() == name:
            return found["quoted"] or found["plain"] or ""
        start = found.end()
    return ""


def _same(one: str, other: str) -> bool:
    return _long(one) == _long(other)


def _long(name: str) -> str:
    lower = name.lower()
    return _COMPACT.get(lower, lower)
