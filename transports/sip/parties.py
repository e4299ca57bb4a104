"""Who calls whom, as an INVITE's headers say. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from transports.call import printable
from transports.sip.message import Message, parameter

_ADDRESS = re.compile(r'(?:\s*"(?P<quoted>(?:\\.|[^"\\])*)"\s*|(?P<name>[^<"]*))<(?P<uri>[^>]*)>')
_URI = re.compile(r"(?P<scheme>sips?|tel):(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_NAMELESS = {"", "anonymous", "unknown", "unavailable", "restricted", "private"}


@dataclass(frozen=True, slots=True)
class Parties:
    """Strings from the network, without control characters, and of bounded length."""

    caller: str
    caller_name: str
    called: str
    diverted_from: tuple[str, ...] = ()  # whose calls are diverted to us, the last diversion first
    headers: Mapping[str, str] = field(default_factory=dict)


def parties(invite: Message, *, trusted: bool, contact: str = "", headers: Iterable[str] = ()) -> Parties:
    """`trusted`: the peer is believed about who calls where From doesn't say (RFC 3325, Remote-Party-ID).

    `headers`: which are wanted, by lower-case name.
    `contact`: the user of a Contact of ours that is registered, which may be what is in the Request-URI.
    """
    source = invite.header("From")
    if trusted and user_of(source).lower() in _NAMELESS:
        asserted = [*invite.values("P-Asserted-Identity"), *invite.values("Remote-Party-ID")]
        source = next((one for one in asserted if user_of(one).lower() not in _NAMELESS), source)
    name = _name_of(source)
    return Parties(
        caller=user_of(source),
        caller_name="" if name.lower() in _NAMELESS else name,
        called=_called(invite, contact),
        diverted_from=_diverted_from(invite),
        headers={name: _clean(invite.header(name)) for name in headers},
    )


def _called(invite: Message, contact: str) -> str:
    asked = user_of(invite.uri)
    if asked != contact:
        return asked or user_of(invite.header("To"))
    return user_of(invite.header("P-Called-Party-ID")) or user_of(invite.header("To"))


def uri_of(address: str) -> str:
    """The URI of an address; what is behind one without brackets belongs to the header."""
    found = _ADDRESS.match(address)
    return (found["uri"] if found else address.partition(";")[0]).strip()


def user_of(address: str) -> str:
    """The user part of a SIP or tel URI, or of an address with one: without escapes and parameters."""
    found = _ADDRESS.match(address)
    uri = _URI.match((found["uri"] if found else address).strip())
    if not uri:
        return ""
    user, at, _ = uri["rest"].partition("?")[0].rpartition("@")
    if uri["scheme"].lower() == "tel":
        user = uri["rest"]
    elif not at:
        return ""  # a host alone
    return _clean(unquote(re.split("[;:]", user)[0]))


def _name_of(address: str) -> str:
    found = _ADDRESS.match(address)
    if not found:
        return ""
    quoted = found["quoted"]
    return _clean(re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else found["name"])


def _diverted_from(invite: Message) -> tuple[str, ...]:
    """From Diversion (RFC 5806), else History-Info (RFC 7044), whose last entry is where the call is now."""
    diversions = invite.values("Diversion")
    if not diversions:
        entries = sorted(invite.values("History-Info"), key=_index)
        diversions = entries[-2::-1]
    users = (user_of(one) for one in diversions)
    return tuple(dict.fromkeys(user for user in users if user))[:8]


def _index(entry: str) -> list[int]:
    return [int(part) for part in parameter(entry, "index").split(".") if part.isdecimal()]


def _clean(text: str) -> str:
    """What may be shown and kept: whole characters."""
    whole = text.encode(errors="surrogateescape").decode(errors="replace")
    return printable(whole)
