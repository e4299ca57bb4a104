"""This node among the others: it tells how it is, sees who is silent, and asks whoever has a call."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import httpx2
from sqlalchemy.exc import SQLAlchemyError

from agent import version
from agent.cluster.node import (
    BEAT_S,
    SILENT_S,
    Heartbeat,
    Node,
    State,
    answering,
    configuration,
    strays,
)
from agent.cluster.outgoing import Outgoing
from agent.cluster.requests import Rates, Requests
from agent.cluster.store import Store
from agent.events import ALIVE_EVERY_S, Event, Events, Relayed
from agent.peer import CLUSTER_KEY, Peer
from agent.records.database import NODE_LOST, Database
from agent.records.held import HeldCalls
from config.answering import Personas
from config.settings import Settings
from models.pool import ComponentHealth
from transports.outbound import OutboundGuard

T = TypeVar("T")

STORE_S = 5.0
LOOK_UP_S = 1.0
ANSWER_S = 1.5  # that a list waits for another node, at most
CONNECT_S = 1.0
ANSWERED_S = 700.0  # the longest message takes ten minutes
FOLLOWED_S = 2 * ALIVE_EVERY_S
FORGET_EVERY_S = 3600.0

logger = logging.getLogger("offhook.cluster")


class Cluster:
    def __init__(
        self,
        settings: Settings,
        database: Database,
        events: Events,
        calls: Callable[[], tuple[State, int, int]],
        has: Callable[[str], bool],
        guard: OutboundGuard,
        held: HeldCalls | None = None,
    ) -> None:
        """`calls` says how this node is, how many calls it has and takes; `has` whether one of
        this id, outgoing ones by either of theirs.

        `guard` counts what is called on all nodes, `held` whose calls are on.
        """
        assert settings.cluster.key
        self._settings = settings.cluster
        self._key = settings.cluster.key.get_secret_value()
        self._store = Store(database, posts=settings.webhook.calls)
        self._hashes = "", ""
        self._calls = calls
        self._events = events
        self._has = has
        self._headers = {CLUSTER_KEY: self._key}
        self._instance = uuid.uuid4().hex
        self._outgoing = Outgoing(
            database, self._instance, guard, lambda: [self.name, *(node.name for node in self.others)]
        )
        self._held = held
        self._requests = Requests(database, self._instance)
        self._clients: dict[str, httpx2.AsyncClient] = {}  # by URL
        self._heard_s = 0.0  # monotonic, of the first heartbeat of those that came through without a gap
        self._error: str | None = "The first heartbeat isn't written yet."
        self._twin = self._was_lost = False
        self._first = True
        self._forgot_s = -FORGET_EVERY_S
        self._down: set[str] = set()  # nodes of which nothing is left to take over
        self._task: asyncio.Task[None] | None = None
        self.nodes: Sequence[Node] = ()  # as they last were, this one among them

    @property
    def name(self) -> str:
        return self._store.name

    @property
    def others(self) -> list[Node]:
        """Those that are alive."""
        return [node for node in self.nodes if node.alive and node.name != self.name]

    @property
    def strays(self) -> list[str]:
        """Names of the nodes that aren't as most others."""
        return strays(self.nodes)

    @property
    def away(self) -> bool:
        """Whether the nodes can't tell each other anything: each has its share of what is limited."""
        return self._error is not None

    def apply(self, settings: Settings, personas: Personas) -> None:
        """Go by these, and tell so."""
        self._outgoing.apply(settings.outbound)
        self._hashes = configuration(settings, self._key), answering(personas, self._key)

    def share(self, rates: Rates) -> None:
        """Have these hold over all nodes."""
        self._requests.share(rates)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="cluster")

    async def close(self) -> None:
        """Tell that this node is down, which has no calls any more."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._try(self._outgoing.write())
        await self._try(self._store.leave(self._instance))
        await asyncio.gather(*(client.aclose() for client in self._clients.values()))

    def health(self) -> ComponentHealth:
        error = self._error
        if error:
            error = f"{error} Others are asked as they last were known; each has its share of outbound.*."
        elif self._twin:
            error = f"Another process tells by the name {self.name}. Set records.node apart on each machine."
        elif odd := self.strays:
            error = f"Not as most nodes: {', '.join(odd)}. GET /api/v1/nodes has their versions and hashes."
        state = "loading" if self._first else "degraded" if error else "ready"
        known = f"{self.name}, configuration {self._hashes[0]}, personas {self._hashes[1]}"
        return ComponentHealth("cluster", state, "", known, error, 0)

    # Asking others.

    async def having(self, id: str, *, past: bool = False) -> Peer | None:
        """The other node that has the live call of this id, or had it where `past`; None if none does."""
        if self._has(id):
            return None
        try:
            async with asyncio.timeout(LOOK_UP_S):
                found = await self._store.has(id)
        except (SQLAlchemyError, OSError):
            return await self._asked_for(id)
        if found is None or not (found[1] or past):
            return None
        return next((self._peer(node) for node in self.others if node.name == found[0]), None)

    async def _asked_for(self, id: str) -> Peer | None:
        """As `having`, where nobody else knows than the nodes themselves."""
        answers = await self.ask("/api/v1/sessions", {})
        for node in self.others:
            answer = answers.get(node.name)
            if answer and any(call["id"] == id for call in answer.json()["sessions"]):
                return self._peer(node)
        return None

    async def placing(self, id: str) -> Peer | None:
        """The other node that places the outgoing call of this id, or has placed it; None if none does."""
        if self._has(id):
            return None
        answers = await self.ask(f"/api/v1/calls/{id}", {})
        return next((self._peer(node) for node in self.others if answers.get(node.name)), None)

    async def ask(self, target: str, headers: Mapping[str, str]) -> dict[str, httpx2.Response | None]:
        """What each of the other nodes answers to a GET, by name; None where it didn't, in time."""
        others = self.others
        answers = await asyncio.gather(*(self._get(node, target, headers) for node in others))
        return {node.name: answer for node, answer in zip(others, answers, strict=True)}

    async def _get(self, node: Node, target: str, headers: Mapping[str, str]) -> httpx2.Response | None:
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await self._peer(node).http.get(target, headers=headers)
        except (httpx2.HTTPError, TimeoutError):
            return None
        return answer if answer.is_success else None

    def _peer(self, node: Node) -> Peer:
        client = self._clients.get(node.url)
        if client is None:
            timeout = httpx2.Timeout(None, connect=CONNECT_S, read=ANSWERED_S)
            client = self._clients[node.url] = httpx2.AsyncClient(
                base_url=node.url, headers=self._headers, timeout=timeout, trust_env=False
            )
        return Peer(client, headers=self._headers)

    @contextlib.asynccontextmanager
    async def following(
        self,
        tell: Callable[[Event | Relayed], None],
        on_gap: Callable[[], None],
        headers: Mapping[str, str],
    ) -> AsyncIterator[None]:
        """Has `tell` called with what happens at other nodes, and `on_gap` where some of it was missed."""
        task = asyncio.create_task(self._follow_all(tell, on_gap, headers), name="cluster-events")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow_all(
        self,
        tell: Callable[[Event | Relayed], None],
        on_gap: Callable[[], None],
        headers: Mapping[str, str],
    ) -> None:
        following: dict[str, asyncio.Task[None]] = {}
        missed: set[str] = set()
        try:
            while True:
                alive = {node.name: node for node in self.others}
                down = {node.name for node in self.nodes if node.state == "down"}
                for name in following.keys() - alive.keys():
                    following.pop(name).cancel()
                    if name not in down:  # which has told all
                        missed.add(name)
                for name in alive.keys() - following.keys():
                    one = self._follow(alive[name], tell, on_gap, headers, was_there=name in missed)
                    following[name] = asyncio.create_task(one, name=f"cluster-events-{name}")
                await asyncio.sleep(BEAT_S)
        finally:
            for task in following.values():
                task.cancel()
            await asyncio.gather(*following.values(), return_exceptions=True)

    async def _follow(
        self,
        node: Node,
        tell: Callable[[Event | Relayed], None],
        on_gap: Callable[[], None],
        headers: Mapping[str, str],
        *,
        was_there: bool,
    ) -> None:
        while True:
            with contextlib.suppress(httpx2.HTTPError):
                timeout = httpx2.Timeout(None, connect=CONNECT_S, read=FOLLOWED_S)
                http = self._peer(node).http
                stream = http.stream("GET", "/api/v1/events", headers=headers, timeout=timeout)
                async with stream as answer:
                    if answer.is_success and was_there:
                        on_gap()
                    was_there = was_there or answer.is_success
                    async for line in answer.aiter_lines():
                        if line.startswith("data: "):
                            text = line.removeprefix("data: ")
                            event = json.loads(text)
                            if "session" in event:
                                tell(Relayed(event["type"], event["session"], text))
                            else:
                                on_gap()
            await asyncio.sleep(BEAT_S)

    # Telling, and looking who is silent.

    async def _run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(BEAT_S)

    async def look(self) -> None:
        """Tell how this node is, see how the others are, and close the calls of those that are silent."""
        if not (await self._try(self._beat()) and await self._try(self._outgoing.write(anew=self._was_lost))):
            self._outgoing.away()
            self._requests.away()
            return
        if not await self._try(self._requests.write()):
            self._requests.away()
        if self._held is None or await self._try(self._held.write(anew=self._was_lost)):
            self._was_lost = False
        await self._try(self._bury_silent())
        if time.monotonic() - self._forgot_s > FORGET_EVERY_S and await self._try(self._store.forget()):
            self._forgot_s = time.monotonic()

    async def _try(self, work: Awaitable[None]) -> bool:
        try:
            async with asyncio.timeout(STORE_S):
                await work
        except (SQLAlchemyError, OSError) as error:
            self._silent(error)
            return False
        except Exception:  # a node that falls silent is taken for dead
            logger.exception("the heartbeat failed")
            self._error = "The heartbeat failed; the log says why."
            return False
        return True

    def _silent(self, error: Exception) -> None:
        if self._error is None:
            logger.warning("the nodes can't tell each other anything: %s", type(error).__name__)
        self._error = "The nodes' database is away."

    async def _beat(self) -> None:
        state, calls, most = self._calls()
        told = Heartbeat(str(self._settings.url), version(), *self._hashes, state, calls, most)
        seen = await self._store.beat(self._instance, told, first=self._first)
        if self._error is not None:
            self._heard_s = time.monotonic()
            if not self._first:
                logger.info("the nodes can tell each other again")
        self.nodes, self._twin, self._first, self._error = seen.nodes, seen.twin, False, None
        self._was_lost |= seen.was_lost
        if self._was_lost:  # until all is as it was, though the heartbeat may have been all that came through
            await self._go_on()

    async def _go_on(self) -> None:
        """Others took this node for dead; its calls have gone on all the same."""
        live = [id for id in await self._store.closed_by_others() if self._has(id)]
        logger.warning("other nodes took this one for dead; %d of its calls go on", len(live))
        if live:
            await self._store.reopen(live)

    async def _bury_silent(self) -> None:
        """Only who could hear the others for as long as they are silent."""
        if time.monotonic() - self._heard_s < SILENT_S:
            return
        self._down &= {node.name for node in self.nodes if node.state == "down"}
        for node in self.nodes:
            if node.name in (self.name, *self._down) or not node.silent or node.state == "lost":
                continue
            ids = await self._store.bury(node.name)
            if node.state == "down":
                self._down.add(node.name)
            if ids or node.state != "down":
                logger.error("node %s is silent: %d calls are lost", node.name, len(ids))
            at = datetime.now(UTC).isoformat()
            for id in ids:
                event = {"type": "ended", "session": id, "at": at, "cause": NODE_LOST}
                self._events.relay(Relayed("ended", id, json.dumps(event)))
