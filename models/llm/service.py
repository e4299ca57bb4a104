"""The language model in a call's pipeline."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

from loguru import logger
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk
from pipecat.adapters.llm.services.open_ai_adapter import OpenAILLMInvocationParams
from pipecat.frames.frames import (
    Frame,
    FunctionCallFromLLM,
    LLMContextFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    StartFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.openai.base_llm import BaseOpenAILLMService

from models.errors import ModelFailed
from models.knowledge.recall import Recall
from models.llm import understand
from models.llm.acts import caller_turns
from models.llm.brevity import Brevity, last_answer, plain
from models.llm.chunks import completion_chunk, tool_call
from models.llm.completeness import clean
from models.llm.discretion import Discretion, discreet
from models.llm.foreign import neutral, neutral_message
from models.llm.history import estimate, tokens
from models.llm.sums import sum_of
from models.pipecat_internals import SpeculatingLLMService

if TYPE_CHECKING:
    from models.llm.brief import Brief
    from models.llm.bundled import SlotReader
    from models.llm.language_model import Llm

Chunks = AsyncGenerator[ChatCompletionChunk, None]
# What callers who only ask to hear it again heard last; "" of any others.
Again = Callable[[Sequence[Any]], str]
# Answers in the model's place, given the conversation and what has the model answer.
Guide = Callable[[Sequence[Mapping[str, Any]], Callable[[], Chunks]], Chunks]


class Acts(Protocol):
    """What is done about a caller's words without asking the model. `messages` are a context's."""

    def decided(self, messages: Sequence[Any]) -> tuple[str, Mapping[str, Any]] | None:
        """The tool that is called instead, and its arguments."""

    def offers_tools(self, messages: Sequence[Any]) -> bool:
        """Whether the model may call any now."""


class CallLlmService(SpeculatingLLMService):
    """One call's share of the language model.

    Every failure reaches the pipeline as an ErrorFrame, upstream, whose exception is a ModelError.
    """

    supports_developer_role = False
    supports_response_schema = False

    def __init__(
        self,
        llm: Llm,
        brief: Brief,
        *,
        call_id: str,
        about: str = "",
        is_wanted: Callable[[str], bool] = lambda text: True,
        turn_stands: Callable[[], Awaitable[None]] | None = None,
        on_recalled: Callable[[Sequence[str]], None] = lambda _: None,
        may_answer: Callable[[], bool] = lambda: True,
        on_spent: Callable[[int, float], None] = lambda tokens, cost: None,
    ) -> None:
        """`about`: what the model is told of this call alone. `is_wanted`: whether a speculation on this text
        hasn't been withdrawn; `turn_stands` returns once the turn can't go on any more: tools aren't called
        before. `on_recalled` is told on which passages of its pages the next answer is given. `may_answer` is
        asked before each, and `on_spent` told what it took: tokens, and what they cost."""
        self._llm = llm  # first: the base class asks for the client while it is built
        self._call_id = call_id
        self._brief = brief
        self._about = [{"role": "system", "content": neutral(about)}] if about else []
        self._acting = llm.acting(brief)
        self._is_wanted = is_wanted
        self._turn_stands = turn_stands
        self._on_recalled = on_recalled
        self._may_answer, self._on_spent = may_answer, on_spent
        self._recall = Recall(call_id)
        self.acts: Acts | None = None  # decides what the model isn't asked
        self.again: Again = lambda messages: ""
        self._written: deque[str] = deque(maxlen=8)  # answers: less was heard of one that is cut off
        self._became = False  # somebody else, of another language
        self._slot: int | None = None
        self._priming: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._to_read: tuple[dict[str, Any], str, bool] | None = None
        self._read_last = 0, "", False  # was asked for last: messages, words, and whether they may be all
        self._answers = 0  # changes as one is asked for, and as it begins: what is read before is given up
        self._reader: SlotReader | None = None
        self.guide: Guide | None = None
        self.chain = llm.chain()
        super().__init__(
            settings=BaseOpenAILLMService.Settings(
                model=self.chain.current.model,
                temperature=llm.settings.temperature,
                max_tokens=llm.settings.max_tokens,
            )
        )

    def create_client(self, *_args: Any, **_kwargs: Any) -> AsyncOpenAI:
        """None: the base class never asks. Endpoints have connections of their own, which calls share."""
        return cast(AsyncOpenAI, None)

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self._slot = self._llm.slots.take()
        self._prime()

    def become(self, brief: Brief) -> None:
        """Speak for another persona from now on; what was said stays."""
        self._brief = brief
        self._acting = self._llm.acting(brief)
        self._written.clear()
        self._became = True
        self._recall.forget()
        self._prime()

    def _prime(self) -> None:
        if self._priming is not None:
            self._priming.cancel()
        if self._reader is not None:
            self._reader.forget()
        self._read_last = 0, "", False
        if self._slot is not None:
            self._priming = asyncio.create_task(
                self._llm.prime(self._slot, self._brief.primer), name=f"llm-prime-{self._call_id}"
            )

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, LLMContextFrame) and frame.speculation:
            last = frame.context.messages[-1]
            if isinstance(last, dict) and not self._is_wanted(str(last.get("content"))):
                return
        await super().process_frame(frame, direction)

    async def push_frame(self, frame: Frame, direction: FrameDirection = FrameDirection.DOWNSTREAM) -> None:
        if isinstance(frame, LLMFullResponseStartFrame):
            self._written.append("")
        elif isinstance(frame, LLMTextFrame) and self._written:
            self._written[-1] += frame.text
        await super().push_frame(frame, direction)

    async def run_function_calls(self, function_calls: Sequence[FunctionCallFromLLM]) -> None:
        if self._turn_stands is not None:
            await self._turn_stands()
        await super().run_function_calls(function_calls)

    async def cleanup(self) -> None:
        await super().cleanup()
        for task in (self._priming, self._reading):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._priming = self._reading = None
        self.chain.close()
        if self._acting is not None:
            await self._acting.close()
        if self._slot is not None:
            self._llm.slots.give_back(self._slot)
            self._slot = None

    def build_chat_completion_params(self, params_from_context: OpenAILLMInvocationParams) -> dict[str, Any]:
        params: dict[str, Any] = super().build_chat_completion_params(params_from_context)
        if not self._llm.tools:
            params.pop("tools", None)
            params.pop("tool_choice", None)
        return params

    async def run_inference(
        self,
        context: LLMContext,
        max_tokens: int | None = None,
        system_instruction: str | None = None,
        response_schema: dict[str, Any] | None = None,
    ) -> str | None:
        """One answer outside the conversation, on the same path: Ollama's /v1 would load the model again."""
        if response_schema is not None:
            logger.warning(f"Call {self._call_id}: no schema can be enforced on the answer.")
        instead = None if system_instruction is None else [{"role": "system", "content": system_instruction}]
        params = await self._params(context, instead)
        if max_tokens is not None:
            params["max_tokens"] = max_tokens
        said = [piece.choices[0].delta.content or "" async for piece in self._answer(params) if piece.choices]
        return "".join(said) or None

    async def end_probability(self, context: LLMContext, words: str) -> float | None:
        """How probable it is that the caller, who has said `words` after `context`, is done; None if unknown.

        With a bundled model this is also the first part of making the answer: it reads all but its end.
        """
        completeness, params = self._llm.completeness, await self._params(context)
        history = self._fitted(self._told(params))["messages"]
        if self._llm.judges_itself and self._bundled_answers:
            return await completeness.end_probability(words, history=history, slot=self._slot)
        # All of them: what the recognizer changes is rolled back, for less than reading them all at the end.
        self._read(params, words)
        return await completeness.end_probability(words, history=history[-1:])

    async def choose(self, lesson: str, line: str, options: Sequence[str]) -> str | None:
        """Which of the options the caller's last words are, as `lesson` shows; None where that is unknown."""
        return await understand.choose(self._asked_apart, lesson, line, options)

    async def copy(self, line: str, what: str, fields: Sequence[str]) -> Mapping[str, str]:
        """The caller's words for the fields of `what` that they named; none where that is unknown."""
        return await understand.copy(self._asked_apart, line, what, fields)

    async def reword(self, line: str, text: str) -> str:
        """What the agent is to say behind `line` in other words; "" where nothing comes of it."""
        return await understand.reword(self._asked_apart, line, text)

    async def _asked_apart(self, question: understand.Question) -> str:
        """What whoever answers makes of a question beside the conversation; "" where nothing comes of it."""
        if self._bundled_answers:
            return await self._acting.ask(question) if self._acting is not None else ""
        params = question.params | {"model": self.chain.current.model}
        try:
            async with asyncio.timeout(understand.DEADLINE_S), aclosing(self._answer(params)) as answer:
                said = [piece.choices[0].delta.content or "" async for piece in answer if piece.choices]
        except (ModelFailed, TimeoutError) as error:
            logger.info(f"Call {self._call_id}: a turn wasn't understood: {type(error).__name__}")
            return ""
        return "".join(said)

    async def get_tools_ready(self, context: LLMContext) -> None:
        """Have a bundled model read what tools there are, which takes seconds where it hasn't yet."""
        if self._acting is not None:
            await self._acting.prime((await self._params(context)).get("tools", ()))

    async def read_ahead(self, context: LLMContext) -> None:
        """The caller begins to speak: have the bundled model read the conversation meanwhile."""
        self.chain.current.about_to_ask()
        self._read(await self._params(context), "")

    async def get_ready(self, context: LLMContext, words: str) -> None:
        """The caller pauses, and `words` may be all: have a bundled model do what comes before an answer."""
        if not self._llm.judges_itself:
            self._read(await self._params(context), words, over=True)

    def _read(self, params: dict[str, Any], words: str, *, over: bool = False) -> None:
        """Find what answers the caller so far, and have a bundled model read it all, in the background.

        One request at a time, and then for the latest.
        """
        if not self._bundled_answers and self._brief.knowledge is None:
            return
        read, words = len(params["messages"]), neutral(words)
        if self._read_last in ((read, words, over), (read, words, True)):
            return
        self._read_last = read, words, over
        self._to_read = params, words, over
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_along(), name=f"llm-read-{self._call_id}")

    async def _read_along(self) -> None:
        while self._to_read is not None:
            (params, words, over), self._to_read = self._to_read, None
            answers = self._answers
            wanted = partial(self._is_latest, answers)
            if words:
                await self._look_up(params, words, over=over)
            if self._slot is None or not self._bundled_answers or answers != self._answers:
                continue
            fitted = self._fitted(self._told(params, goes_on=True))
            if over and self._acting is not None:
                self._acting.foresee(fitted, words)
            self._reader = self._reader or self._llm.reader(self._slot)
            if self._reader is not None and over:
                whole = {**params, "messages": [*params["messages"], {"role": "user", "content": words}]}
                await self._reader.read(self._fitted(self._told(whole))["messages"], None, wanted=wanted)
            elif self._reader is not None:
                await self._reader.read(fitted["messages"], clean(words), wanted=wanted)
            if not wanted():
                continue
            if not over and self._acting is not None:
                await self._acting.read_ahead(fitted, words)

    def _is_latest(self, answers: int) -> bool:
        """Whether neither more was heard nor another answer asked for than these many."""
        return self._to_read is None and answers == self._answers

    async def get_chat_completions(  # type: ignore[override]  # any async iterator of chunks will do
        self, context: LLMContext
    ) -> AsyncIterator[ChatCompletionChunk]:
        """Unlike the base class it never logs the conversation."""
        if not self._may_answer():
            return _nothing()
        if self.acts is not None and (decided := self.acts.decided(context.messages)):
            return self._call(*decided)
        ask: Callable[[], Chunks]
        if known := self._said_again(context.messages) or self._sum(context.messages):
            self._on_recalled(())
            ask = partial(_said, known)
        else:
            before = last_answer(context.messages)
            params = await self._params(context)
            self._answers += 1
            self._on_recalled(await self._look_up(params))
            ask = partial(
                self._answer,
                self._told(params),
                brevity=lambda: Brevity(language=self._brief.language, before=before),
            )
        messages = [one for one in context.messages if isinstance(one, dict)]
        return self.guide(messages, ask) if self.guide else ask()

    def _said_again(self, messages: Sequence[Any]) -> str:
        """What is said again in the place of a bundled model, which drops half of it; larger ones may find
        other words."""
        heard = self.again(messages) if self._bundled_answers else ""
        words = plain(heard)
        for whole in reversed(self._written):
            if words and f"{plain(whole)} ".startswith(f"{words} "):
                return whole
        return "" if self._became else heard

    def _sum(self, messages: Sequence[Any]) -> str:
        """The answer to a sum in the place of a bundled model, which gets it wrong."""
        said = [one for one in messages if isinstance(one, dict)]
        asked = self._bundled_answers and said and said[-1].get("role") == "user"
        return sum_of(caller_turns(said), self._brief.language) if asked else ""

    async def _params(
        self, context: LLMContext, primer: Sequence[Mapping[str, Any]] | None = None
    ) -> dict[str, Any]:
        said = await self.get_llm_adapter().get_llm_invocation_params(
            context, convert_developer_to_user=False
        )
        beginning = self._beginning if primer is None else primer
        messages = [neutral_message(_instruction(one)) for one in said["messages"]]
        said["messages"] = [*beginning, *messages]  # type: ignore[list-item]
        params = self.build_chat_completion_params(said)
        if self.acts is not None and not self.acts.offers_tools(context.messages):
            params.pop("tools", None)
            params.pop("tool_choice", None)
        return params

    async def _call(
        self, name: str, arguments: Mapping[str, Any]
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        yield completion_chunk("decided", "", {"tool_calls": [tool_call(name, arguments)]})
        yield completion_chunk("decided", "", {}, finish_reason="tool_calls")

    async def _look_up(
        self, params: Mapping[str, Any], words: str | None = None, *, over: bool = False
    ) -> Sequence[str]:
        """Find what the pages say about the caller's last turn, or about `words` of the next, `over` where
        these may be all."""
        if self._brief.knowledge is None:
            return ()
        conversation = params["messages"][len(self._beginning) :]
        return await self._recall.look_up(
            self._brief.knowledge,
            conversation,
            words,
            over=over,
            tokens_s=self.chain.current.reads_tokens_s,
        )

    def _told(self, params: Mapping[str, Any], *, goes_on: bool = False) -> dict[str, Any]:
        """With what was found for each turn; `goes_on` where one is being said."""
        keep = len(self._beginning)
        told = self._recall.told(params["messages"][keep:], goes_on=goes_on)
        return {**params, "messages": [*params["messages"][:keep], *told]}

    @property
    def _beginning(self) -> list[Mapping[str, Any]]:
        """What a conversation begins with; what is this call's alone stands last: the rest is known."""
        return [*self._brief.primer, *self._about]

    @property
    def _bundled_answers(self) -> bool:
        return self.chain.current.kind == "bundled"

    def _fitted(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """As whoever answers next would be asked: a bundled model reads that ahead."""
        return self.chain.current.fit(params, keep=len(self._beginning), slot=self._slot)

    async def _answer(
        self, params: dict[str, Any], *, brevity: Callable[[], Brevity] | None = None
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        self._to_read = None  # the answer reads the rest itself
        self._answers += 1
        if self._reader is not None:
            self._reader.forget()
        answer = self.chain.answer(
            params,
            keep=len(self._beginning),
            slot=self._slot,
            acting=self._acting,
            brevity=brevity,
            again=self._brief.again,
        )
        if self._brief.instructions is not None:
            discretion = Discretion(self._brief.instructions, self._brief.not_told, params["messages"])
            answer = discreet(answer, discretion)
        told, said = False, list[str]()  # how much it took, which comes last
        try:
            async with aclosing(answer) as chunks:
                async for chunk in chunks:
                    if chunk.usage is not None:
                        told = True
                        self._spent(chunk.usage.prompt_tokens or 0, chunk.usage.completion_tokens or 0)
                    said += [one.delta.content or "" for one in chunk.choices]
                    yield chunk
        finally:
            if said and not told:  # it was cut short, and is billed all the same
                self._spent(sum(map(tokens, params["messages"])), estimate("".join(said)))

    def _spent(self, read: int, written: int) -> None:
        prices = self.chain.current.prices
        self._on_spent(read + written, (read * prices[0] + written * prices[1]) / 1e6)


async def _nothing() -> AsyncGenerator[ChatCompletionChunk, None]:
    """No answer."""
    return
    yield


async def _said(text: str) -> Chunks:
    yield completion_chunk("known", "", {"content": text})
    yield completion_chunk("known", "", {}, finish_reason="stop")


def _instruction(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """What Pipecat has a developer say, of a tool that is done later, isn't the caller's."""
    return {**message, "role": "system"} if message["role"] == "developer" else message
