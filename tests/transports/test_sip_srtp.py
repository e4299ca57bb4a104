"""Encrypted calls, by a caller of ours that can do everything wrong."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import socket
import struct
from collections import deque
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.dtls import Dtls
from tests.peers import Reception, sip_server
from tests.srtp import Sdes
from tests.transports.sip_calls import phone, soon
from tests.transports.test_sip_audio import Listener, Pipelined, pitch_hz, received, speak, tone
from tests.waiting import until
from transports.call import EndReason
from transports.sip.encryption import KEY_BYTES

TONE_HZ, ANSWER_HZ = 440, 660
PROFILES = ("RTP/SAVP", "RTP/SAVPF", "RTP/AVP")

Samples = NDArray[Any]


@pytest.mark.parametrize("suite", KEY_BYTES)
async def test_both_hear_each_other_through_sdes(suite: str) -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        sdes = Sdes(caller, suite)
        answer = await sdes.call()
        assert answer.status == 200
        assert "RTP/SAVP" in answer.text
        call = await soon(reception.connected.get())
        assert call.info.encryption == "sdes"
        async with Pipelined(call) as listener:
            caller.say(tone(8000, 1.5, TONE_HZ))
            await speak(call, tone(16000, 1.0, ANSWER_HZ))
            await until(lambda: len(listener.heard()) > 24_000, 15)
            caller.press(5)
            await until(lambda: listener.keys, 15)
            heard = listener.heard()
        await caller.bye()
    begun = np.nonzero(np.abs(heard) > 2000)[0][0]
    assert pitch_hz(heard[begun : begun + 8000], 16000) == pytest.approx(TONE_HZ, abs=5)
    assert listener.keys == ["5"]
    said = caller.heard()
    begun = np.nonzero(np.abs(said) > 2000)[0][0]
    assert pitch_hz(said[begun : begun + 4000], 8000) == pytest.approx(ANSWER_HZ, abs=5)


async def says_a_tone(sdes: Sdes, listener: Listener) -> None:
    """What the caller says now is heard."""
    before = len(listener.heard())
    sdes.caller.speech.clear()
    sdes.caller.say(tone(8000, 5, TONE_HZ))
    await until(lambda: loud(listener.heard()[before:]), 15)


def loud(heard: Samples) -> bool:
    return bool(np.count_nonzero(np.abs(heard) > 2000) > 4000)


@pytest.mark.parametrize("policy", ["off", "required"])
async def test_what_policy_refuses_gets_488(policy: str) -> None:
    reception = Reception()
    async with sip_server(reception, media_encryption=policy) as server:
        async with phone(server) as caller:
            if policy == "off":
                Sdes(caller)
            answer = await caller.call()
            assert answer.status == 488
        async with phone(server) as caller:
            answer = await (Sdes(caller).call() if policy == "required" else caller.call())
            assert answer.status == 200
            assert ("RTP/SAVP" in answer.text) is (policy == "required")
            assert ("a=crypto" in answer.text) is (policy == "required")
            await soon(reception.connected.get())
            await caller.bye()


@pytest.mark.parametrize("keys_first", [True, False])
@pytest.mark.parametrize("policy", ["off", "required"])
async def test_of_two_offers_of_the_same_sound_policy_chooses(policy: str, keys_first: bool) -> None:
    """As PJSIP has it where encryption is optional there."""
    reception = Reception()
    async with sip_server(reception, media_encryption=policy) as server, phone(server) as caller:
        head, _, plain = caller.sdp().partition("m=audio ")
        before = caller.profile, caller.attributes
        Sdes(caller)
        encrypted = caller.sdp().partition("m=audio ")[2]
        if policy == "off":
            caller.profile, caller.attributes = before
        both = [encrypted, plain] if keys_first else [plain, encrypted]
        chosen = both.index(encrypted if policy == "required" else plain)
        for _ in range(2):
            answer = await caller.ask("INVITE", head + "".join(f"m=audio {one}" for one in both))
            caller.ack(answer)
            assert answer.status == 200
            media = re.findall(r"^m=(\S+) (\d+) (\S+)", answer.text, re.MULTILINE)
            assert [kind for kind, _, _ in media] == ["audio", "audio"]
            assert [port == "0" for _, port, _ in media] == [chosen == 1, chosen == 0]
            assert [profile for _, _, profile in media] == [one.split()[1] for one in both]
            both[1 - chosen] = re.sub(r"^\d+", "0", both[1 - chosen])  # as it is offered from now on
        call = await soon(reception.connected.get())
        assert call.info.encryption == ("sdes" if policy == "required" else "")
        await call.hold()
        async with asyncio.timeout(5):
            while not (offer := await caller.receive()).startswith("INVITE"):
                pass
        assert len(re.findall("^m=audio ", offer, re.MULTILINE)) == 2
        caller.answer_request(offer, body=answer_to(offer, caller.sdp("recvonly")))
        assert (await caller.ask("OPTIONS")).status == 200
        assert caller.requests == ["INVITE", "ACK"]
        await caller.bye()


def answer_to(offer: str, sdp: str) -> str:
    """With as many media as were offered; `sdp` is of the one that has a port."""
    head, _, medium = sdp.partition("m=audio ")
    ports = re.findall(r"^m=audio (\d+)", offer, re.MULTILINE)
    return head + "".join("m=audio 0 RTP/AVP 0\r\n" if p == "0" else f"m=audio {medium}" for p in ports)


async def test_each_call_of_one_server_is_encrypted_as_it_was_offered() -> None:
    """At once, since the stack is told for each anew."""
    reception = Reception()
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(sip_server(reception, max_calls=8))
        callers = [await stack.enter_async_context(phone(server)) for _ in range(6)]
        secure = [Sdes(caller, profile=profile) for caller, profile in zip(callers, PROFILES, strict=False)]
        answers = await asyncio.gather(
            *(one.call() for one in secure), *(caller.call() for caller in callers[len(secure) :])
        )
        assert [answer.status for answer in answers] == [200] * 6
        assert ["a=crypto" in answer.text for answer in answers] == [True] * 3 + [False] * 3
        for answer, profile in zip(answers, [*PROFILES, *["RTP/AVP"] * 3], strict=True):
            assert f" {profile} " in answer.text
        for one in secure:
            async with Pipelined(reception.live[one.caller.call_id]) as listener:
                await says_a_tone(one, listener)
        for caller in callers:
            await caller.bye()


async def test_what_isnt_encrypted_with_the_key_is_neither_heard_nor_a_sign_of_life() -> None:
    """Nor is who sends it taken for the caller."""
    reception = Reception()
    async with sip_server(reception, rtp_timeout_s=3) as server, phone(server) as caller:
        sdes = Sdes(caller)
        assert (await sdes.call()).status == 200
        call = await soon(reception.connected.get())
        async with Pipelined(call) as listener:
            sdes.speak_with(secrets.token_bytes(30))
            caller.say(tone(8000, 10, TONE_HZ))
            with contextlib.closing(socket.socket(type=socket.SOCK_DGRAM)) as stranger:
                stranger.bind((caller.host, 0))
                assert caller.rtp_to
                for nth in range(20):
                    plain = struct.pack("!BBHII", 0x80, 0, nth, nth * 160, 7) + b"U" * 160
                    stranger.sendto(plain, caller.rtp_to)
            assert await soon(reception.ended.get(), 20) is EndReason.CALLER_GONE
            assert not np.any(listener.heard())
        stats = await call.media_stats()
        assert stats.packets_received is not None
        # Before the key was wrong, some silence came.
        assert stats.packets_received < 50


async def test_a_packet_that_is_sent_again_is_heard_once() -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        sdes = Sdes(caller)
        await sdes.call()
        call = await soon(reception.connected.get())
        encrypt, kept = caller.encrypt, deque[bytes](maxlen=20)

        def again(packet: bytes) -> bytes:
            kept.append(encrypt(packet))
            assert caller.rtp_to
            caller.rtp.sendto(kept[0], caller.rtp_to)
            return kept[-1]

        async with Pipelined(call) as listener:
            caller.encrypt = again
            caller.say(tone(8000, 2, TONE_HZ))
            await until(lambda: loud(listener.heard()), 15)
        stats = await call.media_stats()
        await caller.bye()
    assert stats.packets_received is not None
    assert stats.packets_received <= len(caller.sent_at)


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_call_goes_on_with_the_key_that_it_has_or_with_another(keeps: bool) -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        sdes = Sdes(caller)
        first = await sdes.call()
        async with Pipelined(await soon(reception.connected.get())) as listener:
            await says_a_tone(sdes, listener)
            if not keeps:
                sdes.rekey()
            answer = await caller.invite()
            caller.ack(answer)
            assert answer.status == 200
            assert sdes.key_in(answer) == sdes.key_in(first)
            if not keeps:
                sdes.speak_with(sdes.key)
            await says_a_tone(sdes, listener)
        await received(caller, 10)
        await caller.bye()


async def test_an_encrypted_call_isnt_made_plain() -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        sdes = Sdes(caller)
        await sdes.call()
        async with Pipelined(await soon(reception.connected.get())) as listener:
            caller.attributes, caller.profile = (), "RTP/AVP"
            answer = await caller.invite()
            caller.ack(answer)
            assert answer.status == 488
            await says_a_tone(sdes, listener)
        await caller.bye()


@pytest.mark.parametrize("answers", [True, False])
async def test_where_the_offer_is_ours_it_demands_what_policy_does(answers: bool) -> None:
    reception = Reception()
    async with sip_server(reception, media_encryption="required") as server, phone(server) as caller:
        caller.send_request("INVITE")
        offer = await caller.final_answer()
        assert offer.status == 200
        assert "RTP/SAVP" in offer.text
        sdes = Sdes(caller)
        if not answers:
            caller.attributes = ()
        caller.ack(offer, caller.sdp())
        if not answers:
            assert (await soon(caller.receive(), 10)).startswith("BYE ")
            return
        call = await soon(reception.connected.get())
        sdes.speak_with(sdes.key)
        sdes.hear(offer)
        caller.start_rtp(offer)
        assert call.info.encryption == "sdes"
        async with Pipelined(call) as listener:
            await says_a_tone(sdes, listener)
            await speak(call, tone(16000, 1.0, ANSWER_HZ))
            await until(lambda: loud(caller.heard()))
        await caller.bye()


@pytest.mark.parametrize(
    ("setup", "behind_nat", "answered"),
    [
        ("actpass", False, "active"),
        ("actpass", True, "passive"),
        ("active", False, "passive"),
        ("passive", False, "active"),
    ],
)
async def test_both_hear_each_other_through_dtls(setup: str, behind_nat: bool, answered: str) -> None:
    reception = Reception()
    async with sip_server(reception, media_encryption="required") as server, phone(server) as caller:
        if behind_nat:
            described = caller.sdp
            caller.sdp = partial(described, media="IN IP4 127.0.0.2")  # type: ignore[method-assign]
        dtls = Dtls(caller, setup)
        answer = await dtls.call()
        assert answer.status == 200
        assert f"a=setup:{answered}" in answer.text
        call = await soon(reception.connected.get())
        async with Pipelined(call) as listener:
            caller.say(tone(8000, 5, TONE_HZ))
            await until(lambda: loud(listener.heard()), 15)
            await speak(call, tone(16000, 1.0, ANSWER_HZ))
            await until(lambda: loud(caller.heard()), 15)
            caller.press(7)
            await until(lambda: listener.keys == ["7"], 15)
        assert call.info.encryption == "dtls-srtp"
        await caller.bye()


async def test_who_hasnt_the_certificate_of_the_sdp_is_neither_heard_nor_told_anything() -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        assert (await Dtls(caller, lies=True).call()).status == 200
        call = await soon(reception.connected.get())
        caller.say(tone(8000, 5, TONE_HZ))
        call.playout.write(tone(16000, 1.0, ANSWER_HZ).tobytes())
        assert await soon(reception.ended.get(), 15) is EndReason.CALLER_GONE
        assert not caller.received
        assert (await call.media_stats()).packets_received == 0
