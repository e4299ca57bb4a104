"""What real servers send, each in a whole answer on the calls' path: a fake OpenAI server sends it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from models.errors import ModelFailed
from models.llm.language_model import Llm
from tests.models.fake_openai import Raw, Refuse, Say, Strict, scripted
from tests.models.quirks import QUIRKS, Quirk, asked_with, choice, deltas
from tests.waiting import until

AGAIN = "Sorry?"
END_CALL = {"type": "function", "function": {"name": "end_call", "description": "Hang up.", "parameters": {}}}


async def answered(llm: Llm, *, again: str = AGAIN) -> tuple[str, list[str]]:
    """What is said, and the tools that are called."""
    params = {
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "assistant", "content": "Good morning."},
            {"role": "user", "content": "Hello?"},
        ],
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


@pytest.mark.parametrize("quirk", QUIRKS, ids=lambda quirk: quirk.name)
async def test_only_the_answer_comes_out(quirk: Quirk) -> None:
    tells_ends = not any(isinstance(step, Raw) and not step.ends for step in quirk.script)
    async with scripted(*quirk.script, tells_ends=tells_ends, first_token_timeout_s=2) as (llm, _):
        said, called = await answered(llm)
    assert said == (f"{quirk.said} {AGAIN}".strip() if quirk.lost else quirk.said)
    assert called == list(quirk.called)


async def test_nothing_but_a_call_is_a_whole_answer() -> None:
    async with scripted(deltas('{"name": "end_', 'call", "parameters": {}}')) as (llm, fake):
        assert await answered(llm) == ("", ["end_call"])
        assert len(fake.requests) == 1


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


@pytest.mark.parametrize("done", [True, False])
async def test_half_an_answer_isn_t_a_whole_one_though_its_stream_closes_in_order(done: bool) -> None:
    half = Raw([choice({"content": "We are"})], done=done)
    async with scripted(half) as (llm, _):
        assert await answered(llm) == (f"We are {AGAIN}", [])
    async with scripted(half, tells_ends=False) as (llm, _):  # nor of any other
        assert await answered(llm) == ("We are", [])


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


async def test_answers_go_on_while_a_server_is_too_busy_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.llm.remote.BEAT_S", 0.05)
    words = ["We", " are", " open."]
    async with scripted(
        Raw([choice({"content": word}) for word in words], pause_s=0.5), tells_ends=False
    ) as (
        llm,
        fake,
    ):
        answer = asyncio.create_task(answered(llm))
        await until(lambda: bool(fake.requests))
        fake.refuses_models = Refuse(503)
        await until(lambda: llm.state == "down")
        assert not answer.done()
        assert await answer == ("We are open.", [])


@pytest.mark.parametrize(
    ("refusal", "state"),
    [(Refuse(429), "ready"), (Refuse(503, retry_after="1"), "ready"), (Refuse(503), "down")],
)
async def test_a_server_that_asks_to_come_back_later_is_there(
    refusal: Refuse, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.llm.remote.BEAT_S", 0.05)
    async with scripted(Say(("Good day.",))) as (llm, fake):
        fake.refuses_models, looks = refusal, fake.looks
        await until(lambda: fake.looks > looks + 2)  # what came of the first is known
        assert llm.state == state


async def test_a_server_isn_t_looked_at_for_every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.llm.remote.BEAT_S", 60.0)
    async with scripted(Say(("Good day.",))) as (llm, fake):
        looks = fake.looks
        llm.endpoint.about_to_ask()
        assert await answered(llm) == ("Good day.", [])
        assert fake.looks == looks


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


async def test_what_one_call_has_learnt_serves_those_that_were_refused_with_it() -> None:
    strict = Strict("'temperature' isn't supported", asked_with("temperature"), Say(("Good day.",)))
    async with scripted(strict) as (llm, _):
        answers = await asyncio.gather(*(answered(llm) for _ in range(3)))
        assert answers == [("Good day.", [])] * 3


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
