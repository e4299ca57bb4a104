"""Calls that are asked for over HTTP and made over SIP, with scripted models."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

import httpx2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from agent.cli import app as offhook
from agent.http import outbound as module
from agent.http.app import create_app
from agent.http.outbound import outbound_router
from agent.outbound.calls import OutboundCall, OutboundCalls, Plan
from agent.outbound.session import Script
from agent.sessions import Sessions
from config.answering import Personas
from config.outbound import OutboundSettings
from config.settings import CallSettings, HttpSettings, Settings
from config.sip import SipSettings
from models.pool import ModelPool
from models.speech import wav
from tests.agent.conversation_kit import PERSONA, FakeModels, Outcome
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeModels as HttpModels
from tests.peers import free_port
from tests.sip_callee import callee
from tests.transports.sip_calls import packets
from tests.waiting import until
from transports.call import CallGone, CallTransport, EndReason
from transports.outbound import LimitReached, NotPermitted, OutboundGuard
from transports.sip.server import SipServer

KEY = "s3cret-s3cret-s3cret"


@dataclass
class Line:
    """The API, and what is behind it."""

    client: httpx2.AsyncClient
    calls: OutboundCalls
    sessions: Sessions
    spoken: list[Any]

    async def call(self, to: str, **fields: Any) -> str:
        """Its path."""
        answer = await self.client.post("/api/v1/calls", json={"to": to, **fields})
        assert answer.status_code == 202, answer.text
        assert answer.headers["Location"] == f"/api/v1/calls/{answer.json()['id']}"
        return str(answer.headers["Location"])

    async def get(self, path: str) -> dict[str, Any]:
        answer = await self.client.get(path)
        assert answer.status_code == 200
        return cast("dict[str, Any]", answer.json())

    async def reaches(self, path: str, state: str) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while (call := await self.get(path))["state"] != state:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return call

    async def over(self, path: str) -> dict[str, Any]:
        return await self.reaches(path, "over")


@contextlib.asynccontextmanager
async def line(serve: Serve, *, key: bool = True, **outbound: Any) -> AsyncIterator[Line]:
    limits = {"allow": ("*@127.0.0.1:*",), "calls_per_minute": 100, **outbound}
    settings = Settings(
        http=HttpSettings.model_validate({"api_key": KEY} if key else {}),
        sip=SipSettings(host="127.0.0.1", port=free_port()),
        outbound=OutboundSettings.model_validate(limits),
        call=CallSettings(end_deadline_s=5),
    )
    outcome = Outcome()
    personas = Personas((PERSONA,))
    models = cast(ModelPool, FakeModels([], {}, outcome))
    sessions = Sessions(settings=settings, personas=personas, pool=models)
    sessions._ready = True
    guard = OutboundGuard(settings.outbound)
    sip = SipServer(settings.sip, 5, sessions.handle, outbound=guard)
    calls = OutboundCalls(sip.dial, sessions.host, guard, lambda: sessions.accepting)
    router = outbound_router(calls, lambda: personas, ring_timeout_s=20)
    app = create_app(settings=settings, calls=sessions, models=HttpModels(), routers=[router])
    await sip.start()
    try:
        client = await serve(app)
        client.headers["X-API-Key"] = KEY
        yield Line(client, calls, sessions, outcome.spoken)
    finally:
        calls.drain()
        await sessions.drain(0)
        await sip.close()
        await calls.close()


async def test_somebody_is_called_and_talked_to(serve: Serve) -> None:
    async with line(serve) as on, callee() as called:
        path = await on.call(called.address, say="Your table is ready.")
        called.reply(await called.invited(), "180 Ringing")
        await on.reaches(path, "ringing")
        await called.accept()
        await packets(called, 20)
        await until(lambda: " ".join(text for _, text in on.spoken) == "Your table is ready.", 20)
        (session,) = (await on.get("/api/v1/sessions"))["sessions"]
        assert (session["direction"], session["to"]) == ("outbound", "600")
        assert (await on.get(path))["session"] == session["id"]
        called.cseq = 1
        await called.bye()
        ended = await on.over(path)
        assert (ended["reason"], ended["status"], ended["attempts"]) == ("called_hangup", None, 1)
        states = [one["state"] for one in ended["progress"]]
        assert states == ["dialling", "ringing", "answered", "over"]
        assert not on.sessions.live()


async def test_progress_is_told_as_it_comes(serve: Serve) -> None:
    async with line(serve) as on, callee() as called:
        path = await on.call(called.address)

        async def follow() -> list[tuple[str, dict[str, Any]]]:
            got: list[tuple[str, dict[str, Any]]] = []
            async with on.client.stream("GET", f"{path}/events") as events:
                assert events.headers["Content-Type"].startswith("text/event-stream")
                async for text in events.aiter_lines():
                    if text.startswith("event: "):
                        got.append((text.removeprefix("event: "), {}))
                    elif text:
                        got[-1] = got[-1][0], json.loads(text.removeprefix("data: "))
            return got

        following = asyncio.create_task(follow())
        called.reply(await called.invited(), "180 Ringing")
        called.reply(called.invite_text, "486 Busy Here")
        got = await asyncio.wait_for(following, 10)
        assert [name for name, _ in got][-1] == "over"
        assert got[-1][1]["reason"] == "busy"
        assert got[-1][1]["detail"] == "It is busy. (486 Busy Here)"
        assert got[-1][1]["status"] == 486


async def test_what_happens_while_a_listener_is_busy_is_told_too() -> None:
    call = OutboundCall(Plan("sip:600@127.0.0.1", Script(PERSONA), ring_timeout_s=5), "anyone")
    call.note("dialling")
    told = []
    async for progress in call.follow():
        told.append(progress.state)
        if progress.state == "dialling":
            call.note("ringing")
            call.note("over")
    assert told == ["dialling", "ringing", "over"]


async def test_a_call_that_rings_for_long_is_still_followed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ALIVE_EVERY_S", 0.05)
    async with line(serve) as on, callee() as called:
        path = await on.call(called.address)
        async with on.client.stream("GET", f"{path}/events") as events, asyncio.timeout(15):
            lines = events.aiter_lines()
            while await anext(lines) != ": alive":
                pass
            called.reply(await called.invited(), "486 Busy Here")
            while await anext(lines) != "event: over":
                pass


async def test_a_recording_is_played_and_the_call_is_over(serve: Serve) -> None:
    played = (8000 * np.sin(2 * np.pi * 500 * np.arange(16_000) / 16_000)).astype("<i2").tobytes()
    async with line(serve) as on, callee() as called:
        play = base64.b64encode(wav(played)).decode()
        path = await on.call(called.address, play=play, then="hang_up")
        await called.invited()
        await called.accept()
        called.reply(await called.request_of("BYE"), "200 OK")
        ended = await on.over(path)
        assert ended["reason"] == "agent_hangup"
        kept = on.calls.find(ended["id"])
        assert kept is not None
        assert (kept.session, kept.plan.script.play) == (None, b"")  # of 200 calls it would be gigabytes
        heard = called.heard().astype(float)
        spectrum = np.abs(np.fft.rfft(heard))
        assert abs(int(spectrum.argmax()) * 8000 / len(heard) - 500) < 5
        assert (np.abs(heard) > 1000).sum() > 5500  # of a second's 8,000


async def test_who_is_asked_to_take_a_call_over_counts_too(serve: Serve) -> None:
    async def run(call: CallTransport) -> None:
        await call.answer()

    async with line(serve, calls_per_minute=1) as on, callee() as called:
        call = await on.calls.consult(called.address, run, account="", ring_timeout_s=20)
        await called.invited()
        with pytest.raises(LimitReached, match="calls_per_minute"):
            await on.calls.consult(called.address, run, account="", ring_timeout_s=20)
        await call.hangup()
    async with line(serve, max_calls=1) as on, callee() as called:
        with pytest.raises(NotPermitted):
            await on.calls.consult("sip:1@192.0.2.1", run, account="", ring_timeout_s=20)
        path = await on.call(called.address)  # what wasn't dialled takes no place
        await on.client.delete(path)


async def test_hung_up_by_the_api_while_it_rings(serve: Serve) -> None:
    async with line(serve) as on, callee() as called:
        path = await on.call(called.address)
        invite = await called.invited()
        called.reply(invite, "180 Ringing")
        cancelled = asyncio.create_task(called.request_of("CANCEL"))
        deleted = asyncio.create_task(on.client.delete(path))
        called.reply(await cancelled, "200 OK")
        called.reply(invite, "487 Request Terminated")
        assert (await deleted).status_code == 204
        ended = await on.get(path)
        assert (ended["state"], ended["reason"]) == ("over", "operator_hangup")


async def test_tried_again_when_it_is_busy(serve: Serve) -> None:
    async with line(serve) as on, callee() as called:
        path = await on.call(called.address, retry={"most": 1, "after_s": 1})
        called.reply(await called.invited(), "486 Busy Here")
        called.reply(await called.invited(), "486 Busy Here")
        ended = await on.over(path)
        assert (ended["reason"], ended["attempts"]) == ("busy", 2)
        states = [one["state"] for one in ended["progress"]]
        assert states == ["dialling", "waiting", "dialling", "over"]


async def test_the_status_is_that_of_the_last_attempt(serve: Serve) -> None:
    async def undiallable(*_: object, **__: object) -> NoReturn:
        raise CallGone("It can't be dialled.", EndReason.NOT_REACHED)

    async with line(serve) as on, callee() as called:
        path = await on.call(called.address, retry={"most": 1, "after_s": 1})
        called.reply(await called.invited(), "486 Busy Here")
        assert (await on.reaches(path, "waiting"))["status"] == 486
        on.calls._dial = undiallable
        ended = await on.over(path)
        assert (ended["reason"], ended["status"]) == ("not_reached", None)


async def test_not_tried_again_where_no_line_is_free(serve: Serve) -> None:
    async with line(serve) as on, callee() as called:
        path = await on.call(called.address, retry={"most": 3, "after_s": 2})
        called.reply(await called.invited(), "486 Busy Here")
        await on.reaches(path, "waiting")
        on.sessions._ready = False
        ended = await on.over(path)
        assert (ended["reason"], ended["attempts"]) == ("busy", 1)
        assert ended["detail"].endswith("It isn't tried again: The models are still loading.")


async def test_what_is_refused_is_not_tried_again(serve: Serve) -> None:
    async with line(serve) as on, callee() as called:
        path = await on.call(called.address, retry={"most": 3, "after_s": 1})
        called.reply(await called.invited(), "603 Decline")
        assert (await on.over(path))["attempts"] == 1


async def test_given_up_while_it_waits(serve: Serve) -> None:
    async with line(serve) as on, callee() as called:
        path = await on.call(called.address, retry={"most": 3, "after_s": 3600})
        called.reply(await called.invited(), "486 Busy Here")
        await on.reaches(path, "waiting")
        assert (await on.client.delete(path)).status_code == 204
        assert (await on.get(path))["state"] == "over"


async def test_a_redirection_is_followed_where_it_may_be(serve: Serve) -> None:
    async with line(serve) as on, callee() as called, callee() as other:
        path = await on.call(called.address)
        called.reply(
            await called.invited(), "302 Moved Temporarily", headers=f"Contact: <{other.address}>\r\n"
        )
        other.reply(await other.invited(), "486 Busy Here")
        assert (await on.over(path))["reason"] == "busy"


async def test_a_redirection_elsewhere_is_not_followed(serve: Serve) -> None:
    async with line(serve) as on, callee() as called:
        path = await on.call(called.address)
        elsewhere = "Contact: <sip:600@198.51.100.7>\r\n"
        called.reply(await called.invited(), "302 Moved Temporarily", headers=elsewhere)
        ended = await on.over(path)
        assert (ended["reason"], ended["status"]) == ("not_reached", 302)
        assert ended["detail"].startswith("It has moved elsewhere, where it may not be called")


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("sip:600@198.51.100.7", "no pattern of outbound.allow matches it"),
        ("sip:600@127.0.0.1?Route=%3Csip:evil%3E", "It must be a SIP URI"),
        ("+33123456789", "A number needs a gateway"),
    ],
)
async def test_nobody_else_is_called(serve: Serve, to: str, why: str) -> None:
    async with line(serve) as on:
        answer = await on.client.post("/api/v1/calls", json={"to": to})
        assert answer.status_code == 403
        assert why in answer.json()["detail"]


async def test_without_a_key_nobody_is_called(serve: Serve) -> None:
    async with line(serve, key=False) as on:
        answer = await on.client.post("/api/v1/calls", json={"to": "sip:600@127.0.0.1:5070"})
        assert answer.status_code == 403
        assert "set http.api_key (OFFHOOK_HTTP__API_KEY)" in answer.json()["detail"]


async def test_too_many_calls(serve: Serve) -> None:
    async with line(serve, max_calls=1) as on, callee() as called:
        path = await on.call(called.address)
        answer = await on.client.post("/api/v1/calls", json={"to": called.address})
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "10"
        assert answer.json()["detail"] == "1 outgoing calls are on (outbound.max_calls). Try again later."
        called.reply(await called.invited(), "486 Busy Here")
        await on.over(path)
        await on.call(called.address)
        called.reply(await called.invited(), "486 Busy Here")


async def test_no_line_is_free(serve: Serve) -> None:
    async with line(serve) as on:
        on.sessions.draining = True
        answer = await on.client.post("/api/v1/calls", json={"to": "sip:600@127.0.0.1:5070"})
        assert answer.status_code == 503


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"persona": "Nobody"}, "no persona 'Nobody' is loaded. The settings name Test."),
        ({"then": "hang_up"}, "then: hang_up needs something to say or to play first"),
        ({"play": base64.b64encode(b"no sound").decode()}, "play: "),
        ({"spell": "x"}, "spell: Extra inputs are not permitted"),
    ],
)
async def test_what_makes_no_sense(serve: Serve, fields: dict[str, Any], why: str) -> None:
    async with line(serve) as on:
        answer = await on.client.post("/api/v1/calls", json={"to": "sip:600@127.0.0.1:5070", **fields})
        assert answer.status_code == 422
        assert why in answer.json()["detail"]


async def test_a_call_that_nobody_knows(serve: Serve) -> None:
    async with line(serve) as on:
        for path in ("/api/v1/calls/none", "/api/v1/calls/none/events"):
            answer = await on.client.get(path)
            assert answer.status_code == 404
            assert "GET /api/v1/calls lists them" in answer.json()["detail"]
        assert (await on.client.delete("/api/v1/calls/none")).status_code == 404
        assert await on.get("/api/v1/calls") == {"calls": [], "unreachable": []}


async def test_it_is_documented(serve: Serve) -> None:
    async with line(serve) as on:
        document = await on.get("/openapi.json")
        fields = document["components"]["schemas"]["CallRequest"]["properties"]
        assert all("description" in field for field in fields.values())
        assert set(document["paths"]["/api/v1/calls"]["post"]["responses"]) >= {
            "202",
            "403",
            "422",
            "429",
            "503",
        }


async def test_minutes_that_are_used_up_end_a_call(serve: Serve) -> None:
    async with line(serve, minutes_per_day=1) as on, callee() as called:
        on.calls._guard._talked.append(("api", asyncio.get_running_loop().time(), 58.0))
        path = await on.call(called.address)
        await called.invited()
        await called.accept()
        await packets(called, 20)
        called.reply(await called.request_of("BYE"), "200 OK")
        assert (await on.over(path))["reason"] == "max_duration"
        answer = await on.client.post("/api/v1/calls", json={"to": called.address})
        assert answer.status_code == 429
        assert "minutes" in answer.json()["detail"]
        await until(lambda: not on.sessions.live())


async def run(on: Line, *words: str) -> Result:
    """The command, which talks with the server of the test."""
    return await asyncio.to_thread(
        CliRunner().invoke,
        offhook,
        ["call", *words, "--url", str(on.client.base_url).rstrip("/")],
        env={"OFFHOOK_HTTP__API_KEY": KEY, "COLUMNS": "160"},
    )


@pytest.mark.parametrize(
    ("status", "exit_code", "told"),
    [
        ("486 Busy Here", 3, "busy  It is busy. (486 Busy Here)"),
        ("603 Decline", 5, "declined  The call was declined. (603 Decline)"),
        ("404 Not Found", 6, "not reached  Nobody has that number or name there. (404 Not Found)"),
    ],
)
async def test_the_command_tells_how_it_failed(serve: Serve, status: str, exit_code: int, told: str) -> None:
    async with line(serve) as on, callee() as called:
        running = asyncio.create_task(run(on, called.address))
        called.reply(await called.invited(), status)
        result = await running
        assert result.exit_code == exit_code, result.output
        first, last = result.stdout.splitlines()
        assert first.endswith(" dialling")
        assert last.endswith(told)


async def test_the_command_tells_of_a_call_that_was_hung_up_before_an_answer(serve: Serve) -> None:
    async with line(serve) as on, callee() as called:
        running = asyncio.create_task(run(on, called.address))
        invite = await called.invited()
        called.reply(invite, "180 Ringing")
        cancelled = asyncio.create_task(called.request_of("CANCEL"))
        ((id,),) = [[call["id"] for call in (await on.get("/api/v1/calls"))["calls"]]]
        deleted = asyncio.create_task(on.client.delete(f"/api/v1/calls/{id}"))
        called.reply(await cancelled, "200 OK")
        called.reply(invite, "487 Request Terminated")
        await deleted
        result = await running
        assert result.exit_code == 6, result.output
        assert "operator hangup" in result.stdout.splitlines()[-1]


async def test_the_command_plays_a_file(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "news.wav"
    file.write_bytes(wav(bytes(16_000)))
    async with line(serve) as on, callee() as called:
        running = asyncio.create_task(run(on, called.address, "--play", str(file), "--hang-up"))
        await called.invited()
        await called.accept()
        called.reply(await called.request_of("BYE"), "200 OK")
        result = await running
        assert result.exit_code == 0, result.output
        assert [line.split(" ", 1)[1] for line in result.stdout.splitlines()] == [
            "dialling",
            "answered",
            "agent hangup",
        ]


async def test_the_command_does_not_wait(serve: Serve) -> None:
    async with line(serve) as on, callee() as called:
        result = await run(on, called.address, "--no-wait")
        assert result.exit_code == 0, result.output
        called.reply(await called.invited(), "486 Busy Here")
        assert (await on.over(f"/api/v1/calls/{result.stdout.strip()}"))["reason"] == "busy"


async def test_the_command_says_why_nobody_is_called(serve: Serve) -> None:
    async with line(serve) as on:
        result = await run(on, "sip:600@198.51.100.7")
        assert result.exit_code == 1
        assert "no pattern of outbound.allow matches it" in result.stderr
