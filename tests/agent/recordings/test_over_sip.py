"""What a recording of a real SIP call holds, held against what was on the wire."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import soundfile

from agent.recordings.monitor import Monitor
from agent.recordings.recordings import Recordings
from tests.agent.recordings.wire import RATE_HZ, WIRE_HZ, Samples, Wire, at_16_khz, began, noise, where
from tests.peers import Reception, sip_server
from tests.sip_caller import PTIME_S, dialled
from tests.transports.test_sip_audio import Pipelined, fallen_silent, speak
from tests.waiting import until

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


async def test_what_a_barge_in_cuts_off_isnt_there(recordings: Recordings) -> None:
    reception, loop = Reception(), asyncio.get_running_loop()
    async with sip_server(reception) as server, dialled(server) as caller:
        call = await reception.connected.get()
        monitor, wire = Monitor(call, loop.time, recordings), Wire(caller)
        async with Pipelined(call):
            await speak(call, noise(0.3, 2, RATE_HZ))  # by which it learns the stack's clock
            await asyncio.sleep(0.5)
            monitor.announce()
            wire_began = len(wire.received())
            speaking = asyncio.create_task(speak(call, noise(3.0, 1, RATE_HZ)))
            await until(lambda: call.playout.position > 1.3 * RATE_HZ)
            call.playout.interrupt()
            speaking.cancel()
            await fallen_silent(caller)
        await monitor.finish()
    known = monitor.recorded
    assert known
    pcm, _ = soundfile.read(known.path, dtype="int16")
    packets = [(at, samples) for at, samples in wire.received()[wire_began:] if sounding(samples)]
    apart_s = packets[-1][0] - packets[0][0] + PTIME_S
    sent_s = sounding(np.concatenate([samples for _, samples in wire.received()[wire_began:]])) / WIRE_HZ
    recorded_s = sounding(pcm[:, 1]) / RATE_HZ
    # On a busy machine, packets that belong together go out with a pause between them.
    assert min(apart_s, sent_s) - ALIGNED_S < recorded_s < max(apart_s, sent_s) + ALIGNED_S
    assert 0.9 < recorded_s < 2.9


def sounding(samples: Samples) -> int:
    """How many samples are from the first to the last that is heard."""
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 300)
    return int(loud[-1] - loud[0]) if len(loud) else 0


def part_of(sound: Samples, part: int) -> Samples:
    size = len(sound) // PARTS
    return sound[part * size : (part + 1) * size]
