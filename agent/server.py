"""Everything that runs in the one process, started and stopped in order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from baresip.errors import BaresipError
from fastapi import FastAPI

from agent import logs
from agent.briefing import brief
from agent.calendar.tools import every_tool
from agent.canary import Canary
from agent.cluster.cluster import Cluster
from agent.cluster.node import State
from agent.events import Events
from agent.hold_music import hold_music
from agent.http.app import create_app
from agent.http.elsewhere import AskedByAnother
from agent.http.outbound import BODY_BYTES as CALL_BODY_BYTES
from agent.http.outbound import outbound_router
from agent.http.page import page_router
from agent.http.reload import reload_router
from agent.http.server import HttpServer
from agent.http.sip import sip_router
from agent.http.speech import transcribe
from agent.http.webrtc import webrtc_router
from agent.load import calibrate, load_of
from agent.metrics import Metrics
from agent.outbound.calls import OutboundCalls
from agent.recordings.recordings import Recordings
from agent.records.database import PROCESS_DIED
from agent.records.deliveries import Deliveries
from agent.records.held import HeldCalls
from agent.records.recorder import Recorder
from agent.reload import ANSWERING, PERSONAS, TOOLS, Reloaded, plan
from agent.room import Room
from agent.sessions import Sessions
from agent.sip_health import sip_health
from agent.summary import summarize
from agent.tls import Certificate
from agent.tools.toolbox import Toolbox
from agent.tracing import tracing
from agent.vitals import Pulse, keep_what_is_there
from agent.voicemail import Voicemail
from agent.workers import Workers
from config.answering import Personas, load_personas
from config.errors import ConfigError
from config.persona import Persona
from config.ports import require_free
from config.settings import CALLS_OF_A_PROCESS, Settings
from models.errors import ModelError
from models.llm.brief import Brief
from models.pool import ComponentHealth, ModelPool
from transports.media_streams.router import carriers_router
from transports.outbound import OutboundGuard
from transports.sip.dispatcher import Dispatcher
from transports.sip.errors import SipError
from transports.sip.server import SipServer
from transports.sip.worker import Worker
from transports.webrtc.endpoint import WebRtcEndpoint

logger = logging.getLogger("offhook")

DESCRIPTORS_PER_CALL = 16  # RTP and RTCP, or a browser's UDP sockets, one an address of this machine
LOOK_S = 0.5  # between two looks at whether more calls are taken


class SipDied(Exception):
    """The SIP thread is gone. It can't be restarted in this process: stop, and let a supervisor."""


class Server:
    """Models, telephone lines and the control plane."""

    def __init__(
        self,
        settings: Settings,
        personas: Personas,
        again: Callable[[], Settings] | None = None,
        *,
        worker: Worker | None = None,
        http_socket: str = "",
    ) -> None:
        """`again` reads the settings once more; raises ConfigError.

        A `worker` takes calls for another process, which asks it over HTTP by a Unix socket's path.
        """
        self._again = again or (lambda: settings)
        self._reloading = asyncio.Lock()
        self._guard = OutboundGuard(settings.outbound)
        self.settings = settings
        self._worker = worker
        self._http_socket = http_socket
        self.personas = personas
        self.toolbox = every_tool(settings)
        self.toolbox.require(personas.all)
        self.pool = ModelPool(
            settings,
            voices=[persona.voice for persona in personas.all],
            languages=[persona.language for persona in personas.all],
            briefs=self._briefs(personas, self.toolbox),
        )
        self.recorder = (
            Recorder(settings, self.pool.health, alone=worker is None) if settings.records.enabled else None
        )
        self.deliveries: Deliveries | None = None
        self.recordings = self._recordings(self.recorder)
        self.metrics = Metrics(self.toolbox)
        self.events = Events()
        self.tracing = tracing(settings.telemetry)
        self.canary = Canary(self.pool, personas.default)
        self.voicemail = Voicemail(settings, self._write_down)
        self.sessions = Sessions(
            settings=settings,
            personas=personas,
            pool=self.pool,
            voicemail=self.voicemail,
            recordings=self.recordings,
            toolbox=self.toolbox,
            observers=[self.metrics, self.events, self.canary, *filter(None, [self.recorder, self.tracing])],
        )
        self._dispatcher: Dispatcher | None = None
        self.workers: Workers | None = None
        if settings.sip.enabled and settings.sip.processes > 1 and worker is None:
            self._dispatcher = Dispatcher(self.sessions.has_room)
            self.workers = Workers(settings, personas, self._dispatcher, self.events, self._close_records)
            self.sessions.elsewhere = lambda: self.workers.calls if self.workers else 0
        self.sessions.held = self._held(self.recorder)
        self.cluster: Cluster | None = None
        if settings.cluster.enabled and self.recorder and worker is None:
            self.cluster = self._cluster(self.recorder)
        self.sip: SipServer | None = None
        self.outbound: OutboundCalls | None = None
        self.http: HttpServer | None = None
        self.webrtc: WebRtcEndpoint | None = None
        self.certificate: Certificate | None = None
        self.sip_certificate: Certificate | None = None
        self._died = asyncio.Event()
        self._pulse = Pulse()
        self.room = Room(settings.state_dir, self._pulse)
        self._beating: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._keeping: list[asyncio.Task[None]] = []

    @property
    def persona(self) -> Persona:
        """Who answers unless the caller's number or language decides otherwise."""
        return self.personas.default

    async def start(self, on_progress: Callable[[str], None]) -> None:
        """Bind, load, warm, listen; returns once calls are answered.

        Raises ConfigError, or an error of the part that can't start, with a sentence that says what to do.
        """
        settings = self.settings
        hold_music(settings.call.hold_music)
        if settings.sip.enabled and not self._worker:
            for protocol in ("udp", "tcp"):
                require_free("sip", settings.sip.host, settings.sip.port, protocol)
            if settings.sip.over_tls:
                require_free("sip", settings.sip.host, settings.sip.tls_port, "tcp")
        if settings.http.enabled and not self._worker:
            require_free("http", settings.http.host, settings.http.port, "tcp")
        self._beating = asyncio.create_task(self._pulse.run(), name="pulse")
        if settings.sip.enabled:
            self.sip = SipServer(
                settings.sip if self._worker else settings.sip.of_process(0),
                min(settings.most_calls, CALLS_OF_A_PROCESS),
                self.sessions.handle,
                on_dead=self._died.set,
                headers=self.personas.headers,
                outbound=self._guard,
                dispatcher=self._dispatcher,
                worker=self._worker,
            )
            self.outbound = OutboundCalls(
                self.sip.dial, self.sessions.host, self._guard, lambda: self.sessions.accepting
            )
            self.sessions.dial = self.outbound.consult
            if settings.sip.over_tls and not self._worker:
                self.sip_certificate = Certificate(settings.sip, settings.cache_dir, name="SIP certificate")
                await self.sip.certify(self.sip_certificate.chain)
                self.sip_certificate.on_change = self._recertify
                self._keep(self.sip_certificate)
        if self.recorder:
            await self.recorder.start()
            if settings.webhook.calls and not self._worker:
                sums_up = partial(summarize, self.pool.llm) if settings.webhook.summary else None
                self.deliveries = Deliveries(settings.webhook, self.recorder.database, sums_up)
                self.deliveries.start()
            if self.recordings and self.settings.recordings.enabled:
                self.recordings.start()
            if self.cluster:
                self.cluster.start()
        if settings.http.enabled:
            if settings.http.tls:
                self.certificate = Certificate(settings.http, settings.cache_dir)
                self._keep(self.certificate)
            self.http = HttpServer(
                AskedByAnother(self._app()) if self._worker else self._app(),
                host=settings.http.host,
                port=settings.http.port,
                path=self._http_socket,
                ssl=self.certificate.context if self.certificate else None,
                reserved=DESCRIPTORS_PER_CALL * settings.most_calls,
            )
            await self.http.start()
        if settings.tools.mcp:  # what their tools are is known only now
            await self.toolbox.start()
            self.pool.tell(await asyncio.to_thread(self._briefs, self.personas, self.toolbox))
        await self.pool.start(lambda part: on_progress(f"{part.name}: {part.state}"))
        if settings.call.wanted is None:
            on_progress("trying how many calls this machine bears")
            kept = settings.cache_dir / "bearing.json"
            await calibrate(self.sessions.admission, self.pool, self.persona, kept)
            logger.info("%s", self.sessions.admission.capacity)
        if not self._worker:  # or what is pending would be passed on twice
            await self.voicemail.start()  # before a call may leave a message
        await self.sessions.prepare()
        await self.canary.start()
        keep_what_is_there()
        if self.sip:
            await self.sip.start()
        self._looking = asyncio.create_task(self._look_after(), name="admission")
        if self.workers:
            self.workers.start(self._for_workers(), self.personas)

    def _for_workers(self) -> Settings:
        """The settings, with what was found to suit this machine."""
        call = self.settings.call.model_copy(update={"max_calls": self.sessions.admission.max_calls})
        llm, speaker = self.settings.llm, self.pool.llm.speaker
        if speaker:
            llm = llm.model_copy(update={"bundled": speaker.resident.name})
        return self.settings.model_copy(update={"call": call, "llm": llm})

    def _recordings(self, recorder: Recorder | None) -> Recordings | None:
        """Raises ConfigError where a persona has no words for it."""
        wanted = self.settings.recordings
        if recorder is None or not (wanted.enabled or wanted.listening):
            return None
        recordings = Recordings(self.settings, recorder.database, alone=self._worker is None)
        for persona in self.personas.all:
            recordings.announcing(persona)
        return recordings

    def _held(self, recorder: Recorder | None) -> HeldCalls | None:
        most = self.settings.call.max_per_source
        several = self.settings.cluster.enabled or self.settings.sip.processes > 1
        if recorder is None or most is None or not several:
            return None
        return HeldCalls(recorder.database, most, alone=self._worker is None)

    def _cluster(self, recorder: Recorder) -> Cluster:
        def calls() -> tuple[State, int, int]:
            elsewhere = self.workers.calls if self.workers else 0
            live = len(self.sessions.live()) + elsewhere
            return self.sessions.state, live, self.sessions.admission.max_calls

        cluster = Cluster(
            self.settings,
            recorder.database,
            self.events,
            calls,
            self._has,
            self._guard,
            self.sessions.held,
        )
        cluster.apply(self.settings, self.personas)
        return cluster

    def _has(self, id: str) -> bool:
        own = any(call.info.id == id for call in self.sessions.live())
        own = own or (self.outbound is not None and self.outbound.find(id) is not None)
        return own or (self.workers is not None and self.workers.having(id) is not None)

    def _keep(self, certificate: Certificate) -> None:
        self._keeping.append(asyncio.create_task(certificate.keep(), name="certificate"))

    async def _recertify(self) -> str | None:
        assert self.sip
        assert self.sip_certificate
        try:
            await self.sip.certify(self.sip_certificate.chain)
        except (OSError, SipError) as error:
            return f"SIP keeps the old certificate: {error}"
        return None

    def _app(self) -> FastAPI:
        settings = self.settings
        cluster_key = settings.cluster.key.get_secret_value() if self.cluster and settings.cluster.key else ""
        routers = [
            reload_router(self.reload),
            carriers_router(
                settings.carriers,
                self.sessions.handle,
                lambda: self.sessions.accepting,
                key=cluster_key,
            ),
            page_router(calls=settings.webrtc.enabled),
        ]
        if settings.webrtc.enabled:
            self.webrtc = WebRtcEndpoint(self.sessions.handle, settings.webrtc)
            routers.append(webrtc_router(self.webrtc, settings.webrtc, lambda: self.personas.test_names))
        if self.sip:
            routers.append(sip_router(self.sip, self.workers))
        if self.outbound:
            routers.append(
                outbound_router(
                    self.outbound,
                    lambda: self.personas,
                    ring_timeout_s=settings.outbound.ring_timeout_s,
                    nodes=self.cluster,
                )
            )
        return create_app(
            settings=settings,
            calls=self.sessions,
            models=self.pool,
            persona=self.persona,
            listeners=[self],
            pulse=self._pulse,
            bans=lambda: self.sip.bans if self.sip else (),
            accounts=lambda: self.sip.accounts if self.sip else (),
            past=self.recorder.database if self.recorder else None,
            owed=self.recorder.owes if self.recorder else lambda: False,
            metrics=self.metrics,
            events=self.events,
            elsewhere=self.workers,
            nodes=self.cluster,
            voicemail=self.voicemail,
            api_key=self._api_key,
            recordings=self.recordings,
            routers=routers,
            body_bytes={"/api/v1/calls": CALL_BODY_BYTES},
        )

    def _api_key(self) -> str:
        key = self.settings.http.api_key
        return key.get_secret_value() if key else ""

    async def reload(self) -> Reloaded:
        """Read the settings and personas again, and apply what can be; no call ends by it.

        Raises ConfigError, with nothing applied.
        """
        async with self._reloading:
            wanted = await asyncio.to_thread(self._again)
            new = plan(self.settings, wanted)
            personas = await asyncio.to_thread(load_personas, new.settings)
            if not self._speaks(personas):
                new = plan(self.settings, wanted, without=ANSWERING)
                new = new.with_files(PERSONAS, ANSWERING, applied=False)
                personas = self.personas
            elif personas != self.personas:
                new = new.with_files(PERSONAS, ANSWERING)
            toolbox = await asyncio.to_thread(every_tool, new.settings, self.toolbox)
            toolbox.require(personas.all)
            if toolbox.functions != self.toolbox.functions:
                new = new.with_files(TOOLS, ["tools.folder"])
            try:
                await self._apply(new.settings, personas, toolbox)
            except (BaresipError, ModelError) as error:
                raise ConfigError(f"The settings can't be applied: {error}") from error
        reloaded = new.reloaded
        logger.info("the settings were read again; applied: %s", ", ".join(reloaded.applied) or "none")
        if reloaded.needs_restart:
            logger.warning(
                "these have changed, too, and need a restart: %s", ", ".join(reloaded.needs_restart)
            )
        return reloaded

    def _speaks(self, personas: Personas) -> bool:
        """Whether what they need is loaded in this process."""
        return self.pool.speaks([one.voice for one in personas.all], [one.language for one in personas.all])

    @staticmethod
    def _briefs(personas: Personas, toolbox: Toolbox) -> list[Brief]:
        return [brief(persona, toolbox) for persona in personas.all]

    async def reload_or_tell(self) -> None:
        """As `reload`, where nobody waits for the outcome but the log."""
        try:
            await self.reload()
        except ConfigError as error:
            logger.error("the settings stay as they were: %s", error)  # noqa: TRY400
        except Exception:  # whatever it is, calls go on
            logger.exception("the settings could not be read again")

    async def _apply(self, settings: Settings, personas: Personas, toolbox: Toolbox) -> None:
        """What may fail comes first. Raises BaresipError, ModelError."""
        if personas != self.personas:
            await asyncio.to_thread(self._learn, personas, toolbox)
            await self.sessions.remember(settings, personas)
        if settings.sip.accounts != self.settings.sip.accounts and self.sip:
            await self.sip.apply_accounts(settings.sip.accounts)
        for certificate in filter(None, (self.certificate, self.sip_certificate)):
            await certificate.look()
        self.settings, self.personas, self.toolbox = settings, personas, toolbox
        self.sessions.apply(settings, personas, toolbox)
        self.metrics.known = toolbox
        if self.cluster:
            self.cluster.apply(settings, personas)
        else:
            self._guard.apply(settings.outbound)
        logs.set_level(settings.log)
        if self.sip:
            self.sip.apply(settings.sip, personas.headers)
        if self.workers:
            self.workers.apply(self._for_workers(), personas)

    def _learn(self, personas: Personas, toolbox: Toolbox) -> None:
        """Have their pages found. Blocks."""
        self.pool.learn(self._briefs(personas, toolbox))

    async def follow(self, settings: Settings, personas: Personas) -> None:
        """Take what the process that listens goes on with."""
        async with self._reloading:
            try:
                if not self._speaks(personas):  # it was started anew with fewer than the first
                    logger.warning("personas need a restart: their voice or language isn't loaded")
                    personas = self.personas
                toolbox = await asyncio.to_thread(every_tool, settings, self.toolbox)
                await self._apply(settings, personas, toolbox)
            except Exception:  # whatever it is, calls go on
                logger.exception("the settings of the first process could not be taken")

    async def _look_after(self) -> None:
        """Have calls refused that would be too many, and SIP's OPTIONS say whether any is taken."""
        while True:
            self.sessions.admission.weigh(load_of(self.pool, self._pulse), time.monotonic())
            if self.sip:
                # A worker that has too much to do gets no calls; others may have time.
                ready = self.sessions.accepting[0] if self._worker else not self.sessions.stopped
                self.sip.tell_ready(ready)
            if self._worker and self.voicemail.full:  # messages are deleted in the first process
                await self.voicemail.drop_deleted()
            await asyncio.sleep(LOOK_S)

    async def _write_down(self, pcm: bytes, language: str) -> str:
        return (await transcribe(self.pool, pcm, language)).text

    async def _close_records(self, ids: Sequence[str]) -> None:
        """Of calls whose process died."""
        self.metrics.lost(len(ids), PROCESS_DIED)
        if self.recorder:
            self.recorder.close_lost(ids)
        if self.sessions.held:
            await self.sessions.held.gone(ids)

    async def wait(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. Raises SipDied if the telephone line dies first."""
        waits = {asyncio.create_task(stop.wait()), asyncio.create_task(self._died.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._sip_dead:
            raise SipDied("The SIP thread died. Start offhook again; a supervisor should do that by itself.")

    def health(self) -> list[ComponentHealth]:
        """All parts' but the models', which have their own."""
        kept = self.recordings if self.settings.recordings.enabled else None
        parts = (self.canary, self.certificate, self.sip_certificate, self.recorder, self.cluster, kept)
        others = [*(part.health() for part in parts if part), *self.room.health()]
        others += self.toolbox.health(self.personas.all)
        others += self.workers.health() if self.workers else []
        if self.sip:
            others.insert(0, sip_health(self.sip, self.settings.sip, dead=self._sip_dead))
        return others

    async def close(self, *, drain_s: float) -> None:
        """See the calls out, then stop everything, in the reverse order of the start."""
        if self.sip:
            self.sip.drain(drain_s)
        if self.outbound:
            self.outbound.drain()
        if self.workers:  # what belongs to their calls still comes by way of this process
            await asyncio.gather(self.sessions.drain(drain_s), self.workers.close(drain_s))
        else:
            await self.sessions.drain(drain_s)
        await self.voicemail.close()
        if self.sip:
            await self.sip.close()
        if self.outbound:
            await self.outbound.close()
        if self.webrtc:
            await self.webrtc.close()
        self.events.close()
        if self.http:
            await self.http.stop()
        if self.cluster:
            await self.cluster.close()
        if self.deliveries:
            await self.deliveries.close()
        if self.recordings:
            await self.recordings.close()
        if self.recorder:
            await self.recorder.close()
        if self.tracing:
            await asyncio.to_thread(self.tracing.close)
        await self.canary.close()
        await self.toolbox.close()
        await self.pool.close()
        for task in (self._beating, self._looking, *self._keeping):
            if task:
                task.cancel()

    @property
    def _sip_dead(self) -> bool:
        return self._died.is_set()
