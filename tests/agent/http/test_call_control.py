"""What an operator asks of a live call, over a real socket."""

from __future__ import annotations

import json

import httpx2
import pytest

from agent.call_control import UnknownTarget
from agent.floor import CantBeDone
from agent.http.app import create_app
from config.settings import Settings
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCall, FakeCalls, FakeModels
from tests.agent.http.test_control import assert_problem
from transports.call import TransferFailed


@pytest.fixture
def calls() -> FakeCalls:
    return FakeCalls()


@pytest.fixture
def call(calls: FakeCalls) -> FakeCall:
    return calls.add()


@pytest.fixture
async def client(serve: Serve, calls: FakeCalls) -> httpx2.AsyncClient:
    return await serve(create_app(settings=Settings(), calls=calls, models=FakeModels()))


async def test_a_caller_is_put_through(client: httpx2.AsyncClient, call: FakeCall) -> None:
    response = await client.post(f"/api/v1/sessions/{call.info.id}/transfer", json={"to": "reception"})
    assert (response.status_code, response.json()) == (200, {"to": "reception"})
    assert call.control.asked == [("transfer", "reception")]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownTarget("transfer.to has no 'sip:900@example.org'."), 422),
        (CantBeDone("The call is transferring."), 409),
        (TransferFailed("The target is busy (486).", 486), 409),
    ],
)
async def test_why_not_is_said(
    client: httpx2.AsyncClient, call: FakeCall, error: Exception, status: int
) -> None:
    call.control.error = error
    response = await client.post(f"/api/v1/sessions/{call.info.id}/transfer", json={"to": "x"})
    assert_problem(response, status, str(error))


async def test_there_must_be_a_call_and_a_target(client: httpx2.AsyncClient, call: FakeCall) -> None:
    assert_problem(await client.post("/api/v1/sessions/gone/transfer", json={"to": "x"}), 404, "gone")
    assert_problem(await client.post(f"/api/v1/sessions/{call.info.id}/transfer", json={}), 422, "to")


async def test_what_isnt_a_whole_text_is_asked_of_no_call(client: httpx2.AsyncClient, call: FakeCall) -> None:
    for path, field in (("transfer", "to"), ("say", "text"), ("messages", "text")):
        answer = await client.post(
            f"/api/v1/sessions/{call.info.id}/{path}",
            content=json.dumps({field: "half \ud800"}),
            headers={"Content-Type": "application/json"},
        )
        assert_problem(answer, 422, field)
    assert not call.actions


@pytest.mark.parametrize("what", ["hold", "resume"])
async def test_a_caller_is_held(client: httpx2.AsyncClient, call: FakeCall, what: str) -> None:
    response = await client.post(f"/api/v1/sessions/{call.info.id}/{what}")
    assert (response.status_code, response.json()["id"]) == (200, call.info.id)
    assert call.control.asked == [(what, None)]
    call.control.error = CantBeDone("The call is transferring.")
    assert_problem(await client.post(f"/api/v1/sessions/{call.info.id}/{what}"), 409, "transferring")


async def test_either_side_is_muted(client: httpx2.AsyncClient, call: FakeCall) -> None:
    url = f"/api/v1/sessions/{call.info.id}"
    for caller, agent in ((True, False), (False, True), (False, False)):
        muted = (await client.post(f"{url}/mute", json={"caller": caller, "agent": agent})).json()
        assert (muted["caller_muted"], muted["agent_muted"]) == (caller, agent)
        assert (await client.get(url)).json()["agent_muted"] is agent
    assert (await client.post(f"{url}/mute", json={"caller": 1})).status_code == 422


async def test_keys_are_pressed_and_asked_for(client: httpx2.AsyncClient, call: FakeCall) -> None:
    url = f"/api/v1/sessions/{call.info.id}"
    assert (await client.post(f"{url}/keys", json={"keys": "12#"})).status_code == 204
    assert (await client.post(f"{url}/keypad", json={"name": "number"})).json() == {"keys": "1234"}
    assert call.control.asked == [("keys", "12#"), ("keypad", "number")]
    assert_problem(await client.post(f"{url}/keys", json={"keys": "call me"}), 422, "keys")
    call.control.error = CantBeDone("Keys can't be sent over webrtc.")
    assert_problem(await client.post(f"{url}/keys", json={"keys": "1"}), 409, "webrtc")


async def test_the_agent_says_what_it_is_told(client: httpx2.AsyncClient, call: FakeCall) -> None:
    url = f"/api/v1/sessions/{call.info.id}/say"
    assert (await client.post(url, json={"text": "One moment, please."})).status_code == 204
    assert call.control.asked == [("say", "One moment, please.")]
    assert_problem(await client.post(url, json={"text": ""}), 422, "text")
    call.control.error = CantBeDone("The call is holding.")
    assert_problem(await client.post(url, json={"text": "Hello?"}), 409, "holding")


async def test_a_message_is_taken(client: httpx2.AsyncClient, call: FakeCall) -> None:
    response = await client.post(f"/api/v1/sessions/{call.info.id}/message")
    assert response.json() == {"message": "5c1f7e20b9d3"}
    assert call.control.asked == [("message", None)]
