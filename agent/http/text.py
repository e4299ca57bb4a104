"""Chat as text: JSON, server-sent events, or a WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.websockets import WebSocketDisconnect

from agent.http.access import OPERATE
from agent.http.ahead import ahead
from agent.http.chat import Answer, Chat
from agent.http.grouping import TokenGroups
from agent.http.problems import ProblemError, responses

MAX_TEXT = 8000
IDLE_S = 600.0
SEND_DEADLINE_S = 10.0


class ChatRequest(BaseModel):
    text: str = Field(min_length=1, max_length=MAX_TEXT, examples=["What's the capital of France?"])
    conversation: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Any id of yours, or the one of an earlier answer; none begins a new conversation.",
        examples=["b7Vn2xK1s0Qe"],
    )


class ChatReply(BaseModel):
    text: str = Field(examples=["Paris."])
    conversation: str = Field(examples=["b7Vn2xK1s0Qe"])
    model: str = Field(examples=["llama3.2"])
    ttft_ms: float | None = Field(description="Time to the first token.", examples=[42.0])
    total_ms: float = Field(examples=[180.0])

    @classmethod
    def of(cls, answer: Answer) -> ChatReply:
        return cls(
            text=answer.text,
            conversation=answer.conversation.id,
            model=answer.model,
            ttft_ms=None if answer.ttft_ms is None else round(answer.ttft_ms, 1),
            total_ms=round(answer.total_ms, 1),
        )


def chat_router(chat: Chat, group_tokens: int) -> APIRouter:
    router = APIRouter(tags=["Text"], dependencies=[OPERATE])

    @router.post(
        "/api/v1/chat",
        summary="Ask in text",
        response_model=ChatReply,
        responses={
            200: {"content": {"text/event-stream": {"example": _EVENTS}}},
            **responses(409, 502, 503, 504),
        },
    )
    async def ask(
        request: ChatRequest, accept: Annotated[str, Header(include_in_schema=False)] = ""
    ) -> Response | ChatReply:
        """One question, one answer, by the persona that answers calls.

        With `Accept: text/event-stream` the tokens come as server-sent events (`token`, then `done`, or
        `error` with a problem document).
        """
        answer = chat.open(request.conversation)
        tokens = ahead(chat.tokens(answer, request.text))
        if "text/event-stream" not in accept:
            async with aclosing(tokens):
                async for _ in tokens:
                    pass
            return ChatReply.of(answer)
        first = await anext(tokens, None)  # what fails before the first token gets its own status
        return StreamingResponse(
            _events(answer, first, tokens),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    @router.websocket("/api/v1/chat")
    async def converse(socket: WebSocket) -> None:
        await socket.accept()
        await ChatSocket(socket, chat, group_tokens).run()

    return router


_EVENTS = 'event: token\ndata: {"text": "Paris"}\n\nevent: done\ndata: {"text": "Paris.", ...}\n\n'


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


async def _events(answer: Answer, first: str | None, tokens: AsyncGenerator[str, None]) -> AsyncIterator[str]:
    async with aclosing(tokens):
        try:
            if first is not None:
                yield _event("token", {"text": first})
            async for token in tokens:
                yield _event("token", {"text": token})
        except ProblemError as error:
            yield _event("error", {"status": error.status_code, "detail": error.detail})
            return
    yield _event("done", ChatReply.of(answer).model_dump())


class ChatSocket:
    """One WebSocket: texts in, grouped tokens out. A new text interrupts the answer before it."""

    def __init__(self, socket: WebSocket, chat: Chat, group_tokens: int) -> None:
        self._socket = socket
        self._chat = chat
        self._group_tokens = group_tokens
        self._conversation: str | None = None
        self._answering: asyncio.Task[None] | None = None

    async def run(self) -> None:
        try:
            while True:
                async with asyncio.timeout(IDLE_S):
                    message = await self._socket.receive_text()
                if await self._interrupt():
                    await self._send({"type": "cut_off", "conversation": self._conversation})
                await self._take(message)
        except TimeoutError:
            await self._socket.close(1001, "Nothing was said for long.")
        except KeyError:  # a binary message
            await self._socket.close(1003, "Send JSON as text.")
        except WebSocketDisconnect:
            pass
        finally:
            await self._interrupt()

    async def _take(self, message: str) -> None:
        try:
            request = ChatRequest.model_validate_json(message)
            answer = self._chat.open(request.conversation or self._conversation)
        except ValidationError:
            await self._error(
                422, 'Send {"text": "...", "conversation": "..."}; the conversation may be left out.'
            )
            return
        except ProblemError as error:
            await self._error(error.status_code, error.detail)
            return
        self._conversation = answer.conversation.id
        self._answering = asyncio.create_task(self._answer(answer, request.text), name="chat")

    async def _answer(self, answer: Answer, text: str) -> None:
        groups = TokenGroups(self._group_tokens)
        try:
            async with aclosing(ahead(self._chat.tokens(answer, text))) as tokens:
                async for token in tokens:
                    if group := groups.push(token):
                        await self._send({"type": "tokens", "text": group})
            if group := groups.flush():
                await self._send({"type": "tokens", "text": group})
        except ProblemError as error:
            await self._error(error.status_code, error.detail)
            return
        await self._send({"type": "done", **ChatReply.of(answer).model_dump()})

    async def _interrupt(self) -> bool:
        """Whether there was an answer to cut off."""
        task, self._answering = self._answering, None
        if task is None or task.done():
            return False
        task.cancel()
        await asyncio.wait({task})
        return task.cancelled()

    async def _error(self, status: int, detail: str) -> None:
        await self._send({"type": "error", "status": status, "detail": detail})

    async def _send(self, message: dict[str, Any]) -> None:
        """Best effort: `run` notices a reader that is gone, and the server's ping one that takes nothing."""
        with suppress(WebSocketDisconnect, TimeoutError, RuntimeError):
            async with asyncio.timeout(SEND_DEADLINE_S):
                await self._socket.send_text(json.dumps(message, ensure_ascii=False))
