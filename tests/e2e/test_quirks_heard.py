"""What a caller hears of a model that thinks aloud and calls tools in text, over real SIP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.caller.recording import read_agent
from config.persona import load_persona
from models.whisper import Recognizer
from tests.e2e.served import aside, plain, served
from tests.e2e.test_serve import ask, watched
from tests.models.fake_openai import FakeOpenAI, Messages, Raw, Step
from tests.ollama_server import served as fake_served
from transports.playout import SAMPLE_RATE_HZ

pytestmark = pytest.mark.models

# What callers say in the persona's own examples, which stand before each conversation.
EXAMPLES = [message["role"] for message in load_persona("en").primer].count("user")
ALOUD = (
    "<thi",
    "nk>They want the capital of",
    " France.</think>",
    "\n\n**Paris** is the capital.",
    " 😀<|im_end|>",
)


def deltas(*contents: str) -> Raw:
    events = [{"choices": [{"index": 0, "delta": {"content": content}}]} for content in contents]
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return Raw([json.dumps(event) for event in (*events, last)])


async def test_only_the_answer_is_heard_and_a_written_call_is_made(
    questions: list[Path], tmp_path: Path, recognizer: Recognizer
) -> None:
    scripts: list[list[Step]] = [[deltas(*ALOUD)], [deltas('{"name": "end_', 'call", "parameters": {}}')]]

    def script_of(messages: Messages) -> list[Step]:
        asked = [message["role"] for message in messages].count("user") - EXAMPLES
        return scripts[min(asked, len(scripts)) - 1]

    fake = FakeOpenAI(script_of=script_of)
    async with fake_served(fake.app) as url:
        running = served(tmp_path, OFFHOOK_LLM__URL=f"{url}/v1", OFFHOOK_LLM__MODEL="scripted")
        async with aside(running) as server:
            steps = [step for question in questions for step in ask(question)]
            result, turns = await watched(server, steps, tmp_path)
    answers = [turn["text"] for turn in turns if turn["speaker"] == "agent"]
    assert plain(answers[1]) == "paris is the capital"
    assert result["ended_by"] == "agent"
    heard = await recognizer.transcribe(
        read_agent(tmp_path / "call.wav", SAMPLE_RATE_HZ).tobytes(), call_id="test", language="en"
    )
    assert "paris is the capital" in plain(heard.text)
    for unspeakable in ("think", "end call", "parameters", "name", "smil"):
        assert unspeakable not in plain(heard.text)
