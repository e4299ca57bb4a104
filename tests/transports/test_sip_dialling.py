"""Calls that we make: answered, refused in every way, given up, and nothing left of any."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from baresip.errors import CommandQueueFull
from pydantic import SecretStr

from config.accounts import AccountSettings
from config.outbound import OutboundSettings
from config.sip import SipSettings
from tests.certificates import Authority
from tests.peers import Reception, free_port
from tests.sip_callee import callee
from tests.sip_caller import SipAnswer
from tests.srtp import Sdes
from tests.transports.sip_calls import packets, soon
from tests.transports.test_sip_audio import Pipelined
from tests.transports.test_sip_tls import peer
from tests.waiting import until
from transports.call import CallGone, CallTransport, EndReason
from transports.outbound import NotPermitted, OutboundGuard
from transports.sip.native_rtp import StackRtp
from transports.sip.outgoing import OutgoingCall
from transports.sip.server import SipServer


class Dialling:
    """Runs a call that was dialled, and leaves it to the test."""

    def __init__(self) -> None:
        self.rings: list[bool] = []
        self.answered = asyncio.Event()
        self.stopped: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()
        self.gone: CallGone | None = None
        self.over = asyncio.Event()

    async def __call__(self, call: OutgoingCall) -> None:
        async def ringing(_: CallTransport, early_media: bool) -> None:
            self.rings.append(early_media)

        async def answered(_: CallTransport) -> None:
            self.answered.set()

        async def stopped(_: CallTransport, reason: EndReason) -> None:
            self.stopped.set_result(reason)

        call.add_event_handler("on_dialout_ringing", ringing)
        call.add_event_handler("on_dialout_answered", answered)
        call.add_event_handler("on_dialout_stopped", stopped)
        try:
            await call.answer()
        except CallGone as gone:
            self.gone = gone
        else:
            await self.stopped
        finally:
            self.over.set()


@contextlib.asynccontextmanager
async def dialler(reception: Reception | None = None, **settings: Any) -> AsyncIterator[SipServer]:
    """A server that may call, and where somebody may call."""
    values: dict[str, Any] = {"host": "127.0.0.1", "port": free_port()} | settings
    outbound = OutboundGuard(OutboundSettings(allow=("*@127.0.0.1:*", "*@nobody.invalid", "600", "9*")))
    server = SipServer(SipSettings(**values), 5, reception or Reception(), outbound=outbound)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def dial(
    server: SipServer, to: str, ring_timeout_s: float = 20, account: str = ""
) -> tuple[OutgoingCall, Dialling]:
    dialling = Dialling()
    call = await server.dial(to, dialling, account=account, ring_timeout_s=ring_timeout_s)
    return call, dialling


async def test_a_call_that_is_answered_carries_sound_both_ways() -> None:
    async with dialler() as server, callee() as called:
        call, dialling = await dial(server, called.address)
        invite = await called.invited()
        assert "timer" not in invite
        called.reply(invite, "180 Ringing")
        await called.accept()
        await soon(dialling.answered.wait())
        assert dialling.rings == [False]
        assert (call.info.direction, call.info.called, call.info.codec) == ("outbound", "600", "pcmu")
        assert call.info.remote == "127.0.0.1"
        call.playout.write((8000 * np.sin(np.arange(16000) / 8)).astype("<i2").tobytes())
        await packets(called, 30)
        assert np.abs(called.heard()).max() > 4000
        bye = asyncio.create_task(called.request_of("BYE"))
        await call.hangup()
        called.reply(await bye, "200 OK")
        assert await soon(dialling.stopped) is EndReason.AGENT_HANGUP
        assert called.seen == ["INVITE", "ACK", "BYE"]
        await soon(dialling.over.wait())


async def test_an_answer_that_cannot_be_taken_up_is_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise CommandQueueFull("queue full")

    monkeypatch.setattr(StackRtp, "take_over", full)
    async with dialler() as server, callee() as called:
        _, dialling = await dial(server, called.address)
        called.reply(await called.invited(), "200 OK", called.sdp())
        called.reply(await called.request_of("BYE"), "200 OK")
        assert await soon(dialling.stopped) is EndReason.TRANSPORT_FAILURE
        await soon(dialling.over.wait())


ODD_ANSWERS = {
    "feedback": lambda sdp: sdp.replace("RTP/AVP", "RTP/AVPF"),
    "a name": lambda sdp: sdp.replace("c=IN IP4 127.0.0.1", "c=IN IP4 phone.example"),
    "a multicast address's lifetime": lambda sdp: sdp.replace("127.0.0.1\r\nt", "127.0.0.1/127\r\nt"),
    "two spaces": lambda sdp: sdp.replace("c=IN IP4 ", "c=IN IP4  "),
}


@pytest.mark.parametrize("oddly", ODD_ANSWERS)
async def test_an_answer_that_is_oddly_written(oddly: str) -> None:
    async with dialler() as server, callee() as called:
        call, dialling = await dial(server, called.address)
        invite = await called.invited()
        called.reply(invite, "200 OK", ODD_ANSWERS[oddly](called.sdp()))
        await called.request_of("ACK")
        called.start_rtp(SipAnswer(0, invite))
        await soon(dialling.answered.wait())
        await packets(called, 10)
        await call.hold()
        held = await called.request_of("INVITE")
        called.reply(held, "200 OK", ODD_ANSWERS[oddly](called.sdp("recvonly")))
        await called.request_of("ACK")
        await packets(called, 10)
        await called.bye()
        assert await soon(dialling.stopped) is EndReason.CALLED_HANGUP


@pytest.mark.parametrize("rings_first", [False, True])
@pytest.mark.parametrize(
    ("pattern", "instead"),
    [
        ("AVP 0 101", "AVP 18 101"),
        ("AVP 0 101", "AVP 101"),
        (r"m=audio \d+", "m=audio 0"),
        ("RTP/AVP", "RTP/SAVP"),
        (r"IN IP4 127.0.0.1\r\nt", r"IN IP6 2001:db8::1\r\nt"),
        ("(?s).*", ""),
        ("(?s).*", "nothing of the kind"),
    ],
)
async def test_an_answer_that_cannot_be_used_is_hung_up_and_told(
    pattern: str, instead: str, rings_first: bool
) -> None:
    async with dialler() as server, callee() as called:
        _, dialling = await dial(server, called.address)
        answer = re.sub(pattern, instead, called.sdp(), count=1)
        invite = await called.invited()
        if rings_first:
            called.reply(invite, "183 Session Progress", answer)
        called.reply(invite, "200 OK", answer)
        called.reply(await called.request_of("BYE"), "200 OK")
        assert called.seen == ["INVITE", "ACK", "BYE"]
        await soon(dialling.over.wait())
        assert dialling.gone
        assert str(dialling.gone).startswith("It answered with nothing that we offered")
        assert await soon(dialling.stopped) is EndReason.NOT_REACHED
        assert not dialling.answered.is_set()


async def test_who_answers_may_send_by_payload_types_of_their_own() -> None:
    """RFC 3264 6.1: theirs are what they want to be sent, and some send so as well."""
    async with dialler(codecs=["opus", "pcmu"]) as server, callee() as called:
        call, dialling = await dial(server, called.address)
        invite = await called.invited()
        assert "a=rtpmap:120 " not in invite
        assert "a=rtpmap:121 " not in invite
        called.formats = "120 121"
        called.attributes = ("rtpmap:120 opus/48000/2", "rtpmap:121 telephone-event/8000")
        called.silent = True
        keys: asyncio.Queue[str] = asyncio.Queue()

        async def pressed(_: CallTransport, key: str) -> None:
            keys.put_nowait(key)

        call.add_event_handler("on_dtmf_event", pressed)
        await called.accept()
        await soon(dialling.answered.wait())
        silence = b"\xf8\xff\xfe"  # 20 ms of it
        called.inject += [called.header(120) + silence for _ in range(50)]
        called.inject += [called.header(121, stamp=0x5000) + bytes((5, 0x80, 3, 0x20)) for _ in range(3)]
        assert await soon(keys.get()) == "5"
        assert ((await call.media_stats()).packets_received or 0) >= 40
        await call.hangup()


async def test_an_answer_may_come_before_the_called_party_does() -> None:
    async with dialler() as server, callee() as called:
        call, dialling = await dial(server, called.address)
        invite = await called.invited()
        assert (
            "100rel" not in invite
        )  # which some answer by provisional responses that the stack can't follow
        called.reply(invite, "183 Session Progress", called.sdp())
        called.reply(invite, "180 Ringing")
        called.reply(invite, "200 OK")
        await called.request_of("ACK")
        called.start_rtp(SipAnswer(0, invite))
        await soon(dialling.answered.wait())
        call.playout.write((8000 * np.sin(np.arange(16000) / 8)).astype("<i2").tobytes())
        await packets(called, 30)
        await call.hold()
        called.reply(await called.request_of("INVITE"), "200 OK", called.sdp("recvonly"))


async def test_the_called_party_hangs_up() -> None:
    async with dialler() as server, callee() as called:
        _, dialling = await dial(server, called.address)
        await called.invited()
        await called.accept()
        await soon(dialling.answered.wait())
        called.cseq = 1
        called.send_request("BYE")
        assert await soon(dialling.stopped) is EndReason.CALLED_HANGUP


@pytest.mark.parametrize(
    ("status", "reason", "sentence"),
    [
        ("486 Busy Here", EndReason.BUSY, "It is busy. (486 Busy Here)"),
        ("600 Busy Everywhere", EndReason.BUSY, "It is busy everywhere. (600 Busy Everywhere)"),
        ("603 Decline", EndReason.DECLINED, "The call was declined. (603 Decline)"),
        ("404 Not Found", EndReason.NOT_REACHED, "Nobody has that number or name there. (404 Not Found)"),
        ("480 Gone Fishing", EndReason.NOT_REACHED, "Nobody can be reached there now. (480 Gone Fishing)"),
        ("500 Oops", EndReason.NOT_REACHED, "It failed there. (500 Oops)"),
        ("408 Request Timeout", EndReason.NO_ANSWER, "Nobody answered there in time. (408 Request Timeout)"),
    ],
)
async def test_a_call_that_is_refused(status: str, reason: EndReason, sentence: str) -> None:
    async with dialler() as server, callee() as called:
        call, dialling = await dial(server, called.address)
        called.reply(await called.invited(), status)
        await soon(dialling.over.wait())
        assert dialling.gone
        assert (dialling.gone.reason, str(dialling.gone)) == (reason, sentence)
        assert call.failure
        assert call.failure.status == int(status[:3])
        assert await soon(dialling.stopped) is reason


@pytest.mark.parametrize("challenge", ["401 Unauthorized", "407 Proxy Authentication Required"])
async def test_a_call_that_wants_a_password_that_we_lack(challenge: str) -> None:
    header = "Proxy-Authenticate" if challenge.startswith("407") else "WWW-Authenticate"
    async with dialler() as server, callee() as called:
        _, dialling = await dial(server, called.address)
        asks = f'{header}: Digest realm="pbx", nonce="1"\r\n'
        called.reply(await called.invited(), challenge, headers=asks)
        called.reply(await called.invited(), challenge, headers=asks)  # the stack tries with none, once
        assert await soon(dialling.stopped) is EndReason.UNAUTHORIZED


@pytest.mark.parametrize("others", [{}, {"SHA-512-256": "0", "MD5": "1", "SHA-256": "2"}])
@pytest.mark.parametrize("secret", ["right", "wrong"])
async def test_an_account_logs_in_where_it_calls(secret: str, others: dict[str, str]) -> None:
    async with callee() as called:
        trunk = AccountSettings(
            server=called.address.partition("@")[2],
            user="1001",
            secret=SecretStr(secret),
            registers=False,
            addresses=("127.0.0.1",),
        )
        async with dialler(accounts={"trunk": trunk}) as server:
            _, dialling = await dial(server, "600", account="trunk")
            asks = "".join(
                f'Proxy-Authenticate: Digest realm="pbx", nonce="{nonce}", algorithm={algorithm}\r\n'
                for algorithm, nonce in (others or {"MD5": "1"}).items()
            )
            invite = await called.invited()
            assert "From: <sip:1001@" in invite
            called.reply(invite, "407 Proxy Authentication Required", headers=asks)
            given = (await called.invited()).partition("Proxy-Authorization: ")[2].partition("\r\n")[0]
            assert 'username="1001"' in given
            uri, response = (
                given.partition(f'{name}="')[2].partition('"')[0] for name in ("uri", "response")
            )
            digest = [md5(text.encode()).hexdigest() for text in ("1001:pbx:right", f"INVITE:{uri}")]
            if response == md5(f"{digest[0]}:1:{digest[1]}".encode()).hexdigest():
                await called.accept()
                await soon(dialling.answered.wait())
                assert secret == "right"
            else:
                called.reply(called.invite_text, "407 Proxy Authentication Required", headers=asks)
                assert await soon(dialling.stopped) is EndReason.UNAUTHORIZED
                assert secret == "wrong"


async def test_an_account_is_heard_at_the_address_that_it_calls() -> None:
    async with callee() as called:
        port = called.address.rpartition(":")[2]
        trunk = AccountSettings(
            server=f"localhost:{port}", user="1001", registers=False, addresses=("192.0.2.9",)
        )
        async with dialler(accounts={"trunk": trunk}, allow=("192.0.2.0/24",)) as server:
            _, dialling = await dial(server, "600", account="trunk")
            called.reply(await called.invited(), "486 Busy Here")
            assert await soon(dialling.stopped) is EndReason.BUSY


async def test_nobody_answers() -> None:
    async with dialler() as server, callee() as called:
        _, dialling = await dial(server, called.address, ring_timeout_s=1)
        invite = await called.invited()
        called.reply(invite, "180 Ringing")
        cancel = await called.request_of("CANCEL")
        called.reply(cancel, "200 OK")
        called.reply(invite, "487 Request Terminated")
        assert await soon(dialling.stopped) is EndReason.NO_ANSWER
        await soon(dialling.over.wait())
        assert str(dialling.gone) == "Nobody answered within 1 s."
        await called.request_of("ACK")


async def test_a_host_that_says_nothing() -> None:
    async with dialler() as server, callee() as called:
        _, dialling = await dial(server, called.address, ring_timeout_s=1)
        assert await soon(dialling.stopped) is EndReason.NOT_REACHED
        await soon(dialling.over.wait())
        assert str(dialling.gone) == "Nothing came back within 1 s. Does sip.allow list its address?"


async def test_a_host_that_only_says_that_it_tries() -> None:
    async with dialler() as server, callee() as called:
        _, dialling = await dial(server, called.address, ring_timeout_s=1)
        called.reply(await called.invited(), "100 Trying")
        called.reply(await called.request_of("CANCEL"), "200 OK")
        called.reply(called.invite_text, "487 Request Terminated")
        assert await soon(dialling.stopped) is EndReason.NOT_REACHED
        await soon(dialling.over.wait())
        assert str(dialling.gone) == "It didn't even ring within 1 s."


@pytest.mark.parametrize(
    ("to", "sentence"),
    [
        ("sip:600@nobody.invalid", "No address is known for its host."),
        (f"sip:600@127.0.0.1:{free_port()};transport=tcp", "Its host takes no SIP on that port."),
    ],
    ids=["dns", "refused"],
)
async def test_a_host_that_cannot_be_reached(to: str, sentence: str) -> None:
    async with dialler() as server:
        _, dialling = await dial(server, to)
        await soon(dialling.over.wait(), 15)
        assert dialling.gone
        assert (dialling.gone.reason, str(dialling.gone)) == (EndReason.NOT_REACHED, sentence)


async def test_hung_up_while_it_rings() -> None:
    async with dialler() as server, callee() as called:
        call, dialling = await dial(server, called.address)
        invite = await called.invited()
        called.reply(invite, "180 Ringing")
        cancelled = asyncio.create_task(called.request_of("CANCEL"))
        await call.hangup()
        called.reply(await cancelled, "200 OK")
        called.reply(invite, "487 Request Terminated")
        assert await soon(dialling.stopped) is EndReason.AGENT_HANGUP
        await called.request_of("ACK")


async def test_an_answer_that_crosses_the_cancel_is_hung_up() -> None:
    async with dialler() as server, callee() as called:
        call, dialling = await dial(server, called.address)
        invite = await called.invited()
        called.reply(invite, "180 Ringing")
        cancelled = asyncio.create_task(called.request_of("CANCEL"))
        await call.hangup()
        cancel = await cancelled
        called.reply(invite, "200 OK", called.sdp())
        called.reply(cancel, "481 Call/Transaction Does Not Exist")
        assert await soon(dialling.stopped) is EndReason.AGENT_HANGUP
        called.reply(await called.request_of("BYE"), "200 OK")
        assert "ACK" in called.seen
        assert not dialling.answered.is_set()


async def test_early_media_is_not_heard() -> None:
    async with dialler() as server, callee() as called:
        call, dialling = await dial(server, called.address)
        invite = await called.invited()
        called.reply(invite, "183 Session Progress", called.sdp())
        called.start_rtp(SipAnswer(0, invite))
        async with asyncio.timeout(20):
            while not dialling.rings:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert dialling.rings == [True]
        assert not dialling.answered.is_set()
        called.reply(invite, "200 OK", called.sdp())
        await called.request_of("ACK")
        await soon(dialling.answered.wait())
        call.playout.write((8000 * np.sin(np.arange(16000) / 8)).astype("<i2").tobytes())
        await packets(called, 30)
        stats = await call.media_stats()
        assert stats.packets_received


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("sip:700@192.0.2.1", "sip:700@192.0.2.1"),
        ("sip:%37@127.0.0.1", "sip:%37@127.0.0.1"),
        ("sip:700@127.0.0.1;user=phone", "sip:700@127.0.0.1"),
    ],
)
async def test_a_redirection_is_told_and_not_followed(where: str, told: str) -> None:
    async with dialler() as server, callee() as called:
        call, dialling = await dial(server, called.address)
        called.reply(await called.invited(), "302 Moved", headers=f"Contact: <{where}>\r\n")
        assert await soon(dialling.stopped) is EndReason.NOT_REACHED
        assert call.failure
        assert (call.failure.status, call.failure.moved_to) == (302, told)


async def test_the_called_party_holds_and_refreshes() -> None:
    """In dialogs that we began, the peer's requests are understood as in those that it began."""
    async with dialler() as server, callee() as called:
        call, dialling = await dial(server, called.address)
        await called.invited()
        await called.accept()
        await soon(dialling.answered.wait())
        called.cseq = 1
        assert (await called.invite("sendonly")).status == 200
        async with asyncio.timeout(20):
            while not call.on_hold:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert (await called.ask("UPDATE", headers="Session-Expires: 90;refresher=uac\r\n")).status == 200


async def test_what_the_agent_says_waits_for_who_answers_on_hold() -> None:
    """As a queue does that plays music until somebody takes the call."""
    async with dialler() as server, callee() as called:
        call, dialling = await dial(server, called.address)
        invite = await called.invited()
        called.reply(invite, "200 OK", called.sdp("sendonly"))
        await called.request_of("ACK")
        called.start_rtp(SipAnswer(0, invite))
        await soon(dialling.answered.wait())
        await until(lambda: call.on_hold, 15)
        call.playout.write((8000 * np.sin(np.arange(16000) / 8)).astype("<i2").tobytes())
        called.cseq = 1
        called.ack(await called.invite("sendrecv"))
        await packets(called, 30)
        assert not call.on_hold
        assert call.playout.position > 0
        assert np.abs(called.heard()).max() > 4000


async def test_nobody_else_is_dialled() -> None:
    async with dialler() as server:
        for to in ("sip:600@192.0.2.1", "sip:600@127.0.0.1@evil.example", "sip:600@127.0.0.1?Route=x"):
            with pytest.raises(NotPermitted):
                await dial(server, to)


@pytest.mark.parametrize("tcp", [False, True])
async def test_an_invite_that_nobody_permitted_does_not_leave(tcp: bool) -> None:
    async with dialler() as server, callee(tcp=tcp) as called:
        agent = server._agents[""]
        await agent.dial(called.address)
        with pytest.raises(TimeoutError):
            await soon(called.invited(), 1)


async def test_a_call_that_has_to_be_encrypted_is() -> None:
    async with dialler(media_encryption="required") as server, callee() as called:
        call, dialling = await dial(server, called.address)
        invite = SipAnswer(0, await called.invited())
        assert " RTP/SAVP " in invite.text
        sdes = Sdes(called)
        await called.accept()
        sdes.speak_with(sdes.key)
        sdes.hear(invite)
        await soon(dialling.answered.wait())
        assert call.info.encryption == "sdes"
        async with Pipelined(call) as listener:
            called.say(np.asarray(8000 * np.sin(np.arange(16000) / 8), np.int16))
            await until(lambda: np.abs(listener.heard()).max() > 4000)
            call.playout.write((8000 * np.sin(np.arange(16000) / 8)).astype("<i2").tobytes())
            await until(lambda: np.abs(called.heard()).max(initial=0) > 4000)
        await called.bye()
        assert await soon(dialling.stopped) is EndReason.CALLED_HANGUP


@pytest.mark.parametrize("profile", ["RTP/AVP", "RTP/SAVP"])
async def test_a_call_that_has_to_be_encrypted_and_isnt_is_hung_up(profile: str) -> None:
    async with dialler(media_encryption="required") as server, callee() as called:
        _, dialling = await dial(server, called.address)
        await called.invited()
        called.profile = profile
        called.reply(called.invite_text, "200 OK", called.sdp())
        await called.request_of("BYE")
        assert not dialling.answered.is_set()
        assert not called.received


async def test_whose_certificate_is_unknown_isnt_called(tmp_path: Path) -> None:
    async with dialler() as server, peer(Authority(tmp_path).sign("peer")) as (port, told):
        _, dialling = await dial(server, f"sip:600@127.0.0.1:{port};transport=tls")
        await soon(dialling.over.wait(), 15)
        assert str(dialling.gone) == (
            "The certificate of 127.0.0.1 isn't signed by a known authority: set sip.tls_ca."
        )
        assert told.empty()


def over_tls() -> dict[str, AccountSettings]:
    return {"pbx": AccountSettings(server="127.0.0.1", user="us", transport="tls", registers=False)}


@pytest.mark.parametrize("tcp", [False, True])
async def test_keys_are_not_sent_where_others_can_read_them(tcp: bool) -> None:
    """The account is over TLS, and who is dialled by it isn't."""
    async with dialler(accounts=over_tls()) as server, callee(tcp=tcp) as called:
        to = called.address if tcp else f"{called.address};transport=udp"
        call, dialling = await dial(server, to, account="pbx")
        invite = await called.invited()
        assert "a=crypto" not in invite
        assert " RTP/AVP " in invite
        asks = 'WWW-Authenticate: Digest realm="pbx", nonce="1"\r\n'
        called.reply(invite, "401 Unauthorized", headers=asks)
        assert "a=crypto" not in await called.invited()
        await called.accept()
        await soon(dialling.answered.wait())
        await packets(called, 10)
        assert call.info.encryption == ""
        await call.hold()
        assert "a=crypto" not in await called.request_of("INVITE")


async def test_who_must_be_called_with_keys_is_not_where_others_can_read_them() -> None:
    async with dialler(accounts=over_tls(), media_encryption="required") as server, callee() as called:
        with pytest.raises(NotPermitted, match="transport=tls"):
            await dial(server, f"{called.address};transport=udp", account="pbx")
        with pytest.raises(TimeoutError):
            await called.request_of("INVITE", timeout_s=0.3)
