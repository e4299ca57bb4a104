"""`offhook demo` as people run it, with the bundled models."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from tests.e2e.served import OFFHOOK, QUESTIONS
from tests.models.fake_openai import FakeOpenAI, Refuse
from tests.ollama_server import served

pytestmark = pytest.mark.models


async def demo(folder: Path, *questions: str, **environment: str) -> tuple[int | None, str]:
    """Its exit status and all that it prints."""
    process = await asyncio.create_subprocess_exec(
        *OFFHOOK,
        "demo",
        "--wav",
        str(folder / "demo.wav"),
        *questions,
        env={**os.environ, "COLUMNS": "200", "OFFHOOK_LLM__TEMPERATURE": "0", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 180)
    return process.returncode, printed.decode()


async def test_it_answers_whoever_else_may_call(tmp_path: Path) -> None:
    status, printed = await demo(
        tmp_path,
        *QUESTIONS,
        OFFHOOK_LLM__MAX_TOKENS="24",
        OFFHOOK_SIP__USERS="reception",
        OFFHOOK_SIP__ALLOW="192.0.2.0/24",
        OFFHOOK_SIP__CODECS="opus",
    )
    assert status == 0, printed
    assert len(re.findall(r"^Agent .* \d+ ms", printed, re.MULTILINE)) == len(QUESTIONS)
    assert (tmp_path / "demo.wav").stat().st_size > 0


async def test_it_fails_where_the_agent_only_excuses_itself(tmp_path: Path) -> None:
    async with served(FakeOpenAI(Refuse(400)).app) as url:
        status, printed = await demo(
            tmp_path,
            QUESTIONS[0],
            OFFHOOK_LLM__URL=f"{url}/v1",
            OFFHOOK_LLM__MODEL="refuses",
            OFFHOOK_LLM__FALLBACK="never",
        )
    assert status == 1, printed
    assert "Sorry, could you say that again?" in printed
    assert "The agent was not heard to answer question 1." in printed
