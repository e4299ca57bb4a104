"""`offhook call` by a server as people run it, to Debian's baresip, which speaks and records."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import jiwer
import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from models.whisper import Recognizer
from tests.agent.outbound.greetings import RATE_HZ, Beep, Samples, flite, silence, tone
from tests.e2e.served import OFFHOOK, Served, plain, served
from tests.peers import softphone
from tests.transports.test_sip_dialling_peers import ANSWERS, address

pytestmark = [pytest.mark.models, pytest.mark.peers]

KEY = "s3cret-s3cret-s3cret"
MESSAGE = "This is the front desk of the hotel. Your room is ready for you now."
GREETING = "Hello, you have reached the Miller family. Please leave a message after the tone."
APART_S = 1.0  # the softphone's two recordings may begin
SETTINGS = {
    "OFFHOOK_HTTP__API_KEY": KEY,
    "OFFHOOK_OUTBOUND__ALLOW": "600@127.0.0.1:*",
    "OFFHOOK_LLM__BUNDLED": "smollm2-135m",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("outbound"), **SETTINGS) as running:
        yield running


def machine() -> Samples:
    beep = Beep((1000,), 0.4)
    return np.concatenate((silence(0.5), flite("rms")(GREETING), silence(0.8), tone(beep), silence(30)))


def person() -> Samples:
    return np.concatenate((silence(0.5), flite("rms")("Hello?"), silence(30)))


@pytest.mark.parametrize(
    ("speech", "told"),
    [(machine, "An answering machine has."), (person, "A person has answered.")],
    ids=["machine", "person"],
)
async def test_the_message_is_heard(
    server: Served, speech: Callable[[], Samples], told: str, tmp_path: Path, recognizer: Recognizer
) -> None:
    said = speech()

    def says(rate_hz: int) -> NDArray[np.int16]:
        return np.asarray(soxr.resample(said, RATE_HZ, rate_hz))

    async with softphone(tmp_path, "", says, account=ANSWERS) as phone:
        command = [*OFFHOOK, "call", address(tmp_path), "--say", MESSAGE, "--hang-up"]
        command += ["--answering-machine", "leave_message", "--url", server.url]
        called = await asyncio.to_thread(
            subprocess.run,
            command,
            env=os.environ | SETTINGS,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert called.returncode == 0, called.stdout + called.stderr
        assert told in called.stdout
        assert called.stdout.splitlines()[-1].endswith("agent hangup")
    heard, rate_hz = phone.heard()
    pcm = np.asarray(soxr.resample(heard, rate_hz, RATE_HZ))
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > 1000)
    begins_s = loud[0] / RATE_HZ
    words = recognizer.transcribe_now(pcm[max(0, loud[0] - RATE_HZ // 5) :], "en").text
    assert jiwer.wer(plain(MESSAGE), plain(words)) < 0.35  # a busy machine drops a syllable
    if speech is machine:
        ours, _ = phone.said()
        spoken = np.flatnonzero(np.abs(ours.astype(np.int32)) > 1000)
        assert begins_s > spoken[-1] / rate_hz - APART_S  # behind the beep
