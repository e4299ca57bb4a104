"""The carriers' HTTP endpoints: the request about a call, and the stream that carries it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, HTTPException, Request, Response, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from config.carriers import CarrierSettings
from transports.call import CallHandler, CallInfo, CallRefused, printable
from transports.media_streams.call import BUSY, GONE_S, NORMAL, POLICY, TIMEOUT, MediaStreamCall
from transports.media_streams.carrier import AnsweringCarrier, Carrier, Opened, ProtocolError, parse
from transports.media_streams.exotel import Exotel
from transports.media_streams.genesys import Genesys
from transports.media_streams.plivo import Plivo
from transports.media_streams.signatures import SignedRequest, WrongClock
from transports.media_streams.telnyx import Telnyx
from transports.media_streams.tickets import Ticket, Tickets
from transports.media_streams.twilio import Twilio
from transports.media_streams.vonage import Vonage

logger = logging.getLogger("offhook.media_streams")

CARRIERS: dict[str, type[Carrier]] = {
    carrier.name: carrier for carrier in (Twilio, Telnyx, Plivo, Exotel, Vonage, Genesys)
}
PREFIX = "/api/v1/carriers"
START_S = 10.0  # from the handshake to the message that starts the stream
END_S = 30.0  # for the agent to end a call whose stream is gone

# The application answers HTTPException with a problem document of this schema.
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The form can't be read.", "content": _PROBLEM},
    403: {
        "description": "The carrier didn't sign this, or its or this machine's clock is wrong.",
        "content": _PROBLEM,
    },
    503: {"description": "No line is free (Exotel and Vonage).", "content": _PROBLEM},
}


def carriers_router(
    settings: CarrierSettings,
    handle: CallHandler,
    accepting: Callable[[], tuple[bool, str]],
    *,
    key: str = "",
    gone_s: float = GONE_S,
) -> APIRouter:
    """Endpoints of the enabled carriers. `handle` runs each call; `accepting` says whether it would.

    Where others have the same `key`, a stream may come to one and the request about its call to another.
    """
    router = APIRouter(tags=["Carriers"])
    if not settings.enabled:
        return router
    endpoint = _Endpoint(settings, handle, accepting, key, gone_s)
    for name in settings.enabled:
        carrier = CARRIERS[name](getattr(settings, name))
        if isinstance(carrier, AnsweringCarrier):
            endpoint.add_answer(router, carrier)
            endpoint.add_ticketed_stream(router, carrier)
        else:
            endpoint.add_signed_stream(router, carrier)
    return router


class _Endpoint:
    def __init__(
        self,
        settings: CarrierSettings,
        handle: CallHandler,
        accepting: Callable[[], tuple[bool, str]],
        key: str,
        gone_s: float,
    ) -> None:
        self._public = str(settings.public_url or "").rstrip("/")
        self._handle = handle
        self._accepting = accepting
        self._gone_s = gone_s
        self._tickets = Tickets(key)

    def add_answer(self, router: APIRouter, carrier: AnsweringCarrier) -> None:
        path = f"{PREFIX}/{carrier.name}/answer"

        async def answer(request: Request) -> Response:
            signed = await self._signed(request)
            try:
                verified = carrier.verify(signed, time.time())
            except WrongClock as error:
                logger.warning("a request to %s was refused: %s", path, error)
                raise HTTPException(403, str(error)) from error
            if not verified:
                logger.warning("a request to %s wasn't signed by the carrier", path)
                raise HTTPException(
                    403,
                    f"{carrier.name} didn't sign this request, or signed another URL: "
                    f"carriers.public_url is {self._public}. Check it, and carriers.{carrier.name}",
                )
            accepting, why_not = self._accepting()
            document = (
                carrier.refuse() if not accepting else carrier.answer(self._stream_url(carrier, signed))
            )
            if document is None:
                raise HTTPException(503, why_not.rstrip("."))
            return Response(document.body, media_type=document.media_type)

        for method, mark in (("POST", ""), ("GET", "_get")):
            router.add_api_route(
                path,
                answer,
                methods=[method],
                operation_id=f"{carrier.name}_answer{mark}",
                summary=f"What {carrier.name.capitalize()} does with a call",
                response_class=Response,
                responses={200: {"description": "Has the carrier open a media stream."}, **_PROBLEMS},
                description="Signed by the carrier. The stream's address in it is good once, for 30 s.",
            )

    def add_ticketed_stream(self, router: APIRouter, carrier: Carrier) -> None:
        @router.websocket(f"{PREFIX}/{carrier.name}/stream/{{token}}")
        async def stream(websocket: WebSocket, token: str) -> None:
            ticket = self._tickets.redeem(token, carrier.name, time.time())
            if ticket is None:
                logger.warning("a %s stream had no valid token", carrier.name)
                await _deny(websocket, 403, "This stream wasn't promised to anyone, or long ago.")
                return
            await self._run(websocket, carrier, ticket)

    def add_signed_stream(self, router: APIRouter, carrier: Carrier) -> None:
        @router.websocket(f"{PREFIX}/{carrier.name}/stream")
        async def stream(websocket: WebSocket) -> None:
            signed = SignedRequest("GET", self._url(websocket), _headers(websocket))
            try:
                verified = carrier.verify(signed, time.time())
            except WrongClock as error:
                logger.warning("a %s stream was refused: %s", carrier.name, error)
                await _deny(websocket, 401, str(error))
                return
            if not verified:
                logger.warning("a %s stream wasn't signed by the carrier", carrier.name)
                await _deny(websocket, 401, "The carrier didn't sign this stream, or its signature was used.")
                return
            await self._run(websocket, carrier, None)

    async def _signed(self, request: Request) -> SignedRequest:
        body = await request.body()
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        form: list[tuple[str, str]] = []
        if kind == "application/x-www-form-urlencoded":
            try:
                form = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=200)
            except ValueError as error:
                raise HTTPException(400, "The form can't be read") from error
        return SignedRequest(request.method, self._url(request), _headers(request), body, tuple(form))

    def _url(self, request: Request | WebSocket) -> str:
        query: bytes = request.scope["query_string"]
        path: str = request.scope["path"]
        return self._public + path + (f"?{query.decode('latin-1')}" if query else "")

    def _stream_url(self, carrier: AnsweringCarrier, signed: SignedRequest) -> str:
        token = self._tickets.issue(carrier.ticket(signed), time.time())
        public = urlsplit(self._public)
        scheme = "ws" if public.scheme == "http" else "wss"
        return f"{scheme}://{public.netloc}{public.path}{PREFIX}/{carrier.name}/stream/{token}"

    async def _run(self, websocket: WebSocket, carrier: Carrier, ticket: Ticket | None) -> None:
        await websocket.accept()
        socket = _Socket(websocket)
        try:
            first, opened = await _open(socket, carrier)
        except ProtocolError as error:
            logger.warning("a %s stream ended as it began: %s", carrier.name, error)
            await socket.close(error.code, str(error))
            return
        if ticket is not None and opened.call_id and ticket.call_id and opened.call_id != ticket.call_id:
            logger.warning("a %s stream carries another call than its token", carrier.name)
            await socket.close(POLICY, "the token is another call's")
            return
        info = CallInfo(
            carrier.name,
            caller=printable(ticket.caller if ticket else opened.caller),
            called=printable(ticket.called if ticket else opened.called),
            remote=websocket.client.host if websocket.client else "",
            codec=carrier.codec,
            call_id=opened.call_id or (ticket.call_id if ticket else ""),
        )
        call = MediaStreamCall(info, carrier, opened, socket, self._gone_s)
        handling = asyncio.create_task(self._answered(call, opened.probe), name=f"call-{info.id}")
        reading = asyncio.create_task(call.run(first), name=f"stream-{info.id}")
        try:
            await asyncio.wait({handling, reading}, return_when=asyncio.FIRST_COMPLETED)
            if handling.done() and not opened.probe:
                await self._finish(call, handling)
            await asyncio.wait({reading})
            await asyncio.wait({handling}, timeout=END_S)
        finally:
            for task in (handling, reading):
                task.cancel()
            await asyncio.wait({handling, reading})
            await socket.close(call.close_code, call.close_reason)
            for task in (handling, reading):
                _report(task, info.id)

    async def _answered(self, call: MediaStreamCall, probe: bool) -> None:
        """Have the call run; a probe's protocol goes on without anybody."""
        if not probe:
            await self._handle(call)

    @staticmethod
    async def _finish(call: MediaStreamCall, handling: asyncio.Task[None]) -> None:
        """The agent is done with the call, or wouldn't have it."""
        if not handling.cancelled() and isinstance(handling.exception(), CallRefused):
            await call.refuse(BUSY, "busy")
        else:
            await call.hangup()


def _report(task: asyncio.Task[None], call_id: str) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, CallRefused):
        logger.error("call %s failed", call_id, exc_info=error)


async def _open(socket: _Socket, carrier: Carrier) -> tuple[str | bytes, Opened]:
    """Read on to the message that starts the stream. Raises ProtocolError."""
    try:
        async with asyncio.timeout(START_S):
            for _ in range(3):
                data = await socket.receive()
                if data is None:
                    raise ProtocolError("the peer left", NORMAL)
                if isinstance(data, str) and (opened := carrier.open(parse(data))):
                    return data, opened
    except TimeoutError:
        raise ProtocolError("the stream never started", TIMEOUT) from None
    except ValueError as error:  # a serializer misses something
        raise ProtocolError("the stream's start lacks something") from error
    raise ProtocolError("the stream doesn't start as it should")


async def _deny(websocket: WebSocket, status: int, detail: str) -> None:
    document = {"type": "about:blank", "status": status, "detail": detail}
    response = Response(
        content=json.dumps(document), status_code=status, media_type="application/problem+json"
    )
    await websocket.send_denial_response(response)


def _headers(request: Request | WebSocket) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


class _Socket:
    """A WebSocket whose end is a value, not an exception."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def receive(self) -> str | bytes | None:
        if self._websocket.client_state is not WebSocketState.CONNECTED:
            return None
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        return text if text is not None else bytes(message.get("bytes") or b"")

    async def send(self, data: str | bytes) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the peer has left: `receive` tells
            if isinstance(data, str):
                await self._websocket.send_text(data)
            else:
                await self._websocket.send_bytes(data)

    async def close(self, code: int, reason: str) -> None:
        if self._websocket.application_state is WebSocketState.CONNECTED:
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await self._websocket.close(code, reason)
