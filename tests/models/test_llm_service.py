"""The Pipecat service against a fake, scripted OpenAI server: deadlines, retries, tools, speculation."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    ErrorFrame,
    Frame,
    LLMContextFrame,
    LLMTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.tests.utils import SleepFrame, run_test

from config.llm import LlmSettings
from models.errors import ModelError, ModelFailed
from models.llm.brief import Brief
from models.llm.child import LlamaChild
from models.llm.language_model import Llm
from models.llm.resident import BY_NAME, JUDGE, RESIDENTS
from models.llm.service import CallLlmService
from models.llm.speaker import Speaker
from tests.models.fake_openai import CallTool, Refuse, Say, scripted
from tests.models.llama import answered_by


def system(prompt: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": prompt}]


def asked(*, speculation: bool = False, tools: ToolsSchema | None = None) -> LLMContextFrame:
    context = LLMContext([{"role": "user", "content": "Hello?"}])
    if tools is not None:
        context.set_tools(tools)
    return LLMContextFrame(context=context, speculation=speculation)


def text(frames: Any) -> str:
    return "".join(frame.text for frame in frames if isinstance(frame, LLMTextFrame))


def errors(frames: Any) -> list[ErrorFrame]:
    return [frame for frame in frames if isinstance(frame, ErrorFrame)]


async def test_an_answer_streams_with_the_persona_s_prompt() -> None:
    async with scripted(Say(("Good", " day."))) as (llm, fake):
        assert llm.state == "ready"
        assert llm.endpoint.kind == "openai"
        down, up = await run_test(llm.service("c", Brief(system("Be kind."))), frames_to_send=[asked()])
        assert text(down) == "Good day."
        assert not errors(up)
        assert fake.requests[0]["messages"][0] == {"role": "system", "content": "Be kind."}
        assert fake.requests[0]["max_tokens"] == llm.settings.max_tokens


async def test_an_answer_that_is_cut_short_counts_too() -> None:
    spent: list[int] = []
    async with scripted(Say(("Good day to you, and to all",), hang=True)) as (llm, _fake):
        service = llm.service("c", Brief(system("Be kind.")), on_spent=lambda tokens, _: spent.append(tokens))
        answer = await service.get_chat_completions(asked().context)
        async with aclosing(cast(AsyncGenerator[Any, None], answer)) as chunks:
            async for chunk in chunks:
                if chunk.choices and chunk.choices[0].delta.content:
                    break
    assert len(spent) == 1
    assert spent[0] > 10


async def test_another_primer_holds_from_then_on_and_is_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    async def prime(slot: int, primer: list[dict[str, str]]) -> None:
        primed.append((slot, primer[0]["content"]))

    primed: list[tuple[int, str]] = []
    async with scripted(Say(("Bien.",))) as (llm, fake):
        monkeypatch.setattr(llm, "prime", prime)
        llm.slots.give_back(7)
        service = llm.service("c", Brief(system("Be kind.")))
        service.become(Brief(system("Be brief.")))  # no slot yet: nothing to read it
        asking = AskingLate(service, "Sois gentil.")
        await run_test(Pipeline([asking, service]), frames_to_send=[asked()])
        assert fake.requests[0]["messages"][0] == {"role": "system", "content": "Sois gentil."}
    assert primed == [(7, "Be brief."), (7, "Sois gentil.")]


class Reads:
    """Stands for what has a slot of the bundled server read ahead."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str | None]] = []

    def forget(self) -> None:
        pass

    async def read(self, messages: Any, words: str | None, *, wanted: Callable[[], bool]) -> None:
        self.texts.append((messages[-1]["content"], words))
        await asyncio.sleep(0.01)
        if not wanted():
            self.texts.append(("", "left"))


async def test_words_that_may_be_all_are_read_to_where_the_answer_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And stay so, though whether they are all is asked at the same time, for which they are read as well."""
    async with scripted() as (llm, _):
        reads = Reads()
        monkeypatch.setattr(CallLlmService, "_bundled_answers", True)
        monkeypatch.setattr(llm, "reader", lambda _: reads)
        service = llm.service("c", Brief(system("Be kind.")))
        service._slot = 3
        context = LLMContext([{"role": "assistant", "content": "Hello."}])
        words = "When do you close?"
        await asyncio.gather(service.get_ready(context, words), service.end_probability(context, words))
        assert service._reading is not None
        await service._reading
        assert reads.texts == [(words, None)]
        await service.end_probability(context, f"{words} And when")
        await service._reading
        assert reads.texts[1:] == [("Hello.", f"{words} And when")]


class AskingLate(FrameProcessor):
    """Has the service become another before it is asked."""

    def __init__(self, service: CallLlmService, prompt: str) -> None:
        super().__init__()
        self._service = service
        self._prompt = prompt

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            await asyncio.sleep(0)  # the first primer is being read
            self._service.become(Brief(system(self._prompt)))
        await self.push_frame(frame, direction)


async def test_an_inference_outside_the_conversation_takes_the_same_path() -> None:
    async with scripted(Refuse(503), Say(("A", " summary."))) as (llm, fake):
        context = LLMContext([{"role": "user", "content": "Sum up."}])
        assert await llm.service("c", Brief(system(""))).run_inference(context, max_tokens=30) == "A summary."
        assert fake.requests[-1]["max_tokens"] == 30


async def test_a_call_s_end_leaves_the_shared_client_open() -> None:
    async with scripted(Say(("Yes.",))) as (llm, _fake):
        for _ in range(2):
            down, _up = await run_test(llm.service("c", Brief(system(""))), frames_to_send=[asked()])
            assert text(down) == "Yes."


async def test_a_server_that_is_still_loading_is_asked_again() -> None:
    async with scripted(Refuse(503), Refuse(503), Say(("Here.",))) as (llm, fake):
        down, up = await run_test(llm.service("c", Brief(system(""))), frames_to_send=[asked()])
        assert text(down) == "Here."
        assert not errors(up)
        assert len(fake.requests) == 3


async def test_no_first_token_in_time_is_an_error() -> None:
    async with scripted(Say((), hang=True), first_token_timeout_s=0.5) as (llm, _fake):
        down, up = await run_test(llm.service("c", Brief(system(""))), frames_to_send=[asked()])
        assert text(down) == ""
        (error,) = errors(up)
        assert isinstance(error.exception, ModelFailed)
        assert str(error.exception) == "The language model gave no first token within 0.5 s."


async def test_an_answer_that_stops_in_the_middle_is_an_error_and_never_starts_again() -> None:
    async with scripted(Say(("Well",), hang=True), first_token_timeout_s=0.5) as (llm, fake):
        down, up = await run_test(llm.service("c", Brief(system(""))), frames_to_send=[asked()])
        assert text(down) == "Well"
        assert str(errors(up)[0].exception) == "The language model stopped for 0.5 s in mid-answer."
        assert len(fake.requests) == 1


async def test_a_refused_request_is_an_error_at_once_and_the_next_one_is_normal() -> None:
    async with scripted(Refuse(413), Say(("Fine.",))) as (llm, fake):
        service = llm.service("c", Brief(system("")))
        down, up = await run_test(service, frames_to_send=[asked(), asked()])
        assert text(down) == "Fine."
        (error,) = errors(up)
        assert isinstance(error.exception, ModelFailed)
        assert str(error.exception) == f"{llm.endpoint.url} refuses the request (HTTP 413)."
        assert "Hello?" not in error.error + "".join(traceback.format_exception(error.exception))
        assert service.is_usable
        assert len(fake.requests) == 2


async def test_a_conversation_with_a_server_nearby_takes_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with scripted(Say(("Hello.",))) as (llm, _fake):
        assert llm.state == "ready"
        down, _up = await run_test(llm.service("c", Brief(system(""))), frames_to_send=[asked()])
        assert text(down) == "Hello."


async def test_a_long_answer_leaves_the_bundled_model_room_for_the_conversation(tmp_path: Path) -> None:
    llm = Llm(LlmSettings(max_tokens=2048), weights=None, environ={})
    speaker = Speaker(JUDGE, LlamaChild(tmp_path / "m.gguf"), llm.settings)
    try:
        said = [{"role": "user", "content": "Hello? " * 20} for _ in range(10)]
        params = speaker.fit({"messages": said, "max_tokens": 2048}, slot=0, keep=0)
        assert params["max_tokens"] == speaker.child.slot_ctx // 2
        assert params["messages"] == said
        for resident in RESIDENTS:
            assert f" {resident.slot_ctx}" in (LlmSettings.model_fields["num_ctx"].description or "")
    finally:
        await speaker.close()


async def test_tools_that_leave_no_room_to_choose_among_them_are_refused() -> None:
    def in_words(request: httpx2.Request) -> httpx2.Response:
        """As a server whose tokens are words, and which keeps nothing."""
        if request.url.path == "/tokenize":
            return httpx2.Response(200, json={"tokens": json.loads(request.content)["content"].split()})
        return httpx2.Response(200, json={})

    does = {"name": "mend", "description": "Mend what the caller has broken. " * 40, "parameters": {}}
    tools = [{"type": "function", "function": {**does, "name": f"mend_{n}"}} for n in range(6)]
    async with answered_by(in_words) as child:
        child.slot_ctx = BY_NAME["qwen2.5-coder-1.5b"].slot_ctx
        speaker = Speaker(BY_NAME["qwen2.5-coder-1.5b"], child, LlmSettings())
        await speaker.prepare(Brief(system("Be kind."), tools=tools[:4]))
        with pytest.raises(ModelError, match=r"the persona's 6 tools .* has room for 1798\. Shorten"):
            await speaker.prepare(Brief(system("Be kind."), tools=tools))


def hang_up_tool(called: list[str]) -> ToolsSchema:
    async def hang_up(params: FunctionCallParams) -> None:
        called.append(str(params.arguments["reason"]))
        await params.result_callback("done")

    schema = FunctionSchema(
        name="hang_up",
        description="End the call.",
        properties={"reason": {"type": "string"}},
        required=["reason"],
        handler=hang_up,
    )
    return ToolsSchema(standard_tools=[schema])


async def test_a_tool_call_runs() -> None:
    called: list[str] = []
    async with scripted(CallTool("hang_up", {"reason": "bye"})) as (llm, fake):
        frame = asked(tools=hang_up_tool(called))
        await run_test(llm.service("c", Brief(system(""))), frames_to_send=[frame])
        assert called == ["bye"]
        assert fake.requests[0]["tools"][0]["function"]["name"] == "hang_up"


async def test_a_model_that_is_not_to_have_tools_sees_none() -> None:
    async with scripted(Say(("Hm.",)), tools="off") as (llm, fake):
        frame = asked(tools=hang_up_tool([]))
        await run_test(llm.service("c", Brief(system(""))), frames_to_send=[frame])
        assert "tools" not in fake.requests[0]


async def test_a_speculative_answer_goes_on_to_be_synthesized() -> None:
    async with scripted(Say(("Ready", " early."))) as (llm, _fake):
        frames = [UserStartedSpeakingFrame(), asked(speculation=True)]
        down, _up = await run_test(llm.service("c", Brief(system(""))), frames_to_send=frames)
        assert text(down) == "Ready early."


@pytest.mark.parametrize(
    ("verdict", "done"), [(UserStoppedSpeakingFrame, ["bye"]), (EagerEndOfTurnCancelFrame, [])]
)
async def test_a_speculative_tool_call_waits_for_the_turn_to_be_over(
    verdict: type[Frame], done: list[str]
) -> None:
    called: list[str] = []
    async with scripted(CallTool("hang_up", {"reason": "bye"})) as (llm, fake):
        guess = asked(speculation=True, tools=hang_up_tool(called))
        frames = [UserStartedSpeakingFrame(), guess, SleepFrame(0.3), verdict(), SleepFrame(0.1)]
        await run_test(llm.service("c", Brief(system(""))), frames_to_send=frames)
        assert called == done
        assert len(fake.requests) == 1


async def test_a_speculation_that_fails_is_asked_anew_once_the_turn_is_over() -> None:
    async with scripted(Refuse(413), Say(("Fine.",))) as (llm, fake):
        frames = [
            UserStartedSpeakingFrame(),
            asked(speculation=True),
            SleepFrame(0.3),
            UserStoppedSpeakingFrame(),
        ]
        down, up = await run_test(llm.service("c", Brief(system(""))), frames_to_send=frames)
        assert text(down) == "Fine."
        assert not errors(up)
        assert len(fake.requests) == 2


async def test_an_endpoint_that_is_gone_is_down_and_says_why() -> None:
    llm = Llm(LlmSettings(url="http://127.0.0.1:9/v1", first_token_timeout_s=0.5), weights=None, environ={})
    await llm.start()
    try:
        assert llm.state == "down"
        assert llm.last_error == "http://127.0.0.1:9/v1 doesn't answer: ConnectError."
        _down, up = await run_test(llm.service("c", Brief(system(""))), frames_to_send=[asked()])
        assert str(errors(up)[0].exception) == llm.last_error
    finally:
        await llm.close()


@pytest.mark.parametrize("status", [404, 401])
async def test_answers_that_no_retry_mends_are_not_retried(status: int) -> None:
    async with scripted(Refuse(status)) as (llm, fake):
        await run_test(llm.service("c", Brief(system(""))), frames_to_send=[asked()])
        assert len(fake.requests) == 1
