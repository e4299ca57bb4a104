"""What an operator may do with a live call besides hanging up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, StrictBool

from agent.call_control import UnknownPersona, UnknownTarget
from agent.floor import CantBeDone
from agent.http.access import OPERATE, Asking
from agent.http.call_views import SessionView
from agent.http.contracts import Calls
from agent.http.problems import ProblemError, responses
from agent.http.sessions import find
from agent.recordings.monitor import CantBeHeard
from transports.call import TransferFailed


class TransferRequest(BaseModel):
    to: str = Field(max_length=200, description="A name in `transfer.to`.", examples=["reception"])


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


class Instruction(BaseModel):
    role: Literal["system", "developer"] = Field("system", description="Both are the same.")
    text: str = Field(min_length=1, max_length=4000, examples=["The caller is a member of the club."])
    answer_now: bool = Field(False, description="Have the model say something at once.")


class PersonaRequest(BaseModel):
    persona: str = Field(min_length=1, max_length=200, description="Its name.", examples=["Joe"])


class MuteRequest(BaseModel):
    caller: StrictBool = Field(False, description="The agent doesn't hear them.")
    agent: StrictBool = Field(False, description="The caller doesn't hear it.")


def call_control_router(calls: Calls) -> APIRouter:
    router = APIRouter(prefix="/api/v1/sessions/{id}", tags=["Calls"], dependencies=[OPERATE])

    @router.post("/transfer", summary="Put the caller through", responses=responses(404, 409, 422))
    async def transfer(id: str, wanted: TransferRequest, asking: Asking) -> Transferred:
        """Answers once somebody has answered there, and the call is over here: `transfer.timeout_s` at most.

        409 where the call can't be transferred now, or nobody answered; then the caller is talked to again.
        """
        call = find(calls, id)
        call.note("transfer", asking.name, to=wanted.to)  # the call may be over when it is done
        with possible():
            try:
                await call.control.transfer(wanted.to)
            except UnknownTarget as error:
                raise ProblemError(422, f"to: {error}") from None
        return Transferred(to=wanted.to)

    @router.post("/say", summary="Have the agent say it", status_code=204, responses=responses(404, 409, 422))
    async def say(id: str, wanted: SayRequest, asking: Asking) -> Response:
        """Behind what it is saying. It is a turn of the agent's, which the model is told as well."""
        call = find(calls, id)
        with possible():
            await call.control.say(wanted.text)
        call.note("say", asking.name, text=wanted.text)
        return Response(status_code=204)

    @router.post("/hold", summary="Put the caller on hold", responses=responses(404, 409))
    async def hold(id: str, asking: Asking) -> SessionView:
        """They are told to wait, and hear `call.hold_music` until they are resumed."""
        call = find(calls, id)
        with possible():
            await call.control.hold()
        call.note("hold", asking.name)
        return SessionView.of(call)

    @router.post("/resume", summary="Take the caller off hold", responses=responses(404, 409))
    async def resume(id: str, asking: Asking) -> SessionView:
        call = find(calls, id)
        with possible():
            await call.control.resume()
        call.note("resume", asking.name)
        return SessionView.of(call)

    @router.post("/keys", summary="Press keys", status_code=204, responses=responses(404, 409, 422))
    async def keys(id: str, wanted: KeysRequest, asking: Asking) -> Response:
        """To the caller's side, as RFC 4733 has them or by INFO. Answers when the last was pressed."""
        call = find(calls, id)
        with possible():
            await call.control.send_keys(wanted.keys)
        call.note("keys", asking.name)  # which ones may be a secret
        return Response(status_code=204)

    @router.post("/keypad", summary="Have the caller key something in", responses=responses(404, 409, 422))
    async def keypad(id: str, wanted: KeypadRequest, asking: Asking) -> Entered:
        """They are asked with the persona's own words; answers when they have, or don't in time."""
        call = find(calls, id)
        with possible():
            entered = await call.control.ask_for_keys(wanted.name)
        call.note("keypad", asking.name, name=wanted.name)
        return Entered(keys=entered)

    @router.post("/message", summary="Take a message", responses=responses(404, 409))
    async def message(id: str, asking: Asking) -> Taken:
        """The caller is asked for it; answers when it is recorded. `/api/v1/messages` has it then."""
        call = find(calls, id)
        with possible():
            taken = await call.control.take_message()
        call.note("message", asking.name)
        return Taken(message=taken)

    @router.post("/mute", summary="Mute the caller or the agent, or neither", responses=responses(404))
    async def mute(id: str, wanted: MuteRequest, asking: Asking) -> SessionView:
        """What a muted caller says is lost; what a muted agent has to say waits until it isn't muted."""
        call = find(calls, id)
        call.control.mute(caller=wanted.caller, agent=wanted.agent)
        call.note("mute", asking.name, caller=wanted.caller, agent=wanted.agent)
        return SessionView.of(call)

    @router.post(
        "/messages", summary="Instruct the model", status_code=204, responses=responses(404, 409, 422)
    )
    async def inject(id: str, wanted: Instruction, asking: Asking) -> Response:
        """A system message behind what was said so far, for the next answer on. The caller doesn't hear it.

        With `answer_now` the model says something at once.
        """
        call = find(calls, id)
        with possible():
            await call.control.inject(wanted.text, answer=wanted.answer_now)
        call.note("inject", asking.name, text=wanted.text)
        return Response(status_code=204)

    @router.put("/persona", summary="Have another persona go on", responses=responses(404, 409, 422))
    async def persona(id: str, wanted: PersonaRequest, asking: Asking) -> SessionView:
        """Its prompt, voice, facts and tools hold from the next answer on; what was said stays.

        It is one that the settings name: no other's voice is loaded. What it speaks must be what the call is
        listened to in, which is settled when it begins (409). Its notice and its greeting aren't said.
        """
        call = find(calls, id)
        with possible():
            try:
                call.control.hand_over(wanted.persona)
            except UnknownPersona as error:
                raise ProblemError(422, f"persona: {error}") from None
        call.note("persona", asking.name, persona=call.persona.name)
        return SessionView.of(call)

    return router


@contextmanager
def possible() -> Iterator[None]:
    """Whatever can't be done is a conflict."""
    try:
        yield
    except (CantBeDone, CantBeHeard, TransferFailed) as error:
        raise ProblemError(409, str(error)) from None
