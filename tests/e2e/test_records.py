"""What is known of calls when the process that had them is gone."""

from __future__ import annotations

import asyncio
import contextlib
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.e2e.served import START_S, Served, plain, until
from tests.postgres import postgres
from tests.sip_caller import Caller

pytestmark = [pytest.mark.models, pytest.mark.peers, pytest.mark.timeout(900)]

CALLS = 10


def transcripts(server: Served, state: str) -> dict[str, list[str]]:
    """What was said so far in each call, by its id."""
    sessions: list[dict[str, Any]] = server.get(f"/api/v1/sessions?state={state}")["sessions"]
    details = {each["id"]: server.get(f"/api/v1/sessions/{each['id']}") for each in sessions}
    return {id: [turn["text"] for turn in each["transcript"]] for id, each in details.items()}


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_killed_in_the_midst_of_calls(tmp_path: Path, questions: list[Path], database: str) -> None:
    with wave.open(str(questions[0])) as file:
        question: NDArray[np.int16] = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    with contextlib.ExitStack() as stack:
        environment = {
            "OFFHOOK_CALL__IDLE_PROMPT_S": "600",  # nothing is said but what is waited for
            "OFFHOOK_LLM__BUNDLED": "smollm2-135m",
        }
        if database == "postgresql":
            environment["OFFHOOK_RECORDS__URL"] = stack.enter_context(postgres()).url
        server = Served(tmp_path, environment)
        stack.callback(server.kill)
        assert await asyncio.to_thread(until, server.ready, START_S)

        def greeted() -> bool:
            said = transcripts(server, "live").values()
            return len(said) == CALLS and all(said)

        def answered() -> bool:
            return any(len(turns) >= 3 for turns in transcripts(server, "live").values())

        for _ in range(CALLS):
            caller = Caller(("127.0.0.1", server.sip))
            stack.callback(caller.close)
            await caller.call()
        assert await asyncio.to_thread(until, greeted, 60)
        caller.say(question[::2])
        assert await asyncio.to_thread(until, answered, 60)
        before = await asyncio.to_thread(transcripts, server, "live")
        server.kill()
        again = Served(tmp_path, environment)
        stack.callback(again.kill)
        assert await asyncio.to_thread(until, again.ready, START_S)
        after = await asyncio.to_thread(transcripts, again, "ended")
        causes = {each["cause"] for each in again.get("/api/v1/sessions?state=ended")["sessions"]}
        assert await asyncio.to_thread(again.stop) == 0
    assert causes == {"process_died"}
    assert len(after) == CALLS
    assert after == before
    assert any("capital" in plain(turns[1]) for turns in after.values() if len(turns) > 1)
