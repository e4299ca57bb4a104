"""The other processes of this server: started, watched, asked, and started again when they die."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import pickle
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
from baresip.errors import BaresipError

import agent
from agent.events import Events, Relayed
from agent.peer import Peer
from agent.records.database import PROCESS_DIED
from config.answering import Personas
from config.settings import Settings
from models.llm.backoff import Backoff
from models.pool import ComponentHealth
from transports.sip.dispatcher import Dispatcher
from transports.sip.link import Link

PROGRAM = "agent.worker"
UP_S = 180.0  # to load the models
LOOK_EVERY_S, LOOK_AGAIN_S = 2.0, 0.2
ANSWER_S = 5.0
MISSED_LOOKS = 3
STOP_S = 10.0  # beyond what its calls may take

logger = logging.getLogger("offhook.workers")


@dataclass(frozen=True, slots=True)
class Launch:
    """What a worker is told on its standard input, pickled; later come settings and personas that changed.

    It reads no persona itself: what its file says may have been refused, or not been looked at.
    """

    number: int
    parent: int
    settings: Settings
    personas: Personas
    http_socket: str  # a path, where it is to serve


@dataclass
class _Worker:
    number: int
    http: httpx2.AsyncClient
    backoff: Backoff = field(default_factory=Backoff)
    process: asyncio.subprocess.Process | None = None
    state: str = "loading"
    error: str | None = None
    up: bool = False


class Workers:
    def __init__(
        self,
        settings: Settings,
        personas: Personas,
        dispatcher: Dispatcher,
        events: Events,
        on_lost: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        """`on_lost` is told the ids of the calls of a process that died."""
        self._settings, self._personas = settings, personas
        self._dispatcher = dispatcher
        self._events = events
        self._on_lost = on_lost
        self._folder = tempfile.TemporaryDirectory(prefix="offhook-", ignore_cleanup_errors=True)
        self._loading = asyncio.Lock()  # one after the other: they measure how fast their models are
        self._closing = False
        self._workers = {
            number: _Worker(number, self._client(number)) for number in range(1, settings.sip.processes)
        }
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, settings: Settings, personas: Personas) -> None:
        """Have them load, and take calls then. This process listens."""
        self._settings, self._personas = settings, personas
        for one in self._workers.values():
            self._tasks.append(asyncio.create_task(self._supervise(one), name=f"worker-{one.number}"))

    def apply(self, settings: Settings, personas: Personas) -> None:
        """Have them go on with these."""
        self._settings, self._personas = settings, personas
        for one in self._workers.values():
            if one.process and one.process.stdin and not one.process.stdin.is_closing():
                one.process.stdin.write(pickle.dumps((settings, personas)))

    @property
    def calls(self) -> int:
        """How many there are, all processes but this one counted."""
        return sum(map(self._dispatcher.live, self._workers))

    def having(self, id: str) -> Peer | None:
        """The process that has the live call of this id; None if it is none of theirs."""
        owner = self._dispatcher.owner(id)
        return None if owner is None else Peer(self._workers[owner].http, str(self._socket(owner)))

    async def ask(self, path: str) -> dict[int, httpx2.Response]:
        """What all of them that answer answer to a GET, by the number of the process; this one is 1."""
        up = [one for one in self._workers.values() if one.up]
        answers = await asyncio.gather(*(self._get(one, path) for one in up))
        return {
            one.number + 1: answer
            for one, answer in zip(up, answers, strict=True)
            if answer and answer.is_success
        }

    def health(self) -> list[ComponentHealth]:
        return [
            ComponentHealth(f"process {one.number + 1}", one.state, "", "", one.error, 0)
            for one in self._workers.values()
        ]

    async def close(self, drain_s: float) -> None:
        """See their calls out, and end them."""
        self._closing = True
        for one in self._workers.values():
            if one.process and one.process.returncode is None:
                one.process.terminate()
        running = [one.process.wait() for one in self._workers.values() if one.process]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_s + 2 * self._settings.call.end_deadline_s + STOP_S):
                await asyncio.gather(*running)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(one.http.aclose() for one in self._workers.values()))
        self._folder.cleanup()

    def _socket(self, number: int) -> Path:
        return Path(self._folder.name) / str(number)

    def _client(self, number: int) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=str(self._socket(number))),
            base_url="http://localhost",
            timeout=httpx2.Timeout(ANSWER_S, read=None),  # a transfer takes what it takes
        )

    async def _get(self, one: _Worker, path: str) -> httpx2.Response | None:
        try:
            return await one.http.get(path, timeout=ANSWER_S)
        except httpx2.HTTPError:
            return None

    async def _supervise(self, one: _Worker) -> None:
        while True:
            try:
                why = await self._live(one)
            except Exception as error:  # without a supervisor the process is gone for good
                logger.exception("process %d can't be looked after", one.number + 1)
                why = f"It failed: {error}."
            if self._closing:
                return
            delay_s = one.backoff.failed(time.monotonic())
            one.state = "degraded"
            one.error = f"{why} It is started again; the other processes take the calls."
            logger.error("process %d: %s Next start in %.2f s", one.number + 1, why, delay_s)
            await asyncio.sleep(delay_s)

    async def _live(self, one: _Worker) -> str:
        """One life of the process; returns why it is over."""
        link, there = Link.pair()
        process: asyncio.subprocess.Process | None = None
        tasks: list[asyncio.Task[Any]] = []
        try:
            async with self._loading:
                process = one.process = await self._spawn(one.number, there)
                await self._dispatcher.join(one.number, link)
                tasks.append(over := asyncio.create_task(process.wait()))
                if not await self._comes_up(one, over):
                    return f"It ended with code {over.result()}." if over.done() else "It didn't come up."
            one.backoff.ready(time.monotonic())
            tasks.append(asyncio.create_task(self._follow(one)))
            await self._watch(one, over)
            return f"It ended with code {over.result()}." if over.done() else "It didn't answer."
        finally:
            one.up = False
            there.close()
            if process:
                assert process.stdin
                process.stdin.close()
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            with contextlib.suppress(TimeoutError, BaresipError):  # the line may be dead as well
                async with asyncio.timeout(ANSWER_S):
                    await self._lose(await self._dispatcher.leave(one.number))
            link.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _spawn(self, number: int, link: socket.socket) -> asyncio.subprocess.Process:
        path = self._socket(number)
        path.unlink(missing_ok=True)
        # The folder that holds the packages, wherever they were installed or checked out.
        root = str(Path(agent.__file__).parents[1])
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", PROGRAM, str(link.fileno())),
            stdin=asyncio.subprocess.PIPE,
            pass_fds=[link.fileno()],
            start_new_session=True,  # what a terminal signals is for this process, which drains all
            env=os.environ | {"PYTHONPATH": root, "PYTHONSAFEPATH": "1"},
        )
        link.close()
        assert process.stdin
        launch = Launch(number, os.getpid(), self._settings, self._personas, str(path))
        process.stdin.write(pickle.dumps(launch))
        return process

    async def _comes_up(self, one: _Worker, over: asyncio.Task[int]) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(UP_S):
                while not over.done():
                    if self._dispatcher.takes_calls(one.number) and await self._look(one):
                        one.up = True
                        return True
                    await asyncio.sleep(LOOK_AGAIN_S)
        return False

    async def _watch(self, one: _Worker, over: asyncio.Task[int]) -> None:
        """Note how it is, until it is over or has hung."""
        missed = 0
        while missed < MISSED_LOOKS:
            await asyncio.wait({over}, timeout=LOOK_EVERY_S)
            if over.done():
                return
            # One that ends stops HTTP first, and then writes down what it has.
            missed = 0 if await self._look(one) or self._closing else missed + 1

    async def _look(self, one: _Worker) -> bool:
        """Whether it tells how it is."""
        answer = await self._get(one, "/health")
        if answer is None or not answer.is_success:
            return False
        ill = [part for part in answer.json()["components"] if part["state"] not in ("ready", "off")]
        one.state = "degraded" if ill else "ready"  # the server answers all the same
        one.error = f"{ill[0]['name']} is {ill[0]['state']}: {ill[0]['last_error']}" if ill else None
        return True

    async def _follow(self, one: _Worker) -> None:
        """Pass on what happens in its calls, and that some of it was missed."""
        was_there = False
        while True:
            with contextlib.suppress(httpx2.HTTPError):
                async with one.http.stream("GET", "/api/v1/events") as answer:
                    if answer.is_success and was_there:
                        self._events.missed(lambda id: self._dispatcher.owner(id) is not None)
                    was_there = was_there or answer.is_success
                    async for line in answer.aiter_lines():
                        if line.startswith("data: "):
                            self._relay(line.removeprefix("data: "))
            await asyncio.sleep(LOOK_EVERY_S)

    def _relay(self, text: str) -> None:
        event = json.loads(text)
        if "session" in event:  # not that some were lost, after which the stream begins anew
            self._events.relay(Relayed(event["type"], event["session"], text))

    async def _lose(self, ids: Sequence[str]) -> None:
        if not ids:
            return
        logger.error("%d calls are lost", len(ids))
        at = datetime.now(UTC).isoformat()
        for id in ids:
            event = {"type": "ended", "session": id, "at": at, "cause": PROCESS_DIED}
            self._events.relay(Relayed("ended", id, json.dumps(event)))
        await self._on_lost(ids)
