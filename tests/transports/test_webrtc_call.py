"""A real aiortc client calls the real endpoint, inside a network namespace."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription

from config.settings import WebRtcSettings
from tests.transports import netns
from tests.transports.fake_agent import FakeAgent, rtvi, tone
from tests.waiting import until
from transports.call import CallGone, CallRefused, EndReason
from transports.webrtc.audio import SpeechTrack
from transports.webrtc.call import STALLED_S
from transports.webrtc.endpoint import OfferError, UnknownCall, WebRtcEndpoint

pytestmark = [pytest.mark.netns, pytest.mark.peers]


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    with netns.cable() as cable, netns.inside(cable.server):
        yield


@pytest.fixture
def mute_stun(network: None) -> Iterator[str]:
    """A STUN server that never answers: whoever gathers candidates takes 1.5 s."""
    with socket.socket(type=socket.SOCK_DGRAM) as mute:
        mute.bind((netns.HERE, 0))
        yield f"stun:{netns.HERE}:{mute.getsockname()[1]}"


class Browser:
    """An aiortc peer that behaves like one: offers, sends a tone, listens, keeps a data channel."""

    def __init__(self) -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.pcm = tone(60, 700)
        self.channel = self.pc.createDataChannel("rtvi")
        self.messages: list[dict[str, Any]] = []
        self.heard: list[np.ndarray] = []
        self.pc.addTrack(SpeechTrack(self._speak))
        self.channel.on("message", lambda text: self.messages.append(json.loads(text)))
        self.pc.on("track", self._listen)
        self._listening: asyncio.Task[None] | None = None

    async def offer(self) -> str:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return str(self.pc.localDescription.sdp)

    async def take(self, answer: str) -> None:
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def call(self, endpoint: WebRtcEndpoint, token: str | None = None) -> str:
        offer = await self.offer()
        answer = await (endpoint.reconnect(token, offer) if token else endpoint.call(offer))
        await self.take(answer.sdp)
        return answer.token

    async def say(self, kind: str, data: dict[str, Any]) -> None:
        await until(lambda: self.channel.readyState == "open")
        self.channel.send(json.dumps({"id": "1"} | rtvi(kind, data)))

    async def vanish(self) -> None:
        """Leave as a killed process does: nothing more is sent, nothing is said."""
        for transceiver in self.pc.getTransceivers():
            await transceiver.sender.transport.transport._connection.close()
        if self._listening:
            self._listening.cancel()

    async def close(self) -> None:
        await self.pc.close()
        if self._listening:
            self._listening.cancel()

    def peak(self) -> int:
        return max((int(np.abs(chunk).max()) for chunk in self.heard), default=0)

    def _speak(self, samples: int) -> bytes:
        chunk, self.pcm = self.pcm[: samples * 2], self.pcm[samples * 2 :]
        return chunk.ljust(samples * 2, b"\0")

    def _listen(self, track: Any) -> None:
        async def listen() -> None:
            while True:
                self.heard.append((await track.recv()).to_ndarray())

        self._listening = asyncio.create_task(listen())


@asynccontextmanager
async def serving(agent: FakeAgent, **settings: Any) -> AsyncIterator[WebRtcEndpoint]:
    before = asyncio.all_tasks()
    endpoint = WebRtcEndpoint(agent, WebRtcSettings(**settings))
    try:
        yield endpoint
    finally:
        await endpoint.close()
        assert not agent.live
        with suppress(TimeoutError):
            await until(lambda: not asyncio.all_tasks() - before, 5)
        assert not asyncio.all_tasks() - before


def level(pcm: bytes) -> int:
    return int(np.abs(np.frombuffer(pcm, np.int16)).max()) if pcm else 0


async def test_both_sides_hear_each_other(network: None) -> None:
    agent = FakeAgent()
    async with serving(agent) as endpoint:
        browser = Browser()
        await browser.call(endpoint)
        await until(lambda: browser.peak() > 7000)
        await until(lambda: len(agent.recorders[0].pcm) > 32000)
        heard = np.frombuffer(bytes(agent.recorders[0].pcm[-16000:]), np.int16)
        spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
        assert abs(int(spectrum.argmax()) * 16000 / len(heard) - 700) < 4
        assert 7000 < np.abs(heard).max() < 9000
        await browser.close()
        assert agent.connected == 1


async def test_an_empty_datagram_from_anyone_ends_no_connection(network: None) -> None:
    async with serving(FakeAgent(greeting_s=30)) as endpoint:
        browser = Browser()
        answer = await endpoint.call(await browser.offer())
        await browser.take(answer.sdp)
        await until(lambda: browser.peak() > 7000)
        candidate = re.search(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", answer.sdp)
        assert candidate
        with socket.socket(type=socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"", (candidate[1], int(candidate[2])))
        browser.heard.clear()
        await until(lambda: len(browser.heard) > 25)
        assert browser.pc.connectionState == "connected"
        await browser.close()


async def test_a_browser_that_tells_no_addresses_is_found_by_its_checks(network: None) -> None:
    async with serving(FakeAgent()) as endpoint:
        browser = Browser()
        offer = re.sub(r"(a=candidate:\S+ \d udp \d+) \S+", r"\1 0f6c.local", await browser.offer())
        assert "0f6c.local" in offer
        assert "a=end-of-candidates" in offer
        answer = await endpoint.call(offer)
        await endpoint.add_candidate(answer.token, "", "0", 0)
        await browser.take(answer.sdp)
        await until(lambda: browser.peak() > 7000)
        await browser.close()


async def test_opus_is_agreed_on_even_where_it_is_offered_last(network: None) -> None:
    async with serving(FakeAgent()) as endpoint:
        browser = Browser()
        (transceiver,) = browser.pc.getTransceivers()
        codecs = RTCRtpSender.getCapabilities("audio").codecs
        transceiver.setCodecPreferences(sorted(codecs, key=lambda codec: codec.mimeType == "audio/opus"))
        answer = await endpoint.call(await browser.offer())
        assert re.findall(r"a=rtpmap:\d+ (\S+)", answer.sdp) == ["opus/48000/2"]
        await browser.take(answer.sdp)
        await until(lambda: browser.peak() > 7000)
        assert browser.peak() < 9000
        await browser.close()


async def test_messages_and_keys_pass_through_the_data_channel(network: None) -> None:
    agent = FakeAgent(greeting_s=0)
    async with serving(agent) as endpoint:
        browser = Browser()
        await browser.call(endpoint)
        await browser.say("send-text", {"content": "hello"})
        await browser.say("dtmf", {"buttons": ["1", "#", "x", 7]})
        await until(lambda: agent.keys == "1#" and agent.recorders[0].keys == "1#")
        await until(lambda: browser.messages)
        assert browser.messages == [rtvi("bot-tts-text", {"text": "hello"})]
        assert [m["type"] for m in agent.messages] == ["send-text"]
        await browser.close()


async def test_a_message_that_is_no_whole_text_is_left_out(network: None) -> None:
    agent = FakeAgent(greeting_s=0)
    async with serving(agent) as endpoint:
        browser = Browser()
        await browser.call(endpoint)
        await browser.say("send-text", {"content": "half \ud800"})
        browser.channel.send("[" * 10_000)
        await browser.say("send-text", {"content": "whole"})
        await until(lambda: browser.messages)
        assert [m["data"]["content"] for m in agent.messages] == ["whole"]
        await browser.close()


async def test_a_goodbye_ends_the_call_at_once(network: None) -> None:
    agent = FakeAgent()
    async with serving(agent) as endpoint:
        browser = Browser()
        token = await browser.call(endpoint)
        await browser.say("disconnect-bot", {})
        await until(lambda: agent.ended == [EndReason.CALLER_HANGUP])
        with pytest.raises(UnknownCall):
            await endpoint.hang_up(token)
        await browser.close()


async def test_the_agents_hangup_reaches_the_browser(network: None) -> None:
    agent = FakeAgent()
    async with serving(agent) as endpoint:
        browser = Browser()
        await browser.call(endpoint)
        await until(lambda: browser.channel.readyState == "open")
        await agent.live[0].hangup()
        await until(lambda: browser.messages)
        assert browser.messages[-1]["message"] == {"type": "peerLeft", "reason": "agent_hangup"}
        await browser.close()


async def test_a_vanished_browser_is_gone_in_time(network: None) -> None:
    agent = FakeAgent()
    async with serving(agent, gone_s=2) as endpoint:
        browser = Browser()
        await browser.call(endpoint)
        await until(lambda: agent.connected)
        await browser.vanish()
        loop = asyncio.get_running_loop()
        start = loop.time()
        await until(lambda: agent.ended == [EndReason.CALLER_GONE])
        assert loop.time() - start < 3
        await until(lambda: not agent.live)
        await browser.close()


async def test_an_answered_browser_that_never_connects_is_gone_in_time(network: None) -> None:
    agent = FakeAgent()
    async with serving(agent, gone_s=2) as endpoint:
        browser = Browser()
        await endpoint.call(await browser.offer())
        await until(lambda: agent.ended == [EndReason.CALLER_GONE], 4)
        await browser.close()


async def test_a_browser_that_comes_back_goes_on_with_its_call(network: None) -> None:
    agent = FakeAgent(greeting_s=8)
    async with serving(agent, gone_s=4) as endpoint:
        first = Browser()
        token = await first.call(endpoint)
        await until(lambda: first.peak() > 7000)
        await first.vanish()
        await asyncio.sleep(STALLED_S + 0.5)  # by then the rest of the greeting waits
        second = Browser()
        assert await second.call(endpoint, token) == token
        await until(lambda: second.peak() > 7000)
        await second.say("send-text", {"content": "still here"})
        await until(lambda: agent.messages)
        assert agent.connected == 1
        assert len(agent.live) == 1
        assert not agent.ended
        await first.close()
        await second.close()


async def test_nothing_is_said_into_a_connection_that_another_replaces(
    network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = FakeAgent(greeting_s=30)
    async with serving(agent) as endpoint:
        first, second = Browser(), Browser()
        token = await first.call(endpoint)
        await until(lambda: first.peak() > 7000)
        (call,) = agent.live
        offer = await second.offer()
        await first.vanish()
        for _ in range(2):  # more than is on its way at once, so that closing takes its time
            await call.send_message(rtvi("bot-tts-text", {"text": "unread " * 5000}))
        await endpoint.reconnect(token, offer)
        monkeypatch.setattr(call.playout, "pull", pull := Mock(return_value=bytes(640)))
        await until(lambda: not call._closing)  # type: ignore[attr-defined]
        pull.assert_not_called()
        await first.close()
        await second.close()


async def test_each_connection_has_credentials_of_its_own(
    network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(FakeAgent()) as endpoint:
        monkeypatch.setattr(endpoint, "ice_servers", asked := Mock(return_value=[]))
        first, second = Browser(), Browser()
        token = await first.call(endpoint)
        await until(lambda: first.peak() > 7000)
        assert asked.call_count == 1
        await second.call(endpoint, token)
        await until(lambda: second.pc.connectionState == "connected")
        assert asked.call_count == 2
        await first.close()
        await second.close()


async def test_an_offer_that_breaks_in_the_middle_is_refused(network: None) -> None:
    agent = FakeAgent()
    async with serving(agent) as endpoint:
        browser = Browser()
        offer = re.sub("a=group:BUNDLE .*", "a=group:BUNDLE nope 0", await browser.offer())
        with pytest.raises(OfferError, match="can't be answered"):
            await endpoint.call(offer)
        await until(lambda: agent.ended == [EndReason.TRANSPORT_FAILURE])
        await browser.close()


async def test_a_call_that_ends_while_it_is_answered_leaves_nothing(network: None, mute_stun: str) -> None:
    agent = FakeAgent()
    async with serving(agent, stun=(mute_stun,)) as endpoint:
        browser = Browser()
        calling = asyncio.create_task(endpoint.call(await browser.offer()))
        await until(lambda: agent.recorders and agent.recorders[0].started)
        await agent.live[0].hangup()
        with pytest.raises(CallGone):
            await calling
        await browser.close()


async def test_a_call_that_ends_while_a_browser_comes_back_leaves_nothing(
    network: None, mute_stun: str
) -> None:
    agent = FakeAgent()
    async with serving(agent, stun=(mute_stun,)) as endpoint:
        first, second = Browser(), Browser()
        token = await first.call(endpoint)
        await until(lambda: agent.connected)
        coming = asyncio.create_task(endpoint.reconnect(token, await second.offer()))
        await asyncio.sleep(0)
        await agent.live[0].hangup()
        with pytest.raises(UnknownCall):
            await coming
        await first.close()
        await second.close()


async def test_of_two_that_come_back_at_once_one_is_kept(network: None, mute_stun: str) -> None:
    agent = FakeAgent()
    async with serving(agent, stun=(mute_stun,)) as endpoint:
        first, second, third = Browser(), Browser(), Browser()
        token = await first.call(endpoint)
        offers = [await second.offer(), await third.offer()]
        await asyncio.gather(*(endpoint.reconnect(token, offer) for offer in offers))
        for browser in (first, second, third):
            await browser.close()


async def test_a_full_server_refuses_with_its_reason(network: None) -> None:
    agent = FakeAgent(max_calls=0)
    async with serving(agent) as endpoint:
        browser = Browser()
        with pytest.raises(CallRefused, match="All lines are busy"):
            await browser.call(endpoint)
        await browser.close()


@pytest.mark.parametrize("offer", ["", "v=0", "x" * 5000])
async def test_what_is_no_offer_reaches_no_agent(network: None, offer: str) -> None:
    agent = FakeAgent()
    async with serving(agent) as endpoint:
        with pytest.raises(OfferError):
            await endpoint.call(offer)
        assert not agent.recorders


async def test_a_flood_of_messages_ends_the_call(network: None) -> None:
    agent = FakeAgent()
    async with serving(agent) as endpoint:
        browser = Browser()
        await browser.call(endpoint)
        await until(lambda: browser.channel.readyState == "open")
        for _ in range(200):
            browser.channel.send("{}")
        await until(lambda: agent.ended == [EndReason.TRANSPORT_FAILURE])
        await browser.close()


async def test_a_stun_server_that_never_answers_delays_no_answer_beyond_2_s(
    network: None, mute_stun: str
) -> None:
    async with serving(FakeAgent(), stun=(mute_stun,)) as endpoint:
        browser = Browser()
        offer = await browser.offer()
        begun = time.monotonic()
        answer = await endpoint.call(offer)
        assert time.monotonic() - begun < 2
        await browser.take(answer.sdp)
        await until(lambda: browser.peak() > 7000)
        await browser.close()
