"""Everything that runs in the one process, started and stopped in order."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Callable

from agent.http.app import create_app
from agent.http.server import HttpServer
from agent.sessions import Sessions
from config.persona import Persona
from config.settings import Settings
from models.pool import ModelPool
from transports.sip.server import SipServer

logger = logging.getLogger("offhook")

MIN_FILES = 8192  # each call holds a handful of sockets


class SipDied(Exception):
    """The SIP thread is gone. It can't be restarted in this process: stop, and let a supervisor."""


class Server:
    """Models, telephone lines and the control plane."""

    def __init__(self, settings: Settings, persona: Persona) -> None:
        self.settings = settings
        self.persona = persona
        self.pool = ModelPool(settings, persona)
        self.sessions = Sessions(settings=settings, persona=persona, pool=self.pool)
        self.sip: SipServer | None = None
        self.http: HttpServer | None = None
        self._died: asyncio.Future[None] | None = None

    async def start(self, on_progress: Callable[[str], None]) -> None:
        """Bind, load, warm, listen; returns once calls are answered.

        Raises an error of the part that can't start, with a sentence that says what to do.
        """
        _raise_file_limit()
        self._died = asyncio.get_running_loop().create_future()
        settings = self.settings
        if settings.sip.enabled:
            self.sip = SipServer(settings.sip, settings.call.max_calls, self.sessions.handle)
            self.sip.on_dead = self._sip_died
            self.sip.check_address()
        if settings.http.enabled:
            app = create_app(
                settings=settings,
                calls=self.sessions,
                models=self.pool,
                listeners=[self.sip] if self.sip else [],
            )
            self.http = HttpServer(app, host=settings.http.host, port=settings.http.port)
            await self.http.start()
        await self.pool.start(on_progress)
        await self.sessions.prepare()
        if self.sip:
            await self.sip.start()

    async def wait(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. Raises SipDied if the telephone line dies first."""
        assert self._died
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({stopping, self._died}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if self._died.done():
            raise SipDied("The SIP thread died. Start offhook again; a supervisor should do that by itself.")

    async def close(self, *, drain_s: float) -> None:
        """See the calls out, then stop everything, in the reverse order of the start."""
        await self.sessions.drain(drain_s)
        if self.sip:
            await self.sip.close()
        if self.http:
            await self.http.stop()
        await self.pool.close()

    def _sip_died(self) -> None:
        if self._died and not self._died.done():
            self._died.set_result(None)


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MIN_FILES if hard == resource.RLIM_INFINITY else min(MIN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
