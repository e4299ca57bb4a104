"""A server in several processes, as `offhook serve` runs it: one line, one API, over all of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets

from config.persona import load_persona
from tests.e2e.served import START_S, Served, until
from tests.process import gone
from tests.sip_caller import Caller
from tests.transports.sip_calls import packets, phone, soon

TWO = {"OFFHOOK_SIP__PROCESSES": "2", "OFFHOOK_CALL__DRAIN_S": "3"}


@contextlib.contextmanager
def scripted(folder: Path, *, without: str = "", **environment: str) -> Iterator[Served]:
    """A server whose models are scripted, and that doesn't get one variable of those that tests set."""
    environment = {"OFFHOOK_CALL__MAX_CALLS": "20", **environment}
    program = ["env", f"--unset={without}"] if without else []
    running = Served(folder, environment, [*program, sys.executable, "-m", "tests.scripted_server"])
    try:
        assert until(running.ready, START_S), running.log.read_text()
        yield running
    finally:
        running.kill()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    file = tmp_path / "offhook.yaml"
    file.write_text("recordings: {listening: true}\n")
    with scripted(tmp_path, **TWO, OFFHOOK_CONFIG=str(file)) as found:
        yield found


@contextlib.asynccontextmanager
async def two_calls(server: Served) -> AsyncIterator[list[Caller]]:
    address = ("127.0.0.1", server.sip)
    async with phone(address) as first, phone(address) as second:
        for caller in (first, second):
            assert (await caller.call()).status == 200
            await packets(caller, 10)
        yield [first, second]


def processes(server: Served) -> list[int]:
    """The process ids of the server's other processes."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                parent = re.search(r"^PPid:\s*(\d+)", (entry / "status").read_text(), re.MULTILINE)
                if parent and int(parent[1]) == server.process.pid:
                    found.append(int(entry.name))
    return found


async def test_the_api_is_whole_over_all_processes(server: Served) -> None:
    async with (
        httpx2.AsyncClient(base_url=server.url, timeout=30) as http,
        http.stream("GET", "/api/v1/events") as following,
    ):
        lines = following.aiter_lines()

        async def told(kind: str) -> dict[str, Any]:
            async for line in lines:
                if line.startswith("data: ") and (event := json.loads(line[6:]))["type"] == kind:
                    return dict(event)
            raise AssertionError(kind)

        async with two_calls(server) as callers:
            started = {(await soon(told("started")))["session"] for _ in callers}
            sessions = (await http.get("/api/v1/sessions")).json()["sessions"]
            assert {one["id"] for one in sessions} == started
            assert (await http.get("/health")).json()["calls"] == 2
            metrics = (await http.get("/metrics")).text
            for number in "12":
                live = rf'^offhook_live_calls{{.*process="{number}".*}} 1.0$'
                assert re.search(live, metrics, re.MULTILINE), metrics
            for id in started:
                detail = (await http.get(f"/api/v1/sessions/{id}")).json()
                assert (detail["id"], detail["quality"]["codec"]) == (id, "pcmu")
                muted = await http.post(f"/api/v1/sessions/{id}/mute", json={"caller": True})
                assert (muted.status_code, muted.json()["caller_muted"]) == (200, True)
                for said, status in (({"text": "One moment."}, 204), ({}, 422)):
                    assert (await http.post(f"/api/v1/sessions/{id}/say", json=said)).status_code == status
                trace = (await http.get("/api/v1/sip/trace", params={"call": id})).json()["messages"]
                assert any(message["text"].startswith("INVITE ") for message in trace)
                header, sound = await listened(server, id)
                assert (json.loads(header)["session"], type(sound)) == (id, bytes)
            for id in started:
                assert (await http.delete(f"/api/v1/sessions/{id}")).status_code in (202, 204)
            for caller in callers:
                await soon(caller.serve())
            assert {(await soon(told("ended")))["session"] for _ in callers} == started
        assert (await http.get("/api/v1/sessions")).json()["sessions"] == []
        for id in started:
            assert await recorded(http, id) == "operator_hangup"


async def listened(server: Served, id: str) -> tuple[str | bytes, str | bytes]:
    """What comes first over the WebSocket, once the caller has been told that somebody may listen."""
    async with asyncio.timeout(30):
        while True:
            try:
                async with websockets.connect(f"{server.ws_url}/api/v1/sessions/{id}/listen") as socket:
                    return await socket.recv(), await socket.recv()
            except websockets.InvalidStatus as refused:
                assert refused.response.status_code == 409  # noqa: PT017
                await asyncio.sleep(0.2)


async def recorded(http: httpx2.AsyncClient, id: str) -> str:
    """Why a call ended, once that is written."""
    async with asyncio.timeout(30):
        while (answer := await http.get(f"/api/v1/sessions/{id}")).json().get("cause") is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return str(answer.json()["cause"])


async def other(http: httpx2.AsyncClient) -> dict[str, Any]:
    """How the other process is."""
    parts = (await http.get("/health")).json()["components"]
    return next(dict(part) for part in parts if part["name"] == "process 2")


async def ready(http: httpx2.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while (await other(http))["state"] != "ready":  # noqa: ASYNC110
            await asyncio.sleep(0.2)


async def test_a_process_that_dies_costs_its_own_calls_alone(server: Served) -> None:
    (worker,) = processes(server)
    async with httpx2.AsyncClient(base_url=server.url, timeout=30) as http, two_calls(server) as callers:
        ids = [one["id"] for one in (await http.get("/api/v1/sessions")).json()["sessions"]]
        os.kill(worker, signal.SIGKILL)
        async with asyncio.timeout(30):
            while len(left := (await http.get("/api/v1/sessions")).json()["sessions"]) != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        (lost,) = {*ids} - {left[0]["id"]}
        assert await recorded(http, lost) == "process_died"
        answers = [(await caller.bye()).status for caller in callers]
        assert sorted(answers) == [200, 481]
        counted = r'^offhook_calls_total{cause="process_died",process="1",transport="sip"} 1.0$'
        assert re.search(counted, (await http.get("/metrics")).text, re.MULTILINE)
        assert (await http.get("/readyz")).status_code == 200  # the others take calls

        assert (ill := await other(http))["state"] == "degraded"
        assert ill["last_error"].startswith("It ended with code -9.")
        await ready(http)
        (again,) = processes(server)
        assert again != worker
    async with two_calls(server) as callers:  # the new process takes its share
        sessions = server.sessions()
        assert len(sessions) == 2


async def reload(server: Served, file: Path, text: str) -> None:
    """Until the settings, which know other users alone, hold in the other process that had others."""
    async with httpx2.AsyncClient(base_url=server.url, timeout=30) as http:
        await ready(http)
    file.write_text(text)  # noqa: ASYNC240
    server.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(30):
        while True:  # a first call goes to the other process
            async with phone(("127.0.0.1", server.sip), user="nobody") as caller:
                if (await caller.call()).status == 404:
                    break
                await caller.bye()


async def test_settings_that_are_read_again_hold_in_all_processes(server: Served, tmp_path: Path) -> None:
    text = "sip: {users: [reception]}\nrecordings: {listening: true}\n"
    await reload(server, tmp_path / "offhook.yaml", text)
    async with phone(("127.0.0.1", server.sip), user="reception") as here:
        assert (await here.call()).status == 200


async def test_each_process_sees_its_calls_out_as_it_was_told_last(tmp_path: Path) -> None:
    file = tmp_path / "offhook.yaml"
    file.write_text("call: {drain_s: 600, idle_prompt_s: 600}\n")
    environment = {"OFFHOOK_SIP__PROCESSES": "2", "OFFHOOK_CONFIG": str(file)}
    with scripted(tmp_path, without="OFFHOOK_CALL__DRAIN_S", **environment) as server:
        await reload(server, file, "call: {drain_s: 0, idle_prompt_s: 600}\nsip: {users: [agent]}\n")
        async with two_calls(server) as callers:
            server.process.terminate()
            for caller in callers:
                await soon(caller.serve(), 40)
                assert caller.requests == ["BYE"]


async def test_a_refused_reload_is_refused_by_a_process_that_starts_later(tmp_path: Path) -> None:
    persona = tmp_path / "us.yaml"
    persona.write_text(load_persona("en").model_dump_json(exclude_none=True))
    with scripted(tmp_path, **TWO, OFFHOOK_PERSONA=str(persona)) as server:
        async with httpx2.AsyncClient(base_url=server.url, timeout=30) as http:
            await ready(http)
            persona.write_text("greeting: [")
            assert (await http.post("/api/v1/reload")).status_code == 422
            (worker,) = processes(server)
            os.kill(worker, signal.SIGKILL)
            assert await asyncio.to_thread(until, lambda: gone(worker), 30)
            async with asyncio.timeout(30):
                while (await other(http))["state"] != "degraded":  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await ready(http)


async def test_all_calls_are_seen_out_and_no_process_is_left(server: Served) -> None:
    (worker,) = processes(server)
    async with two_calls(server) as callers:
        server.process.terminate()
        for caller in callers:
            await soon(caller.serve(), 40)
            assert caller.requests == ["BYE"]
        assert await asyncio.to_thread(server.process.wait, 30) == 0
    assert gone(worker)


async def test_no_process_outlives_the_one_that_listens(server: Served) -> None:
    (worker,) = processes(server)
    async with two_calls(server):
        server.process.kill()
        assert await asyncio.to_thread(until, lambda: gone(worker), 30)


async def test_there_are_no_more_calls_than_may_be(tmp_path: Path) -> None:
    environment = {"OFFHOOK_SIP__PROCESSES": "2", "OFFHOOK_CALL__MAX_CALLS": "2"}
    with scripted(tmp_path, **environment) as server:
        async with two_calls(server) as callers, phone(("127.0.0.1", server.sip)) as third:
            assert (await third.call()).status == 486
            await callers[0].bye()
            async with asyncio.timeout(30):
                while len(await asyncio.to_thread(server.sessions)) == 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            async with phone(("127.0.0.1", server.sip)) as fourth:
                assert (await fourth.call()).status == 200
