"""`/api/v1/webrtc`: how a browser calls. The messages are those of Pipecat's SmallWebRTC clients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import AliasChoices, BaseModel, Field

from agent.http.access import OPERATE
from agent.http.problems import ProblemError, responses
from config.settings import WebRtcSettings
from transports.call import CallGone, CallRefused, printable
from transports.webrtc.endpoint import Answer, OfferError, UnknownCall, WebRtcEndpoint

Token = Annotated[str, Field(max_length=64)]


class Offer(BaseModel):
    sdp: str = Field(max_length=64_000)
    type: str = Field(pattern="^offer$")
    pc_id: Token | None = None
    restart_pc: bool | None = None
    request_data: Any = Field(
        None,
        validation_alias=AliasChoices("request_data", "requestData"),
        description="What Pipecat's clients send along. Its `called` is the number or name that is dialled.",
        examples=[{"called": "echo"}],
    )

    @property
    def called(self) -> str:
        called = self.request_data.get("called") if isinstance(self.request_data, dict) else None
        return printable(called) if isinstance(called, str) else ""


class Candidate(BaseModel):
    candidate: str = Field(max_length=1_000)
    sdp_mid: str = Field(max_length=64)
    sdp_mline_index: int = Field(ge=0, le=64)


class Candidates(BaseModel):
    pc_id: Token
    candidates: list[Candidate] = Field(max_length=100)


def webrtc_router(
    endpoint: WebRtcEndpoint, settings: WebRtcSettings, test_numbers: Callable[[], Sequence[str]] = tuple
) -> APIRouter:
    """The routes, without the prefix's authentication, which the application adds.

    A page may offer the `test_numbers` that there are then to be dialled.
    """
    router = APIRouter(prefix="/api/v1/webrtc", tags=["WebRTC"], dependencies=[OPERATE])

    @router.get("/config", summary="ICE servers, times and test numbers for a browser")
    async def config(response: Response) -> dict[str, Any]:
        response.headers["Cache-Control"] = "no-store"
        return {
            "ice_servers": endpoint.ice_servers(),
            "gone_s": settings.gone_s,
            "test_numbers": list(test_numbers()),
        }

    @router.post(
        "/offer",
        responses=responses(400, 404, 410, 503),
        summary="Start a call, or go on with one after a lost connection",
    )
    async def offer(body: Offer, request: Request) -> dict[str, str]:
        remote = request.client.host if request.client else ""
        try:
            if body.pc_id is None:
                answer = await endpoint.call(body.sdp, remote=remote, called=body.called)
            else:
                answer = await endpoint.reconnect(body.pc_id, body.sdp, restart=bool(body.restart_pc))
        except OfferError as exc:
            raise ProblemError(400, str(exc)) from exc
        except UnknownCall as exc:
            raise ProblemError(404, str(exc)) from exc
        except CallRefused as exc:
            reason = str(exc) or "No place for another call."
            raise ProblemError(503, reason, headers={"Retry-After": "10"}) from exc
        except CallGone as exc:
            raise ProblemError(410, str(exc)) from exc
        return _answer(answer)

    @router.patch(
        "/offer", status_code=204, responses=responses(400, 404), summary="Add trickled ICE candidates"
    )
    async def candidates(body: Candidates) -> None:
        try:
            for c in body.candidates:
                await endpoint.add_candidate(body.pc_id, c.candidate, c.sdp_mid, c.sdp_mline_index)
        except OfferError as exc:
            raise ProblemError(400, str(exc)) from exc
        except UnknownCall as exc:
            raise ProblemError(404, str(exc)) from exc

    @router.delete("/offer/{pc_id}", status_code=204, responses=responses(404), summary="Hang up")
    async def hang_up(pc_id: Token) -> None:
        try:
            await endpoint.hang_up(pc_id)
        except UnknownCall as exc:
            raise ProblemError(404, str(exc)) from exc

    return router


def _answer(answer: Answer) -> dict[str, str]:
    return {"sdp": answer.sdp, "type": "answer", "pc_id": answer.token}
