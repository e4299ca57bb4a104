"""The control plane: is it alive, and is it well?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastapi import APIRouter, Response

from agent.http.access import OPERATE, READ
from agent.http.contracts import Account, Ban, Calls, ComponentHealth, Elsewhere, HasHealth, Models
from agent.http.views import (
    AccountView,
    BanView,
    ComponentView,
    Draining,
    GpuView,
    Health,
    LlmView,
    OverallState,
    ProcessView,
    Ready,
)
from agent.vitals import Pulse
from config.redaction import without_credentials
from models.errors import ModelError


def control_router(
    calls: Calls,
    models: Models,
    listeners: Sequence[HasHealth],
    pulse: Pulse,
    bans: Callable[[], Sequence[Ban]],
    accounts: Callable[[], Sequence[Account]],
    elsewhere: Elsewhere | None = None,
) -> APIRouter:
    router = APIRouter()

    def components() -> list[ComponentHealth]:
        return [component for part in (models, *listeners) for component in part.health()]

    def live() -> int:
        return len(calls.live()) + (elsewhere.calls if elsewhere else 0)

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

        Also where a part is `degraded`: calls are answered, and it is said what is lost.

        Open, whatever `http.api_key` is; made for load balancers and supervisors.
        """
        parts = components()
        reasons = [_why_not(part) for part in parts if part.state not in _ANSWERING]
        accepting, why = calls.accepting
        if not accepting:
            reasons.append(why)
        if reasons:
            response.status_code = 503
        degraded = [_why_not(part) for part in parts if part.state == "degraded"]
        return Ready(ready=not reasons, reasons=reasons, degraded=degraded)

    @router.get("/health", tags=["Health"], summary="How is each part?", dependencies=[READ])
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
            calls=live(),
            max_calls=calls.admission.max_calls,
            capacity=calls.admission.capacity,
            llm=llm,
            components=[ComponentView.of(part) for part in parts],
            accounts=[AccountView.of(account) for account in accounts()],
            banned=[BanView.of(ban) for ban in bans()],
            gpu=GpuView.of(gpu) if gpu else None,
            process=ProcessView.of(pulse.vitals()),
        )

    @router.post("/api/v1/drain", tags=["Health"], summary="Take no new calls", dependencies=[OPERATE])
    async def drain() -> Draining:
        """Live calls go on. `/readyz` and SIP's OPTIONS say 503, so that others get the new ones."""
        calls.draining = True
        return Draining(draining=True, calls=live())

    @router.delete("/api/v1/drain", tags=["Health"], summary="Take calls again", dependencies=[OPERATE])
    async def take_calls() -> Draining:
        calls.draining = False
        return Draining(draining=False, calls=live())

    return router


_FINE = ("ready", "off")
_ANSWERING = (*_FINE, "degraded")  # as it is, but not well


def _why_not(part: ComponentHealth) -> str:
    why = f": {without_credentials(part.last_error)}" if part.last_error else "."
    return " ".join(filter(None, (f"{part.name} is {part.state}{why}", part.remedy)))


def overall(states: Sequence[str]) -> OverallState:
    """What all parts' states come to."""
    if "down" in states or "failed" in states:
        return "down"
    if "loading" in states:
        return "starting"
    return "ok" if all(state in _FINE for state in states) else "degraded"
