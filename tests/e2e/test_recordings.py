"""What is recorded of real calls, whatever becomes of the process."""

from __future__ import annotations

import asyncio
import contextlib
import io
import wave
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.e2e.served import START_S, Served, plain, until
from tests.sip_caller import Caller

pytestmark = [pytest.mark.models, pytest.mark.peers, pytest.mark.timeout(900)]

CALLS = 3
LATE_S = 2.0  # what isn't on the disk yet


def sessions(server: Served, state: str) -> list[dict[str, Any]]:
    listed = server.get(f"/api/v1/sessions?state={state}")["sessions"]
    return [server.get(f"/api/v1/sessions/{one['id']}") for one in listed]


def recording(server: Served, id: str) -> NDArray[np.int16]:
    """As a player has it: shape (samples, 2)."""
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        answer = client.get(f"/api/v1/sessions/{id}/recording")
        assert answer.status_code == 200, answer.text
    pcm, rate_hz = soundfile.read(io.BytesIO(answer.content), dtype="int16")
    assert rate_hz == 16_000
    return pcm  # type: ignore[no-any-return]


def size(path: str) -> int:
    return Path(path).stat().st_size


async def test_killed_in_the_midst_of_recorded_calls(tmp_path: Path, questions: list[Path]) -> None:
    """Each recording can be heard, and its record says where the answer is in it."""
    with wave.open(str(questions[0])) as file:
        question: NDArray[np.int16] = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    with contextlib.ExitStack() as stack:
        environment = {
            "OFFHOOK_RECORDINGS__ENABLED": "true",
            "OFFHOOK_CALL__IDLE_PROMPT_S": "600",
            "OFFHOOK_CALL__MAX_CALLS": str(CALLS),
        }
        server = Served(tmp_path, environment)
        stack.callback(server.kill)
        assert await asyncio.to_thread(until, server.ready, START_S)
        callers = [Caller(("127.0.0.1", server.sip)) for _ in range(CALLS)]
        for caller in callers:
            stack.callback(caller.close)
            await caller.call()

        def greeted() -> bool:
            return [len(one["transcript"]) for one in sessions(server, "live")] == [2] * CALLS

        def answered() -> bool:
            return any(len(one["transcript"]) == 4 for one in sessions(server, "live"))

        assert await asyncio.to_thread(until, greeted, 60)
        callers[0].say(question[::2])
        assert await asyncio.to_thread(until, answered, 60)
        await asyncio.sleep(2 * LATE_S)
        server.kill()
        again = Served(tmp_path, environment)
        stack.callback(again.kill)
        assert await asyncio.to_thread(until, again.ready, START_S)
        past = await asyncio.to_thread(sessions, again, "ended")
        assert [one["cause"] for one in past] == ["process_died"] * CALLS
        for one in past:
            announcement, greeting, *others = one["transcript"]
            assert announcement["text"] == "This call may be recorded."
            assert announcement["recorded_s"] is None
            pcm = await asyncio.to_thread(recording, again, one["id"])
            known = one["recording"]
            assert (known["seconds"], known["bytes"]) == (
                pytest.approx(len(pcm) / 16_000, abs=0.001),
                size(known["path"]),
            )
            assert greeting["recorded_s"] < 1
            heard = await asyncio.to_thread(again.transcribe, pcm[:, 1].copy())
            assert "recorded" not in plain(heard)
            assert "can i help" in plain(heard)
            if others:
                asked, answer = (round(turn["recorded_s"] * 16_000) for turn in others)
                heard = await asyncio.to_thread(again.transcribe, pcm[asked - 1600 :, 0].copy())
                assert "capital of france" in plain(heard)
                heard = await asyncio.to_thread(again.transcribe, pcm[answer - 1600 :, 1].copy())
                assert "paris" in plain(heard)
                assert not np.abs(pcm[answer - 3200 : answer - 800, 1]).max() > 500  # silent before it
        assert sum(len(one["transcript"]) == 4 for one in past) == 1
        assert await asyncio.to_thread(again.stop) == 0
