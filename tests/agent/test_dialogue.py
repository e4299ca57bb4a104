"""A conversation in text with a scripted model behind the real service and context."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any, cast

import pytest
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema

from agent.dialogue import Dialogue, noted, text_pool
from config.llm import LlmSettings
from config.settings import Settings
from models.errors import ModelFailed
from models.llm.brief import Brief
from models.llm.language_model import Llm
from tests.agent.conversation_kit import PERSONA, Outcome
from tests.agent.scripted_llm import ScriptedEndpoint, ScriptedLlm
from tests.models.fake_openai import CallTool, FakeOpenAI, Say
from tests.ollama_server import served
from tests.waiting import until
from tests.weights import CACHE

WHO = PERSONA.model_copy(update={"goodbye_words": ("bye",)})


def scripted(**replies: str) -> tuple[Any, Outcome]:
    outcome = Outcome()
    return cast(
        Any, ScriptedLlm({key.replace("_", " "): reply for key, reply in replies.items()}, outcome, None)
    ), outcome


async def test_the_conversation_goes_on_from_what_was_said() -> None:
    llm, outcome = scripted(capital="Paris it is.", again="Paris, I said.")
    async with Dialogue(llm, WHO) as dialogue:
        first = await dialogue.answer("capital")
        assert first.text.strip() == "Paris it is."
        assert first.first_token_ms is not None
        assert first.first_token_ms <= (first.first_clause_ms or 0) <= first.total_ms
        await dialogue.answer("again")
    assert [(m["role"], m["content"]) for m in outcome.contexts[-1]] == [
        ("system", "Be brief."),
        ("assistant", "Hello there."),
        ("user", "capital"),
        ("assistant", "Paris it is."),
        ("user", "again"),
    ]


async def test_an_interrupted_answer_stays_as_far_as_it_was_written() -> None:
    llm, outcome = scripted(story="Once upon !pause a time.", more="Fine.")
    async with Dialogue(llm, WHO) as dialogue:
        async with aclosing(dialogue.ask("story")) as tokens:
            async for token in tokens:
                if token.strip() == "upon":
                    await dialogue.interrupt()
        assert dialogue.reply.interrupted
        assert dialogue.reply.text.strip() == "Once upon"
        assert (await dialogue.answer("more")).text.strip() == "Fine."
    assert [m["content"] for m in outcome.contexts[-1]][-3:] == ["story", "Once upon", "more"]


@pytest.mark.parametrize("text", ["Bye!", "hang up"])
async def test_it_ends_with_the_caller_s_goodbye_and_with_the_model_s(text: str) -> None:
    llm, _ = scripted(hang_up="!end_call")
    async with Dialogue(llm, WHO) as dialogue:
        reply = await dialogue.answer(text)
        assert dialogue.ended
    assert reply.text == WHO.goodbye
    assert [call.name for call in reply.tool_calls] == ["end_call"]


async def test_a_model_that_fails_is_an_error_and_not_the_end() -> None:
    llm, _ = scripted(bad="!fail", good="Fine.")
    async with Dialogue(llm, WHO) as dialogue:
        with pytest.raises(ModelFailed):
            await dialogue.answer("bad")
        assert (await dialogue.answer("good")).text.strip() == "Fine."


@pytest.mark.parametrize("result", [None, "booked"])
async def test_a_declared_tool_is_noted_and_answered_in_words_where_it_has_a_result(
    result: str | None,
) -> None:
    schema = FunctionSchema("book", "Book a table.", {"people": {"type": "integer"}}, ["people"])
    fake = FakeOpenAI(CallTool("book", {"people": 4}), Say(("Done.",)))
    async with served(fake.app) as url:
        llm = Llm(LlmSettings(url=f"{url}/v1", model="scripted"), weights=None, environ={})
        await llm.start()
        try:
            async with Dialogue(llm, WHO, tools=[noted(schema, result)]) as dialogue:
                reply = await dialogue.answer("A table for four.")
        finally:
            await llm.close()
    assert [(call.name, call.arguments) for call in reply.tool_calls] == [("book", {"people": 4})]
    assert reply.text == ("Done." if result else "")
    offered = {tool["function"]["name"] for tool in fake.requests[0]["tools"]}
    assert offered == {"end_call", "book"}


@pytest.mark.models
async def test_the_bundled_model_alone_evaluates_only_what_is_new() -> None:
    settings = Settings(cache_dir=CACHE, llm=LlmSettings(max_tokens=16))
    pool = text_pool(settings, [WHO])
    await pool.start_llm()
    try:
        assert {part.name for part in pool.health() if part.state == "ready"} == {"language model"}
        async with Dialogue(pool.llm, WHO) as dialogue:
            # The first may come before the persona's prompt was read ahead.
            await dialogue.answer("What is the capital of France?")
            await dialogue.answer("And of Spain?")
            reply = await dialogue.answer("And of Italy?")
    finally:
        await pool.close()
    assert reply.cached_tokens is not None
    assert 0 < reply.prompt_tokens - reply.cached_tokens < reply.cached_tokens
    assert reply.tokens_per_s is not None


async def test_nothing_is_left_of_it() -> None:
    llm, _ = scripted(hello="Hi.")
    before = asyncio.all_tasks()
    async with Dialogue(llm, WHO) as dialogue:
        await dialogue.answer("hello")
    assert asyncio.all_tasks() == before


REPEAT = "Sorry, could you repeat that?"


@pytest.fixture
def bundled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedEndpoint, "kind", "bundled")


@pytest.mark.usefixtures("bundled")
async def test_what_was_said_is_said_again_without_the_model() -> None:
    llm, outcome = scripted(hours="We open at nine.  From Monday to Friday.")
    async with Dialogue(llm, WHO) as dialogue:
        assert (await dialogue.answer(REPEAT)).text == "Hello there."
        first = await dialogue.answer("hours")
        for asks in (REPEAT, "What did you say?"):
            assert (await dialogue.answer(asks)).text.split() == first.text.split()
        assert len(outcome.contexts) == 1
        assert (await dialogue.answer("Could you repeat the hours?")).text.strip() == "Okay then."
    said = [(one["role"], one["content"]) for one in outcome.contexts[-1]]
    assert said[-4:-1] == [
        ("assistant", first.text.strip()),
        ("user", "What did you say?"),
        ("assistant", first.text.strip()),
    ]


async def test_a_larger_model_says_it_again_in_its_own_words() -> None:
    llm, outcome = scripted(hours="We open at nine.")
    async with Dialogue(llm, WHO) as dialogue:
        await dialogue.answer("hours")
        assert (await dialogue.answer(REPEAT)).text.strip() == "Okay then."
    assert len(outcome.contexts) == 2


@pytest.mark.usefixtures("bundled")
async def test_what_nobody_answered_yet_is_left_to_the_model() -> None:
    llm, outcome = scripted(story="!pause Once upon a time.")
    async with Dialogue(llm, WHO) as dialogue:
        asking = asyncio.create_task(dialogue.answer("story"))
        await until(lambda: bool(outcome.contexts))
        await dialogue.interrupt()
        await asking
        assert (await dialogue.answer(REPEAT)).text.strip() == "Okay then."


@pytest.mark.usefixtures("bundled")
async def test_what_was_said_in_another_language_isnt_said_again() -> None:
    llm, _ = scripted()
    async with Dialogue(llm, WHO) as dialogue:
        dialogue._service.become(Brief(({"role": "system", "content": "Sois bref."},), "fr"))
        assert (await dialogue.answer(REPEAT)).text.strip() == "Okay then."


@pytest.mark.usefixtures("bundled")
async def test_a_sum_is_done_without_the_model_and_goes_on_in_the_next_turn() -> None:
    llm, outcome = scripted()
    async with Dialogue(llm, WHO) as dialogue:
        assert (await dialogue.answer("What's seventeen times twenty-three?")).text == "17 times 23 is 391."
        assert (await dialogue.answer("And if I add nine?")).text == "391 plus 9 is 400."
        assert not outcome.contexts
        assert (await dialogue.answer("Thank you.")).text.strip() == "Okay then."
    assert outcome.contexts[-1][-2]["content"] == "391 plus 9 is 400."


async def test_a_larger_model_does_sums_itself() -> None:
    llm, _ = scripted()
    async with Dialogue(llm, WHO) as dialogue:
        assert (await dialogue.answer("What's two plus two?")).text.strip() == "Okay then."
