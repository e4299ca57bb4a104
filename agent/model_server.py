"""The models without a telephone: what nodes that have none of their own ask, by OpenAI's API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from agent.admission import Admission
from agent.briefing import brief
from agent.canary import Canary
from agent.http.app import create_app
from agent.http.contracts import LiveCall
from agent.http.openai_chat import openai_chat_router
from agent.http.openai_speech import openai_speech_router
from agent.http.server import HttpServer
from agent.http.speech import STT_BODY_BYTES
from agent.load import load_of
from agent.metrics import Metrics
from agent.tls import Certificate
from agent.vitals import Pulse, keep_what_is_there
from config.answering import Personas
from config.ports import require_free
from config.settings import HttpSettings, Settings
from models.pool import ComponentHealth, ModelPool

LOOK_S = 0.5
# Of a node with a hundred calls: nobody else has its key.
REQUESTS_PER_MINUTE = 1_000_000


class Requests:
    """Stands where calls would: there are none, and requests are taken while there isn't too much to do."""

    draining = False

    def __init__(self, settings: Settings) -> None:
        self.admission = Admission(settings.most_calls)

    def live(self) -> Sequence[LiveCall]:
        return ()

    async def gone(self, id: str) -> None: ...

    @property
    def accepting(self) -> tuple[bool, str]:
        if self.draining:
            return False, "The server is draining."
        return not self.admission.strain, self.admission.strain


class ModelServer:
    """The pool and its API. `http` of the settings says where, and with which key."""

    def __init__(self, settings: Settings, personas: Personas) -> None:
        self.settings = settings.model_copy(update={"http": _unhurried(settings.http)})
        self.pool = ModelPool(
            settings,
            voices=[persona.voice for persona in personas.all],
            languages=[persona.language for persona in personas.all],
            briefs=[brief(persona) for persona in personas.all],
        )
        self.requests = Requests(settings)
        self.canary = Canary(self.pool, personas.default)
        self.http: HttpServer | None = None
        self._personas = personas
        self._certificate: Certificate | None = None
        self._pulse = Pulse()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, on_progress: Callable[[str], None]) -> None:
        """Listen, load and warm. Raises ConfigError, or an error of the part that can't start."""
        http, persona = self.settings.http, self._personas.default
        require_free("http", http.host, http.port, "tcp")
        self._tasks.append(asyncio.create_task(self._pulse.run(), name="pulse"))
        if http.tls:
            self._certificate = Certificate(http, self.settings.cache_dir)
            self._tasks.append(asyncio.create_task(self._certificate.keep(), name="certificate"))
        app = create_app(
            settings=self.settings,
            calls=self.requests,
            models=self.pool,
            persona=persona,
            listeners=[self],
            pulse=self._pulse,
            metrics=Metrics(),
            routers=[
                openai_chat_router(self.pool, persona.language),
                openai_speech_router(self.pool, self.settings.text),
            ],
            body_bytes={"/v1/audio/transcriptions": STT_BODY_BYTES},
        )
        self.http = HttpServer(
            app,
            host=http.host,
            port=http.port,
            ssl=self._certificate.context if self._certificate else None,
        )
        await self.http.start()
        await self.pool.start(lambda part: on_progress(f"{part.name}: {part.state}"))
        await self.canary.start()
        keep_what_is_there()
        self._tasks.append(asyncio.create_task(self._look_after(), name="admission"))

    def health(self) -> list[ComponentHealth]:
        parts = (self.canary, self._certificate)
        return [part.health() for part in parts if part]

    async def close(self, *, drain_s: float) -> None:
        """Say that nobody is to be sent here any more, let requests finish, and stop."""
        self.requests.draining = True
        if self.http:
            await self.http.stop(max(1.0, drain_s))
        await self.canary.close()
        await self.pool.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look_after(self) -> None:
        while True:
            self.requests.admission.weigh(load_of(self.pool, self._pulse), time.monotonic())
            await asyncio.sleep(LOOK_S)


def _unhurried(http: HttpSettings) -> HttpSettings:
    if "requests_per_minute" in http.model_fields_set:
        return http
    return http.model_copy(update={"requests_per_minute": REQUESTS_PER_MINUTE})
