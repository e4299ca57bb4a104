"""The SIP messages of recent calls, in memory, and what of them may be shown. No I/O, no clock."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

OTHERS = 50  # dialogs without an INVITE that are kept: registrations, OPTIONS
MESSAGES = 200  # of one dialog
MESSAGE_BYTES = 16384
_HEADERS_BYTES = 8192  # a Call-ID stands before that
ALL_BYTES = 8_000_000

Endpoint = tuple[str, int]

_GONE = "…"
_LINE = re.IGNORECASE | re.MULTILINE
_REST = r"[^\r\n]*(?:\r?\n[ \t]+[^\r\n]*)*"  # of a header, which may go on in the next line
_SECRETS = (
    re.compile(rf"^((?:proxy-)?auth(?:orization|entication-info)[ \t]*:[ \t]*){_REST}", _LINE),
    re.compile(r"^(a=crypto:\d+ \S+ |a=key-mgmt:|a=ice-pwd:|k=)[^\r\n]*", _LINE),
    re.compile(r"(\bsips?:[^@\s<>;\":]{1,512}:)[^@\s<>;\"]{1,512}(?=@)", _LINE),
)
_KEYS_BODY = re.compile(r"^(?:content-type|c)[ \t]*:[ \t]*application/dtmf", _LINE)
_PRESSED = re.compile(r"^((?:signal[ \t]*=[ \t]*)?)[0-9A-D*#, ]+(?=\r?$)", _LINE)
# Bounded, so that no message takes long.
_URI_USER = re.compile(r"\b(sips?:)([^@\s<>;\"]{1,512})@|\b(tel:)([^\s<>;\"]+)", re.IGNORECASE)
_WORD = re.compile(r"[+*#\w]{4,}")
_NAME = re.compile(
    r"^((?:from|f|to|t|contact|m|p-asserted-identity|p-preferred-identity|remote-party-id|diversion|reply-to"
    r'|history-info|referred-by|b)[ \t]*:[ \t]*)("(?:[^"\\\r\n]|\\.)*"[ \t]*|[^\s<"][^<"\r\n]*)(?=<)',
    _LINE,
)
_ORIGIN = re.compile(r"^o=\S+", re.MULTILINE)
_CONTENT_LENGTH = re.compile(r"^((?:content-length|l)[ \t]*:[ \t]*)\d+", _LINE)
_CALL_ID = re.compile(rb"^(?:call-id|i)[ \t]*:[ \t]*+(?:\r?\n[ \t]++)*+([^\s][^\r\n]*)", _LINE)
_END_OF_HEAD = re.compile(r"\r?\n\r?\n")


def call_id_of(raw: bytes) -> str:
    """A message's Call-ID; empty if it has none."""
    found = _CALL_ID.search(raw, 0, _HEADERS_BYTES)
    return found[1].rstrip().decode(errors="replace") if found else ""


@dataclass(frozen=True, slots=True)
class Message:
    at: float  # Unix time
    sent: bool
    protocol: str  # UDP, TCP or TLS
    local: Endpoint
    remote: Endpoint
    call_id: str
    raw: bytes

    @property
    def text(self) -> str:
        return self.raw.decode(errors="replace")


@dataclass(slots=True)
class _Dialog:
    messages: list[Message] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    size: int = 0


class Trace:
    """The last dialogs with an INVITE, as many as `calls`, and a few without. May be used on any thread."""

    def __init__(self, calls: int) -> None:
        self._most = {True: calls, False: min(calls, OTHERS)}
        self._dialogs: dict[bool, OrderedDict[str, _Dialog]] = {True: OrderedDict(), False: OrderedDict()}
        self._size = 0
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """How many bytes of messages are kept."""
        return self._size

    def add(
        self, at: float, sent: bool, protocol: str, local: Endpoint, remote: Endpoint, raw: bytes
    ) -> None:
        if not self._most[True]:
            return
        raw = raw[:MESSAGE_BYTES]
        call_id = call_id_of(raw)
        message = Message(at, sent, protocol, local, remote, call_id, raw)
        with self._lock:
            dialog = self._dialog(call_id, raw.startswith(b"INVITE "))
            if dialog is None or len(dialog.messages) >= MESSAGES:
                return
            dialog.messages.append(message)
            dialog.size += len(raw)
            self._size += len(raw)
            while self._size > ALL_BYTES:
                self._drop_oldest(not self._dialogs[False])

    def name(self, call_id: str, name: str) -> None:
        """Give a dialog another name by which it can be asked for."""
        with self._lock:
            for dialogs in self._dialogs.values():
                if call_id in dialogs:
                    dialogs[call_id].names.add(name)

    def messages(self, name: str = "") -> list[Message]:
        """Those of the dialog with this name or Call-ID, or all, in order of time."""
        with self._lock:
            kept = [
                message
                for dialogs in self._dialogs.values()
                for call_id, dialog in dialogs.items()
                if not name or name == call_id or name in dialog.names
                for message in dialog.messages
            ]
        return sorted(kept, key=lambda message: message.at)

    def _dialog(self, call_id: str, invites: bool) -> _Dialog | None:
        for dialogs in self._dialogs.values():
            if call_id in dialogs:
                return dialogs[call_id]
        if not self._most[invites]:
            return None
        dialog = self._dialogs[invites][call_id] = _Dialog()
        if len(self._dialogs[invites]) > self._most[invites]:
            self._drop_oldest(invites)
        return dialog

    def _drop_oldest(self, invites: bool) -> None:
        _, dialog = self._dialogs[invites].popitem(last=False)
        self._size -= dialog.size


def without_secrets(message: Message) -> Message:
    """What whoever has the API key may see: no credentials, no media keys, no keys that were pressed."""
    text = message.text
    for secret in _SECRETS:
        text = secret.sub(rf"\1{_GONE}", text)
    if _KEYS_BODY.search(text):
        head, body = _halves(text)
        text = head + _PRESSED.sub(rf"\1{_GONE}", body)
    return _with(message, text)


def without_numbers(messages: Iterable[Message]) -> list[Message]:
    """Each caller and each called user is `user1`, `user2`, ... in the order in which they appear."""
    aliases: dict[str, str] = {}

    def alias(match: re.Match[str]) -> str:
        user = (match[2] or match[4]).partition(":")[0].lower()
        known = aliases.setdefault(user, f"user{len(aliases) + 1}")
        return f"{match[1]}{known}@" if match[1] else f"{match[3]}{known}"

    shown = [
        _with(m, _URI_USER.sub(alias, _ORIGIN.sub("o=-", _NAME.sub(rf'\1"{_GONE}" ', m.text))))
        for m in messages
    ]
    # As in headers of a PBX's own.
    return [_with(m, _WORD.sub(lambda word: aliases.get(word[0].lower(), word[0]), m.text)) for m in shown]


def _halves(text: str) -> tuple[str, str]:
    end = _END_OF_HEAD.search(text)
    return (text[: end.end()], text[end.end() :]) if end else (text, "")


def _with(message: Message, text: str) -> Message:
    """The message with another text, and the length that its body now has."""
    head, body = _halves(text)
    if body != _halves(message.text)[1]:
        head = _CONTENT_LENGTH.sub(rf"\g<1>{len(body.encode())}", head, count=1)
    return replace(message, raw=(head + body).encode())
