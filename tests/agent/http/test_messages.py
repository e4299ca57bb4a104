"""The messages that callers left, over a real socket."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import httpx2
import pytest

from agent.http.app import create_app
from agent.voicemail import Voicemail
from config.settings import Settings
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls, FakeModels
from tests.agent.http.test_control import assert_problem
from tests.waiting import until
from transports.call import CallInfo


async def written(_: bytes, __: str) -> str:
    return "It is raining."


@pytest.fixture
def voicemail(tmp_path: Path) -> Voicemail:
    return Voicemail(Settings(state_dir=tmp_path), written)


@pytest.fixture
async def client(serve: Serve, voicemail: Voicemail) -> httpx2.AsyncClient:
    return await serve(
        create_app(settings=Settings(), calls=FakeCalls(), models=FakeModels(), voicemail=voicemail)
    )


async def test_messages_are_listed_heard_and_deleted(
    client: httpx2.AsyncClient, voicemail: Voicemail
) -> None:
    assert (await client.get("/api/v1/messages")).json() == {"messages": []}
    id = voicemail.take(bytes(32_000), CallInfo("sip", "alice", "600"), persona="Joe", language="en")
    await until(lambda: voicemail.messages[0].text is not None)
    (message,) = (await client.get("/api/v1/messages")).json()["messages"]
    assert (message["id"], message["from"], message["to"], message["seconds"]) == (id, "alice", "600", 1.0)
    assert (message["text"], message["pending"]) == ("It is raining.", [])
    sound = await client.get(f"/api/v1/messages/{id}/audio")
    assert (sound.headers["content-type"], sound.content[:4]) == ("audio/wav", b"RIFF")
    assert (await client.delete(f"/api/v1/messages/{id}")).status_code == 204
    assert_problem(await client.delete(f"/api/v1/messages/{id}"), 404, id)
    assert_problem(await client.get(f"/api/v1/messages/{id}/audio"), 404, id)
    await voicemail.close()


async def test_who_is_forgotten_has_left_no_message(
    client: httpx2.AsyncClient, voicemail: Voicemail, tmp_path: Path
) -> None:
    voicemail.take(bytes(32_000), CallInfo("sip", "alice", "600"), persona="Joe", language="en")
    await until(lambda: voicemail.messages[0].text is not None)
    answer = await client.delete("/api/v1/sessions?from=alice")
    assert answer.json() == {"calls": 0, "messages": 1, "recordings": 0}
    assert list((tmp_path / "messages").iterdir()) == []
    await voicemail.close()


async def test_a_message_that_the_disk_keeps_is_told_and_stays(
    client: httpx2.AsyncClient, voicemail: Voicemail, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlink(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    id = voicemail.take(bytes(32_000), CallInfo("sip", "alice", "600"), persona="Joe", language="en")
    await until(lambda: voicemail.messages[0].text is not None)
    with monkeypatch.context() as disk:
        disk.setattr(Path, "unlink", unlink)
        for what in (f"messages/{id}", "sessions?from=alice"):
            assert_problem(await client.delete(f"/api/v1/{what}"), 503, "Read-only file system. Let offhook")
        assert [message.id for message in voicemail.messages] == [id]
    assert (await client.delete("/api/v1/sessions?from=alice")).json()["messages"] == 1
    await voicemail.close()


async def test_no_other_file_is_reached(client: httpx2.AsyncClient, tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(b"RIFF")
    for id in ("secret", "..%2Fsecret", "%2E%2E"):
        assert (await client.get(f"/api/v1/messages/{id}/audio")).status_code == 404
