"""The messages that callers left."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from agent.http.access import LISTEN, OPERATE, READ
from agent.http.contracts import Elsewhere
from agent.http.problems import ProblemError, responses
from agent.http.sessions import MESSAGES, deletable
from agent.voicemail import Message, Voicemail, Way


class MessageView(BaseModel):
    id: str = Field(examples=["5c1f7e20b9d3"])
    at: datetime
    from_: str = Field(alias="from", examples=["alice"])
    from_name: str
    to: str = Field(description="The number called.")
    persona: str = Field(description="Who took it.")
    language: str = Field(examples=["en"])
    seconds: float
    text: str | None = Field(description="Null until it is transcribed.")
    pending: list[Way] = Field(description="In which ways it has yet to be passed on.")

    model_config = {"populate_by_name": True, "serialize_by_alias": True}

    @classmethod
    def of(cls, message: Message) -> Self:
        known = message.model_dump(exclude={"caller", "caller_name", "called"})
        return cls(from_=message.caller, from_name=message.caller_name, to=message.called, **known)


class Messages(BaseModel):
    messages: list[MessageView] = Field(description="The latest first.")


def voicemail_router(voicemail: Voicemail, elsewhere: Elsewhere | None = None) -> APIRouter:
    router = APIRouter(prefix="/api/v1/messages", tags=["Messages"])

    @router.get("", summary="What callers left", dependencies=[READ])
    async def messages() -> Messages:
        """All that are kept, in `messages` in `state_dir`."""
        if elsewhere:
            await voicemail.look()
        return Messages(messages=[MessageView.of(message) for message in voicemail.messages])

    @router.get(
        "/{id}/audio",
        summary="The sound of one",
        response_class=FileResponse,
        dependencies=[LISTEN],
        responses=responses(404) | {200: {"content": {"audio/wav": {}}}},
    )
    async def audio(id: str) -> FileResponse:
        """WAV, mono, 16 kHz."""
        path = voicemail.audio(id)
        if path is None:
            raise _unknown(id)
        return FileResponse(path, media_type="audio/wav")

    @router.delete(
        "/{id}", summary="Delete one", status_code=204, dependencies=[OPERATE], responses=responses(404, 503)
    )
    async def delete(id: str) -> Response:
        with deletable(*MESSAGES):
            if not voicemail.delete(id):
                raise _unknown(id)
        return Response(status_code=204)

    return router


def _unknown(id: str) -> ProblemError:
    return ProblemError(404, f"There is no message {id[:40]!r}. GET /api/v1/messages lists them.")
