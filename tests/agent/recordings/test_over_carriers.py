"""A recording of a call over a carrier's WebSocket, whose agent says back what it hears."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import soundfile

from agent.recordings.monitor import Monitor
from agent.recordings.recordings import Recordings
from tests.agent.recordings.wire import RATE_HZ, WIRE_HZ, at_16_khz, noise, where
from tests.transports.media_carriers import FakeCarrier, PlivoSide, TwilioSide
from tests.transports.test_media_streams import Server, server
from tests.waiting import until

__all__ = ["server"]  # the fixture

PARTS = 5
LOUD = 500


@pytest.mark.parametrize("side", [TwilioSide, PlivoSide])
async def test_both_sides_are_heard_and_the_echo_comes_behind(
    server: Server, recordings: Recordings, side: type[FakeCarrier]
) -> None:
    asked = noise(1.0, 1, WIRE_HZ)
    async with server.call(side()) as stream:
        assert stream.side.rate_hz == WIRE_HZ
        call = server.agent.live[-1]
        monitor = Monitor(call, asyncio.get_running_loop().time, recordings)
        monitor.announce()
        await stream.speak(asked.tobytes())
        await until(lambda: np.abs(np.frombuffer(stream.audio[-3200:], np.int16)).max(initial=0) < LOUD)
    await monitor.finish()
    known = monitor.recorded
    assert known
    pcm, _ = soundfile.read(known.path, dtype="int16")
    parts = [at_16_khz(part) for part in np.array_split(asked, PARTS)]
    places = [(where(pcm[:, 0], part), where(pcm[:, 1], part)) for part in parts]
    behind = [(echo - said) / RATE_HZ for said, echo in places if said is not None and echo is not None]
    assert len(behind) >= PARTS / 2  # a busy machine breaks some in two
    assert all(0.04 <= seconds < 1 for seconds in behind)
