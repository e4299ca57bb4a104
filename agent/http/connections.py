"""uvicorn's connections with what it leaves to a proxy in front: deadlines, a bound, and room for calls.

uvicorn's own options don't reach so far: `limit_concurrency` answers whole requests only, and without
httptools or with it nothing bounds how long a request's headers or a reader may take.
"""

from __future__ import annotations

import asyncio
import resource
import socket
from itertools import chain
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

MOST = 512  # connections; those of calls among them
HEADERS_S = 10.0  # for a request's headers, and for TLS before them
READER_S = 10.0  # for a peer to take something of what waits for it
_OURS = 128  # descriptors that are neither connections nor calls


class State(ServerState):
    """The server's connections, and those for which nothing is done, each the oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.strangers: dict[Http, None] = {}  # that never sent a whole request
        self.idle: dict[Http, None] = {}  # that may send another one
        self.lingering: dict[asyncio.Protocol, float] = {}

    def make_room(self, newest: Http) -> None:
        """Close whoever keeps the server waiting the longest, strangers first; a new one may be a caller."""
        least = next(chain(self.strangers, self.idle), newest)
        self.busy(least)
        least.transport.abort()

    def busy(self, connection: Http) -> None:
        """Something is done for it now, or it is gone."""
        self.strangers.pop(connection, None)
        self.idle.pop(connection, None)

    def drop_lingering(self, now: float) -> None:
        """Close what has been closing for too long: its peer doesn't take the rest."""
        closing = [each for each in self.connections if each.transport.is_closing()]
        self.lingering = {each: self.lingering.get(each, now) for each in closing}
        for connection in closing:
            if now - self.lingering[connection] > READER_S:
                connection.transport.abort()


class _Watched(asyncio.Protocol):
    """Drops a peer that doesn't read."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    _unread: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(READER_S, self.transport.abort)

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._unread is not None:
            self._unread.cancel()
        super().connection_lost(exc)


class WebSocket(_Watched, WebSocketsSansIOProtocol):
    def pause_writing(self) -> None:
        super().pause_writing()
        self.transport.pause_reading()  # its pings would be answered into the same full buffer

    def resume_writing(self) -> None:
        if not self.read_paused:
            self.transport.resume_reading()
        super().resume_writing()


class Http(_Watched, H11Protocol):
    server_state: State

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST:
            self.server_state.make_room(self)
        if not self.transport.is_closing():
            self.server_state.strangers[self] = None
            self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.server_state.busy(self)
        self._have_headers()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.get_protocol() is not self or self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self._expect_headers()  # of the next one; or what comes is a body that nobody wants any more
        else:
            self._have_headers()
            if not self.cycle.more_body:
                self.server_state.busy(self)

    def on_response_complete(self) -> None:
        self.server_state.busy(self)
        self.server_state.idle[self] = None
        super().on_response_complete()
        if self.cycle.response_complete and self.conn.trailing_data[0]:  # half of the next request is there
            self._expect_headers()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._have_headers()
        self.server_state.busy(self)
        super().handle_websocket_upgrade(event)

    def _expect_headers(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(HEADERS_S, self.transport.abort)

    def _have_headers(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class Listener(socket.socket):
    """Accepts no connection into the descriptors that are kept for calls.

    A new socket has the lowest number that is free, so the number tells how many there are.
    """

    reserved = 0

    def reserve(self, descriptors: int) -> None:
        """Keep so many for calls, and raise this process's limit as far as that needs and it may."""
        self.reserved = descriptors
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = descriptors + MOST + _OURS
        if soft != resource.RLIM_INFINITY and soft < wanted:
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))

    def accept(self) -> tuple[socket.socket, Any]:
        """Raises ConnectionAbortedError, which asyncio takes for a peer that has left already."""
        connection, address = super().accept()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit != resource.RLIM_INFINITY and connection.fileno() >= max(limit - self.reserved, limit // 2):
            connection.close()
            raise ConnectionAbortedError("its descriptor is kept for a call")
        return connection, address
