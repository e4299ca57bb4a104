"""The control plane: is it alive, is it well, who is on the line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from fastapi import APIRouter, Response

from agent.http.contracts import Account, Ban, Calls, ComponentHealth, HasHealth, LiveCall, Models
from agent.http.problems import ProblemError, responses
from agent.http.views import (
    AccountView,
    BanView,
    ComponentView,
    GpuView,
    Health,
    LlmView,
    OverallState,
    ProcessView,
    Ready,
    SessionDetail,
    Sessions,
    SessionView,
)
from agent.vitals import Pulse
from models.errors import ModelError

HANGUP_WAIT_S = 3.0


def control_router(
    calls: Calls,
    models: Models,
    listeners: Sequence[HasHealth],
    pulse: Pulse,
    max_calls: int,
    bans: Callable[[], Sequence[Ban]],
    accounts: Callable[[], Sequence[Account]],
) -> APIRouter:
    router = APIRouter()

    def components() -> list[ComponentHealth]:
        return [component for part in (models, *listeners) for component in part.health()]

    @router.get("/livez", tags=["Health"], summary="Is the process alive?")
    async def livez() -> dict[str, str]:
        """Answers as long as the event loop turns. Open, whatever `http.api_key` is."""
        return {"status": "alive"}

    @router.get(
        "/readyz",
        tags=["Health"],
        summary="Would a call be answered now?",
        responses={503: {"model": Ready, "description": "Starting, draining, full, or a part is down."}},
    )
    async def readyz(response: Response) -> Ready:
        """200 only when the models are warm, the listeners listen and there is room for a call.

        Open, whatever `http.api_key` is; made for load balancers and supervisors.
        """
        reasons = [f"{part.name} is {part.state}." for part in components() if part.state not in _ANSWERING]
        accepting, why = calls.accepting
        if not accepting:
            reasons.append(why)
        if reasons:
            response.status_code = 503
        return Ready(ready=not reasons, reasons=reasons)

    @router.get("/health", tags=["Health"], summary="How is each part?")
    async def health() -> Health:
        """Always 200, whatever it says: for people and dashboards. Probes ask `/readyz`."""
        parts, gpu = components(), models.gpu()
        accepting, why = calls.accepting
        try:
            llm = LlmView.of(models.llm)
        except ModelError:  # still loading
            llm = None
        return Health(
            status=overall([part.state for part in parts]),
            accepting=accepting,
            reason="" if accepting else why,
            calls=len(calls.live()),
            max_calls=max_calls,
            llm=llm,
            components=[ComponentView.of(part) for part in parts],
            accounts=[AccountView.of(account) for account in accounts()],
            banned=[BanView.of(ban) for ban in bans()],
            gpu=GpuView.of(gpu) if gpu else None,
            process=ProcessView.of(pulse.vitals()),
        )

    @router.get("/api/v1/sessions", tags=["Calls"], summary="Live calls", responses=responses(401))
    async def sessions() -> Sessions:
        """Every live call, over every transport, the oldest first."""
        live = sorted(calls.live(), key=lambda call: call.info.since)
        return Sessions(sessions=[SessionView.of(call) for call in live])

    @router.get("/api/v1/sessions/{id}", tags=["Calls"], summary="One call", responses=responses(401, 404))
    async def session(id: str) -> SessionDetail:
        """One live call, with how well it sounds, what was said and where each answer's time went."""
        return await SessionDetail.of_call(find(calls, id))

    @router.delete(
        "/api/v1/sessions/{id}",
        tags=["Calls"],
        summary="Hang up",
        status_code=204,
        responses=responses(401, 404) | {202: {"description": "The call is ending."}},
    )
    async def hang_up(id: str) -> Response:
        """204 once the call has ended, 202 if it needs longer than a few seconds."""
        await find(calls, id).hangup()
        try:
            async with asyncio.timeout(HANGUP_WAIT_S):
                await calls.gone(id)
        except TimeoutError:
            return Response(status_code=202)
        return Response(status_code=204)

    return router


_FINE = ("ready", "off")
_ANSWERING = (*_FINE, "degraded")  # as it is, but not well


def overall(states: Sequence[str]) -> OverallState:
    """What all parts' states come to."""
    if "down" in states or "failed" in states:
        return "down"
    if "loading" in states:
        return "starting"
    return "ok" if all(state in _FINE for state in states) else "degraded"


def find(calls: Calls, id: str) -> LiveCall:
    """Raises ProblemError."""
    for call in calls.live():
        if call.info.id == id:
            return call
    raise ProblemError(404, f"No live call has the id {id[:40]!r}. GET /api/v1/sessions lists them.")
