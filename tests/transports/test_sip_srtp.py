"""Encrypted calls: SDES, by a caller of ours that can do everything wrong."""

from __future__ import annotations

import numpy as np
import pytest

from tests.peers import Reception, sip_server
from tests.srtp import Sdes
from tests.transports.sip_calls import phone, soon
from tests.transports.test_sip_audio import Pipelined, pitch_hz, speak, tone, until
from transports.sip.encryption import KEY_BYTES

TONE_HZ, ANSWER_HZ = 440, 660


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
    loud = np.nonzero(np.abs(heard) > 2000)[0][0]
    assert pitch_hz(heard[loud : loud + 8000], 16000) == pytest.approx(TONE_HZ, abs=5)
    assert listener.keys == ["5"]
    said = caller.heard()
    loud = np.nonzero(np.abs(said) > 2000)[0][0]
    assert pitch_hz(said[loud : loud + 4000], 8000) == pytest.approx(ANSWER_HZ, abs=5)
