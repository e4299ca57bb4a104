"""The prompt from which a tool is chosen, and the bundled model's side of a tool call, without a model."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMTextFrame,
    UserStartedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.llm_service import FunctionCallParams
from pipecat.tests.utils import SleepFrame, run_test

from config.llm import LlmSettings
from models.errors import ModelFailed
from models.llm import acts, bundled, chatml
from models.llm.acting import Acting, ActSlot
from models.llm.acts import ActExample, Tool
from models.llm.brevity import Brevity
from models.llm.brief import Brief
from models.llm.language_model import Llm
from models.llm.primers import Primers
from models.llm.resident import BY_NAME
from models.llm.speaker import Speaker
from tests.models.llama import Answer, answered_by

END_CALL = Tool("end_call", "Hang up. Use it when the caller says goodbye.")
BOOKING = {
    "type": "object",
    "properties": {
        "date": {"type": "string", "format": "date", "description": "the day"},
        "people": {"type": "integer"},
        "name": {"type": "string"},
    },
    "required": ["date", "people"],
}
BOOK = Tool("book_table", "Book a table for the caller. At most twelve people.", BOOKING)
CALLER_CHANGES_THE_BOOKING = Tool("reroute", "Send the caller's parcel, that the caller has, elsewhere.")
NOW = datetime(2026, 3, 11, 15, 20)


def openai(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def test_tools_are_taken_as_openai_describes_them() -> None:
    assert acts.tools_of([openai(END_CALL), openai(BOOK)]) == (END_CALL, BOOK)
    assert acts.tools_of(None) == ()


def asked_for(said: str, tool: str) -> str:
    """A turn of the examples."""
    return f"{said}<|im_end|>\n<|im_start|>assistant\n{tool}<|im_end|>\n"


def test_the_prefix_shows_every_tool_by_what_it_is_for() -> None:
    shown = acts.prefix([END_CALL, BOOK, CALLER_CHANGES_THE_BOOKING], "en")
    assert "book_table: Book a table for the caller. At most twelve people.\n" in shown
    assert asked_for("user\nCaller: Could you book a table for me?", "book_table") in shown
    assert asked_for("Agent: Shall I book a table for you? Caller: Yes, please.", "book_table") in shown
    assert asked_for("user\nCaller: Last week I asked somebody to book a table for me.", "answer") in shown
    assert asked_for("user\nCaller: Could you send my parcel, that I have, elsewhere?", "reroute") in shown
    assert asked_for("Agent: Is there anything else? Caller: No, thank you.", "end_call") in shown


def test_only_tools_that_exist_are_shown() -> None:
    shown = acts.prefix([END_CALL], "en", [ActExample("A taxi please.", "call_taxi"), ActExample("Hm.")])
    assert "A taxi please." not in shown
    assert "call_taxi" not in shown
    assert asked_for("Caller: Hm.", "answer") in shown


def test_what_there_is_to_choose_from_stands_once_a_place() -> None:
    shown = acts.prefix([BOOK], "en")
    assert shown.count("book_table: Book") == 1
    assert shown.index("A theatre\nbuy_tickets: Sell tickets.\n") < shown.index("This place\nbook_table: ")
    assert shown.count("answer: Answer in words.\n") == 4


def test_examples_speak_the_caller_s_language_besides_english() -> None:
    french = acts.prefix([END_CALL], "fr-CA")
    assert asked_for("Caller: Merci, au revoir.", "end_call") in french
    assert "Une salle de sport\n" in french
    assert "Merci" not in acts.prefix([END_CALL], "en")
    assert acts.prefix([END_CALL], "xx") == acts.prefix([END_CALL], "en")


def test_a_bare_prefix_shows_the_tools_alone() -> None:
    told = [ActExample("Six of us tonight.", "book_table"), ActExample("A taxi please.", "call_taxi")]
    shown = acts.prefix([BOOK], "fr", told, bare=True)
    assert "theatre" not in shown
    assert shown.count("book_table: Book a table") == 1
    assert asked_for("answer: Answer in words.\n\nCaller: Bonjour.", "answer") in shown
    assert asked_for("Caller: Six of us tonight.", "book_table") in shown
    assert "call_taxi" not in shown


def test_many_tools_leave_room_for_the_call() -> None:
    many = [Tool(f"tool_{n}", f"Do the thing number {n} " * 5, BOOKING) for n in range(12)]
    slot = 2048 * 4  # its tokens, in characters of English with the chat's marks
    assert len(acts.prefix(many, "fr")) <= acts.LONGEST < slot - acts.LONGEST_TURN


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("Friday, please.", "Caller: A table. Agent: For when? Caller: Friday, please."),
        ("I'd rather talk to the manager.", "Caller: I'd rather talk to the manager."),
    ],
)
def test_what_was_said_before_counts_for_an_answer_of_a_few_words(words: str, line: str) -> None:
    greeted = [{"role": "assistant", "content": "Hello."}, user("A table.")]
    messages = [*greeted, {"role": "assistant", "content": "For when?"}, user(words)]
    assert acts.last_said(messages) == line


def test_a_greeting_is_no_question_that_few_words_would_answer() -> None:
    messages = [{"role": "assistant", "content": "Hello. How can I help?"}, user("Goodbye.")]
    assert acts.last_said(messages) == "Caller: Goodbye."


def test_the_question_is_the_call_s_last_turns_in_one_line() -> None:
    messages = [
        {"role": "system", "content": "Be kind."},
        user("One."),
        {"role": "assistant", "content": "Two."},
        {"role": "assistant", "content": None, "tool_calls": []},
        user("book\na table -> end_call"),
        {"role": "assistant", "content": "For\nwhen?"},
        user("Friday."),
    ]
    line = "Caller: book a table end_call Agent: For when? Caller: Friday."
    assert acts.question(messages) == line
    assert acts.asked(line) == f"<|im_start|>user\n{line}<|im_end|>\n<|im_start|>assistant\n"
    assert acts.asked(line).startswith(acts.asking("Caller: book a table"))


def test_nobody_ends_their_own_turn_with_the_chat_s_marks() -> None:
    assert acts.asked("Caller: Hm.<|im_end|>").count("<|im_end|>") == 1


def test_the_grammar_has_the_names_alone() -> None:
    assert acts.grammar([END_CALL, BOOK]) == 'root ::= "end_call" | "book_table"'


def test_the_verdict_is_how_improbable_an_answer_in_words_is() -> None:
    top = [{"token": " answer", "logprob": math.log(0.3)}, {"token": " end", "logprob": math.log(0.6)}]
    assert acts.wanted({"completion_probabilities": [{"top_logprobs": top}]}) == pytest.approx(0.7)


def test_what_a_tool_did_is_told_to_the_model() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "book_table", "arguments": '{"people": 2}'}}
    rendered = chatml.prompt(
        [
            user("A table."),
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": '{"status": "booked"}'},
        ]
    )
    assert rendered == (
        "<|im_start|>user\nA table.<|im_end|>\n<|im_start|>system\n"
        'book_table {"people": 2} gave: {"status": "booked"}. Tell the caller.<|im_end|>\n'
        "<|im_start|>assistant\n"
    )


class FakeLlama:
    """llama.cpp's /completion: chooses `tool` with `probability`, fills in `copied`, and answers "Yes."."""

    def __init__(self, tool: str = "", probability: float = 0.9, copied: Any = None) -> None:
        self.tool, self.probability, self.copied = tool, probability, copied
        self.asked: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.states: Path | None = None
        self.answer = "Yes."

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.paths.append(request.url.raw_path.decode())
        asked = json.loads(request.content)
        self.asked.append(asked)
        if asked.get("stream"):
            lines = [{"content": self.answer}, {"content": "", "stop": True, "stop_type": "eos"}]
            return httpx2.Response(200, text="".join(f"data: {json.dumps(one)}\n\n" for one in lines))
        if self.states and "action=save" in self.paths[-1]:
            (self.states / asked["filename"]).touch()
        if "filename" in asked or asked["n_predict"] == 0:
            return httpx2.Response(200, json={})
        if "n_probs" in asked:
            left = math.log(1 - self.probability if self.tool else 0.99)
            top = [{"token": " answer", "logprob": left}]
            return httpx2.Response(200, json={"completion_probabilities": [{"top_logprobs": top}]})
        if "grammar" in asked:
            return httpx2.Response(200, json={"content": f" {self.tool}"})
        return httpx2.Response(200, json={"content": json.dumps(self.copied or {})})

    def prompts(self, key: str) -> list[str]:
        return [one["prompt"] for one in self.asked if key in one]


async def told(
    answer: Answer,
    *messages: dict[str, Any],
    brevity: Brevity | None = None,
) -> tuple[str, list[tuple[str, dict[str, Any]]], list[str | None]]:
    """What is said, the tools called with what, and the reasons for which it ended."""
    params = {"model": "m", "messages": list(messages), "tools": [openai(END_CALL), openai(BOOK)]}
    async with answered_by(answer) as child:
        acting = Acting(ActSlot(Primers(child), 6), now=lambda: NOW)
        chunks = [chunk async for chunk in bundled.chat(child, params, acting=acting, brevity=brevity)]
    deltas = [chunk.choices[0].delta for chunk in chunks]
    calls = [call.function for delta in deltas for call in delta.tool_calls or () if call.function]
    return (
        "".join(delta.content or "" for delta in deltas),
        [(call.name or "", json.loads(call.arguments or "")) for call in calls],
        [reason for chunk in chunks if (reason := chunk.choices[0].finish_reason)],
    )


async def test_an_answer_in_words_streams() -> None:
    assert await told(FakeLlama(), user("Hello?")) == ("Yes.", [], ["stop"])


async def test_a_tool_is_called_instead_of_an_answer() -> None:
    fake = FakeLlama("end_call")
    assert await told(fake, user("That would be all.")) == ("", [("end_call", {})], ["tool_calls"])
    assert all(one["id_slot"] == 6 for one in fake.asked if not one.get("stream") and "filename" not in one)


async def test_what_pages_say_behind_the_caller_s_words_keeps_no_tool_from_them() -> None:
    pages = {"role": "system", "content": "Our pages say:\n- We close at six."}
    assert (await told(FakeLlama("end_call"), user("That would be all."), pages))[1] == [("end_call", {})]


@pytest.mark.parametrize(
    ("tools", "words", "language", "out"),
    [
        ([END_CALL], "What is the capital of France?", "en", True),
        ([END_CALL], "", "en", True),
        ([END_CALL], "Okay then.", "en", True),
        ([END_CALL], "Hang on, are you a robot?", "en", True),
        ([END_CALL], "Thank you, that's very kind.", "en", True),
        ([END_CALL], "Nothing ever works with you people!", "en", True),
        ([END_CALL], "No.", "en", False),
        ([END_CALL], "No, no, I meant the other one.", "en", True),
        ([END_CALL], "That’s all.", "en", False),
        ([END_CALL], "I think that would be all for today", "en", False),
        ([END_CALL], "Quelle est la capitale de la France ?", "fr-CA", True),
        ([END_CALL], "C'est gentil, ce sera tout pour moi", "fr", False),
        ([END_CALL], "Was ist die Hauptstadt von Frankreich?", "de", False),
        ([END_CALL, BOOK], "What is the capital of France?", "en", False),
    ],
)
def test_where_no_word_is_of_a_goodbye_the_model_is_not_asked_about_hanging_up(
    tools: list[Tool], words: str, language: str, out: bool
) -> None:
    assert acts.out_of_question(tools, words, language) is out


@pytest.mark.parametrize(
    ("tool", "probability", "words", "called"),
    [
        ("end_call", acts.THRESHOLD - 0.01, "Goodbye is a sad word.", False),
        ("end_call", acts.THRESHOLD + 0.01, "I have to run, bye bye.", True),
        ("end_call", acts.THRESHOLD + 0.01, "Okay, good night, thank you.", True),
        ("end_call", 0.99, "Good morning. Good night at an appointment sometime.", False),  # "could I get"
        ("end_call", 0.9, "You can't be serious.", False),
        ("book_table", acts.THRESHOLD - 0.01, "I might come one day.", False),
    ],
)
async def test_an_improbable_tool_is_left_alone(
    tool: str, probability: float, words: str, called: bool
) -> None:
    _, calls, _ = await told(FakeLlama(tool, probability=probability), user(words))
    assert bool(calls) is called


async def test_arguments_are_read_and_the_model_copies_only_the_others() -> None:
    fake = FakeLlama("book_table", copied={"name": "Miller"})
    _, calls, _ = await told(fake, user("a table for four on friday for Miller"))
    assert calls == [("book_table", {"date": "2026-03-13", "people": 4, "name": "Miller"})]
    assert [list(one["json_schema"]["properties"]) for one in fake.asked if "json_schema" in one] == [
        ["name"]
    ]


async def test_what_a_tool_still_needs_is_asked_for() -> None:
    fake = FakeLlama("book_table", copied={"name": None, "people": "twelve"})
    said, calls, reasons = await told(fake, user("a table on friday"))
    assert (said, calls, reasons) == ("Of course. Could you tell meYes.", [], ["stop"])
    asked = fake.prompts("stream")[-1]
    assert "To do it you must know: people. Ask the caller" in asked
    assert asked.endswith("<|im_start|>assistant\nOf course. Could you tell me")


async def test_the_question_is_not_cut_for_what_was_begun_before_the_choice() -> None:
    fake = FakeLlama("book_table")
    fake.answer = "Yes. Of course. And so on. "

    async def answer_first(request: httpx2.Request) -> httpx2.Response:
        for _ in range(0 if json.loads(request.content).get("stream") else 50):
            await asyncio.sleep(0)
        return fake(request)

    said, _, _ = await told(answer_first, user("a table on friday"), brevity=Brevity())
    assert said == "Of course. Could you tell meYes."  # as much of which was in the answer that was given up


async def test_what_the_caller_said_before_counts() -> None:
    fake = FakeLlama("book_table", copied={"name": None})
    messages = [user("a table on friday"), {"role": "assistant", "content": "How many?"}, user("four of us")]
    assert (await told(fake, *messages))[1] == [("book_table", {"date": "2026-03-13", "people": 4})]


async def test_a_tool_s_result_is_spoken_about_and_chooses_nothing() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "book_table", "arguments": "{}"}}
    fake = FakeLlama("book_table")
    said, calls, _ = await told(
        fake,
        user("a table"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "booked"},
    )
    assert (said, calls) == ("Yes.", [])
    assert len(fake.asked) == 1


async def test_no_choice_is_an_answer_in_words() -> None:
    def without_choice(request: httpx2.Request) -> httpx2.Response:
        return fake(request) if json.loads(request.content).get("stream") else httpx2.Response(500)

    fake = FakeLlama("end_call")
    assert await told(without_choice, user("Bye.")) == ("Yes.", [], ["stop"])


async def test_a_model_that_fails_is_an_error_whatever_was_chosen() -> None:
    with pytest.raises(ModelFailed):
        await told(lambda _: httpx2.Response(500), user("Hello?"))


async def test_an_answer_that_is_not_wanted_any_more_leaves_nothing_behind() -> None:
    async with answered_by(FakeLlama()) as child:
        params = {"model": "m", "messages": [user("Hello?")], "tools": [openai(END_CALL)]}
        stream = bundled.chat(child, params, acting=Acting(ActSlot(Primers(child), 6)))
        await anext(stream)
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_what_the_primer_s_examples_say_nobody_said_in_the_call() -> None:
    primer = [user("My train leaves at eight."), {"role": "assistant", "content": "All right."}]
    fake = FakeLlama("book_table", copied={"date": None, "people": "three"})
    async with answered_by(fake) as child:
        fake.states = child.states
        acting = Acting(ActSlot(Primers(child), 6), primer=primer, now=lambda: NOW)
        params = {"messages": [*primer, user("A table for three.")], "tools": [openai(BOOK)]}
        await acting.choose(params)
        await acting.fill(params, BOOK)
    asked = [prompt for one in fake.asked if (prompt := one.get("prompt"))]
    assert any("Caller: A table for three." in prompt for prompt in asked)
    assert not any("train" in prompt for prompt in asked)


async def test_a_prefix_is_evaluated_once_and_then_restored() -> None:
    fake = FakeLlama()
    async with answered_by(fake) as child:
        fake.states = child.states
        slot = ActSlot(Primers(child), 6)
        for language in ("en", "fr", "en", "fr", "fr"):
            await Acting(slot, language=language).choose(
                {"messages": [user("Bye.")], "tools": [openai(END_CALL)]}
            )
        read = [one for one in fake.asked if one.get("n_predict") == 0]
        assert len(read) == 2
        assert [path for path in fake.paths if "action" in path] == [
            "/slots/6?action=save",
            "/slots/6?action=save",
            "/slots/6?action=restore",
            "/slots/6?action=restore",
        ]
        child.restarts += 1  # its slots are empty, the copies are still there
        await Acting(slot, language="fr").choose({"messages": [user("Bye.")], "tools": [openai(END_CALL)]})
        assert fake.paths[-2:] == ["/slots/6?action=restore", "/completion"]


@asynccontextmanager
async def qwen(fake: FakeLlama) -> AsyncIterator[Llm]:
    """The language model that all calls share, as it is with a bundled Qwen."""
    async with answered_by(fake) as child:
        llm = Llm(LlmSettings(), weights=None, environ={})
        llm._adopt(Speaker(BY_NAME["qwen2.5-coder-1.5b"], child, llm.settings))
        try:
            yield llm
        finally:
            await llm.close()


def booking(called: list[dict[str, Any]], said: str, *, speculation: bool = False) -> LLMContextFrame:
    async def book(params: FunctionCallParams) -> None:
        called.append(dict(params.arguments))
        await params.result_callback("booked")

    schema = FunctionSchema(
        name="book_table",
        description="Book a table.",
        properties={"people": {"type": "integer"}},
        required=["people"],
        handler=book,
    )
    context = LLMContext([{"role": "user", "content": said}])
    context.set_tools(ToolsSchema(standard_tools=[schema]))
    return LLMContextFrame(context=context, speculation=speculation)


async def test_a_handler_is_given_what_the_caller_said() -> None:
    called: list[dict[str, Any]] = []
    async with qwen(FakeLlama("book_table")) as llm:
        frames = [booking(called, "a table for the four of us")]
        await run_test(llm.service("c", Brief([])), frames_to_send=frames)
    assert called == [{"people": 4}]


async def test_a_speculative_tool_call_waits_and_is_never_run_where_the_turn_goes_on() -> None:
    called: list[dict[str, Any]] = []
    async with qwen(FakeLlama("book_table")) as llm:
        frames = [
            UserStartedSpeakingFrame(),
            booking(called, "a table for four", speculation=True),
            SleepFrame(0.5),
            EagerEndOfTurnCancelFrame(),
            InterruptionFrame(),
        ]
        await run_test(llm.service("c", Brief([])), frames_to_send=frames)
    assert called == []


async def test_small_talk_is_answered_with_tools_at_hand() -> None:
    called: list[dict[str, Any]] = []
    async with qwen(FakeLlama()) as llm:
        down, _ = await run_test(
            llm.service("c", Brief([])), frames_to_send=[booking(called, "Do you like tables?")]
        )
    assert "".join(frame.text for frame in down if isinstance(frame, LLMTextFrame)) == "Yes."
    assert called == []
