"""What real servers and models send, against `offhook serve`: in text in its three forms, and in calls."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import jiwer
import pytest
import pytest_asyncio
import websockets

from bench.caller.recording import read_agent
from bench.caller.script import AUDIBLE_DBFS, Samples
from config.persona import load_persona
from models.whisper import Recognizer
from tests.e2e.served import Served, aside, plain, served
from tests.e2e.test_serve import ask, child_of, watched
from tests.models.fake_openai import FakeOpenAI, Messages, Say, Step
from tests.models.quirks import ANSWER, GOOD, IN_TEXT, QUIRKS, THINKS_LONG, Quirk, deltas
from tests.ollama_server import served as fake_served
from transports.playout import SAMPLE_RATE_HZ

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]

PERSONA = load_persona("en")
# What callers say in the persona's own examples, which stand before each conversation.
EXAMPLES = [message["role"] for message in PERSONA.primer].count("user")


@dataclass
class Reply:
    """`text` is what came in pieces; `told` what stands in the end, None where that was an error."""

    text: str
    told: str | None


async def over_json(http: httpx2.AsyncClient, text: str, conversation: str) -> Reply:
    answer = await http.post("/api/v1/chat", json={"text": text, "conversation": conversation})
    if answer.status_code == 200:
        return Reply(answer.json()["text"], answer.json()["text"])
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "application/problem+json"
    return Reply("", None)


async def over_sse(http: httpx2.AsyncClient, text: str, conversation: str) -> Reply:
    body = {"text": text, "conversation": conversation}
    answer = await http.post("/api/v1/chat", json=body, headers={"Accept": "text/event-stream"})
    if answer.status_code != 200:
        assert answer.status_code == 502
        return Reply("", None)
    events = [event.split("\n") for event in answer.text.strip().split("\n\n")]
    assert all(len(lines) == 2 for lines in events)
    return _reply(
        [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in events]
    )


async def over_websocket(http: httpx2.AsyncClient, text: str, conversation: str) -> Reply:
    async with websockets.connect(f"ws://127.0.0.1:{http.base_url.port}/api/v1/chat") as socket:
        await socket.send(json.dumps({"text": text, "conversation": conversation}))
        said = list[tuple[str, dict[str, Any]]]()
        while not said or said[-1][0] not in ("done", "error"):
            message = json.loads(await socket.recv())
            said.append((message["type"].removesuffix("s"), message))
    return _reply(said)


def _reply(said: list[tuple[str, dict[str, Any]]]) -> Reply:
    *tokens, (end, last) = said
    assert {name for name, _ in tokens} <= {"token"}
    text = "".join(data["text"] for _, data in tokens)
    return Reply(text, last["text"] if end == "done" else None)


FORMS: dict[str, Callable[[httpx2.AsyncClient, str, str], Awaitable[Reply]]] = {
    "json": over_json,
    "sse": over_sse,
    "websocket": over_websocket,
}


@dataclass
class Scripted:
    """`offhook serve`, whose model answers each conversation, and each turn of a call, by a script."""

    server: Served
    http: httpx2.AsyncClient
    fake: FakeOpenAI
    scripts: dict[str, list[Step]] = field(default_factory=dict)  # by the conversation's first words
    turns: list[list[Step]] = field(default_factory=list)  # of a call
    others: list[Step] = field(default_factory=lambda: [GOOD])

    def script_of(self, messages: Messages) -> list[Step]:
        asked = [str(message["content"]) for message in messages if message["role"] == "user"]
        if self.turns:
            return self.turns[min(len(asked) - EXAMPLES, len(self.turns)) - 1]
        return self.scripts.get(asked[-1], self.others)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scripted(
    tmp_path_factory: pytest.TempPathFactory, questions: list[Path], recognizer: Recognizer
) -> AsyncIterator[Scripted]:
    # Those two first: while they are loaded the fake would answer nobody.
    fake = FakeOpenAI()
    fake.tells_ends = False  # nor do all of the quirks
    async with fake_served(fake.app) as url:
        settings = {
            "OFFHOOK_LLM__URL": f"{url}/v1",
            "OFFHOOK_LLM__MODEL": "scripted",
            "OFFHOOK_LLM__FALLBACK": "never",
            "OFFHOOK_LLM__FIRST_TOKEN_TIMEOUT_S": "3",
            "OFFHOOK_TURN__FILLER_AFTER_MS": "2500",
        }
        async with (
            aside(served(tmp_path_factory.mktemp("quirks"), **settings)) as server,
            httpx2.AsyncClient(base_url=server.url, timeout=30) as http,
        ):
            running = Scripted(server, http, fake)
            fake.script_of = running.script_of
            yield running


@pytest.mark.parametrize("quirk", IN_TEXT, ids=lambda quirk: quirk.name)
async def test_only_the_answer_is_told_and_remembered(scripted: Scripted, quirk: Quirk) -> None:
    await asyncio.gather(*(told_and_remembered(scripted, quirk, form) for form in FORMS))


async def told_and_remembered(scripted: Scripted, quirk: Quirk, form: str) -> None:
    text = f"{quirk.name}, over {form}"
    scripted.scripts[text] = list(quirk.script)
    conversation = "".join(filter(str.isalnum, text))[:64]
    reply = await FORMS[form](scripted.http, text, conversation)
    assert reply.text.strip() == (quirk.said if reply.told is not None or form != "json" else "")
    assert (reply.told is None) == quirk.lost
    next_text = f"And then, over {form}?"
    assert (await over_json(scripted.http, next_text, conversation)).text == ANSWER
    (*_, asked, answered, _) = next(
        request["messages"]
        for request in reversed(scripted.fake.requests)
        if request["messages"][-1]["content"].endswith(next_text)
    )
    if quirk.said:
        assert asked["content"].endswith(text)
        assert answered["content"].strip() == quirk.said


NAMED = {quirk.name: quirk for quirk in QUIRKS}
HANG_UP = deltas('{"name": "end_', 'call", "parameters": {}}')
CALLS = (
    (
        "tags, cut",
        "reasoning until there is no room",
        "an error",
        "nothing",
        "a call as text, of no tool",
        "thoughts for longer than the deadline",
        "halves of a character",
    ),
    (
        "busy, and says until when",
        "NUL and terminal codes",
        "half an answer",
        "an error in the stream",
        "parts",
        "the caller's next words",
        "a call of no tool",
        "tools must be enabled",
        "roles alternate",
    ),
)
SILENT_MS = 2000  # a busy machine takes longer to see that a noise was none, and to go on
MOST_MISHEARD = 0.4  # of the words: the recognizer's slips, on a telephone line
UNSPEAKABLE = ("think", "hm", "end call", "name", "argument", "parameter", "smil", "face", "null", "user")


@pytest.mark.parametrize("names", CALLS, ids=["what it writes", "how it sends it"])
async def test_only_the_answer_is_heard_and_the_call_goes_on(
    scripted: Scripted, names: tuple[str, ...], questions: list[Path], tmp_path: Path, recognizer: Recognizer
) -> None:
    quirks = [NAMED[name] for name in names]
    scripted.turns = [*(list(quirk.script) for quirk in quirks), [HANG_UP]]
    asked = [questions[turn % len(questions)] for turn in range(len(scripted.turns))]
    steps = [step for question in asked for step in ask(question, silent_ms=SILENT_MS)]
    result, transcript = await watched(scripted.server, steps, tmp_path)
    scripted.turns = []
    assert result["ended_by"] == "agent"  # by the call that the model wrote, and not before
    wanted = [f"{quirk.said} {PERSONA.again}".strip() if quirk.lost else quirk.said for quirk in quirks]
    told = [turn["text"] for turn in transcript if turn["speaker"] == "agent"]
    assert told[: 1 + len(wanted)] == [PERSONA.greeting, *wanted]
    heard = [await _heard(recognizer, sound) for sound in _by_turn(result, tmp_path / "call.wav")]
    print(f"\n{len(heard)} answers heard: {heard}")
    for sound, text in zip(heard, [*wanted, PERSONA.goodbye], strict=True):
        assert jiwer.wer(plain(text), sound.removeprefix("one moment ")) <= MOST_MISHEARD
        assert not [word for word in UNSPEAKABLE if re.search(rf"\b{word}", sound)]


STALLS: tuple[list[Step], ...] = (
    [Say((), hang=True), GOOD],
    [Say(("",), hang=True), GOOD],
    [THINKS_LONG],
    [Say(("We are",), hang=True)],
)


async def test_what_stalls_in_a_call_isn_t_waited_for_in_silence(
    scripted: Scripted, questions: list[Path], tmp_path: Path
) -> None:
    scripted.turns = [*map(list, STALLS), [HANG_UP]]
    asked = [questions[turn % len(questions)] for turn in range(len(scripted.turns))]
    steps = [step for question in asked for step in ask(question)]
    judge = child_of(scripted.server.process.pid)
    os.kill(judge, signal.SIGSTOP)  # who is asked whether the caller is done
    try:
        result, _ = await watched(scripted.server, steps, tmp_path)
    finally:
        scripted.turns = []
        with contextlib.suppress(ProcessLookupError):  # it is replaced
            os.kill(judge, signal.SIGCONT)
    assert result["ended_by"] == "agent"
    ends = [mark["at"] for mark in result["marks"] if (mark["what"], mark["event"]) == ("play", "end")]
    received = zip(result["received"]["at"], result["received"]["level_dbfs"], strict=True)
    audible = [at for at, level in received if level > AUDIBLE_DBFS]
    waits = [min(at for at in audible if at > end) - end for end in ends]
    print(f"\nheard after {', '.join(f'{wait:.1f} s' for wait in waits)}")
    assert max(waits) <= 4.0


def _by_turn(result: dict[str, Any], recording: Path) -> list[Samples]:
    """What the agent said from the beginning of one question to that of the next."""
    samples, began = read_agent(recording, SAMPLE_RATE_HZ), result["sent"]["due"][0]
    begins = [mark["at"] for mark in result["marks"] if (mark["what"], mark["event"]) == ("play", "begin")]
    cuts = [round((at - began) * SAMPLE_RATE_HZ) for at in begins]
    return [samples[start:end] for start, end in itertools.pairwise([*cuts, len(samples)])]


async def _heard(recognizer: Recognizer, sound: Samples) -> str:
    return plain((await recognizer.transcribe(sound.tobytes(), call_id="test", language="en")).text)
