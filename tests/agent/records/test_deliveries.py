"""Records of calls are posted, at least once, whatever the receiver does."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.http.server import HttpServer
from agent.records import deliveries as module
from agent.records.database import PROCESS_DIED
from agent.records.deliveries import Deliveries, Summarize
from agent.records.recorder import Recorder
from agent.records.tables import Call
from config.settings import Settings
from tests.agent.records.conftest import Talk
from tests.waiting import until
from transports.call import EndReason, MediaStats

SECRET = "s3cret-s3cret-s3cret"


class Receiver:
    """Answers with these statuses, then 204."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.prompt = asyncio.Event()  # until then nothing is answered
        self.prompt.set()
        self.app = Starlette(routes=[Route("/calls", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        self.got.append((dict(request.headers), await request.body()))
        await self.prompt.wait()
        return Response(status_code=self.statuses.pop(0) if self.statuses else 204)

    @property
    def data(self) -> list[Any]:
        return [json.loads(body)["data"] for _, body in self.got]


class Post:
    """A receiver on a port that stays the same, a recorder, and what posts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = 0
        self._server: HttpServer | None = None

    async def receive(self, receiver: Receiver) -> None:
        self._server = HttpServer(receiver.app, host="127.0.0.1", port=self.port)
        await self._server.start()
        self.port = self._server.port

    async def away(self) -> None:
        if self._server:
            await self._server.stop(1)
        self._server = None

    async def start(self, summarize: Summarize | None = None) -> None:
        url = f"http://127.0.0.1:{self.port}/calls"
        settings = Settings.model_validate(
            {
                "state_dir": self._folder,
                "webhook": {"url": url, "calls": True, "secret": SECRET, "timeout_s": 1},
            }
        )
        self.recorder = Recorder(settings)
        await self.recorder.start()
        self._deliveries = Deliveries(settings.webhook, self.recorder.database, summarize)
        self._deliveries.start()

    async def stop(self) -> None:
        await self._deliveries.close()
        await self.recorder.close()

    async def call(self, said: str = "Hello.") -> str:
        talk = Talk().recorded_by(self.recorder)
        talk.conversation.caller_said(said)
        self.recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats())
        await until(lambda: self.recorder.health().queued == 0)
        return talk.info.id


@pytest.fixture
async def post(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Post]:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(module, "LONGEST_WAIT_S", 0.1)
    made = Post(tmp_path)
    yield made
    await made.away()


async def test_a_record_is_posted_and_signed(post: Post) -> None:
    receiver = Receiver()
    await post.receive(receiver)
    await post.start()
    id = await post.call("Grüße.")
    await until(lambda: len(receiver.got) == 1)
    headers, body = receiver.got[0]
    assert headers["webhook-id"] == id
    signed = f"{id}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    [call] = receiver.data
    assert (call["id"], call["cause"], call["turns"][0]["text"]) == (id, "caller_hangup", "Grüße.")
    await asyncio.sleep(0.1)
    assert len(receiver.got) == 1
    await post.stop()


@pytest.mark.parametrize("statuses", [(500, 503), (404,), (429, 301)])
async def test_it_is_posted_until_it_is_taken(post: Post, statuses: tuple[int, ...]) -> None:
    receiver = Receiver(*statuses)
    await post.receive(receiver)
    await post.start()
    id = await post.call()
    await until(lambda: len(receiver.got) == len(statuses) + 1)
    assert {call["id"] for call in receiver.data} == {id}
    await post.stop()


async def test_a_receiver_that_is_too_slow_gets_it_again(post: Post) -> None:
    receiver = Receiver()
    receiver.prompt.clear()
    await post.receive(receiver)
    await post.start()
    made = [await post.call() for _ in range(2)]
    await until(lambda: len(receiver.got) >= 2)  # the first wasn't answered in time
    receiver.prompt.set()
    await until(lambda: {call["id"] for call in receiver.data} == set(made))
    assert all(headers["webhook-id"] == json.loads(body)["data"]["id"] for headers, body in receiver.got)
    await post.stop()


async def test_a_receiver_that_goes_and_comes_back_misses_no_call(post: Post) -> None:
    receiver = Receiver()
    await post.receive(receiver)
    await post.start()
    made = [await post.call()]
    await until(lambda: len(receiver.got) == 1)
    await post.away()
    made += [await post.call() for _ in range(3)]
    await post.receive(receiver)
    await until(lambda: {call["id"] for call in receiver.data} == set(made))
    await post.stop()


async def test_what_couldnt_be_posted_is_posted_after_the_next_start(post: Post) -> None:
    await post.receive(Receiver())
    await post.away()
    await post.start()
    made = {await post.call() for _ in range(3)}
    await post.stop()
    receiver = Receiver()
    await post.receive(receiver)
    await post.start()
    await until(lambda: {call["id"] for call in receiver.data} == made)
    await post.stop()


async def test_a_call_whose_process_died_is_posted(post: Post) -> None:
    receiver = Receiver()
    await post.receive(receiver)
    await post.start()
    talk = Talk().recorded_by(post.recorder)
    await until(lambda: post.recorder.health().queued == 0)
    await post.stop()
    await post.start()
    await until(lambda: len(receiver.got) == 1)
    assert [(call["id"], call["cause"]) for call in receiver.data] == [(talk.info.id, PROCESS_DIED)]
    await post.stop()


async def test_what_was_forgotten_meanwhile_is_not_posted(post: Post) -> None:
    await post.receive(Receiver())
    await post.away()
    await post.start()
    await post.call()
    assert await post.recorder.database.forget("alice") == 1
    receiver = Receiver()
    await post.receive(receiver)
    kept = await post.call()
    await until(lambda: bool(receiver.got))
    assert [call["id"] for call in receiver.data] == [kept]
    await post.stop()


def test_calls_need_somewhere_to_go() -> None:
    with pytest.raises(ValueError, match=r"webhook\.url must be set"):
        Settings.model_validate({"webhook": {"calls": True}})


@pytest.mark.parametrize("summary", ["A table for two.", None])
async def test_what_is_posted_is_summed_up_once(post: Post, summary: str | None) -> None:
    asked = []

    async def summarize(call: Call) -> str | None:
        asked.append([turn.text for turn in call.turns])
        return summary

    receiver = Receiver(500, 500)
    await post.receive(receiver)
    await post.start(summarize)
    id = await post.call("Two, please.")
    await until(lambda: len(receiver.got) == 3)
    assert [call["summary"] for call in receiver.data] == [summary] * 3
    assert asked == [["Two, please."]] * (1 if summary else 3)
    record = await post.recorder.database.call(id)
    assert record
    assert record.summary == summary
    await post.stop()


async def test_what_waited_for_long_is_posted_without_a_summary(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def summarize(_: Call) -> str | None:
        raise AssertionError

    monkeypatch.setattr(module, "SUMMED_UP_S", 0.0)
    receiver = Receiver()
    await post.receive(receiver)
    await post.start(summarize)
    await post.call()
    await until(lambda: len(receiver.got) == 1)
    assert receiver.data[0]["summary"] is None
    await post.stop()
