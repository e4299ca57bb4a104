"""Listening to a live call."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter, WebSocket
from pydantic import BaseModel

from agent.http.access import LISTEN, Asking
from agent.http.call_control import possible
from agent.http.contracts import Calls
from agent.http.events import until_gone
from agent.http.sessions import find
from agent.recordings.listener import FRAME_S, Listener, TooSlow
from transports.playout import SAMPLE_RATE_HZ

SEND_DEADLINE_S = 3.0


class Header(BaseModel):
    """What comes first; then the sound."""

    session: str
    since: datetime
    format: Literal["s16le"] = "s16le"
    rate_hz: int = SAMPLE_RATE_HZ
    channels: tuple[str, ...] = ("caller", "agent")
    frame_ms: int = round(FRAME_S * 1000)


def listening_router(calls: Calls) -> APIRouter:
    router = APIRouter(tags=["Recordings"])

    @router.websocket("/api/v1/sessions/{id}/listen", dependencies=[LISTEN])
    async def listen(socket: WebSocket, id: str, asking: Asking) -> None:
        call = find(calls, id)
        began = datetime.now(UTC)

        def over() -> None:
            seconds = (datetime.now(UTC) - began).total_seconds()
            call.note("listening_ended", asking.name, seconds=round(seconds, 1))

        with possible():
            listener = call.monitor.listen(over)
        call.note("listening_began", asking.name)
        with closing(listener):
            await socket.accept()
            await socket.send_text(Header(session=id, since=began).model_dump_json())
            await _stream(socket, listener)

    return router


async def _stream(socket: WebSocket, listener: Listener) -> None:
    """Until the call is over, or nobody listens any more."""
    sending = asyncio.create_task(_send(socket, listener))
    gone = asyncio.create_task(until_gone(socket))
    try:
        await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, gone):
            task.cancel()
        await asyncio.gather(sending, gone, return_exceptions=True)


async def _send(socket: WebSocket, listener: Listener) -> None:
    try:
        while (pcm := await listener.next()) is not None:
            async with asyncio.timeout(SEND_DEADLINE_S):
                await socket.send_bytes(pcm)
        await socket.close()
    except (TimeoutError, TooSlow):
        await socket.close(1008, "You listen too slowly: sound is lost.")
