"""What an operator may do with a live call besides hanging up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from agent.call_control import CantBeDone, UnknownTarget
from agent.http.access import OPERATE
from agent.http.call_views import SessionView
from agent.http.contracts import Calls
from agent.http.problems import ProblemError, responses
from agent.http.sessions import find
from transports.call import TransferFailed


class TransferRequest(BaseModel):
    to: str = Field(description="A name in `transfer.to`.", examples=["reception"])


class Transferred(BaseModel):
    to: str = Field(examples=["reception"])


class KeysRequest(BaseModel):
    keys: str = Field(pattern="^[0-9A-D*#]{1,32}$", examples=["12#"])


class KeypadRequest(BaseModel):
    name: str = Field(description="One of the persona's `keypad`.", examples=["customer number"])


class SayRequest(BaseModel):
    text: str = Field(min_length=1, max_length=1000, examples=["One moment, please."])


class Entered(BaseModel):
    keys: str | None = Field(description="Null where nothing was entered, or what was is secret.")


class Taken(BaseModel):
    message: str | None = Field(description="Its id; null where nothing was said.", examples=["5c1f7e20b9d3"])


class MuteRequest(BaseModel):
    caller: bool = Field(False, description="The agent doesn't hear them.")
    agent: bool = Field(False, description="The caller doesn't hear it.")


def call_control_router(calls: Calls) -> APIRouter:
    router = APIRouter(prefix="/api/v1/sessions/{id}", tags=["Calls"], dependencies=[OPERATE])

    @router.post("/transfer", summary="Put the caller through", responses=responses(404, 409, 422))
    async def transfer(id: str, wanted: TransferRequest) -> Transferred:
        """Answers once somebody has answered there, and the call is over here: `transfer.timeout_s` at most.

        409 where the call can't be transferred now, or nobody answered; then the caller is talked to again.
        """
        with _possible():
            try:
                await find(calls, id).control.transfer(wanted.to)
            except UnknownTarget as error:
                raise ProblemError(422, f"to: {error}") from None
        return Transferred(to=wanted.to)

    @router.post("/say", summary="Have the agent say it", status_code=204, responses=responses(404, 409, 422))
    async def say(id: str, wanted: SayRequest) -> Response:
        """Behind what it is saying. It is a turn of the agent's, which the model is told as well."""
        with _possible():
            await find(calls, id).control.say(wanted.text)
        return Response(status_code=204)

    @router.post("/hold", summary="Put the caller on hold", responses=responses(404, 409))
    async def hold(id: str) -> SessionView:
        """They are told to wait, and hear `call.hold_music` until they are resumed."""
        call = find(calls, id)
        with _possible():
            await call.control.hold()
        return SessionView.of(call)

    @router.post("/resume", summary="Take the caller off hold", responses=responses(404, 409))
    async def resume(id: str) -> SessionView:
        call = find(calls, id)
        with _possible():
            await call.control.resume()
        return SessionView.of(call)

    @router.post("/keys", summary="Press keys", status_code=204, responses=responses(404, 409, 422))
    async def keys(id: str, wanted: KeysRequest) -> Response:
        """To the caller's side, as RFC 4733 has them or by INFO. Answers when the last was pressed."""
        with _possible():
            await find(calls, id).control.send_keys(wanted.keys)
        return Response(status_code=204)

    @router.post("/keypad", summary="Have the caller key something in", responses=responses(404, 409, 422))
    async def keypad(id: str, wanted: KeypadRequest) -> Entered:
        """They are asked with the persona's own words; answers when they have, or don't in time."""
        with _possible():
            return Entered(keys=await find(calls, id).control.ask_for_keys(wanted.name))

    @router.post("/message", summary="Take a message", responses=responses(404, 409))
    async def message(id: str) -> Taken:
        """The caller is asked for it; answers when it is recorded. `/api/v1/messages` has it then."""
        with _possible():
            return Taken(message=await find(calls, id).control.take_message())

    @router.post("/mute", summary="Mute the caller or the agent, or neither", responses=responses(404))
    async def mute(id: str, wanted: MuteRequest) -> SessionView:
        """What a muted caller says is lost; what a muted agent has to say waits until it isn't muted."""
        call = find(calls, id)
        call.control.mute(caller=wanted.caller, agent=wanted.agent)
        return SessionView.of(call)

    return router


@contextmanager
def _possible() -> Iterator[None]:
    """Whatever can't be done is a conflict."""
    try:
        yield
    except (CantBeDone, TransferFailed) as error:
        raise ProblemError(409, str(error)) from None
