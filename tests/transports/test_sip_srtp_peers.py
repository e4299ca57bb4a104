"""Encrypted calls with Debian's baresip and Linphone, heard on both ends."""

from __future__ import annotations

import re
import wave
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.certificates import Authority, chain
from tests.linphone import linphone
from tests.peers import Reception, free_port, missing_peer, sip_server, softphone
from tests.proxy import NODE, Tls, kamailio
from tests.transports.sip_calls import soon
from tests.transports.test_sip_audio import Pipelined, pitch_hz, speak, tone
from tests.transports.test_sip_tls import serving, where
from tests.waiting import until
from transports.call import EndReason
from transports.sip.server import SipServer
from transports.sip.trace import Message

THEIRS_HZ, OURS_HZ = 600, 440


pytestmark = pytest.mark.peers


@pytest.mark.parametrize("codec", ["pcmu", "opus"])
@pytest.mark.parametrize(
    ("mediaenc", "encryption"),
    [("srtp", "sdes"), ("srtp-mand", "sdes"), ("srtp-mandf", "sdes"), ("dtls_srtp", "dtls-srtp"), ("", "")],
)
async def test_debians_baresip(tmp_path: Path, mediaenc: str, encryption: str, codec: str) -> None:
    reception = Reception()
    async with sip_server(reception) as (host, port):
        uri = f"sip:agent@{host}:{port}"
        async with softphone(
            tmp_path, uri, lambda rate_hz: tone(rate_hz, 30, THEIRS_HZ), codec, mediaenc
        ) as phone:
            call = await soon(reception.connected.get(), 15)
            assert call.info.encryption == encryption
            async with Pipelined(call) as listener:
                await until(lambda: np.abs(listener.heard()[-320:]).max() > 2000, 15)
                await speak(call, tone(16000, 2.0, OURS_HZ))
                heard = listener.heard()[-16000:]
                await phone.command("sndcode", "4")
                await until(lambda: listener.keys == ["4"], 15)
            stats = await call.media_stats()
            await phone.command("hangup")
            assert await soon(reception.ended.get(), 15) == "caller_hangup"
        there, rate_hz = phone.heard()
    assert pitch_hz(heard, 16000) == pytest.approx(THEIRS_HZ, abs=5)
    loud = np.nonzero(np.abs(there) > 3000)[0][0]
    assert pitch_hz(there[loud : loud + rate_hz], rate_hz) == pytest.approx(OURS_HZ, abs=5)
    assert stats.packets_lost is not None
    assert stats.packets_lost <= 5


@pytest.mark.parametrize(("mediaenc", "encryption"), [("srtp-mand", "sdes"), ("dtls_srtp", "dtls-srtp")])
async def test_debians_baresip_over_tls(tmp_path: Path, mediaenc: str, encryption: str) -> None:
    reception, port = Reception(), free_port()
    authority = Authority(tmp_path)
    async with sip_server(
        reception,
        certificate=chain(authority.sign("offhook")),
        media_encryption="required",
        tls=True,
        tls_port=port,
    ) as (host, _):
        uri = f"sip:agent@{host}:{port};transport=tls"
        says = partial(tone, seconds=30, frequency_hz=THEIRS_HZ)
        async with softphone(tmp_path, uri, says, mediaenc=mediaenc, ca=authority.file) as phone:
            call = await soon(reception.connected.get(), 15)
            assert call.info.encryption == encryption
            async with Pipelined(call) as listener:
                await until(lambda: np.abs(listener.heard()[-320:]).max() > 2000, 15)
                await speak(call, tone(16000, 2.0, OURS_HZ))
                heard = listener.heard()[-16000:]
            await call.hangup()
            await soon(reception.ended.get(), 15)
        there, rate_hz = phone.heard()
    assert pitch_hz(heard, 16000) == pytest.approx(THEIRS_HZ, abs=5)
    begun = np.nonzero(np.abs(there) > 3000)[0][0]
    assert pitch_hz(there[begun : begun + rate_hz], rate_hz) == pytest.approx(OURS_HZ, abs=5)


@pytest.mark.parametrize("over_tls", [False, True], ids=["udp", "tls"])
@pytest.mark.parametrize(("encryption", "seen"), [("none", ""), ("srtp", "sdes"), ("dtls", "dtls-srtp")])
async def test_linphone(tmp_path: Path, encryption: str, seen: str, over_tls: bool) -> None:
    reception, tls_port = Reception(), free_port()
    authority = Authority(tmp_path)
    # It takes no certificate for an address.
    own = chain(authority.sign("offhook", "localhost"))
    says = tmp_path / "says.wav"
    with wave.open(str(says), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(tone(8000, 60, THEIRS_HZ).tobytes())
    async with (
        sip_server(reception, certificate=own, tls=True, tls_port=tls_port) as (_, port),
        linphone(tmp_path, encryption=encryption, ca=authority.file) as phone,
    ):
        where = f"localhost:{tls_port};transport=tls" if over_tls else f"127.0.0.1:{port}"
        await phone.command(f"call sip:agent@{where}", b"Media streams established")
        call = await soon(reception.connected.get(), 15)
        assert call.info.encryption == seen
        async with Pipelined(call) as listener:
            await phone.command(f"play {says}", b"play")
            await until(lambda: np.abs(listener.heard()[-320:]).max() > 2000, 15)
            await phone.command("1", b"1")
            await until(lambda: listener.keys == ["1"], 15)
            await phone.command("pause", b"is now paused")
            assert call.on_hold
            await phone.command("resume", b"Media streams established")
            assert not call.on_hold
            before = len(listener.heard())
            await until(lambda: np.count_nonzero(np.abs(listener.heard()[before:]) > 2000) > 8000, 15)
            heard = listener.heard()[-8000:]
        assert call.info.encryption == seen
        await phone.command("terminate", b"ended")
        assert await soon(reception.ended.get(), 15) is EndReason.CALLER_HANGUP
    assert pitch_hz(heard, 16000) == pytest.approx(THEIRS_HZ, abs=5)


def answers_to_bye(server: SipServer) -> list[Message]:
    return [one for one in server.trace.messages() if not one.sent and re.search(rb"CSeq: \d+ BYE", one.raw)]


@pytest.fixture
def kamailios_tls() -> None:
    if not list(Path("/usr/lib").glob("*/kamailio/modules/tls.so")):
        missing_peer("kamailio-tls-modules")


@pytest.mark.usefixtures("kamailios_tls")
@pytest.mark.parametrize(("mediaenc", "encryption"), [("srtp-mand", "sdes"), ("dtls_srtp", "dtls-srtp")])
async def test_through_kamailio_over_tls(tmp_path: Path, mediaenc: str, encryption: str) -> None:
    """The caller speaks TLS to it, it to us, and we to it when we hang up."""
    reception, authority = Reception(), Authority(tmp_path)
    own = tmp_path / "softphone.pem"
    own.write_bytes(chain(authority.sign("softphone")))
    theirs = Tls(free_port(), *authority.sign("kamailio"), authority.file)
    async with (
        serving(
            reception,
            chain(authority.sign("offhook")),
            host=NODE,
            media_encryption="required",
            tls_ca=authority.file,
            tls_client_ca=authority.file,
        ) as server,
        kamailio(tmp_path, where(server), transport="tls", tls=theirs, peers=["2 127.0.0.1"]),
        softphone(
            tmp_path,
            f"sip:agent@127.0.0.1:{theirs.port};transport=tls",
            partial(tone, seconds=30, frequency_hz=THEIRS_HZ),
            mediaenc=mediaenc,
            ca=authority.file,
            own=own,
        ) as phone,
    ):
        call = await soon(reception.connected.get(), 15)
        assert call.info.encryption == encryption
        async with Pipelined(call) as listener:
            await until(lambda: np.count_nonzero(np.abs(listener.heard()) > 2000) > 8000, 15)
            await speak(call, tone(16000, 2.0, OURS_HZ))
            heard = listener.heard()[-8000:]
        await call.hangup()
        await soon(reception.ended.get(), 15)
        # The BYE goes back through Kamailio, over a connection that we make.
        await until(lambda: answers_to_bye(server), 15)
        (answer,) = answers_to_bye(server)
        assert (answer.protocol, answer.remote[1]) == ("TLS", theirs.port)
        assert answer.raw.startswith(b"SIP/2.0 200 ")
    assert pitch_hz(heard, 16000) == pytest.approx(THEIRS_HZ, abs=5)
    there, rate_hz = phone.heard()
    begun = np.nonzero(np.abs(there) > 3000)[0][0]
    assert pitch_hz(there[begun : begun + rate_hz], rate_hz) == pytest.approx(OURS_HZ, abs=5)
