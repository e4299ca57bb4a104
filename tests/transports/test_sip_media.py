"""RTP as peers and networks send it: what the pipeline hears is the stream as it was spoken."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.peers import Reception, sip_server
from tests.sip_caller import PACKET_SAMPLES, TELEPHONE_EVENT, Caller, dialled, ulaw_decode, ulaw_encode
from tests.transports.test_sip_audio import Pipelined, fallen_silent, speak, tone
from tests.transports.test_sip_receiver import KEYS
from tests.transports.test_sip_receiver import pressed as tones
from tests.waiting import until
from transports.call import EndReason
from transports.resampler import Resampler

Disturbance = Callable[[bytes], list[bytes]]

COMFORT_NOISE = 13


def sweep(seconds: float = 1.5) -> NDArray[np.int16]:
    """300 to 3,000 Hz at 8 kHz: each part of it is unlike the others."""
    t = np.arange(int(8000 * seconds)) / 8000
    return np.asarray(6000 * np.sin(2 * np.pi * (300 * t + 2700 / (2 * seconds) * t * t)), np.int16)


def trimmed(pcm: NDArray[np.int16]) -> NDArray[np.int16]:
    loud = np.nonzero(np.abs(pcm) > 400)[0]
    return pcm[loud[0] : loud[-1] + 1]


SPOKEN = sweep()
UNDISTURBED = trimmed(Resampler(8000, 16000).process(ulaw_decode(ulaw_encode(np.pad(SPOKEN, 160)))))


def as_spoken(heard: NDArray[np.int16]) -> bool:
    """Whether it is the undisturbed stream: no packet more, none less, each at its place."""
    if len(heard) != len(UNDISTURBED):
        return False
    return bool(np.abs(heard.astype(int) - UNDISTURBED).max() < 32)  # G.711 tables differ in the last bit


def number(packet: bytes) -> int:
    return int.from_bytes(packet[2:4], "big")


def doubled(packet: bytes) -> list[bytes]:
    return [packet, packet]


def padded(packet: bytes) -> list[bytes]:
    return [bytes([packet[0] | 0x20]) + packet[1:] + bytes(7) + b"\x08"]


def extended(packet: bytes) -> list[bytes]:
    """With a one-byte header extension (RFC 8285), and a CSRC."""
    head = bytes([packet[0] | 0x11]) + packet[1:12]
    return [head + b"\0\0\0\1" + struct.pack("!HH", 0xBEDE, 1) + b"\x10\xaa\0\0" + packet[12:]]


def another_source_from_the_middle() -> Disturbance:
    """Another SSRC, with numbers and timestamps of its own."""

    def disturb(packet: bytes) -> list[bytes]:
        if number(packet) % 1000 < 140:
            return [packet]
        head = packet[:2] + struct.pack(
            "!HII", number(packet) + 7000 & 0xFFFF, number(packet) * 160 + 5, 0xBEEF
        )
        return [head + packet[12:]]

    return disturb


def swapped() -> Disturbance:
    """Each fifth packet behind the one that follows it."""
    held: list[bytes] = []

    def disturb(packet: bytes) -> list[bytes]:
        if number(packet) % 5 == 0:
            held.append(packet)
            return []
        return [packet, held.pop()] if held else [packet]

    return disturb


def late() -> Disturbance:
    """Each tenth packet behind the two that follow it, and a third time much later."""
    held: list[bytes] = []

    def disturb(packet: bytes) -> list[bytes]:
        if number(packet) % 10 == 0:
            held.append(packet)
            return []
        out = [packet]
        if held and number(packet) % 10 in (2, 8):
            out.append(held[0])
        if number(packet) % 10 == 8 and held:
            held.pop()
        return out

    return disturb


DISTURBANCES: dict[str, Callable[[], Disturbance]] = {
    "undisturbed": lambda: lambda packet: [packet],
    "doubled": lambda: doubled,
    "swapped": swapped,
    "late": late,
    "padded": lambda: padded,
    "extended": lambda: extended,
    "another source": another_source_from_the_middle,
}


async def heard_of(caller: Caller, reception: Reception) -> NDArray[np.int16]:
    """What the pipeline hears when the caller says the sweep."""
    async with Pipelined(await reception.connected.get()) as listener:
        caller.say(SPOKEN)
        await until(lambda: np.abs(listener.heard()).max() > 4000 and not caller.speech)
        await until(lambda: np.abs(listener.heard()[-3200:]).max() < 100)
        return trimmed(listener.heard())


@pytest.mark.parametrize("disturbance", DISTURBANCES)
async def test_a_disturbed_stream_is_heard_as_it_was_spoken(disturbance: str) -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        caller.disturb = DISTURBANCES[disturbance]()
        heard = await heard_of(caller, reception)
    assert as_spoken(heard)


async def test_a_caller_who_sends_from_another_port_than_the_sdp_said_is_heard_and_answered_there() -> None:
    reception = Reception()
    async with sip_server(reception) as server:
        with (
            socket.socket(type=socket.SOCK_DGRAM) as behind_nat,
            contextlib.closing(Caller(server)) as caller,
        ):
            behind_nat.bind(("127.0.0.1", 0))
            behind_nat.settimeout(2)
            caller.rtp_from = behind_nat
            await caller.call()
            call = await reception.connected.get()
            async with Pipelined(call) as listener:
                caller.say(SPOKEN)
                await until(lambda: np.abs(listener.heard()).max() > 4000 and not caller.speech)
                await until(lambda: np.abs(listener.heard()[-3200:]).max() < 100)
                assert as_spoken(trimmed(listener.heard()))
                packet = await asyncio.to_thread(behind_nat.recv, 2048)
            assert packet[1] & 0x7F == 0
            await caller.bye()


async def test_a_caller_whose_sdp_names_an_address_behind_nat_hears_us() -> None:
    reception = Reception()
    async with sip_server(reception) as server:
        caller = Caller(server)
        with contextlib.closing(caller):
            caller.send_request("INVITE", caller.sdp().replace("c=IN IP4 127.0.0.1", "c=IN IP4 127.0.0.9"))
            answer = await caller.final_answer()
            caller.ack(answer)
            caller.start_rtp(answer)
            await speak(await reception.connected.get(), tone(16000, 0.5))
            await fallen_silent(caller)
            assert np.abs(caller.heard()).max() > 4000
            await caller.bye()


async def test_a_stranger_is_neither_heard_nor_taken_for_keys_nor_given_our_sound() -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        call = await reception.connected.get()
        with socket.socket(type=socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.2", 0))
            stranger.setblocking(False)
            noise = ulaw_encode(np.random.default_rng(3).integers(-9000, 9000, 160).astype(np.int16))

            def spray(packet: bytes) -> list[bytes]:
                """Next to each packet of the caller's, 5 in a row of the stranger's, and a key."""
                for nth in range(5):
                    count = number(packet) * 5 + nth
                    head = struct.pack("!BBHII", 0x80, 0, count & 0xFFFF, count * 160, 0xBAD)
                    stranger.sendto(head + noise, caller.rtp_to or ("", 0))
                key = struct.pack("!BBHII", 0x80, TELEPHONE_EVENT, number(packet), number(packet), 0xBAD)
                stranger.sendto(key + struct.pack("!BBH", 5, 0x8A, 800), caller.rtp_to or ("", 0))
                return [packet]

            caller.disturb = spray
            async with Pipelined(call) as listener:
                caller.say(SPOKEN)
                await until(lambda: np.abs(listener.heard()).max() > 4000 and not caller.speech)
                await until(lambda: np.abs(listener.heard()[-3200:]).max() < 100)
                caller.disturb = lambda packet: [packet]
                assert as_spoken(trimmed(listener.heard()))
                assert listener.keys == []
                with pytest.raises(BlockingIOError):
                    stranger.recv(2048)


async def test_a_caller_who_sends_only_comfort_noise_is_there() -> None:
    reception = Reception()
    async with sip_server(reception, rtp_timeout_s=2) as server, dialled(server) as caller:
        caller.disturb = lambda packet: [bytes([packet[0], COMFORT_NOISE]) + packet[2:12] + b"\x40"]
        call = await reception.connected.get()
        async with Pipelined(call) as listener:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reception.ended.get(), 4)
            assert np.abs(listener.heard()).max() == 0
            seconds = len(listener.heard()) / 16000
            await asyncio.sleep(1)
            assert abs(len(listener.heard()) / 16000 - seconds - 1) < 0.3


async def test_a_caller_who_sends_rtcp_without_rtp_is_there() -> None:
    reception = Reception()
    async with sip_server(reception, rtp_timeout_s=2) as server, dialled(server) as caller:
        await reception.connected.get()
        caller.silent = True
        assert caller.rtp_to
        report = struct.pack("!BBHI", 0x80, 201, 1, 0xC0FFEE)
        for _ in range(8):
            caller.rtp.sendto(report, (caller.rtp_to[0], caller.rtp_to[1] + 1))
            await asyncio.sleep(0.5)
        assert reception.ended.empty()
        assert await asyncio.wait_for(reception.ended.get(), 5) is EndReason.CALLER_GONE


def suppressed() -> Disturbance:
    """Nothing is sent for silence, but the timestamp goes on."""
    silent = ulaw_encode(np.zeros(PACKET_SAMPLES, np.int16))
    sent = 30_000

    def disturb(packet: bytes) -> list[bytes]:
        nonlocal sent
        if packet[12:] == silent:
            return []
        sent += 1
        return [packet[:2] + sent.to_bytes(2, "big") + packet[4:]]

    return disturb


async def test_after_silence_suppression_the_words_are_as_far_apart_as_they_were() -> None:
    reception = Reception()
    async with (
        sip_server(reception) as server,
        dialled(server) as caller,
        Pipelined(await reception.connected.get()) as listener,
    ):
        caller.disturb = suppressed()
        await asyncio.sleep(0.5)
        word = tone(8000, 0.2)
        caller.say(np.concatenate((word, np.zeros(4800, np.int16), word, np.zeros(800, np.int16), word)))
        await until(lambda: np.abs(listener.heard()).max() > 4000 and not caller.speech)
        await until(lambda: np.abs(listener.heard()[-3200:]).max() < 100)
        loud = np.nonzero(np.abs(listener.heard()) > 4000)[0]
        gaps = np.diff(loud)
        assert np.allclose(gaps[gaps > 200] / 16000, [0.6, 0.1], atol=0.03)


def pressed(caller: Caller, event: int, stamp: int, order: str, clock: int = 8000) -> list[bytes]:
    """A key's packets: `order` names them, 0 to 5 while it is down and 6 to 8 with the end bit."""
    heads = {n: caller.header(TELEPHONE_EVENT, marker=n == 0, stamp=stamp) for n in range(9)}
    return [
        heads[n] + struct.pack("!BBH", event, 0x8A if n >= 6 else 10, clock // 50 * min(n + 1, 6))
        for n in map(int, order)
    ]


@pytest.mark.parametrize(
    "order", ["012345678", "678", "8", "012345", "024", "012348765", "012354687", "001122334455667788"]
)
async def test_each_key_is_heard_once_whatever_becomes_of_its_packets(order: str) -> None:
    reception = Reception()
    async with (
        sip_server(reception) as server,
        dialled(server) as caller,
        Pipelined(await reception.connected.get()) as listener,
    ):
        for nth, event in enumerate((5, 5, 6, 10, 11, 0)):
            caller.inject += pressed(caller, event, 0x5000 + nth * 4000, order)
        await until(lambda: len(listener.keys) >= 6)
        await asyncio.sleep(0.2)
        assert listener.keys == ["5", "5", "6", "*", "#", "0"]


async def test_a_to_d_are_told_though_the_pipeline_has_no_such_keys() -> None:
    reception = Reception()
    async with (
        sip_server(reception) as server,
        dialled(server) as caller,
        Pipelined(await reception.connected.get()) as listener,
    ):
        for nth, event in enumerate((12, 13, 14, 15, 1)):
            caller.inject += pressed(caller, event, 0x5000 + nth * 4000, "0137")
        assert [await asyncio.wait_for(reception.digits.get(), 5) for _ in range(5)] == [*"ABCD1"]
        assert listener.keys == ["1"]


async def test_keys_in_the_sound_are_heard_where_no_others_were_agreed_on() -> None:
    reception = Reception()
    async with sip_server(reception) as server:
        caller = Caller(server)
        with contextlib.closing(caller):
            caller.formats, caller.attributes = "0", ()
            await caller.call()
            async with Pipelined(await reception.connected.get()) as listener:
                caller.say(tones(KEYS, 0.1, 0.1))
                await until(lambda: not caller.speech)
                await asyncio.sleep(0.3)
                assert "".join(listener.keys) == "".join(key for key in KEYS if key not in "ABCD")
            await caller.bye()


@pytest.mark.parametrize("clock", [16000, 48000])
async def test_keys_are_heard_at_the_clock_of_the_codec(clock: int) -> None:
    reception = Reception()
    async with sip_server(reception) as server:
        caller = Caller(server)
        caller.formats = f"96 {TELEPHONE_EVENT}"
        codec = {16000: "G722/8000", 48000: "opus/48000/2"}[clock]
        caller.attributes = (f"rtpmap:96 {codec}", f"rtpmap:{TELEPHONE_EVENT} telephone-event/{clock}")
        caller.silent = True
        assert (await caller.call()).status == 200
        async with Pipelined(await reception.connected.get()) as listener:
            for event in range(12):
                caller.inject += pressed(caller, event, 0x5000 + event * clock // 2, "0135678", clock)
            await until(lambda: len(listener.keys) >= 12)
            await asyncio.sleep(0.2)
            assert "".join(listener.keys) == "0123456789*#"
        await caller.bye()
        caller.close()


@pytest.mark.parametrize("ptime_ms", [10, 20, 30, 40, 60])
async def test_the_agent_has_no_holes_at_the_ptime_asked_for(ptime_ms: int) -> None:
    reception = Reception()
    async with sip_server(reception) as server:
        caller = Caller(server)
        with contextlib.closing(caller):
            caller.attributes += (f"ptime:{ptime_ms}",)
            await caller.call()
            call = await reception.connected.get()
            await speak(call, tone(16000, 1.0))
            await fallen_silent(caller)
            assert {len(p.payload) for p in caller.received if p.payload} == {ptime_ms * 8}
            loud = np.nonzero(np.abs(caller.heard()) > 1000)[0]
            assert abs(len(caller.heard()[loud[0] : loud[-1]]) / 8000 - 1) < 0.01
            assert np.diff(loud).max() < 20
            await caller.bye()


async def hold(caller: Caller) -> None:
    caller.silent = True
    answer = await caller.invite("sendonly")
    caller.ack(answer)
    assert answer.status == 200


async def test_a_caller_on_hold_who_answers_when_asked_is_there() -> None:
    reception = Reception()
    async with sip_server(reception, rtp_timeout_s=2) as server, dialled(server) as caller:
        await reception.connected.get()
        await hold(caller)
        asked = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(8):
                while True:
                    text = await caller.receive()
                    if text.startswith("INVITE"):
                        asked += 1
                        caller.answer_request(text)
        assert asked
        assert reception.ended.empty()


async def test_a_caller_who_dies_on_hold_is_found() -> None:
    reception = Reception()
    async with sip_server(reception, rtp_timeout_s=2) as server:
        caller = Caller(server)
        await caller.call()
        await reception.connected.get()
        await hold(caller)
        caller.close()
        assert await asyncio.wait_for(reception.ended.get(), 45) is EndReason.CALLER_GONE


async def test_a_caller_on_hold_whose_rtcp_goes_on_is_not_asked() -> None:
    reception = Reception()
    async with sip_server(reception, rtp_timeout_s=2) as server, dialled(server) as caller:
        await reception.connected.get()
        await hold(caller)
        assert caller.rtp_to
        for _ in range(10):
            caller.rtp.sendto(
                struct.pack("!BBHI", 0x80, 201, 1, 0xC0FFEE), (caller.rtp_to[0], caller.rtp_to[1] + 1)
            )
            await asyncio.sleep(0.5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await caller.receive()
