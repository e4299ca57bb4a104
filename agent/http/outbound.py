"""Calling people: placed, watched and hung up over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from httpx2 import Response as Answer
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent.events import ALIVE_EVERY_S
from agent.http.access import ANYONE_HERE, OPERATE, READ, Asking
from agent.http.contracts import Nodes
from agent.http.elsewhere import asking
from agent.http.problems import ProblemError, responses
from agent.http.sessions import HANGUP_WAIT_S
from agent.http.upload import UploadError, decode
from agent.outbound.calls import OutboundCall, OutboundCalls, Plan, Progress, State
from agent.outbound.retries import Retries
from agent.outbound.session import AnsweringMachine, Script
from config.answering import Personas
from config.persona import Persona
from transports.call import CallRefused, EndReason
from transports.outbound import LimitReached, NotPermitted

BODY_BYTES = 12_000_000  # a recording of LONGEST_PLAY_S, in base64
LONGEST_PLAY_S = 240

_ID = "9f2c51d07a3e"
_EVENTS = (
    'event: dialling\ndata: {"state": "dialling", "at": "2026-01-01T12:00:00Z", "detail": ""}\n\n'
    "event: ringing\ndata: {...}\n\nevent: answered\ndata: {...}\n\n"
    'event: over\ndata: {"id": "9f2c51d07a3e", "state": "over", "reason": "called_hangup", ...}\n\n'
)


class RetryRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    most: int = Field(1, ge=0, le=20, description="How often, when it is busy or nobody answers.")
    after_s: float = Field(60, ge=1, le=86_400, description="How long after each attempt.")


class CallRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: str = Field(
        min_length=1,
        max_length=256,
        description="A number, which goes to outbound.gateway, or a SIP URI. outbound.allow must list it.",
        examples=["+33123456789"],
    )
    account: str = Field(
        "", max_length=64, description="Which account calls; none calls directly.", examples=[""]
    )
    persona: str | None = Field(
        None,
        description="Who speaks: a persona that the settings name, by its own name or its language; "
        "who answers calls by default.",
        examples=["Joe"],
    )
    say: Annotated[str, Field(min_length=1, max_length=4000)] | None = Field(
        None,
        description="Said to whoever answers, in the place of the persona's greeting.",
        examples=["Hello, this is the dentist's. Your appointment is on Tuesday at nine."],
    )
    play: Base64Bytes | None = Field(
        None,
        description=f"A recording (WAV, MP3, ...) to play before, in base64, of {LONGEST_PLAY_S} s at most.",
        examples=[None],
    )
    then: Literal["talk", "hang_up"] = Field("talk", description="What follows what is said or played.")
    answering_machine: AnsweringMachine = Field(
        "talk",
        description="What is done where an answering machine answers. Unless it is talk, who has answered is "
        "listened to for at most 4 s before anything is said.",
    )
    message: Annotated[str, Field(min_length=1, max_length=4000)] | None = Field(
        None, description="Left on a machine, behind its beep; what is said to people by default."
    )
    ring_timeout_s: int | None = Field(
        None,
        ge=1,
        le=300,
        description="How long it may ring; outbound.ring_timeout_s by default.",
        examples=[30],
    )
    retry: RetryRequest | None = Field(None, description="Whether it is tried again; it isn't by default.")

    @model_validator(mode="after")
    def _something_to_say(self) -> CallRequest:
        if self.then == "hang_up" and not (self.say or self.play):
            raise ValueError("then: hang_up needs something to say or to play first")
        if self.answering_machine == "leave_message" and not (self.message or self.say):
            raise ValueError("answering_machine: leave_message needs a message, or something to say")
        return self


class ProgressView(BaseModel):
    state: State
    at: datetime
    detail: str = Field(examples=[""])

    @classmethod
    def of(cls, progress: Progress) -> ProgressView:
        return cls(state=progress.state, at=datetime.fromtimestamp(progress.at, UTC), detail=progress.detail)


class CallView(BaseModel):
    node: str = Field("", description="The machine that places it, in a list of all nodes' calls.")
    id: str = Field(examples=[_ID])
    to: str = Field(examples=["+33123456789"])
    state: State = Field(examples=["ringing"])
    reason: EndReason | None = Field(description="Why it is over.", examples=[None])
    status: int | None = Field(
        description="SIP's, of a call that failed, where there is one.", examples=[None]
    )
    detail: str = Field(description="A sentence about a call that failed or waits.", examples=[""])
    attempts: int = Field(examples=[1])
    answered_by: Literal["human", "machine", "unknown"] | None = Field(
        description="Where it was to be told; unknown has said nothing.", examples=[None]
    )
    session: str | None = Field(
        description="What /api/v1/sessions knows the last attempt by.", examples=["51d07a3e9f2c"]
    )
    progress: list[ProgressView]

    @classmethod
    def of(cls, call: OutboundCall) -> CallView:
        who = call.answered_by
        return cls(
            id=call.id,
            to=call.plan.to,
            state=call.state,
            reason=call.reason,
            status=call.status or None,
            detail=call.detail,
            attempts=call.attempts,
            answered_by=who.value if who else None,
            session=call.session_id,
            progress=[ProgressView.of(progress) for progress in call.progress],
        )


class CallsView(BaseModel):
    calls: list[CallView]
    unreachable: list[str] = Field(default=[], description="Nodes that didn't answer, by name.")


def outbound_router(
    calls: OutboundCalls,
    personas: Callable[[], Personas],
    *,
    ring_timeout_s: int,
    nodes: Nodes | None = None,
) -> APIRouter:
    router = APIRouter(prefix="/api/v1/calls", tags=["Outgoing calls"])

    def find(id: str) -> OutboundCall:
        if call := calls.find(id):
            return call
        raise ProblemError(404, f"No outgoing call has the id {id[:40]!r}. GET /api/v1/calls lists them.")

    @router.post(
        "",
        summary="Call somebody",
        status_code=202,
        dependencies=[OPERATE],
        responses=responses(403, 429, 503)
        | {202: {"headers": {"Location": {"schema": {"type": "string"}, "description": "Of the call."}}}},
    )
    async def place(request: CallRequest, response: Response, asking: Asking) -> CallView:
        """Dial, and answer at once: `Location` says where the call can be watched and hung up.

        Only whom `outbound.allow` lists is called, no oftener and no longer than `outbound.*` says, and only
        for whoever has a key: without `http.api_key`, nobody is.
        """
        if asking == ANYONE_HERE:
            raise ProblemError(
                403,
                "Without an API key nobody is called: set http.api_key (OFFHOOK_HTTP__API_KEY), and send it.",
            )
        persona = _persona(personas(), request.persona)
        script = Script(
            persona,
            request.say,
            await _recording(request.play),
            request.then,
            request.answering_machine,
            request.message or request.say or "",
        )
        retries = Retries(request.retry.most, request.retry.after_s) if request.retry else Retries()
        plan = Plan(request.to, script, request.ring_timeout_s or ring_timeout_s, request.account, retries)
        try:
            call = await calls.place(plan, f"key {asking.name}")
        except LimitReached as limit:
            headers = {"Retry-After": str(limit.retry_after_s)}
            raise ProblemError(429, f"{limit} Try again later.", headers=headers) from None
        except NotPermitted as refused:
            raise ProblemError(403, str(refused)) from None
        except CallRefused as refused:
            raise ProblemError(503, str(refused), headers={"Retry-After": "5"}) from None
        response.headers["Location"] = f"{router.prefix}/{call.id}"
        return CallView.of(call)

    @router.get("", summary="Outgoing calls", dependencies=[READ])
    async def listed(
        request: Request,
        over: Annotated[
            Literal["own", "all"], Query(alias="nodes", description="Calls of this node, or of all.")
        ] = "own",
    ) -> CallsView:
        """Those that are on, and the last ones that are over; the oldest first."""
        found = CallsView(calls=[CallView.of(call) for call in calls.all()])
        if nodes and over == "all":
            for call in found.calls:
                call.node = nodes.name
            for name, heard in (await nodes.ask(request.url.path, asking(request.scope))).items():
                theirs = _listed(heard)
                if theirs is None:
                    found.unreachable.append(name)
                for call in theirs or ():
                    call.node = name
                    found.calls.append(call)
            found.calls.sort(key=lambda call: call.progress[0].at)
        return found

    @router.get("/{id}", summary="One outgoing call", dependencies=[READ], responses=responses(404))
    async def one(id: str) -> CallView:
        """How far it is, or how it ended."""
        return CallView.of(find(id))

    @router.get(
        "/{id}/events",
        summary="Follow an outgoing call",
        response_class=StreamingResponse,
        dependencies=[READ],
        responses={200: {"content": {"text/event-stream": {"example": _EVENTS}}}, **responses(404)},
    )
    async def events(id: str) -> StreamingResponse:
        """Server-sent events, from its beginning on: one a state, the last one with the call as it ended."""
        return StreamingResponse(
            _events(find(id)),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    @router.delete(
        "/{id}",
        summary="Hang up, or give up",
        status_code=204,
        dependencies=[OPERATE],
        responses=responses(404) | {202: {"description": "The call is ending."}},
    )
    async def hang_up(id: str) -> Response:
        """204 once the call is over, 202 if it needs longer than a few seconds. It isn't tried again."""
        call = find(id)
        await call.hang_up()
        try:
            async with asyncio.timeout(HANGUP_WAIT_S):
                await call.gone.wait()
        except TimeoutError:
            return Response(status_code=202)
        return Response(status_code=204)

    return router


def _listed(answer: Answer | None) -> list[CallView] | None:
    """The calls in another node's answer; None where there is none, or one of a version that isn't ours."""
    try:
        return None if answer is None else CallsView.model_validate_json(answer.content).calls
    except ValidationError:
        return None


async def _events(call: OutboundCall) -> AsyncIterator[str]:
    async with aclosing(call.follow()) as following:
        coming = asyncio.ensure_future(anext(following, None))
        try:
            while True:
                done, _ = await asyncio.wait({coming}, timeout=ALIVE_EVERY_S)
                if not done:
                    yield ": alive\n\n"  # or a proxy ends what is quiet
                    continue
                progress = coming.result()
                if progress is None:
                    return
                view = CallView.of(call) if progress.state == "over" else ProgressView.of(progress)
                yield f"event: {progress.state}\ndata: {view.model_dump_json()}\n\n"
                coming = asyncio.ensure_future(anext(following, None))
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


def _persona(personas: Personas, name: str | None) -> Persona:
    if name is None:
        return personas.default
    for persona in personas.all:
        if name.casefold() in (persona.name.casefold(), persona.language.casefold()):
            return persona
    known = ", ".join(persona.name for persona in personas.all)
    raise ProblemError(422, f"persona: no persona {name[:40]!r} is loaded. The settings name {known}.")


async def _recording(body: bytes | None) -> bytes:
    if body is None:
        return b""

    async def whole() -> AsyncIterator[bytes]:
        yield body

    try:
        return (await decode(whole(), LONGEST_PLAY_S)).pcm
    except UploadError as error:
        raise ProblemError(422, f"play: {error}") from None
