"""The language model in a call's pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, cast

from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk
from pipecat.adapters.llm.services.open_ai_adapter import OpenAILLMInvocationParams
from pipecat.frames.frames import EndFrame, Frame, LLMContextFrame, StartFrame, SystemFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.openai.base_llm import BaseOpenAILLMService
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.settings import LLMSettings
from pipecat.turns.speculation_gate import GatedFrame, SpeculationGate
from pipecat.utils.types import assert_given

from models.llm.stream import answer

if TYPE_CHECKING:
    from models.llm.acting import Acting
    from models.llm.language_model import Llm


class PassingGate(SpeculationGate):
    """Knows whether an answer is speculative, but holds none of it back.

    A speculative answer goes on to be synthesized; whoever plays it holds it until the turn is
    decided. What must still wait here are tool calls, which `is_speculating` answers for.
    """

    def process(self, frame: Frame, direction: FrameDirection) -> list[GatedFrame]:
        if isinstance(frame, (SystemFrame, EndFrame)):  # the verdicts; with nothing held they only pass
            return super().process(frame, direction)
        return [(frame, direction)]


class CallLlmService(OpenAILLMService):
    """One call's share of the language model.

    Every failure reaches the pipeline as an ErrorFrame, upstream, whose exception is a ModelError.
    """

    supports_developer_role = False
    supports_response_schema = False

    def __init__(self, llm: Llm, *, call_id: str, prompt: str, acting: Acting | None = None) -> None:
        self._llm = llm  # first: the base class asks for the client while it is built
        self._call_id = call_id
        self._prompt = prompt
        self._acting = acting
        # Whether a speculation on this text is still wanted.
        self.stands: Callable[[str], bool] = lambda text: True
        self._slot: int | None = None
        self._priming: asyncio.Task[None] | None = None
        super().__init__(
            settings=BaseOpenAILLMService.Settings(
                model=llm.endpoint.model,
                system_instruction=prompt,
                temperature=llm.settings.temperature,
                max_tokens=llm.settings.max_tokens,
            )
        )
        self._speculation_gate = PassingGate(name=f"{self}::PassingGate")

    def create_client(self, *_args: Any, **_kwargs: Any) -> AsyncOpenAI:
        """All calls share one client: its connections stay warm and outlive the call."""
        return self._llm.client

    @property
    def _instruction(self) -> str | None:
        return assert_given(cast(LLMSettings, self._settings).system_instruction)

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self._slot = self._llm.slots.take()
        if self._slot is not None:
            self._priming = asyncio.create_task(
                self._llm.prime(self._slot, self._instruction or ""), name=f"llm-prime-{self._call_id}"
            )

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, LLMContextFrame) and frame.speculation:
            last = frame.context.messages[-1]
            if isinstance(last, dict) and not self.stands(str(last.get("content"))):
                return
        await super().process_frame(frame, direction)

    async def cleanup(self) -> None:
        await super().cleanup()
        if self._priming is not None:
            self._priming.cancel()
            await asyncio.gather(self._priming, return_exceptions=True)
            self._priming = None
        if self._slot is not None:
            self._llm.slots.give_back(self._slot)
            self._slot = None

    def build_chat_completion_params(self, params_from_context: OpenAILLMInvocationParams) -> dict[str, Any]:
        params: dict[str, Any] = super().build_chat_completion_params(params_from_context)
        if not self._llm.tools:
            params.pop("tools", None)
            params.pop("tool_choice", None)
        return self._llm.fit(params, slot=self._slot)

    async def run_inference(
        self,
        context: LLMContext,
        max_tokens: int | None = None,
        system_instruction: str | None = None,
        response_schema: dict[str, Any] | None = None,
    ) -> str | None:
        """One answer outside the conversation, on the same path: Ollama's /v1 would load the model again."""
        self._check_response_schema(response_schema)
        params = await self._params(context, system_instruction or self._instruction)
        if max_tokens is not None:
            params["max_tokens"] = max_tokens
        said = [piece.choices[0].delta.content or "" async for piece in self._answer(params) if piece.choices]
        return "".join(said) or None

    async def end_probability(self, context: LLMContext, words: str) -> float | None:
        """How probable it is that the caller, who has said `words` after `context`, is done; None if unknown.

        With the bundled model this is also the first part of making the answer: it reads all but its end.
        """
        return await self._llm.completeness.end_probability(
            words, history=await self._history(context), slot=self._slot
        )

    async def read_ahead(self, context: LLMContext) -> None:
        """Have the bundled model read the conversation while the caller begins to speak."""
        if self._slot is not None:
            await self._llm.completeness.read_ahead(await self._history(context), slot=self._slot)
        if self._acting is not None and self._llm.tools:
            await self._acting.read_ahead(await self._params(context, self._instruction))

    async def _history(self, context: LLMContext) -> list[dict[str, Any]]:
        """The conversation as the model is sent it; elsewhere than in the call's own slot, its last words."""
        params = await self.get_llm_adapter().get_llm_invocation_params(
            context,
            system_instruction=self._prompt,
            convert_developer_to_user=True,
        )
        messages = [
            dict(m) for m in self._llm.fit({"messages": list(params["messages"])}, slot=None)["messages"]
        ]
        texts = [m for m in messages if isinstance(m.get("content"), str)]
        return texts if self._slot is not None else [*texts[:1], *texts[1:][-1:]]

    async def get_chat_completions(  # type: ignore[override]  # any async iterator of chunks will do
        self, context: LLMContext
    ) -> AsyncIterator[ChatCompletionChunk]:
        """Unlike the base class it never logs the conversation."""
        return self._answer(await self._params(context, self._instruction))

    async def _params(self, context: LLMContext, instruction: str | None) -> dict[str, Any]:
        return self.build_chat_completion_params(
            await self.get_llm_adapter().get_llm_invocation_params(
                context,
                system_instruction=instruction,
                convert_developer_to_user=not self.supports_developer_role,
            )
        )

    def _answer(self, params: dict[str, Any]) -> AsyncGenerator[ChatCompletionChunk, None]:
        return answer(
            lambda: self._llm.chat(params, self._acting),
            timeout_s=self._llm.settings.first_token_timeout_s,
            wait_ready=self._llm.wait_ready,
        )
