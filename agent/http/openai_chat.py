"""OpenAI's chat completions, by whichever language model answers calls here."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, StreamingResponse
from openai.types.chat import ChatCompletionChunk
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agent.http.access import OPERATE, READ
from agent.http.problems import ProblemError, responses
from models.errors import ModelAway, ModelBusy, ModelError, ModelLate
from models.llm.brevity import Brevity, last_answer
from models.pool import ModelPool

T = TypeVar("T")

LIKEST_SLOT = -1  # llama.cpp's: the one whose conversation begins like this one, which it needn't read again
_PASSED_ON = {"messages", "temperature", "max_tokens", "tools", "tool_choice"}


def _is_text(value: T) -> T:
    """JSON can have half of a surrogate pair, which no server is sent."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it has half of a surrogate pair, which is no text") from None
    return value


class CompletionRequest(BaseModel):
    """OpenAI's; what isn't passed on to the model is ignored."""

    model_config = ConfigDict(extra="ignore")

    messages: Annotated[list[dict[str, Any]], AfterValidator(_is_text)] = Field(min_length=1, max_length=1000)
    model: str = ""
    stream: bool = False
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=4096)
    tools: Annotated[list[dict[str, Any]] | None, AfterValidator(_is_text)] = None
    tool_choice: Annotated[Any, AfterValidator(_is_text)] = None


def openai_chat_router(pool: ModelPool, language: str) -> APIRouter:
    """`language` is that of the persona, by which a bundled model knows when it has said enough."""
    router = APIRouter(tags=["OpenAI"])

    @router.get("/v1/models", summary="What is loaded", dependencies=[READ], responses=responses(503))
    async def models() -> dict[str, Any]:
        names = [pool.llm.endpoint.model, *(part.model for part in pool.health()[:2])]
        return {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}

    @router.post(
        "/v1/chat/completions",
        summary="Answer a conversation",
        response_class=Response,
        dependencies=[OPERATE],
        responses=responses(400, 422, 502, 503, 504),
    )
    async def completions(request: CompletionRequest) -> Response:
        """A bundled model takes no `tools` this way: it chooses them by what it has read of a persona."""
        endpoint = pool.llm.endpoint  # raises ModelError while it loads
        if request.tools and endpoint.kind == "bundled":
            raise ProblemError(400, "The bundled language model takes no tools here: leave `tools` out.")
        chunks = _answer(pool, request, language)
        first = await anext(chunks, None)
        if request.stream:
            return StreamingResponse(_events(first, chunks), media_type="text/event-stream")
        text, tools = "", list[Any]()
        async with aclosing(chunks):
            async for chunk in _all(first, chunks):
                for choice in chunk.choices:
                    text += choice.delta.content or ""
                    tools += choice.delta.tool_calls or []
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if tools:
            message["tool_calls"] = [call.model_dump(exclude={"index"}) for call in tools]
        return JSONResponse(
            {
                "id": f"chatcmpl-{uuid.uuid4().hex}",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": pool.llm.endpoint.model,
                "choices": [
                    {"index": 0, "message": message, "finish_reason": "tool_calls" if tools else "stop"}
                ],
            }
        )

    return router


async def _answer(
    pool: ModelPool, request: CompletionRequest, language: str
) -> AsyncGenerator[ChatCompletionChunk, None]:
    """Raises ProblemError."""
    params: Mapping[str, Any] = {"stream": True} | request.model_dump(include=_PASSED_ON, exclude_none=True)
    roles = [message.get("role") for message in request.messages]
    keep = next((at for at, role in enumerate(roles) if role != "system"), len(roles))
    chain = pool.llm.chain()
    try:
        async with aclosing(
            chain.answer(
                params,
                keep=keep,
                slot=LIKEST_SLOT,
                brevity=lambda: Brevity(language=language, before=last_answer(request.messages)),
            )
        ) as chunks:
            async for chunk in chunks:
                yield chunk
    except ModelError as error:
        raise ProblemError(_status(error), str(error), headers={"Retry-After": "1"}) from error
    finally:
        chain.close()


def _status(error: ModelError) -> int:
    if isinstance(error, ModelLate):
        return 504
    return 503 if isinstance(error, ModelAway | ModelBusy) else 502


async def _all(
    first: ChatCompletionChunk | None, rest: AsyncGenerator[ChatCompletionChunk, None]
) -> AsyncIterator[ChatCompletionChunk]:
    if first:
        yield first
        async for chunk in rest:
            yield chunk


async def _events(
    first: ChatCompletionChunk | None, rest: AsyncGenerator[ChatCompletionChunk, None]
) -> AsyncIterator[str]:
    """One that breaks off has no [DONE]."""
    async with aclosing(rest):
        async for chunk in _all(first, rest):
            yield f"data: {chunk.model_dump_json(exclude_none=True)}\n\n"
    yield "data: [DONE]\n\n"
