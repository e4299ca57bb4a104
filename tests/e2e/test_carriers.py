"""Each carrier's documented messages against `offhook serve`, with real speech and the bundled models.

Every call goes the same way: the greeting is interrupted with a question, the question is understood
and answered aloud, keys are pressed over the answer, and the caller hangs up.
"""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
import soxr

from models.whisper import Recognizer
from tests.e2e.served import QUESTIONS, Served, plain, served, talkative
from tests.transports.carrier_stream import Stream, connect
from tests.transports.media_carriers import PUBLIC, SIDES, FakeCarrier, loudness
from tests.waiting import until

pytestmark = pytest.mark.models

AUDIBLE = 300.0
CLEAR_WITHIN_S = 0.4  # from the first packet of speech; some carriers' packets are 0.1 s long


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("carriers")
    settings = {
        "OFFHOOK_PERSONA": talkative(folder),
        # What is tested here is the wire, on which nothing comes back.
        "OFFHOOK_TURN__ECHO_GUARD": "false",
        "OFFHOOK_CARRIERS__ENABLED": ",".join(side.name for side in SIDES),
        "OFFHOOK_CARRIERS__PUBLIC_URL": PUBLIC,
        "OFFHOOK_HTTP__API_KEY": "of-the-front-desk",
    }
    for side in SIDES:
        # Without an account, Twilio's and Plivo's APIs aren't asked to hang up.
        settings[f"OFFHOOK_CARRIERS__{side.name.upper()}__ACCOUNT"] = (
            "" if side.name in ("twilio", "plivo") else side.account
        )
        settings[f"OFFHOOK_CARRIERS__{side.name.upper()}__SECRET"] = side.secret
    with served(folder, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def question(questions: list[Path]) -> np.ndarray:
    """s16 mono PCM at 16 kHz, without silence before it."""
    with wave.open(str(questions[0])) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return pcm[int(np.nonzero(np.abs(pcm.astype(int)) > 500)[0][0]) :]


class Line:
    """A caller on a carrier's stream, who is silent unless there is something to say."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._side = stream.side
        self._sending = asyncio.create_task(self._send())
        self._said: asyncio.Queue[bytes] = asyncio.Queue()

    async def _send(self) -> None:
        silence = bytes(self._side.rate_hz * self._side.packet_ms // 1000 * 2)
        while True:
            await self.stream.speak(silence if self._said.empty() else self._said.get_nowait())

    def say(self, pcm: np.ndarray) -> None:
        self._said.put_nowait(soxr.resample(pcm, 16_000, self._side.rate_hz).tobytes())

    def heard(self, since: int = 0) -> np.ndarray:
        """What came, at 16 kHz, from byte `since` of the wire's PCM on."""
        pcm = np.frombuffer(bytes(self.stream.audio[since:]), np.int16)
        return np.asarray(soxr.resample(pcm, self._side.rate_hz, 16_000))

    def sounds(self, since: int = 0, last_s: float = 0.3) -> bool:
        """Whether something was audible in the last part of what came."""
        part = self.stream.audio[since:][-int(self._side.rate_hz * last_s) * 2 :]
        return loudness(bytes(part)) > AUDIBLE

    async def hang_up(self) -> None:
        self._sending.cancel()
        await asyncio.wait({self._sending})
        await self.stream.send(self._side.stop())
        await self.stream.close()


async def the_session(server: Served) -> dict[str, Any]:
    (session,) = await asyncio.to_thread(server.sessions)
    return dict(await asyncio.to_thread(server.get, f"/api/v1/sessions/{session['id']}"))


async def turns(server: Served, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """The session's transcript, once there is enough of it."""
    async with asyncio.timeout(15):
        while not enough(transcript := (await the_session(server))["transcript"]):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return list(transcript)


def of(speaker: str, transcript: list[dict[str, Any]]) -> list[str]:
    return [plain(turn["text"]) for turn in transcript if turn["speaker"] == speaker]


@pytest.mark.parametrize("kind", SIDES, ids=lambda side: side.name)
async def test_a_conversation(
    server: Served, kind: type[FakeCarrier], question: np.ndarray, recognizer: Recognizer
) -> None:
    side = kind()
    stream = Stream(side, await connect(server.url, side))
    await stream.send(*side.opening())
    line = Line(stream)
    try:
        await until(line.sounds, 3)
        session = await the_session(server)
        assert (session["transport"], session["state"]) == (side.name, "greeting")
        assert session["from"].endswith("15550100")
        await until(lambda: len(stream.audio) > 1.5 * 2 * side.rate_hz)

        asked_at = asyncio.get_running_loop().time()
        line.say(question)
        await until(lambda: bool(stream.cleared_at))
        assert stream.cleared_at[0] - asked_at < CLEAR_WITHIN_S
        cleared = len(stream.audio)
        said = await turns(server, lambda transcript: bool(of("caller", transcript)))
        assert jiwer.wer(plain(QUESTIONS[0]), of("caller", said)[0]) <= 0.4
        assert said[0]["speaker"] == "agent"
        assert said[0]["cut_off"]

        await until(lambda: line.sounds(cleared))
        answer = len(stream.audio)
        await until(lambda: len(stream.audio) - answer > 3 * 2 * side.rate_hz or not line.sounds(), 15)
        await stream.send(side.dtmf("5"), side.dtmf("#"))
        ears = asyncio.to_thread(recognizer.transcribe_now, line.heard(cleared), "en")
        # A short answer is over as the key is pressed: then its turn is there first.
        said = await turns(
            server, lambda transcript: min(len(of(who, transcript)) for who in ("agent", "caller")) > 1
        )
        assert of("caller", said)[1] == "dtmf 5"
        answered, heard = of("agent", said)[1].split(), plain((await ears).text).split()
        # The transcript ends with the last whole word before the key.
        assert sum(word in heard for word in answered) >= 0.5 * len(answered), heard
    finally:
        await line.hang_up()
    await gone(server)


async def gone(server: Served) -> None:
    async with asyncio.timeout(10):
        while await asyncio.to_thread(server.sessions):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
