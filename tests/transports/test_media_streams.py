"""Each carrier's documented messages against the server, over real sockets, with a fake agent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx2
import numpy as np
import pytest
import uvicorn
import websockets
from fastapi import FastAPI
from pipecat.frames.frames import InterruptionFrame

from config.carriers import CarrierSettings
from tests.transports import carrier_stream
from tests.transports.carrier_stream import DEADLINE_S, Stream
from tests.transports.fake_agent import FakeAgent, Recorder, tone
from tests.transports.media_carriers import SIDES, FakeCarrier, GenesysSide, TelnyxSide, TwilioSide, loudness
from tests.waiting import until
from transports.call import CallTransport, EndReason
from transports.media_streams import router
from transports.media_streams.call import MALFORMED
from transports.media_streams.router import carriers_router
from transports.media_streams.twilio import Twilio


class KeyedAgent(FakeAgent):
    """Keys: 1 speaks for long, 2 interrupts, 9 hangs up."""

    async def obey(self, call: CallTransport, recorder: Recorder, digit: str) -> None:
        if digit == "1":
            await recorder.say(tone(20))
        elif digit == "2":
            await recorder.push_frame(InterruptionFrame())
        elif digit == "9":
            await call.hangup()


@dataclass
class Server:
    agent: KeyedAgent
    url: str

    async def ask(self, side: FakeCarrier, **change: Any) -> httpx2.Response:
        return await carrier_stream.ask(self.url, side, **change)

    async def connect(self, side: FakeCarrier, path: str | None = None) -> websockets.ClientConnection:
        return await carrier_stream.connect(self.url, side, path)

    @asynccontextmanager
    async def call(self, side: FakeCarrier) -> AsyncIterator[Stream]:
        stream = Stream(side, await self.connect(side))
        calls = len(self.agent.recorders)
        await stream.send(*side.opening())
        await until(lambda: len(self.agent.recorders) > calls and self.agent.recorders[-1].started)
        try:
            yield stream
        finally:
            await stream.close()

    async def nobody_left(self) -> None:
        await until(lambda: not self.agent.live)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    agent = KeyedAgent(greeting_s=0, echoes=True)
    values: dict[str, Any] = {
        side.name: {"account": side.account, "secret": side.secret or None} for side in SIDES
    }
    values["twilio"]["account"] = values["plivo"]["account"] = ""  # no hanging up by their APIs
    settings = CarrierSettings.model_validate(
        values | {"enabled": [side.name for side in SIDES], "public_url": "https://phone.example"}
    )
    app = FastAPI()
    app.include_router(carriers_router(settings, agent, agent.accepting, gone_s=1.0))
    before = asyncio.all_tasks()
    running = _Quiet(
        uvicorn.Config(
            app, port=0, log_config=None, ws="websockets-sansio", ws_max_size=65536, lifespan="off"
        )
    )
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(running.serve([listening]))
    await until(lambda: running.started)
    yield Server(agent, f"http://127.0.0.1:{listening.getsockname()[1]}")
    running.should_exit = True
    await serving
    listening.close()
    async with asyncio.timeout(DEADLINE_S):
        while left := asyncio.all_tasks() - before - {asyncio.current_task()}:
            await asyncio.wait(left)


class _Quiet(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@pytest.fixture(params=SIDES, ids=lambda side: side.name)
def side(request: pytest.FixtureRequest) -> FakeCarrier:
    return request.param()  # type: ignore[no-any-return]


async def test_speech_goes_in_and_comes_back(server: Server, side: FakeCarrier) -> None:
    async with server.call(side) as stream:
        info = server.agent.live[0].info
        assert (info.transport, info.call_id) == (side.name, side.call_id)
        assert info.caller.endswith("15550100")
        assert info.called.endswith("15550199")
        await stream.speak(tone(1.0, rate_hz=side.rate_hz))
        await until(lambda: len(stream.audio) >= side.rate_hz * 1.8)
        assert loudness(bytes(server.agent.recorders[0].pcm)) > 4000
        said = np.frombuffer(bytes(stream.audio), np.int16).astype(float)
        spectrum = np.abs(np.fft.rfft(said))
        assert abs(int(spectrum.argmax()) * side.rate_hz / len(said) - 440) < 5
        await stream.send(side.stop())
    await server.nobody_left()
    assert server.agent.ended == [EndReason.CALLER_HANGUP]


async def test_keys_are_seen_in_the_pipeline_and_as_events(server: Server, side: FakeCarrier) -> None:
    async with server.call(side) as stream:
        for digit in "34#":
            await stream.send(side.dtmf(digit))
        await until(
            lambda: server.agent.recorders[0].keys == "34#" and sorted(server.agent.keys) == sorted("34#")
        )


async def test_barge_in_clears_at_once_and_falls_silent(server: Server, side: FakeCarrier) -> None:
    server.agent.echoes = False  # not the silence either in which this carrier sends nothing
    async with server.call(side) as stream:
        await stream.send(side.dtmf("1"))
        await until(lambda: loudness(bytes(stream.audio[-1600:])) > 4000)
        await stream.send(side.dtmf("2"))
        await until(lambda: "clear" in stream.kinds)
        at = stream.kinds.index("clear")
        await until(lambda: len(stream.kinds) > at + 3)
        tail = bytes(stream.audio)[-2 * side.rate_hz * side.packet_ms // 1000 :]
        assert loudness(tail) < 50, "silence after the fade"


async def test_the_agent_hangs_up(server: Server, side: FakeCarrier) -> None:
    async with server.call(side) as stream:
        await stream.send(side.dtmf("9"))
        assert await stream.closed() == 1000
    await server.nobody_left()


async def test_a_caller_who_vanishes_is_noticed(server: Server, side: FakeCarrier) -> None:
    async with server.call(side) as stream:
        stream.socket.transport.abort()
        await server.nobody_left()
    assert server.agent.ended == [EndReason.CALLER_HANGUP]


async def test_a_stream_that_stalls_is_ended(server: Server, side: FakeCarrier) -> None:
    async with server.call(side) as stream:
        assert await stream.closed() == 3008
    await server.nobody_left()
    assert server.agent.ended == [EndReason.CALLER_GONE]


BAD = ["{", "[1]", '{"event": "media", "media": 3}', '{"event": "media", "media": {"payload": "%%%"}}']


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_message_is_skipped(server: Server, bad: str) -> None:
    async with server.call(TwilioSide()) as stream:
        for _ in range(50):
            await stream.send(bad)
        await stream.send(stream.side.dtmf("7"))
        await until(lambda: server.agent.keys == "7")
        assert server.agent.ended == []


async def test_hundreds_of_bad_messages_end_their_own_call_only(server: Server) -> None:
    async with server.call(TwilioSide()) as other:
        async with server.call(TwilioSide()) as stream:
            await until(lambda: len(server.agent.live) == 2)
            with contextlib.suppress(websockets.ConnectionClosed):
                for _ in range(MALFORMED + 1):
                    await stream.send("{")
            assert await stream.closed() == 1007
        await until(lambda: len(server.agent.live) == 1)
        await other.send(other.side.dtmf("7"))
        await until(lambda: server.agent.keys == "7")


async def test_a_message_that_is_too_large_ends_its_call(server: Server) -> None:
    async with server.call(TwilioSide()) as stream:
        await stream.send("x" * 70_000)
        assert await stream.closed() == 1009


async def test_media_out_of_order_and_twice_are_heard_in_order_once(server: Server) -> None:
    t = np.arange(8000) / 8000
    sweep = np.asarray(8000 * np.sin(2 * np.pi * (300 * t + 1200 * t * t)), np.int16)
    heard = []
    for disturbed in (False, True):
        side = TwilioSide()
        async with server.call(side) as stream:
            media = [side.media(sweep[at : at + 160].tobytes()) for at in range(0, 8000, 160)]
            for at in range(1, 49, 5) if disturbed else ():
                media[at], media[at + 1] = media[at + 1], media[at]
            for at in range(48, 0, -7) if disturbed else ():
                media.insert(at, media[at])
            await stream.send(*media)
            await until(lambda: len(server.agent.recorders[-1].pcm) >= 32_000)
            pcm = np.frombuffer(bytes(server.agent.recorders[-1].pcm), np.int16)
            heard.append(np.trim_zeros(pcm)[:31_000])
        await server.nobody_left()
    assert np.array_equal(heard[0], heard[1])


async def test_a_stream_that_pauses_is_silence_to_the_pipeline(server: Server) -> None:
    side = TwilioSide()
    async with server.call(side) as stream:
        await stream.speak(tone(0.4, rate_hz=8000))
        await asyncio.sleep(0.7)
        await stream.speak(tone(0.4, rate_hz=8000))
        await asyncio.sleep(0.2)
        heard = np.frombuffer(bytes(server.agent.recorders[0].pcm), np.int16)
        loud = np.nonzero(np.abs(heard) > 4000)[0]
        assert 0.4 < np.diff(loud).max() / 16_000 < 0.9


async def test_a_flood_is_ended(server: Server) -> None:
    side = TwilioSide()
    async with server.call(side) as stream:
        media = side.media(tone(0.02, rate_hz=8000))
        with contextlib.suppress(websockets.ConnectionClosed):
            for _ in range(20_000):
                await stream.send(media)
        assert await stream.closed() == 1008
    await server.nobody_left()


async def test_requests_that_arent_signed_are_refused(server: Server, side: FakeCarrier) -> None:
    if isinstance(side, GenesysSide):
        headers = side.sign({}, b"") | {"audiohook-session-id": "another"}
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(
                server.url.replace("http", "ws", 1) + "/api/v1/carriers/genesys/stream",
                additional_headers=headers,
            )
        assert refused.value.response.status_code == 401
        return
    wrong = dict.fromkeys(
        ("X-Twilio-Signature", "telnyx-signature-ed25519", "X-Plivo-Signature-V3", "Authorization"),
        "Basic AA==",
    )
    assert (await server.ask(side, headers=wrong)).status_code == 403


async def test_a_clock_that_is_wrong_is_named(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(time=lambda: time.time() + 3600, monotonic=time.monotonic)
    monkeypatch.setattr(router, "time", clock)
    refused = await server.ask(TelnyxSide())
    assert refused.status_code == 403
    assert "s before what this machine's clock says" in refused.json()["detail"]
    with pytest.raises(websockets.InvalidStatus) as denied:
        await websockets.connect(
            server.url.replace("http", "ws", 1) + "/api/v1/carriers/genesys/stream",
            additional_headers=GenesysSide().sign({}, b""),
        )
    assert denied.value.response.status_code == 401
    assert "Set the clock" in denied.value.response.body.decode()


async def test_a_token_is_wanted_and_good_once(server: Server) -> None:
    side = TwilioSide()
    path = side.stream_path((await server.ask(side)).text)
    first = await server.connect(side, path)
    for again in (path, path[:-1] + "_", "/api/v1/carriers/plivo/stream/x"):
        with pytest.raises(websockets.InvalidStatus) as refused:
            await server.connect(side, again)
        assert refused.value.response.status_code == 403
    await first.close()


async def test_a_token_for_another_call_is_refused(server: Server) -> None:
    side, other = TwilioSide(), TwilioSide()
    stream = Stream(side, await server.connect(side))
    await stream.send(*other.opening())
    assert await stream.closed() == 1008
    assert not server.agent.recorders


async def test_a_full_server_says_busy(server: Server) -> None:
    server.agent.max_calls = 0
    assert 'reason="busy"' in (await server.ask(TwilioSide())).text
    statuses = {
        side.name: (await server.ask(side())).status_code for side in SIDES if side is not GenesysSide
    }
    assert statuses == {"twilio": 200, "telnyx": 200, "plivo": 200, "exotel": 503, "vonage": 503}
    side = GenesysSide()
    stream = Stream(side, await server.connect(side))
    await stream.send(*side.opening())
    assert await stream.closed() == 1013


async def test_a_stream_that_never_starts_right_is_refused(server: Server) -> None:
    for opening, code in (([b"\0", b"\0", b"\0"], 1002), (["{"], 1007), (['{"event": "start"}'], 1002)):
        side = TwilioSide()
        stream = Stream(side, await server.connect(side))
        await stream.send(*opening)
        assert await stream.closed() == code
    assert not server.agent.recorders


async def test_of_names_only_what_can_be_shown_is_kept(server: Server) -> None:
    side = GenesysSide()
    stream = Stream(side, await server.connect(side))
    (opening,) = side.opening()
    assert isinstance(opening, str)
    opening = opening.replace("+15550100", r"al\ud800ice").replace("+15550199", r"support\u0007")
    await stream.send(opening)
    await until(lambda: server.agent.live)
    info = server.agent.live[0].info
    assert (info.caller, info.called) == ("alice", "support")
    await stream.close()
    await server.nobody_left()


async def test_genesys_opens_pings_probes_and_closes_by_its_protocol(server: Server) -> None:
    side = GenesysSide()
    async with server.call(side) as stream:
        await stream.send(side.ping(), side.stop())
        await until(lambda: stream.kinds[-1:] == ["closed"])
        assert [kind for kind in stream.kinds if kind != "audio"] == ["opened", "pong", "closed"]
        assert [message["clientseq"] for message in stream.others] == [1, 2, 3]
    await server.nobody_left()

    probe = GenesysSide()
    probe.call_id = "00000000-0000-0000-0000-000000000000"
    trial = Stream(probe, await server.connect(probe))
    await trial.send(*probe.opening(), probe.ping(), probe.stop())
    await until(lambda: trial.kinds == ["opened", "pong", "closed"])
    await trial.closed()
    assert len(server.agent.recorders) == 1


@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated", "ignore:The 'auth' parameter is deprecated")
async def test_twilio_is_told_to_hang_up_by_its_api(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    asked: list[tuple[str, str]] = []

    async def twilio_api(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        body = (await reader.readexactly(len("Status=completed"))).decode()
        asked.append((head.splitlines()[0], body))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    api = await asyncio.start_server(twilio_api, "127.0.0.1", 0)
    port = api.sockets[0].getsockname()[1]
    monkeypatch.setattr(Twilio, "api_url", f"http://127.0.0.1:{port}")
    opened = Twilio.open

    def with_account(self: Twilio, message: dict[str, Any]) -> Any:
        self.account = "AC1"
        return opened(self, message)

    monkeypatch.setattr(Twilio, "open", with_account)
    side = TwilioSide()
    async with server.call(side) as stream:
        await stream.send(side.dtmf("9"))
        assert await stream.closed() == 1000
    assert asked == [
        (f"POST /2010-04-01/Accounts/AC1/Calls/{side.call_id}.json HTTP/1.1", "Status=completed")
    ]
    api.close()
    await api.wait_closed()


async def test_answer_documents_are_what_each_console_wants(server: Server) -> None:
    texts = {side.name: (await server.ask(side())).text for side in SIDES if side is not GenesysSide}
    assert texts["twilio"].startswith('<Response><Connect><Stream url="wss://phone.example/api/v1/carriers/')
    assert 'bidirectionalMode="rtp"' in texts["telnyx"]
    assert 'keepCallAlive="true"' in texts["plivo"]
    assert json.loads(texts["exotel"])["url"].startswith("wss://phone.example/")
    (action,) = json.loads(texts["vonage"])
    assert action["endpoint"][0]["content-type"] == "audio/l16;rate=16000"
