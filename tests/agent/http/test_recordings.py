"""Recordings over HTTP."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx2
import numpy as np
import pytest
import soundfile
import websockets

from agent.http.app import create_app
from agent.observer import Recorded
from agent.recordings.file import RecordingFile
from agent.recordings.listener import Listener
from agent.recordings.recordings import Recordings
from agent.recordings.tap import CALLER, Sound
from agent.records.recorder import Recorder
from config.settings import Settings
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls, FakeModels, FakeMonitor
from tests.agent.records.conftest import Talk
from tests.waiting import until
from transports.call import EndReason, MediaStats

RATE_HZ = 16_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate({"state_dir": tmp_path, "recordings": {"enabled": True}})


@pytest.fixture
def calls() -> FakeCalls:
    return FakeCalls()


@pytest.fixture
async def client(
    serve: Serve, calls: FakeCalls, recorder: Recorder, settings: Settings
) -> httpx2.AsyncClient:
    return await serve(
        create_app(
            settings=settings,
            calls=calls,
            models=FakeModels(),
            past=recorder.database,
            recordings=Recordings(settings, recorder.database),
        )
    )


async def recorded(recorder: Recorder, settings: Settings, caller: str = "alice") -> Talk:
    """A call of four seconds that is over, and in whose recording a turn of the caller's begins at 2.5 s."""
    talk = Talk()
    path = settings.state_dir / "recordings" / f"{talk.info.id}.flac"
    file = RecordingFile(path)
    file.write(np.tile(np.repeat(np.array([100, 16_384], np.int16), 2 * RATE_HZ)[:, None], (1, 2)))
    file.finish()
    file.flush()
    file.close()
    talk.recorded = Recorded(path, talk.info.since, 4.0, path.stat().st_size)
    talk.recorded_by(recorder)
    talk.conversation.caller_said("Hello.")
    talk.conversation.turns[0].began = talk.info.since + timedelta(seconds=2.5).total_seconds()
    recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats())
    await until(lambda: recorder.health().queued == 0)
    assert talk.info.caller == caller
    return talk


async def test_a_player_takes_it_in_ranges(
    client: httpx2.AsyncClient, recorder: Recorder, settings: Settings
) -> None:
    talk = await recorded(recorder, settings)
    url = f"/api/v1/sessions/{talk.info.id}/recording"
    whole = await client.get(url)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "audio/flac")
    part = await client.get(url, headers={"Range": "bytes=100-199"})
    assert part.status_code == 206
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole.content)}"
    assert part.content == whole.content[100:200]
    assert (await client.get(url, headers={"Range": "bytes=99999999-"})).status_code == 416


async def test_one_that_grows_is_had_as_it_was(
    client: httpx2.AsyncClient, recorder: Recorder, settings: Settings
) -> None:
    talk = await recorded(recorder, settings)
    path = settings.state_dir / "recordings" / f"{talk.info.id}.flac"
    path.write_bytes(before := os.urandom(32_000_000))  # more than waits on the way
    async with client.stream("GET", f"/api/v1/sessions/{talk.info.id}/recording") as answer:
        whole = answer.aiter_bytes(65_536)
        got = bytearray(await anext(whole))
        with path.open("ab") as file:
            file.write(b"more")
        async for part in whole:
            got += part
    assert got == before


async def test_a_session_says_where_it_is_and_where_each_turn_begins(
    client: httpx2.AsyncClient, recorder: Recorder, settings: Settings
) -> None:
    talk = await recorded(recorder, settings)
    session = (await client.get(f"/api/v1/sessions/{talk.info.id}")).json()
    assert talk.recorded
    assert session["recording"] | {"began": ""} == {
        "path": str(talk.recorded.path),
        "began": "",
        "seconds": 4.0,
        "bytes": talk.recorded.bytes,
        "paused": False,
    }
    assert session["transcript"][0]["recorded_s"] == 2.5
    left, _ = soundfile.read(talk.recorded.path, start=round(2.5 * RATE_HZ), dtype="int16")
    assert left[0, 0] == 16_384


async def test_its_outline(client: httpx2.AsyncClient, recorder: Recorder, settings: Settings) -> None:
    talk = await recorded(recorder, settings)
    url = f"/api/v1/sessions/{talk.info.id}/recording/peaks"
    assert (await client.get(f"{url}?points=4")).json() == {
        "caller": [0.0, 0.0, 0.502, 0.502],
        "agent": [0.0, 0.0, 0.502, 0.502],
    }
    assert len((await client.get(url)).json()["caller"]) == 80
    assert (await client.get(f"{url}?points=0")).status_code == 422


async def test_who_is_forgotten_has_no_recording(
    client: httpx2.AsyncClient, recorder: Recorder, settings: Settings
) -> None:
    talk = await recorded(recorder, settings)
    assert (await client.delete("/api/v1/sessions?from=alice")).json()["recordings"] == 1
    assert list((settings.state_dir / "recordings").iterdir()) == []
    for what in ("", "/peaks"):
        answer = await client.get(f"/api/v1/sessions/{talk.info.id}/recording{what}")
        assert answer.status_code == 404
        assert "on this machine" in answer.json()["detail"]


async def test_one_is_deleted_and_its_record_stays(
    client: httpx2.AsyncClient, recorder: Recorder, settings: Settings
) -> None:
    talk = await recorded(recorder, settings)
    url = f"/api/v1/sessions/{talk.info.id}"
    assert (await client.delete(f"{url}/recording")).status_code == 204
    assert (await client.delete(f"{url}/recording")).status_code == 404
    assert (await client.get(url)).json()["recording"] is None


async def test_a_disk_that_keeps_what_is_to_go_is_told(
    client: httpx2.AsyncClient, recorder: Recorder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlink(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    talk = await recorded(recorder, settings)
    monkeypatch.setattr(Path, "unlink", unlink)
    for what in (f"/{talk.info.id}/recording", "?from=alice"):
        refused = await client.delete(f"/api/v1/sessions{what}")
        assert refused.status_code == 503
        assert "Read-only file system. Let offhook write" in refused.json()["detail"]
    assert (await client.get(f"/api/v1/sessions/{talk.info.id}")).status_code == 200  # its record stays


async def test_pausing(client: httpx2.AsyncClient, calls: FakeCalls) -> None:
    call = calls.add()
    url = f"/api/v1/sessions/{call.info.id}/recording"
    call.monitor.error = "The call isn't recorded."
    refused = await client.put(url, json={"paused": True})
    assert (refused.status_code, refused.json()["detail"]) == (409, "The call isn't recorded.")
    call.monitor.error = ""
    assert (await client.put(url, json={"paused": True})).status_code == 200
    assert call.monitor.paused
    assert [(one.name, one.arguments) for one in call.actions] == [("recording", {"paused": True})]
    assert (
        await client.put("/api/v1/sessions/000000000000/recording", json={"paused": True})
    ).status_code == 404


class Heard(FakeMonitor):
    """A monitor of a wire that the test has."""

    def __init__(self) -> None:
        super().__init__()
        self.takes: list[Callable[[Sound], None]] = []
        self.add, self.remove = self.takes.append, self.takes.remove
        self.listener: Listener | None = None

    def listen(self, on_over: Callable[[], None]) -> Listener:
        clock = asyncio.get_running_loop().time
        self.listener = Listener(self, clock, lambda _: on_over())  # type: ignore[arg-type]
        return self.listener


async def test_listening(client: httpx2.AsyncClient, calls: FakeCalls) -> None:
    call, monitor = calls.add(), Heard()
    call.monitor = monitor
    url = f"{str(client.base_url).replace('http', 'ws', 1).rstrip('/')}/api/v1/sessions/{call.info.id}/listen"
    async with websockets.connect(url) as socket:
        header = json.loads(await socket.recv())
        assert {key: header[key] for key in ("session", "format", "rate_hz", "channels")} == {
            "session": call.info.id,
            "format": "s16le",
            "rate_hz": RATE_HZ,
            "channels": ["caller", "agent"],
        }
        now = asyncio.get_running_loop().time()
        monitor.takes[0](Sound(CALLER, 0, np.full(320, 1000, np.int16), now))
        heard = b""
        while not any(heard):
            pcm = await socket.recv()
            assert isinstance(pcm, bytes)
            assert len(pcm) == RATE_HZ // 10 * 4
            heard += pcm
        assert np.frombuffer(heard, np.int16).reshape(-1, 2).max(axis=0).tolist() == [1000, 0]
        assert monitor.listener
        monitor.listener.end()  # while its record is still written
        assert [one.name for one in call.actions] == ["listening_began", "listening_ended"]
        async for _ in socket:
            pass
        assert socket.close_code == 1000
    await until(lambda: monitor.takes == [])
    assert len(call.actions) == 2


async def test_not_to_a_call_that_isnt_announced(client: httpx2.AsyncClient, calls: FakeCalls) -> None:
    call = calls.add()
    call.monitor.error = "The caller hasn't been told."
    base = f"{str(client.base_url).replace('http', 'ws', 1).rstrip('/')}/api/v1/sessions/"
    for id, status in ((call.info.id, 409), ("000000000000", 404)):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with websockets.connect(f"{base}{id}/listen"):
                pass
        assert refused.value.response.status_code == status
    assert call.actions == []
