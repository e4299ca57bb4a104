"""Nodes over one PostgreSQL, as `offhook serve` runs them: one view, from any of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets

from agent.peer import CLUSTER_KEY
from tests.e2e.served import START_S, Served, until
from tests.peers import free_port
from tests.postgres import Postgres, postgres
from tests.transports.sip_calls import packets, phone, soon

pytestmark = pytest.mark.peers

KEY = {"X-API-Key": "s3cret-s3cret-s3cret"}
CLUSTER = "one-key-of-the-cluster"


@contextlib.contextmanager
def started(folder: Path, name: str, database: Postgres) -> Iterator[Served]:
    (folder / name).mkdir()
    file = folder / "offhook.yaml"
    file.write_text(
        "recordings: {listening: true}\noutbound: {allow: ['*@127.0.0.1:*']}\ncall: {max_per_source: 2}\n"
    )
    port = free_port()
    environment = {
        "OFFHOOK_CONFIG": str(file),
        "OFFHOOK_HTTP__PORT": str(port),
        "OFFHOOK_HTTP__API_KEY": KEY["X-API-Key"],
        "OFFHOOK_RECORDS__URL": database.url,
        "OFFHOOK_RECORDS__NODE": name,
        "OFFHOOK_CLUSTER__ENABLED": "true",
        "OFFHOOK_CLUSTER__URL": f"http://127.0.0.1:{port}",
        "OFFHOOK_CLUSTER__KEY": CLUSTER,
    }
    running = Served(folder / name, environment, [sys.executable, "-m", "tests.scripted_server"])
    try:
        yield running
    finally:
        running.kill()


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, database: Postgres) -> Iterator[list[Served]]:
    folder = tmp_path_factory.mktemp("nodes")
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(started(folder, name, database)) for name in ("one", "other")]
        for node in running:
            assert until(node.ready, START_S), node.log.read_text()
            assert until(partial(sees_both, node), 30)
        yield running


def sees_both(node: Served) -> bool:
    return [one["state"] for one in node.get("/api/v1/nodes")["nodes"]] == ["ready", "ready"]


async def eventually(ask: Callable[[], Awaitable[bool]], deadline_s: float = 40) -> None:
    async with asyncio.timeout(deadline_s):
        while not await ask():  # noqa: ASYNC110
            await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def client(node: Served) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=node.url, timeout=30, headers=KEY) as http:
        yield http


async def test_a_call_is_seen_and_acted_on_from_any_node(nodes: list[Served]) -> None:
    one, other = nodes
    async with (
        client(other) as http,
        http.stream("GET", "/api/v1/events?nodes=all") as following,
        phone(("127.0.0.1", one.sip)) as caller,
    ):
        lines = following.aiter_lines()
        assert await anext(lines) == ": here from now on"

        async def told(kind: str) -> dict[str, Any]:
            async for line in lines:
                if line.startswith("data: ") and (event := json.loads(line[6:]))["type"] == kind:
                    return dict(event)
            raise AssertionError(kind)

        assert (await caller.call()).status == 200
        await packets(caller, 10)

        async def listed() -> bool:
            answer = (await http.get("/api/v1/sessions?nodes=all")).json()
            assert answer["unreachable"] == []
            return [call["node"] for call in answer["sessions"]] == ["one"]

        await eventually(listed)
        assert (await http.get("/api/v1/sessions")).json()["sessions"] == []
        [call] = (await http.get("/api/v1/sessions?nodes=all")).json()["sessions"]
        path = f"/api/v1/sessions/{call['id']}"

        async def known() -> bool:  # once it is written down
            return (await http.get(path)).status_code == 200

        await eventually(known)
        muted = await http.post(f"{path}/mute", json={"caller": True})
        assert (muted.status_code, muted.json()["caller_muted"]) == (200, True)
        assert (await http.post(f"{path}/say", json={})).status_code == 422
        header, sound = await listened(other, path)
        assert (json.loads(header)["session"], type(sound)) == (call["id"], bytes)
        assert (await http.delete(path)).status_code in (202, 204)
        await soon(caller.serve())
        assert (await soon(told("ended")))["session"] == call["id"]

        async def over() -> bool:
            return bool((await http.get(path)).json().get("cause") == "operator_hangup")

        await eventually(over)
        detail = (await http.get(path)).json()
        assert detail["node"] == "one"
        assert {"hang_up", "mute"} <= {action["name"] for action in detail["actions"]}
        assert {action["by"] for action in detail["actions"] if action["name"] == "mute"} == {"http.api_key"}


async def listened(node: Served, path: str) -> tuple[str | bytes, str | bytes]:
    """What comes first over the WebSocket, once the caller has been told that somebody may listen."""
    async with asyncio.timeout(30):
        while True:
            try:
                async with websockets.connect(
                    f"{node.ws_url}{path}/listen", additional_headers=KEY
                ) as socket:
                    return await socket.recv(), await socket.recv()
            except websockets.InvalidStatus as refused:
                assert refused.response.status_code == 409  # noqa: PT017
                await asyncio.sleep(0.2)


async def test_who_hasnt_the_clusters_key_is_nobody(nodes: list[Served]) -> None:
    asking = {"X-Offhook-Name": "alice", "X-Offhook-Scopes": "admin"}
    async with httpx2.AsyncClient(base_url=nodes[0].url, timeout=30) as http:
        for key in ({}, {CLUSTER_KEY: ""}, {CLUSTER_KEY: "another-key-of-nobody"}):
            assert (await http.get("/api/v1/sessions", headers=asking | key)).status_code == 401
        known = asking | {CLUSTER_KEY: CLUSTER}
        assert (
            await http.get("/api/v1/sessions", headers=known)
        ).status_code == 403  # admin implies nothing here
        known["X-Offhook-Scopes"] = "read"
        assert (await http.get("/api/v1/sessions", headers=known)).status_code == 200
        assert (await http.post("/api/v1/drain", headers=known)).status_code == 403


async def test_one_source_has_so_many_calls_on_all_nodes(nodes: list[Served]) -> None:
    one, other = (("127.0.0.1", node.sip) for node in nodes)
    async with phone(one, host="127.0.0.5") as first, phone(other, host="127.0.0.5") as second:

        async def is_taken(host: str) -> bool:
            async with phone(one, host=host) as caller:
                answer = await caller.call()
                assert answer.status in (200, 486)
                return answer.status == 200 and (await caller.bye()).status == 200

        assert [(await caller.call()).status for caller in (first, second)] == [200, 200]
        assert not await is_taken("127.0.0.5")
        assert await is_taken("127.0.0.6")
        assert (await second.bye()).status == 200
        await eventually(lambda: is_taken("127.0.0.5"))
        assert (await first.bye()).status == 200


async def test_an_outgoing_call_is_found_from_any_node(nodes: list[Served]) -> None:
    one, other = nodes
    nobody = {"to": f"sip:600@127.0.0.1:{free_port()}"}
    async with client(one) as http, client(other) as elsewhere:
        placed = await http.post("/api/v1/calls", json=nobody)
        assert placed.status_code == 202
        path = placed.headers["Location"]
        assert (await elsewhere.get(path)).json()["to"] == nobody["to"]
        assert (await elsewhere.delete(path)).status_code == 204
        followed = (await elsewhere.get(f"{path}/events")).text
        assert followed.index("event: dialling") < followed.index("event: over")
        assert (await elsewhere.get("/api/v1/calls/0123456789ab")).status_code == 404
        assert (await elsewhere.get("/api/v1/calls")).json()["calls"] == []
        everywhere = (await elsewhere.get("/api/v1/calls?nodes=all")).json()
        assert ("one", path.rpartition("/")[2]) in [
            (call["node"], call["id"]) for call in everywhere["calls"]
        ]
        assert everywhere["unreachable"] == []


async def test_a_database_that_is_away_harms_no_call(nodes: list[Served], database: Postgres) -> None:
    one, other = nodes
    async with client(one) as http, client(other) as elsewhere, phone(("127.0.0.1", one.sip)) as caller:
        assert (await caller.call()).status == 200
        await packets(caller, 10)
        await asyncio.to_thread(database.stop)

        async def told() -> bool:
            parts = (await http.get("/health")).json()["components"]
            return any(part["name"] == "cluster" and part["state"] == "degraded" for part in parts)

        await eventually(told)
        await packets(caller, 50)
        [call] = (await elsewhere.get("/api/v1/sessions?nodes=all")).json()["sessions"]
        found = await elsewhere.get(f"/api/v1/sessions/{call['id']}")
        assert (found.status_code, found.json()["state"] == "ended") == (200, False)
        async with phone(("127.0.0.1", one.sip)) as second:  # begins and ends meanwhile
            assert (await second.call()).status == 200
            await packets(second, 10)
            assert (await second.bye()).status == 200
        await asyncio.to_thread(database.start)

        async def kept() -> bool:
            ended = (await http.get("/api/v1/sessions?state=ended")).json()
            return [one["cause"] for one in ended.get("sessions", [])[:1]] == ["caller_hangup"]

        await eventually(kept)
        assert [one["id"] for one in (await http.get("/api/v1/sessions")).json()["sessions"]] == [call["id"]]
        assert (await caller.bye()).status == 200


async def test_the_calls_of_a_node_that_dies_are_closed_by_another(nodes: list[Served]) -> None:
    """The last one: that node stays dead."""
    one, other = nodes
    async with client(other) as http:

        async def free() -> bool:
            return not (await http.get("/api/v1/sessions?nodes=all")).json()["sessions"]

        await eventually(free)
    async with client(other) as http, phone(("127.0.0.1", one.sip)) as caller:
        assert (await caller.call()).status == 200
        await packets(caller, 10)

        async def listed() -> bool:
            return bool((await http.get("/api/v1/sessions?nodes=all")).json()["sessions"])

        await eventually(listed)
        [call] = (await http.get("/api/v1/sessions?nodes=all")).json()["sessions"]

        async def written() -> bool:
            return (await http.get(f"/api/v1/sessions/{call['id']}")).status_code == 200

        await eventually(written)
        one.process.kill()
        answer = (await http.get("/api/v1/sessions?nodes=all")).json()
        assert answer["unreachable"] == ["one"]
        assert [(found["id"], found["state"]) for found in answer["sessions"]] == [(call["id"], "unknown")]

        async def closed() -> bool:
            answer = await http.get(f"/api/v1/sessions/{call['id']}")
            return bool(answer.json().get("cause") == "node_lost")

        await eventually(closed)
        states = {node["name"]: node["state"] for node in (await http.get("/api/v1/nodes")).json()["nodes"]}
        assert states["one"] in ("lost", "silent")
