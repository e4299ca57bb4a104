"""Serves the application on the event loop that everything else runs on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from ssl import SSLContext

import uvicorn
from starlette.types import ASGIApp

from agent.http.connections import HEADERS_S, READER_S, Http, Listener, State, WebSocket

WS_MESSAGE_BYTES = 64 * 1024
STOP_GRACE_S = 5.0
BACKLOG = 256


class ListenError(Exception):
    """The address can't be listened on; the message says what to do."""


class _QuietServer(uvicorn.Server):
    """Leaves the process's signals to the process, and bounds its connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state: State = State()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, with a deadline for TLS, in which it leaves asyncio's 60 s."""
        config, loop = self.config, asyncio.get_running_loop()

        def connection() -> asyncio.Protocol:
            return Http(config=config, server_state=self.server_state, app_state={})

        self.servers = [
            await loop.create_server(
                connection,
                sock=each,
                ssl=config.ssl,
                backlog=BACKLOG,
                ssl_handshake_timeout=HEADERS_S if config.ssl else None,
                ssl_shutdown_timeout=READER_S if config.ssl else None,
            )
            for each in sockets or []
        ]
        self.started = True

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # once a second
            self.server_state.drop_lingering(asyncio.get_running_loop().time())
        return await super().on_tick(counter)


class HttpServer:
    """One listening socket and the task that serves it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str = "",
        port: int = 0,
        path: str = "",
        ssl: SSLContext | None = None,
        reserved: int = 0,
    ) -> None:
        """At a host and port, or at a Unix socket's `path`.

        `reserved` descriptors of the process stay free for what isn't HTTP.
        """
        self._host = host
        self._port = port
        self._path = path
        self._reserved = reserved
        self._server = _QuietServer(
            uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # uvicorn believes any on loopback; the application knows better
                http=Http,
                ws=WebSocket,
                ws_max_size=WS_MESSAGE_BYTES,
                ws_per_message_deflate=False,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=int(STOP_GRACE_S),
                ssl_context_factory=(lambda _config, _default: ssl) if ssl else None,
            )
        )
        self._socket: Listener | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port really bound, of use when 0 was asked for."""
        return int(self._socket.getsockname()[1]) if self._socket else self._port

    async def start(self) -> None:
        """Listen and serve. Raises ListenError with a sentence that says what to do."""
        self._socket = listen_locally(self._path) if self._path else listen(self._host, self._port)
        self._socket.reserve(self._reserved)
        self._task = asyncio.create_task(self._server.serve([self._socket]), name="http")
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise ListenError("The HTTP server stopped as it started.")
            await asyncio.sleep(0)

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Let running requests finish for `grace_s`, then cut them off."""
        if self._task is None:
            return
        self._server.config.timeout_graceful_shutdown = max(1, round(grace_s))
        self._server.should_exit = True
        _, running = await asyncio.wait({self._task}, timeout=grace_s + 1)
        if running:
            self._server.force_exit = True
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=1)
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        if self._socket is not None:
            self._socket.close()
        self._task = None


def listen_locally(path: str) -> Listener:
    """A listening Unix socket, for this user alone."""
    listener = Listener(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def listen(host: str, port: int) -> Listener:
    """A listening TCP socket. Raises ListenError with a sentence that says what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = Listener(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        why = error.strerror or str(error)
        raise ListenError(
            f"http.port: {host}:{port} can't be listened on ({why}). "
            "Set http.port (or --http-port) to a free port, or http.host to an address of this machine."
        ) from error
    listener.setblocking(False)
    return listener
