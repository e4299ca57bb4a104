"""What real servers send, each in a whole answer on the calls' path: a fake OpenAI server sends it."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from models.errors import ModelFailed
from models.llm.language_model import Llm
from tests.models.fake_openai import Raw, Refuse, Say, scripted

AGAIN = "Sorry?"
END_CALL = {"type": "function", "function": {"name": "end_call", "description": "Hang up.", "parameters": {}}}


async def answered(llm: Llm, *, again: str = AGAIN) -> tuple[str, list[str]]:
    """What is said, and the tools that are called."""
    params = {
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello?"}],
        "stream": True,
        "temperature": 0.2,
        "max_tokens": 50,
        "tools": [END_CALL],
    }
    said, called = "", []
    chain = llm.chain()
    try:
        async with aclosing(chain.answer(params, keep=1, again=again)) as chunks:
            async for chunk in chunks:
                delta = chunk.choices[0].delta
                said += delta.content or ""
                called += [str(call.function.name) for call in delta.tool_calls or () if call.function]
    finally:
        chain.close()
    return said.strip(), called


def deltas(*contents: Any, reason: str | None = "stop") -> Raw:
    events = [{"choices": [{"index": 0, "delta": {"content": content}}]} for content in contents]
    return Raw(
        [
            *map(json.dumps, events),
            json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}),
        ]
    )


def choice(delta: Any, **more: Any) -> str:
    return json.dumps({"id": "1", "choices": [{"index": 0, "delta": delta, **more}]})


@pytest.mark.parametrize(
    "sent",
    [
        deltas("<thi", "nk>Hm.</th", "ink>", "Good day."),
        Raw([choice({"reasoning_content": "Hm."}), choice({"content": "Good day."})]),
        Raw([choice({"reasoning": "Hm."}), choice({"content": "Good day."})]),
        Raw(
            [
                choice(
                    {"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Good day."}]}
                )
            ]
        ),
        Raw([choice({"content": [{"type": "text", "text": "Good "}, {"type": "text", "text": "day."}]})]),
        Raw([choice(None), choice({"content": "Good day."})]),
        Raw(
            [
                choice({"role": "assistant"}),
                choice({"content": "Good day."}),
                '{"choices": [], "usage": null}',
            ]
        ),
        Raw(['{"choices": null}', choice({"content": "Good day."})]),
        Raw([choice({"content": "Good day."})], head=b"\n\n\n"),
        Raw([choice({"content": "Good day."})], head=b": keep-alive\n\n\r\n: ping\r\n\r\n"),
        Raw([choice({"content": "Good day."})], line_end=b"\r\n"),
        Raw([choice({"content": "Good\x00 \x1b[1mday\x1b[0m."})]),
        Raw([choice({"content": "Good "}), choice({"content": "day."}, finish_reason=None)]),
        Raw([choice({"content": "Good day."})], done=False),
        deltas("Good day.<|im_end|>", "<|im_start|>user"),
    ],
)
async def test_only_the_answer_comes_out(sent: Raw) -> None:
    async with scripted(sent) as (llm, _):
        assert await answered(llm) == ("Good day.", [])


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00"])
async def test_half_characters_are_left_out(half: str) -> None:
    event = '{"choices": [{"index": 0, "delta": {"content": "Good ' + half + 'day."}}]}'
    async with scripted(Raw([event])) as (llm, _):
        assert (await answered(llm))[0].replace(" ", "") == "Goodday."


@pytest.mark.parametrize(
    "sent",
    [
        deltas('{"name": "end_', 'call", "parameters": {}}'),
        deltas("```json\n", '{"name": "end_call", "arguments": {}}', "\n```"),
        deltas('<tool_call>{"name": "end_call"', ', "arguments": {}}</tool_call>'),
        Raw(
            [
                choice(
                    {
                        "tool_calls": [
                            {"index": 0, "id": "1", "function": {"name": "end_call", "arguments": None}}
                        ]
                    }
                )
            ]
        ),
        Raw([choice({"tool_calls": [{"index": 0, "function": {"name": "end_call", "arguments": ""}}]})]),
    ],
)
async def test_a_tool_is_called_however_that_is_written(sent: Raw) -> None:
    async with scripted(sent) as (llm, _):
        assert await answered(llm) == ("", ["end_call"])


async def test_a_tool_that_doesn_t_exist_isn_t_called_and_the_answer_is_asked_for_again() -> None:
    call = {"tool_calls": [{"index": 0, "id": "1", "function": {"name": "launch", "arguments": "{}"}}]}
    async with scripted(Raw([choice(call)]), Say(("Good day.",))) as (llm, fake):
        assert await answered(llm) == ("Good day.", [])
        assert len(fake.requests) == 2


@pytest.mark.parametrize(
    "sent", [deltas(""), deltas("..."), deltas(" \n "), deltas("<think>Hm", reason="length"), Raw([])]
)
async def test_an_answer_without_words_is_asked_for_once_more(sent: Raw) -> None:
    async with scripted(sent, Say(("Good day.",))) as (llm, _):
        said, _called = await answered(llm)
        assert said.lstrip(". \n") == "Good day."
    async with scripted(sent, sent) as (llm, fake):
        said, _called = await answered(llm)
        assert said.lstrip(". \n") == AGAIN
        assert len(fake.requests) == 2
        with pytest.raises(ModelFailed, match="said nothing"):
            await answered(llm, again="")


async def test_what_is_lost_in_the_middle_is_asked_for_of_the_caller() -> None:
    async with scripted(Say(("We are",), break_off=True)) as (llm, fake):
        assert await answered(llm) == (f"We are {AGAIN}", [])
        assert len(fake.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_a_server_that_fails_once_is_asked_again(status: int) -> None:
    async with scripted(Refuse(status), Say(("Good day.",))) as (llm, fake):
        assert await answered(llm) == ("Good day.", [])
        assert len(fake.requests) == 2


async def test_a_server_that_says_when_isn_t_asked_before() -> None:
    async with scripted(Refuse(429, retry_after="1"), Say(("Good day.",))) as (llm, fake):
        began = asyncio.get_running_loop().time()
        assert await answered(llm) == ("Good day.", [])
        assert asyncio.get_running_loop().time() - began >= 1
        assert len(fake.requests) == 2
    async with scripted(Refuse(429, retry_after="60"), first_token_timeout_s=1) as (llm, fake):
        with pytest.raises(ModelFailed, match="is busy"):
            await answered(llm)
        assert len(fake.requests) == 1


async def test_a_busy_server_isn_t_asked_all_the_time() -> None:
    async with scripted(Refuse(503), first_token_timeout_s=2) as (llm, fake):
        with pytest.raises(ModelFailed, match="is busy"):
            await answered(llm)
        assert len(fake.requests) <= 6


@pytest.mark.parametrize(
    ("said", "changed"),
    [
        ("Conversation roles must alternate user/assistant", "messages"),
        ("'max_tokens' is not supported, use 'max_completion_tokens'", "max_completion_tokens"),
        ("--enable-auto-tool-choice must be set for tools", "tools"),
        ("property 'chat_template_kwargs' is unsupported", "reasoning_effort"),
    ],
)
async def test_a_strict_server_is_asked_as_it_wants_and_remembered(said: str, changed: str) -> None:
    async with scripted(Refuse(400, said=said), Say(("Good day.",))) as (llm, fake):
        assert await answered(llm) == ("Good day.", [])
        assert await answered(llm) == ("Good day.", [])
        assert len(fake.requests) == 3
        first, *later = fake.requests
        assert all((changed in first) != (changed in one) or changed == "messages" for one in later)


async def test_thoughts_for_longer_than_the_deadline_are_waited_for() -> None:
    thoughts = Raw([choice({"reasoning": "Hm."})] * 8 + [choice({"content": "Good day."})], pause_s=0.2)
    async with scripted(thoughts, first_token_timeout_s=0.5) as (llm, fake):
        assert await answered(llm) == ("Good day.", [])
        assert len(fake.requests) == 1


async def test_a_key_that_is_refused_later_on_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.llm.remote.BEAT_S", 0.1)
    async with scripted(Refuse(401)) as (llm, fake):
        fake.refuses_trials = True
        with pytest.raises(ModelFailed, match=r"refuses llm\.api_key"):
            await answered(llm)
        async with asyncio.timeout(5):
            while llm.state != "down":  # noqa: ASYNC110  # the watch has no event for it
                await asyncio.sleep(0.01)
        assert llm.last_error == f"{llm.endpoint.url} refuses llm.api_key."
