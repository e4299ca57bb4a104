"""What the SIP line was sent and answered, and whom it ignores."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from agent.http.access import OPERATE, READ
from agent.http.contracts import Elsewhere
from agent.http.problems import ProblemError, responses
from agent.http.views import AccountView, BanView
from transports.sip.server import SipServer
from transports.sip.trace import Message, without_numbers, without_secrets


class MessageView(BaseModel):
    at: datetime
    sent: bool = Field(description="By this server.")
    protocol: str = Field(examples=["UDP"])
    local: tuple[str, int] = Field(examples=[["192.0.2.20", 5060]])
    remote: tuple[str, int] = Field(examples=[["192.0.2.10", 5060]])
    call_id: str
    text: str

    @classmethod
    def of(cls, message: Message) -> MessageView:
        return cls(
            at=datetime.fromtimestamp(message.at, UTC),
            sent=message.sent,
            protocol=message.protocol,
            local=message.local,
            remote=message.remote,
            call_id=message.call_id,
            text=message.text,
        )


class TraceView(BaseModel):
    messages: list[MessageView] = Field(description="In order of time.")


class Accounts(BaseModel):
    accounts: list[AccountView]


class Bans(BaseModel):
    bans: list[BanView]


def sip_router(sip: SipServer, elsewhere: Elsewhere | None = None) -> APIRouter:
    router = APIRouter(prefix="/api/v1/sip", tags=["SIP"])

    @router.get("/trace", summary="SIP messages of recent calls", dependencies=[READ])
    async def trace(
        request: Request,
        call: str = Query("", description="A session's id or a Call-ID; empty for all that are kept."),
        numbers: bool = Query(False, description="Show users and names, which are aliases otherwise."),
    ) -> TraceView:
        """What the last calls' peers sent and were answered, from memory, as `sip.trace_calls` says.

        Passwords, media keys and keys that callers pressed are never in it.
        """

        def shown() -> TraceView:
            messages = [without_secrets(message) for message in sip.trace.messages(call)]
            if not numbers:
                messages = without_numbers(messages)
            return TraceView(messages=[MessageView.of(message) for message in messages])

        found = await asyncio.to_thread(shown)  # thousands of them take a second
        if elsewhere:
            answers = await elsewhere.ask(f"{request.url.path}?{request.url.query}")
            for answer in answers.values():
                found.messages += TraceView.model_validate_json(answer.content).messages
            found.messages.sort(key=lambda message: message.at)
        return found

    @router.get("/accounts", summary="Where calls come from", dependencies=[READ])
    async def accounts() -> Accounts:
        """Whether each account is registered, for how long yet, and what went wrong last."""
        return Accounts(accounts=[AccountView.of(account) for account in sip.accounts])

    @router.get("/bans", summary="Who is ignored", dependencies=[READ])
    async def bans() -> Bans:
        """Scanners and floods. Their packets are dropped by the kernel until the ban is over."""
        return Bans(bans=[BanView.of(ban) for ban in sip.bans])

    @router.delete(
        "/bans/{address:path}",
        summary="Listen to somebody again",
        status_code=204,
        dependencies=[OPERATE],
        responses=responses(404),
    )
    async def unban(address: str) -> Response:
        """The address, or IPv6 network, as the list of bans shows it."""
        if not sip.unban(address):
            raise ProblemError(404, f"{address[:60]!r} isn't banned. GET /api/v1/sip/bans lists who is.")
        return Response(status_code=204)

    return router
