"""A model on a server that speaks OpenAI's API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import httpx2
import pytest
from openai.types.chat import ChatCompletionChunk

from config.llm import LlmSettings
from models.llm.openai_model import OpenAiModel


@pytest.mark.parametrize("ask", [OpenAiModel.chat, OpenAiModel._trial])
async def test_an_answer_that_is_left_is_closed_at_once(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    async def streamed(params: Mapping[str, Any]) -> AsyncGenerator[ChatCompletionChunk, None]:
        try:
            while True:
                yield ChatCompletionChunk(
                    id="1", choices=[], created=0, model="tiny", object="chat.completion.chunk"
                )
        finally:
            closed.append(True)

    async with httpx2.AsyncClient() as http:
        model = OpenAiModel("http://127.0.0.1:1/v1", "tiny", LlmSettings(), http, api_key=None, briefs=())
        monkeypatch.setattr(model, "_streamed", streamed)
        async with aclosing(ask(model, {})) as answer:
            async for _ in answer:
                break
        assert closed
