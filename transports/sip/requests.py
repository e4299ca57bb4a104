"""Requests of ours outside of calls: the C stack finds the way, repeats them, and hears the answers.

Its own registration client may wait for half an hour before it tries again, and has only words for what went
wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from baresip import _native

from transports.sip.libre import OnSipThread, Pl, SipMessage, SocketAddress, Uri, at, declare, text_of
from transports.sip.message import Message
from transports.sip.sdp import Ip

_pointer, _int, _text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
_SEND = ctypes.CFUNCTYPE(_int, _int, _pointer, _pointer, _pointer, _pointer, _pointer)
_RESPONSE = ctypes.CFUNCTYPE(None, _int, _pointer, _pointer)
SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "uag_sip": (_pointer, []),
    "uri_decode": (_int, [_pointer, _pointer]),
    # The last argument is the first of a variable number, which there is one of.
    "sip_requestf": (
        _int,
        [
            *(_pointer, _pointer, ctypes.c_bool, _text, _text, _pointer, _pointer, _SEND, _RESPONSE),
            *(_pointer, _text, _text),
        ],
    ),
    "mbuf_write_mem": (_int, [_pointer, _text, ctypes.c_size_t]),
}


class RequestFailed(Exception):
    """No answer came; `error` is a system's error number."""

    def __init__(self, error: int) -> None:
        super().__init__(error)
        self.error = error


@dataclass(frozen=True, slots=True)
class Path:
    """What a request is about to be sent over."""

    protocol: int  # enum sip_transp
    local: tuple[Ip, int]
    peer: tuple[Ip, int]


@dataclass(frozen=True, slots=True)
class _Open:
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Message]
    on_path: Callable[[Path], str]


class StackRequests:
    """Of a running stack."""

    def __init__(self, on_sip_thread: OnSipThread) -> None:
        self._on_sip_thread = on_sip_thread
        self._lib = ctypes.CDLL(str(_native.__file__))
        declare(self._lib, SIGNATURES)
        self._ids = itertools.count(1)
        self._open: dict[int, _Open] = {}
        self._on_send, self._on_response = _SEND(self._sending), _RESPONSE(self._answered)

    async def ask(
        self, method: str, uri: str, route: str, headers: str, on_path: Callable[[Path], str]
    ) -> Message:
        """Send a request by `route`, a URI, and return its final answer. Raises RequestFailed.

        `headers` are whole lines, each with its CRLF, of all but Via and Max-Forwards; `on_path` gives more
        of them, on the SIP thread, once it is known which way the request goes.
        """
        loop = asyncio.get_running_loop()
        number = next(self._ids)
        one = self._open[number] = _Open(loop, loop.create_future(), on_path)

        def send() -> int:
            text = ctypes.create_string_buffer(route.encode())
            way, piece = Uri(), Pl(ctypes.addressof(text), len(text) - 1)
            failed = self._lib.uri_decode(ctypes.byref(way), ctypes.byref(piece))
            return int(
                failed
                or self._lib.sip_requestf(
                    *(None, self._lib.uag_sip(), True, method.encode(), uri.encode()),
                    *(ctypes.byref(way), None),
                    *(self._on_send, self._on_response, number),
                    *(b"%s", f"{headers}Content-Length: 0\r\n\r\n".encode()),
                )
            )

        try:
            if error := await self._on_sip_thread(send):
                raise RequestFailed(error)
            return await one.answer
        finally:
            del self._open[number]

    def _sending(self, protocol: int, local: int, peer: int, buffer: int, _: int, number: int) -> int:
        """On the SIP thread."""
        if one := self._open.get(number):
            path = Path(protocol, _endpoint(local), _endpoint(peer))
            text = one.on_path(path).encode()
            return int(self._lib.mbuf_write_mem(buffer, text, len(text)))
        return 0

    def _answered(self, error: int, pointer: int | None, number: int) -> None:
        """On the SIP thread."""
        one = self._open.get(number)
        if one is None:
            return
        outcome: Message | RequestFailed = RequestFailed(error)
        if pointer:
            msg = at(SipMessage, pointer)
            if msg.scode < 200:
                return
            try:
                outcome = Message.parse(text_of(msg))
            except ValueError as refused:
                outcome = RequestFailed(errno.EPROTO)
                outcome.__cause__ = refused
        with contextlib.suppress(RuntimeError):  # the loop is closed
            one.loop.call_soon_threadsafe(_settle, one.answer, outcome)


def _settle(answer: asyncio.Future[Message], outcome: Message | RequestFailed) -> None:
    if answer.done():
        return
    if isinstance(outcome, Message):
        answer.set_result(outcome)
    else:
        answer.set_exception(outcome)


def _endpoint(pointer: int) -> tuple[Ip, int]:
    address = at(SocketAddress, pointer)
    return ip_address(address.packed), address.port
