"""What happens in calls, as server-sent events or over a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing, closing, nullcontext
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from agent.events import ALIVE_EVERY_S, Event, Events, Kind, Lagged, Reader, Relayed, TooManyReaders
from agent.http.access import READ
from agent.http.call_views import ActionView, ProblemView, ToolCallView, TurnView, recording_began, time_of
from agent.http.contracts import Nodes
from agent.http.elsewhere import asked_by_a_node, asking
from agent.http.problems import ProblemError, responses
from transports.call import CallInfo

SEND_DEADLINE_S = 10.0
_LAGGED = (
    "Events were lost: you read too slowly, or a node or a process was away. "
    "GET /api/v1/sessions?state=all has how things are."
)
_FULL = "Too many follow the events already."
_EXAMPLE = (
    'event: turn\ndata: {"type": "turn", "session": "9f2c51d07a3e", "at": "2026-01-01T12:00:00Z", '
    '"turn": {"speaker": "caller", "text": "What time is it?", ...}}\n\n'
)


class EventView(BaseModel):
    """What isn't of an event's type is left out."""

    type: Kind
    session: str = Field(description="The call's id.")
    at: datetime
    transport: str | None = Field(None, description="Of `started`, as the three behind it.")
    direction: str | None = None
    from_: str | None = Field(None, alias="from")
    to: str | None = None
    turn: TurnView | None = None
    voice_to_voice_ms: float | None = Field(None, description="Of `answered`, as the ledger.")
    ledger: dict[str, float] | None = None
    tool_call: ToolCallView | None = None
    action: ActionView | None = None
    problem: ProblemView | None = None
    cause: str | None = Field(None, description="Of `ended`.", examples=["caller_hangup"])

    model_config = {"populate_by_name": True, "serialize_by_alias": True}

    @classmethod
    def of(cls, event: Event) -> EventView:
        return cls(
            type=event.kind,
            session=event.call.info.id,
            at=time_of(event.at),
            **(_who(event.call.info) if event.kind == "started" else {}),
            turn=event.turn and TurnView.of(event.turn, recording_began(event.call)),
            voice_to_voice_ms=event.trace and event.trace.voice_to_voice_ms,
            ledger=event.trace and event.trace.parts_ms(),
            tool_call=event.tool_call and ToolCallView.of(event.tool_call),
            action=event.action and ActionView.of(event.action),
            problem=event.problem and ProblemView.of(event.problem),
            cause=event.cause and event.cause.value,
        )


Session = Annotated[str | None, Query(max_length=40, description="Only of the call with this id.")]


Over = Annotated[
    Literal["own", "all"], Query(alias="nodes", description="Of this node's calls, or of all nodes'.")
]


def events_router(events: Events, nodes: Nodes | None = None) -> APIRouter:
    router = APIRouter(tags=["Calls"], dependencies=[READ])

    @router.get(
        "/api/v1/events",
        summary="Follow what happens",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {"example": _EXAMPLE}}}, **responses(503)},
    )
    async def stream(request: Request, session: Session = None, over: Over = "own") -> StreamingResponse:
        """Server-sent events of all calls from now on, or of one until it has ended.

        `started`, `turn`, `answered`, `false_start`, `tool_call`, `tool_done`, `action`, `problem`, `ended`;
        and `error` where some were lost, since the reader was too slow or another process wasn't heard. A
        WebSocket at the same address has them as JSON messages.
        """
        whole = nodes if over == "all" else None
        # Whoever follows all nodes has taken their place at the one that they asked.
        bounded = not asked_by_a_node(request.scope)
        try:
            reader = events.follow(session, elsewhere=whole is not None, bounded=bounded)
        except TooManyReaders:
            raise ProblemError(503, _FULL) from None
        return _Following(reader, _sse(reader, whole, request.scope))

    @router.websocket("/api/v1/events")
    async def messages(socket: WebSocket, session: Session = None, over: Over = "own") -> None:
        await socket.accept()
        whole = nodes if over == "all" else None
        try:
            reader = events.follow(session, elsewhere=whole is not None)
        except TooManyReaders:
            await socket.close(1013, _FULL)
            return
        sending, gone = asyncio.create_task(_send(socket, reader)), asyncio.create_task(until_gone(socket))
        try:
            async with _others(whole, reader, socket.scope):
                await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reader.close()
            for task in (sending, gone):
                task.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)

    return router


def _text(event: Event | Relayed) -> str:
    return (
        event.text if isinstance(event, Relayed) else EventView.of(event).model_dump_json(exclude_none=True)
    )


async def _send(socket: WebSocket, reader: Reader) -> None:
    """To the end, with which the socket is closed."""
    try:
        while event := await reader.next():
            async with asyncio.timeout(SEND_DEADLINE_S):
                await socket.send_text(_text(event))
        await socket.close()
    except Lagged:
        await socket.close(1008, "Events were lost.")


async def until_gone(socket: WebSocket) -> None:
    """Nothing is expected."""
    try:
        while True:
            await socket.receive_text()
    except (WebSocketDisconnect, KeyError):
        return


class _Following(StreamingResponse):
    """Follows no more once it is over, wherever it is broken off: its texts may not have begun by then."""

    def __init__(self, reader: Reader, texts: AsyncGenerator[str, None]) -> None:
        super().__init__(
            texts,
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._reader, self._texts = reader, texts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with closing(self._reader):
            async with aclosing(self._texts):
                await super().__call__(scope, receive, send)


async def _sse(reader: Reader, nodes: Nodes | None, scope: Scope) -> AsyncGenerator[str, None]:
    async with _others(nodes, reader, scope):
        yield ": here from now on\n\n"
        while True:
            try:
                async with asyncio.timeout(ALIVE_EVERY_S):
                    event = await reader.next()
            except TimeoutError:
                yield ": alive\n\n"
                continue
            except Lagged:
                yield f'event: error\ndata: {{"detail": "{_LAGGED}"}}\n\n'
                return
            if event is None:
                return
            yield f"event: {event.kind}\ndata: {_text(event)}\n\n"


def _others(nodes: Nodes | None, reader: Reader, scope: Scope) -> AbstractAsyncContextManager[None]:
    """Has the reader told of what happens at the other nodes; who missed some of it is told so."""
    if nodes is None:
        return nullcontext()
    return nodes.following(reader.add, lambda: reader.end(Lagged()), asking(scope))


def _who(info: CallInfo) -> dict[str, str]:
    return {
        "transport": info.transport,
        "direction": info.direction,
        "from_": info.caller,
        "to": info.called,
    }
