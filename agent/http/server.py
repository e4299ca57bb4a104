"""Serves the application on the event loop that everything else runs on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from ssl import SSLContext

import uvicorn
from starlette.types import ASGIApp

WS_MESSAGE_BYTES = 64 * 1024
STOP_GRACE_S = 5.0


class ListenError(Exception):
    """The address can't be listened on; the message says what to do."""


class _QuietServer(uvicorn.Server):
    """Leaves the process's signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """One listening socket and the task that serves it."""

    def __init__(self, app: ASGIApp, *, host: str, port: int, ssl: SSLContext | None = None) -> None:
        self._host = host
        self._port = port
        self._server = _QuietServer(
            uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # uvicorn believes any on loopback; the application knows better
                ws="websockets-sansio",
                ws_max_size=WS_MESSAGE_BYTES,
                ws_per_message_deflate=False,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=int(STOP_GRACE_S),
                ssl_context_factory=(lambda _config, _default: ssl) if ssl else None,
            )
        )
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port really bound, of use when 0 was asked for."""
        return int(self._socket.getsockname()[1]) if self._socket else self._port

    async def start(self) -> None:
        """Listen and serve. Raises ListenError with a sentence that says what to do."""
        self._socket = listen(self._host, self._port)
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
        if self._socket is not None:
            self._socket.close()
        self._task = None


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises ListenError with a sentence that says what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        why = error.strerror or str(error)
        raise ListenError(
            f"http.port: {host}:{port} can't be listened on ({why}). "
            "Set http.port (or --http-port) to a free port, or http.host to an address of this machine."
        ) from error
    listener.setblocking(False)
    return listener
