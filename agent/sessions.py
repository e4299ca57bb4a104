"""All live calls, over every transport: who is let in, and how the last one is seen out."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Literal

from agent import logs
from agent.admission import Admission, Refusal
from agent.consultation import Dial
from agent.observer import Observer
from agent.recordings.recordings import Recordings
from agent.records.held import HeldCalls
from agent.session import CallSession
from agent.test_numbers import pipeline as test_numbers
from agent.tools.toolbox import Toolbox
from agent.vitals import return_memory
from agent.voicemail import Voicemail
from agent.watchdog import bridges
from config.answering import Personas, Place
from config.persona import Persona
from config.routes import Arrival
from config.settings import Settings
from models.pool import ModelPool
from models.speech_text import pieces
from transports.call import CallRefused, CallsStopped, CallTransport, EndReason, LinesBusy, MediaStats

logger = logging.getLogger("offhook.calls")

STATS_S = 2.0
PROOF_S = 1.0  # that a source has to acknowledge a first call, before more of them are refused
TIDY_AFTER_S = 0.2  # once the last call's tasks have ended
_REFUSED = {"full": LinesBusy, "limited": CallRefused, "stopped": CallsStopped}


class Sessions:
    """The directory of live calls. Its `handle` is every transport's `CallHandler`."""

    def __init__(
        self,
        *,
        settings: Settings,
        personas: Personas,
        pool: ModelPool,
        voicemail: Voicemail | None = None,
        recordings: Recordings | None = None,
        toolbox: Toolbox | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._settings = settings
        self._personas = personas
        self._pool = pool
        self._voicemail = voicemail
        self._recordings = recordings
        self._toolbox = toolbox
        self.elsewhere: Callable[[], int] = lambda: 0  # how many calls other processes of this server have
        self.held: HeldCalls | None = None  # counts those of a source, over all processes and nodes
        self.dial: Dial | None = None  # calls a colleague, before a caller is put through
        self._observers = observers
        self.admission = Admission(settings.most_calls, settings.call.max_per_source)
        self._live: dict[str, CallSession] = {}
        self._proving = Counter[str]()  # by source: calls that wait for another's acknowledgement
        self._ready = False
        self.draining = False  # no new calls are taken; an operator may take that back
        self._empty = asyncio.Event()
        self._empty.set()
        self.ended = 0

    def live(self) -> Sequence[CallSession]:
        return list(self._live.values())

    @property
    def accepting(self) -> tuple[bool, str]:
        """Whether a new call would be answered, and a sentence that says why not."""
        refusal = self._refusal()
        return (False, refusal.why) if refusal else (True, "")

    @property
    def stopped(self) -> bool:
        """Whether no call is taken, for other reasons than that there are so many."""
        return self.draining or not self._ready or self._pool.llm.down or bool(self._pool.away)

    @property
    def state(self) -> Literal["starting", "ready", "draining"]:
        return "draining" if self.draining else "ready" if self._ready else "starting"

    def has_room(self, pending: int) -> bool:
        """Whether another process of this server may take a call, beside so many. On any thread."""
        calls = len(self._live) + self.elsewhere() + pending
        return not self.draining and calls < self.admission.max_calls

    def _refusal(self, source: str | None = None, *, needs_mind: bool = True) -> Refusal | None:
        """Why no call is taken, from `source` if that is known; None where one is."""
        if self.draining:
            return Refusal("stopped", "The server is draining: it takes no new calls.")
        if not self._ready:
            return Refusal("stopped", "The models are still loading.")
        if away := self._pool.away:
            return Refusal("stopped", away)
        if refusal := self.admission.refusal(self.live(), source, elsewhere=self.elsewhere()):
            return refusal
        mind = self._pool.llm
        accepting, why_not = mind.accepting
        if accepting or not needs_mind:
            return None
        return Refusal("stopped" if mind.down else "full", why_not)

    async def handle(self, call: CallTransport) -> None:
        """Admit the call and run it to its end. Raises CallRefused where there is no place for it."""
        info = call.info
        arrival = Arrival(info.called, info.account, info.remote, info.headers)
        place = self._personas.place(arrival, datetime.now().astimezone())
        if place.refused:
            raise CallRefused("It is refused by a route.")
        needs_mind = place.says is None and place.test in (None, "latency")
        await self._proof(info.source)
        self._require_place(info.source, needs_mind)
        if self.held and info.source:
            if not await self.held.take(info.id, info.source):
                why = "As many calls from there are on as may be (call.max_per_source)."
                raise CallRefused(why, self._settings.call.divert_to)
            try:
                self._require_place(info.source, needs_mind)
                await self._host(call, place)
            finally:
                await self.held.leave(info.id)
        else:
            await self._host(call, place)

    async def _proof(self, source: str) -> None:
        """Wait for a source that calls several times at once to acknowledge one of these, if it soon does.

        No more of its calls wait than there are lines.
        """
        calls = self.admission.unproved(source, self.live()) if source else ()
        if not calls or self._proving[source] >= self.admission.max_calls:
            return
        proofs = [asyncio.ensure_future(call.connected.wait()) for call in calls]
        self._proving[source] += 1
        try:
            await asyncio.wait(proofs, timeout=PROOF_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._proving -= Counter([source])  # forgets those of whom none waits
            for proof in proofs:
                proof.cancel()

    def _require_place(self, source: str, needs_mind: bool) -> None:
        """Raises CallRefused where there is none."""
        if refusal := self._refusal(source, needs_mind=needs_mind):
            raise _REFUSED[refusal.kind](refusal.why, self._settings.call.divert_to)

    async def _host(self, call: CallTransport, place: Place) -> None:
        if in_the_way := self.admission.in_the_way(self.live(), elsewhere=self.elsewhere()):
            in_the_way.end(EndReason.CALLER_GONE)
        logger.info("call %s arrived over %s", call.info.id, call.info.transport)
        await self._run(call.info.id, self._session(call, place))

    async def host(self, call: CallTransport, make: Callable[..., CallSession]) -> EndReason:
        """Run a call that we made to its end, in the session that `make` makes. Raises CallRefused."""
        if refusal := self._refusal():
            raise CallRefused(refusal.why)
        logger.info("call %s goes out over %s", call.info.id, call.info.transport)
        return await self._run(
            call.info.id,
            make(
                call,
                settings=self._settings,
                pool=self._pool,
                voicemail=self._voicemail,
                dial=self.dial,
                recordings=self._recordings,
                others=self._personas.all,
                toolbox=self._toolbox,
            ),
        )

    async def _run(self, id: str, session: CallSession) -> EndReason:
        logs.call_id.set(id)
        self._live[id] = session
        self._empty.clear()
        reason = EndReason.TRANSPORT_FAILURE
        for observer in self._observers:
            self._tell(id, partial(observer.began, session))
            session.tell(observer)
        try:
            reason = await session.run()
        except Exception:  # one call may die, the server not
            logger.exception("call %s failed", id)
        finally:
            try:
                await self._tell_end(id, session, reason)
            finally:
                del self._live[id]
                if session.connected_at is not None:
                    self.admission.acknowledged(session.info.source)
                session.forgotten.set()
                self.ended += 1
                if not self._live:
                    self._empty.set()
                    asyncio.get_running_loop().call_later(TIDY_AFTER_S, self._tidy)
        return reason

    async def _tell_end(self, id: str, session: CallSession, reason: EndReason) -> None:
        if not self._observers:
            return
        stats = MediaStats()
        try:
            async with asyncio.timeout(STATS_S):
                stats = await session.media_stats()
        except Exception:  # as a call that fails
            logger.exception("call %s: how its media flowed isn't known", id)
        for observer in self._observers:
            self._tell(id, partial(observer.ended, session, reason, stats))

    @staticmethod
    def _tell(id: str, tell: Callable[[], None]) -> None:
        """Whoever watches and fails costs the call nothing, nor the others who do."""
        try:
            tell()
        except Exception:
            logger.exception("call %s: somebody who watches it failed", id)

    def _session(self, call: CallTransport, place: Place) -> CallSession:
        settings, personas, test = self._settings, place.personas, place.test
        if place.max_duration_s is not None:
            longest = settings.call.model_copy(update={"max_duration_s": place.max_duration_s})
            settings = settings.model_copy(update={"call": longest})
        if test is None:
            return CallSession(
                call,
                settings=settings,
                personas=personas,
                pool=self._pool,
                says=place.says,
                voicemail=self._voicemail,
                dial=self.dial,
                recordings=self._recordings if place.says is None else None,
                others=self._personas.all,
                toolbox=self._toolbox,
            )
        return CallSession(
            call,
            settings=test_numbers.settings_for_a_test(settings),
            personas=[test_numbers.greeting(persona, test) for persona in personas],
            pool=self._pool,
            build=partial(test_numbers.build, test),
        )

    def _tidy(self) -> None:
        if not self._live:
            return_memory()

    async def gone(self, id: str) -> None:
        """Return once no live call has this id."""
        if session := self._live.get(id):
            await session.forgotten.wait()

    async def prepare(self) -> None:
        """Synthesize what every caller hears, so that it plays at once and whatever fails later."""
        await self.remember(self._settings, self._personas)
        self._ready = True

    def apply(self, settings: Settings, personas: Personas, toolbox: Toolbox) -> None:
        """Have calls that come from now on go by these; what is said in them is to be remembered before."""
        self._settings, self._personas, self._toolbox = settings, personas, toolbox

    async def remember(self, settings: Settings, personas: Personas) -> None:
        """Raises ModelError."""
        announcing = self._recordings.announcing if self._recordings else lambda persona: persona
        for persona in map(announcing, personas.all):
            turn = persona.turn.over(settings.turn)
            said_while_waiting = (text for _, text in bridges(persona, turn))
            over = filter(None, (persona.says.limit_reached,))
            ending = (persona.goodbye, persona.apology, persona.again, *persona.idle_prompts, *over)
            acts = (
                persona.tools
                or persona.message_only
                or settings.transfer.on_failure
                or settings.transfer.on_limit
            )
            meanwhile = [said for _, said in persona.says if said and acts]
            for phrase in (*persona.opening, *ending, *said_while_waiting, *meanwhile):
                await self._remember(phrase, persona)
        for route, own in personas.routes:
            if route.says:
                for persona in (own,) if own else personas.all:
                    await self._remember(route.says, persona)

    async def _remember(self, phrase: str, persona: Persona) -> None:
        said = await pieces(phrase, language=persona.language)
        await self._pool.voices.remember(said, voice=persona.voice, language=persona.language)

    async def drain(self, deadline_s: float) -> None:
        """Take no new calls, let the live ones end, and say goodbye to those left at the deadline."""
        self.draining = True
        if await self._emptied(deadline_s):
            return
        for session in self.live():
            session.end(EndReason.DRAIN, session.persona.goodbye)
        if not await self._emptied(self._settings.call.end_deadline_s * 2):
            logger.error("%d calls didn't end in time", len(self._live))

    async def _emptied(self, deadline_s: float) -> bool:
        try:
            async with asyncio.timeout(deadline_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True
