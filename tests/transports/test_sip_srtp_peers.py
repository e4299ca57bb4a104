"""Encrypted calls with Debian's baresip and Linphone, heard on both ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.peers import Reception, sip_server, softphone
from tests.transports.sip_calls import soon
from tests.transports.test_sip_audio import Pipelined, pitch_hz, speak, tone, until

THEIRS_HZ, OURS_HZ = 600, 440


@pytest.mark.peers
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
