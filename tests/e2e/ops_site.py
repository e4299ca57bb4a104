"""A whole server but for its models and wires, which are scripted: calls for operators to look at."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from agent.events import Events
from agent.http.app import create_app
from agent.http.page import page_router
from agent.http.server import HttpServer
from agent.metrics import Metrics
from agent.recordings.recordings import Recordings
from agent.records.recorder import Recorder
from agent.records.tables import Call, Problem, ToolCall, Turn
from agent.sessions import Sessions
from agent.vitals import Pulse
from config.answering import Personas
from config.settings import Settings
from models.pool import ComponentHealth
from tests.agent.conversation_kit import PERSONA, FakeCall, FakeModels, Outcome, Says
from tests.agent.http import fakes
from transports.call import CallInfo, EndReason, MediaStats

SAID = {
    "Do you have a table for two tonight?": "Yes, there is one at half past seven. Shall I keep it?",
    "What time do you open?": "We open at noon.",
    "Is there parking nearby?": "Yes, behind the house.",
    "I need to change my booking.": "Of course. On what name is it?",
    "Can you break?": "!fail",
    "That is all, thank you.": "You are welcome. !end_call",
}
_LENGTH_S, _ANSWER_S = 1.2, 2.6
_SCRIPT = [Says(0, _LENGTH_S, text, finished=0.9) for text in SAID]
_NEVER = math.inf


class Wire(FakeCall):
    """Says some of SAID, one after the other, and ends as it is told to."""

    def __init__(self, info: CallInfo, said: Sequence[str], ends: EndReason | None, after_s: float) -> None:
        script = [replace(one, start=_NEVER, end=_NEVER) for one in _SCRIPT]
        for nth, text in enumerate(said):
            index = list(SAID).index(text)
            start = after_s + nth * (_LENGTH_S + _ANSWER_S)
            script[index] = replace(_SCRIPT[index], start=start, end=start + _LENGTH_S)
        super().__init__(script, Outcome(), echoes=False)
        self.info = info
        self._ends = ends
        self._lasts = after_s + len(said) * (_LENGTH_S + _ANSWER_S)
        self.stats = MediaStats(round(50 * self._lasts), len(info.caller) % 3, 1.5 + len(said), 21.0)

    async def answer(self) -> None:
        await super().answer()
        if self._ends:
            asyncio.get_running_loop().call_later(self._lasts, self._leave)

    def _leave(self) -> None:
        if self._task:
            self._task.cancel()
            self._task = None
            self._leaving = asyncio.create_task(self._call_event_handler("on_dialin_stopped", self._ends))


@dataclass
class Site:
    url: str
    recorder: Recorder
    sessions: Sessions
    parts: list[ComponentHealth] = field(default_factory=list)

    def call(
        self,
        caller: str,
        *said: str,
        called: str = "agent",
        ends: EndReason | None = EndReason.CALLER_HANGUP,
        after_s: float = 1.4,
    ) -> asyncio.Task[None]:
        """A call that says all that, `after_s` from its beginning on, and is over then.

        Without `ends` it stays on the line.
        """
        info = CallInfo("sip", caller, called, remote="192.0.2.7", codec="pcmu", encryption="sdes")
        return asyncio.create_task(self.sessions.handle(Wire(info, said, ends, after_s)))

    async def spread(self, over: timedelta) -> None:
        """Have the calls that are over begun evenly in the time before now, the first the earliest."""
        async with self.recorder.database.session() as session:
            calls = list(
                await session.scalars(select(Call).where(Call.ended.is_not(None)).order_by(Call.began))
            )
            earlier = {call.id: over * (1 - nth / len(calls)) for nth, call in enumerate(calls)}
            for call in calls:
                call.began -= earlier[call.id]
                assert call.ended
                call.ended -= earlier[call.id]
            for table in (Turn, ToolCall, Problem):
                rows: Any = await session.scalars(select(table))
                for row in rows:
                    row.at -= earlier.get(row.call_id, timedelta())

    def health(self) -> list[ComponentHealth]:
        return [*self.parts, self.recorder.health()]


@asynccontextmanager
async def ops_site(folder: Path, *, nodes: Any = None, **settings: Any) -> AsyncIterator[Site]:
    """Served on loopback; `settings` are those of the server, and `nodes` of the cluster, if it has one.

    What is on the line at the end is hung up.
    """
    chosen = Settings.model_validate(
        {"state_dir": folder / "state", "call": {"max_calls": 30, "idle_prompt_s": 300}, **settings}
    )
    pool: Any = FakeModels(_SCRIPT, SAID, Outcome())
    pool.llm.down = False
    recorder, events, metrics = Recorder(chosen, tuple), Events(), Metrics()
    recordings = Recordings(chosen, recorder.database) if chosen.recordings.enabled else None
    sessions = Sessions(
        settings=chosen,
        personas=Personas((PERSONA,)),
        pool=pool,
        recordings=recordings,
        observers=[recorder, events, metrics],
    )
    sessions._ready = True
    site = Site("", recorder, sessions)
    pulse = Pulse()
    app = create_app(
        settings=chosen,
        calls=sessions,
        models=fakes.FakeModels(),
        listeners=[site],
        pulse=pulse,
        past=recorder.database if chosen.records.enabled else None,
        metrics=metrics,
        events=events,
        recordings=recordings,
        nodes=nodes,
        routers=[page_router()],
    )
    await recorder.start()
    if recordings:
        recordings.start()
    server = HttpServer(app, host="127.0.0.1", port=0)
    await server.start()
    beating = asyncio.create_task(pulse.run())
    site.url = f"http://127.0.0.1:{server.port}/ops"
    try:
        yield site
    finally:
        await sessions.drain(0)
        beating.cancel()
        events.close()
        await server.stop(1)
        if recordings:
            await recordings.close()
        await recorder.close()
