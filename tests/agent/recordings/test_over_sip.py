"""What a recording of a real SIP call holds, held against what was on the wire."""

from __future__ import annotations

import asyncio

import pytest
import soundfile

from agent.recordings.monitor import Monitor
from agent.recordings.recordings import Recordings
from tests.agent.recordings.wire import RATE_HZ, WIRE_HZ, Samples, Wire, at_16_khz, began, noise, where
from tests.peers import Reception, sip_server
from tests.sip_caller import dialled
from tests.transports.test_sip_audio import Pipelined, speak, until

ALIGNED_S = 0.020
TALKS, PARTS = 3, 5


async def test_both_sides_are_where_the_wire_had_them(recordings: Recordings) -> None:
    reception, loop = Reception(), asyncio.get_running_loop()
    async with sip_server(reception) as server, dialled(server) as caller:
        call = await reception.connected.get()
        monitor, wire = Monitor(call, loop.time, recordings), Wire(caller)
        async with Pipelined(call):
            monitor.announce()
            await asyncio.sleep(0.5)
            for n in range(TALKS):
                caller.say(noise(1.0, n, WIRE_HZ))
                await speak(call, noise(1.0, TALKS + n, RATE_HZ))
                await until(lambda: not caller.speech)
                await asyncio.sleep(0.63)  # so that packets begin elsewhere in the stack's clock
        await monitor.finish()
    known = monitor.recorded
    assert known
    pcm, rate_hz = soundfile.read(known.path, dtype="int16")
    assert (rate_hz, pcm.shape) == (RATE_HZ, (round(known.seconds * RATE_HZ), 2))
    compared = 0
    for n in range(TALKS):
        asked, answered = noise(1.0, n, WIRE_HZ), noise(1.0, TALKS + n, RATE_HZ)
        for part in range(PARTS):  # a busy machine sends some of them in pieces
            left, right = part_of(asked, part), part_of(answered, part)
            heard, said = where(pcm[:, 0], at_16_khz(left)), where(pcm[:, 1], right)
            sent, came = began(wire.sent, left), began(wire.received(), right[::2])
            if heard is not None and said is not None and sent is not None and came is not None:
                compared += 1
                assert (said - heard) / RATE_HZ == pytest.approx(came - sent, abs=ALIGNED_S)
    assert compared >= TALKS * PARTS / 2


def part_of(sound: Samples, part: int) -> Samples:
    size = len(sound) // PARTS
    return sound[part * size : (part + 1) * size]
