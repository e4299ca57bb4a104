"""What it costs a server to be watched and to keep records: `python -m bench.observing`.

Ten calls without a wire take turns; ten clients scrape the metrics every 15 s and follow the events.
Processor time is the process's own, so that others on the machine change little. No models are loaded.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from agent.conversation import Action, Conversation, LatencyTrace, Problem, Stage, ToolCall, Turn
from agent.events import Events
from agent.http.app import create_app
from agent.http.server import HttpServer
from agent.metrics import Metrics
from agent.observer import Observer, Recorded
from agent.records.recorder import Recorder
from agent.sessions import Sessions
from agent.vitals import Pulse
from config.answering import load_personas
from config.persona import Persona, load_persona
from config.settings import Settings
from models.bearing import TURN_S
from models.pool import ModelPool
from transports.call import CallInfo, EndReason, MediaStats

CALLS, CLIENTS = 10, 10
SCRAPE_S = 15.0
TURNS = 200  # for the records
STAGES: tuple[Stage, ...] = ("transcript", "end_of_turn", "first_token", "first_audio", "first_packet")
GOAL_WATCHED, GOAL_RECORDS_MS = 3.0, 5.0


@dataclass
class Talk:
    """A live call without a wire."""

    info: CallInfo = field(default_factory=lambda: CallInfo("sip", "alice", "agent", remote="192.0.2.7"))
    persona: Persona = field(default_factory=lambda: load_persona("en"))
    connected_at: float | None = field(default_factory=time.time)
    conversation: Conversation = field(default_factory=Conversation)
    guesses: tuple[int, int] = (0, 0)
    false_starts: int = 0
    flow: Mapping[str, Any] | None = None
    recorded: Recorded | None = None
    last_voice_to_voice_ms: float | None = None
    observers: Sequence[Observer] = ()

    def __post_init__(self) -> None:
        for observer in self.observers:
            observer.began(self)

    @property
    def turns(self) -> list[Turn]:
        return list(self.conversation.turns)

    @property
    def tool_calls(self) -> list[ToolCall]:
        return list(self.conversation.tool_calls)

    @property
    def actions(self) -> list[Action]:
        return list(self.conversation.actions)

    @property
    def problems(self) -> list[Problem]:
        return list(self.conversation.problems)

    def ask(self) -> None:
        self.conversation.caller_said("Do you have a table for four tomorrow evening?")
        self._changed()

    def answer(self) -> None:
        trace = LatencyTrace(0.0)
        for nth, stage in enumerate(STAGES):
            trace.mark(stage, 0.1 * nth)
        for observer in self.observers:
            observer.answered(self, trace)
        self.conversation.agent_said("I have one at half past seven. Shall I put it down?", cut_off=False)
        self._changed()

    def end(self) -> None:
        for observer in self.observers:
            observer.ended(self, EndReason.CALLER_HANGUP, MediaStats(1000, 1))

    def _changed(self) -> None:
        for observer in self.observers:
            observer.changed(self)


async def watched(seconds: float) -> float:
    """Percent of a core that the clients cost."""
    settings, metrics, events, pulse = Settings(), Metrics(), Events(), Pulse()
    personas = load_personas(settings)
    pool = ModelPool(settings, voices=[personas.default.voice], languages=["en"])
    sessions = Sessions(settings=settings, personas=personas, pool=pool)
    app = create_app(
        settings=settings, calls=sessions, models=pool, pulse=pulse, metrics=metrics, events=events
    )
    server = HttpServer(app, host="127.0.0.1", port=0)
    await server.start()
    beating = asyncio.create_task(pulse.run())
    try:
        talks = [Talk(observers=[metrics, events]) for _ in range(CALLS)]
        alone = await _spent(talks, seconds)
        command = (sys.executable, "-m", "bench.observing", "--watch", f"http://127.0.0.1:{server.port}")
        clients = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
        await asyncio.sleep(SCRAPE_S)  # all have connected and scraped once
        try:
            together = await _spent(talks, seconds)
        finally:
            clients.kill()
            await clients.wait()
        return 100 * (together - alone)
    finally:
        beating.cancel()
        events.close()
        await server.stop(1)


async def _spent(talks: Sequence[Talk], seconds: float) -> float:
    """Cores that this process takes while the calls go on."""
    began, cpu_s = time.monotonic(), time.process_time()
    while time.monotonic() - began < seconds:
        for talk in talks:
            for part in (talk.ask, talk.answer):
                part()
                await asyncio.sleep(TURN_S / len(talks) / 2)
    return (time.process_time() - cpu_s) / (time.monotonic() - began)


async def watch(url: str) -> None:
    """Be the clients, until killed."""

    async def follow() -> None:
        async with http.stream("GET", "/api/v1/events", timeout=None) as stream:
            async for _ in stream.aiter_lines():
                pass

    async def scrape(nth: int) -> None:
        await asyncio.sleep(SCRAPE_S * nth / CLIENTS)
        while True:
            (await http.get("/metrics")).raise_for_status()
            await asyncio.sleep(SCRAPE_S)

    async with httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        await asyncio.gather(*(follow() for _ in range(CLIENTS)), *map(scrape, range(CLIENTS)))


async def recorded() -> float:
    """Milliseconds of the event loop that a turn's record takes."""
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Settings(state_dir=Path(folder)))
        await recorder.start()
        talks = [Talk(observers=[recorder]) for _ in range(CALLS)]
        await asyncio.sleep(0.5)
        spent_s = time.thread_time()  # the loop's thread; SQLite has one of its own
        for nth in range(TURNS):
            talk = talks[nth % CALLS]
            for part in (talk.ask, talk.answer):  # each of which is written
                part()
                await asyncio.sleep(0.05)
        while recorder.health().queued:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        spent_s = time.thread_time() - spent_s
        for talk in talks:
            talk.end()
        await recorder.close()
    return 1000 * spent_s / TURNS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watch", metavar="URL", help="be the clients of a server")
    parser.add_argument("--seconds", type=float, default=60.0, help="to measure for, twice")
    options = parser.parse_args()
    if options.watch:
        asyncio.run(watch(options.watch))
        return
    core = asyncio.run(watched(options.seconds))
    print(f"{CLIENTS} clients, scraping and following: {core:.2f}% of a core (goal: {GOAL_WATCHED:g})")
    ms = asyncio.run(recorded())
    print(f"a turn's record: {ms:.2f} ms of the event loop (goal: {GOAL_RECORDS_MS:g})")


if __name__ == "__main__":
    main()
