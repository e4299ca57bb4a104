"""The recordings of calls: to be heard, drawn, paused and deleted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from agent.http.access import ADMIN, LISTEN, OPERATE, Asking
from agent.http.call_control import possible
from agent.http.call_views import SessionView
from agent.http.contracts import Calls
from agent.http.problems import ProblemError, responses
from agent.http.sessions import RECORDINGS, deletable, find
from agent.recordings.file import peaks
from agent.recordings.recordings import Recordings


class RecordingRequest(BaseModel):
    paused: bool = Field(description="Silence is recorded in the place of what is heard.")


class Peaks(BaseModel):
    """The loudest sample in each of as many equal parts of the recording, 0 to 1."""

    caller: list[float] = Field(examples=[[0.0, 0.21, 0.4]])
    agent: list[float] = Field(examples=[[0.35, 0.0, 0.02]])


class _AsItWas(FileResponse):
    """No more than the length that it tells, though the file grows meanwhile."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left = 0

        async def cut(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.start":
                left = int(Headers(raw=message["headers"])["content-length"])
            else:
                body = message["body"][:left]
                left -= len(body)
                message = {**message, "body": body}
            await send(message)

        await super().__call__(scope, receive, cut)


def recordings_router(calls: Calls, recordings: Recordings) -> APIRouter:
    router = APIRouter(prefix="/api/v1/sessions/{id}/recording", tags=["Recordings"])

    async def kept(id: str) -> Path:
        if (path := await recordings.path(id)) is None:
            raise ProblemError(404, f"No recording of a call {id[:40]!r} is kept on this machine.")
        return path

    @router.get(
        "",
        summary="The sound of a call",
        dependencies=[LISTEN],
        response_class=FileResponse,
        responses=responses(404)
        | {
            200: {"content": {"audio/flac": {}}},
            206: {"description": "The range that was asked for.", "content": {"audio/flac": {}}},
            400: {"description": "That is no range."},
            416: {"description": "It has no such range."},
        },
    )
    async def recording(id: str) -> FileResponse:
        """FLAC, 16 kHz, the caller left, the agent right; ranges are served, as players ask for them.

        While the call goes on, it is what the file has by then.
        """
        return _AsItWas(await kept(id), media_type="audio/flac")

    @router.get(
        "/peaks", summary="Its outline, to be drawn", dependencies=[LISTEN], responses=responses(404, 422)
    )
    async def outline(
        id: str, points: Annotated[int, Query(ge=1, le=10_000, description="At most; 20 a second.")] = 1000
    ) -> Peaks:
        try:
            caller, agent = await asyncio.to_thread(peaks, await kept(id), points)
        except OSError:
            raise ProblemError(404, "The outline of this recording is gone.") from None
        return Peaks(caller=caller, agent=agent)

    @router.put("", summary="Pause or resume it", dependencies=[OPERATE], responses=responses(404, 409, 422))
    async def pause(id: str, wanted: RecordingRequest, asking: Asking) -> SessionView:
        """409 where the call isn't recorded, or not yet."""
        call = find(calls, id)
        with possible():
            call.monitor.pause(wanted.paused)
        call.note("recording", asking.name, paused=wanted.paused)
        return SessionView.of(call)

    @router.delete(
        "", summary="Delete it", status_code=204, dependencies=[ADMIN], responses=responses(404, 409, 503)
    )
    async def delete(id: str) -> Response:
        await kept(id)
        if recordings.live(id):
            raise ProblemError(409, "The call is still being recorded. Hang up first.")
        with deletable(*RECORDINGS):
            await recordings.delete([id])
        return Response(status_code=204)

    return router
