"""What an operator may do with a live call besides hanging up."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from agent.call_control import CantBeDone, UnknownTarget
from agent.http.contracts import Calls
from agent.http.control import find
from agent.http.problems import ProblemError, responses
from transports.call import TransferFailed


class TransferRequest(BaseModel):
    to: str = Field(description="A name in `transfer.to`.", examples=["reception"])


class Transferred(BaseModel):
    to: str = Field(examples=["reception"])


def call_control_router(calls: Calls) -> APIRouter:
    router = APIRouter(prefix="/api/v1/sessions/{id}", tags=["Calls"])

    @router.post("/transfer", summary="Put the caller through", responses=responses(401, 404, 409, 422))
    async def transfer(id: str, wanted: TransferRequest) -> Transferred:
        """Answers once somebody has answered there, and the call is over here: `transfer.timeout_s` at most.

        409 where the call can't be transferred now, or nobody answered; then the caller is talked to again.
        """
        try:
            await find(calls, id).control.transfer(wanted.to)
        except UnknownTarget as error:
            raise ProblemError(422, f"to: {error}") from None
        except (CantBeDone, TransferFailed) as error:
            raise ProblemError(409, str(error)) from None
        return Transferred(to=wanted.to)

    return router
