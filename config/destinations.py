"""What may be dialled: SIP URIs, tel: URIs and numbers in one form, and patterns that they match.

Whatever isn't plain is refused, since what is matched must be what is dialled: no escapes, no headers
behind '?', no second '@', no parameters that send a request elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Literal

from config.accounts import split_host_port

Transport = Literal["", "udp", "tcp", "tls"]

_HOST = r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)"
_USER = r"(?P<user>[A-Za-z0-9+._-]{1,64})"
_AT = re.compile(
    rf"{_HOST}(?::(?P<port>[0-9]{{1,5}}))?(?:;transport=(?P<transport>udp|tcp|tls))?", re.IGNORECASE
)
_SIP = re.compile(rf"(?:(?P<scheme>sips?):)?{_USER}@(?P<at>[^@]+)", re.IGNORECASE)
_TEL = re.compile(r"tel:(?P<number>\+?[0-9().-]{1,64})", re.IGNORECASE)
_NUMBER = re.compile(r"(?P<number>\+?[0-9 ()./-]{1,64}|[A-Za-z0-9._-]{1,64})")
_SEPARATORS = re.compile(r"[ ()./-]")
_PATTERN = re.compile(
    r"(?:sips?:)?(?P<user>[A-Za-z0-9+._?*-]{1,64})(?:@(?P<host>[^@:]+|\[[^@\]]+\])(?::(?P<port>[0-9]{1,5}|\*))?)?"
)
_WILDCARDS = {"*": "[A-Za-z0-9+._-]*", "?": "[A-Za-z0-9+._-]"}
_SCHEME_AND_REST = re.compile(r"((?:sips?:)?)(.*)", re.DOTALL)
_DIGITS = re.compile(r"[0-9?*]*(?:@.*)?", re.DOTALL)
_DEFAULT_PORTS = {None, 5060, 5061}


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where numbers go: the host of a provider or PBX."""

    host: str  # in lower case; IPv6 in brackets
    port: int | None = None
    transport: Transport = ""

    @classmethod
    def parse(cls, text: str) -> Gateway:
        """`host[:port][;transport=udp|tcp|tls]`. Raises ValueError."""
        found = _AT.fullmatch(text)
        port = int(found["port"]) if found and found["port"] else None
        if not found or (port is not None and not 0 < port < 65536):
            raise ValueError(
                "a host such as pbx.example.com, sip.example.com:5070 or 192.0.2.10;transport=tcp"
            )
        transport: Transport = (found["transport"] or "").lower()  # type: ignore[assignment]  # by the pattern
        return cls(_host(found["host"]), port, transport)

    @classmethod
    def of(cls, server: str, transport: Transport) -> Gateway:
        """Of an account."""
        host, port = split_host_port(server)
        return cls(_host(f"[{host}]" if ":" in host else host), port or None, transport)

    def __str__(self) -> str:
        port = f":{self.port}" if self.port else ""
        return f"{self.host}{port}{f';transport={self.transport}' if self.transport else ''}"


@dataclass(frozen=True, slots=True)
class Destination:
    """Whom a call goes to. Its text is what is dialled, made of nothing but these parts."""

    user: str
    at: Gateway
    secure: bool = False  # sips:

    @classmethod
    def parse(cls, text: str, gateway: Gateway | None = None) -> Destination:
        """Of a SIP URI, or of a number or tel: URI, which goes to the `gateway`.

        Raises ValueError with a sentence that says why it can't be dialled.
        """
        if found := _SIP.fullmatch(text):
            try:
                at = Gateway.parse(found["at"])
            except ValueError:
                raise ValueError(_WHAT_IS_TAKEN) from None
            return cls(_plain(found["user"]), at, (found["scheme"] or "").lower() == "sips")
        if not (found := _TEL.fullmatch(text) or _NUMBER.fullmatch(text)):
            raise ValueError(_WHAT_IS_TAKEN)
        user = _plain(found["number"])
        if not user or user == "+":
            raise ValueError(_WHAT_IS_TAKEN)
        if gateway is None:
            raise ValueError("A number needs a gateway: set outbound.gateway, or dial it as sip:NUMBER@HOST.")
        return cls(user, gateway)

    def __str__(self) -> str:
        return f"{'sips' if self.secure else 'sip'}:{self.user}@{self.at}"


_WHAT_IS_TAKEN = (
    "It must be a SIP URI such as sip:600@pbx.example.com, or a number: without escapes (%), headers (?), "
    "a second @, or parameters other than transport=udp, tcp or tls."
)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A user part, or one with its host; `*` is any characters of a user part, `?` is one.

    Without a host it is a number's, and means the gateway alone.
    """

    user: re.Pattern[str]
    host: str | None
    port: int | Literal["*"] | None

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Raises ValueError."""
        found = _PATTERN.fullmatch(text)
        try:
            if not found or (found["host"] and not _AT.fullmatch(found["host"])) or ";" in text:
                raise ValueError
            host = _host(found["host"]) if found["host"] else None
        except ValueError:
            raise ValueError(
                "a list of patterns, such as +331*, 6??, 600@pbx.example.com or *@192.0.2.10:5070"
            ) from None
        user = "".join(_WILDCARDS.get(char) or re.escape(char) for char in found["user"])
        port = found["port"]
        return cls(re.compile(user), host, int(port) if port and port != "*" else "*" if port else None)

    def matches(self, destination: Destination, gateway: Gateway | None) -> bool:
        if not self.user.fullmatch(destination.user):
            return False
        if self.host is None:
            return gateway is not None and (destination.at.host, destination.at.port) == (
                gateway.host,
                gateway.port,
            )
        if self.host != destination.at.host or self.port == "*":
            return self.host == destination.at.host
        return destination.at.port == self.port or (
            self.port is None and destination.at.port in _DEFAULT_PORTS
        )


def international(text: str, prefixes: Iterable[str]) -> str:
    """A number or pattern of numbers, with a host or without, with + in the place of one of the prefixes."""
    start, number = _SCHEME_AND_REST.fullmatch(text).groups()  # type: ignore[union-attr]  # it takes anything
    for prefix in sorted(prefixes, key=len, reverse=True):
        if number.startswith(prefix) and _DIGITS.fullmatch(number.removeprefix(prefix)):
            return f"{start}+{number.removeprefix(prefix)}"
    return text


def _plain(user: str) -> str:
    """A number without separators, which nobody who routes it looks at; any other user part as it is."""
    plain = _SEPARATORS.sub("", user)
    return plain if plain.removeprefix("+").isdecimal() else user


def _host(text: str) -> str:
    """Raises ValueError."""
    return f"[{IPv6Address(text[1:-1])}]" if text.startswith("[") else text.lower()
