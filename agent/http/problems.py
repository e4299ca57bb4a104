"""Errors as RFC 9457 problem documents, each with a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from models.errors import ModelBusy, ModelError, ModelFailed, ModelUnloaded, WeightsError

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """RFC 9457: what went wrong, and what to do about it."""

    type: str = "about:blank"
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["No live call has the id 'f00'. GET /api/v1/sessions lists them."])


class ProblemError(HTTPException):
    """Ends a request with a problem document. `detail` is a sentence that says what to do."""


def of_model(error: ModelError) -> ProblemError:
    """What whoever asked a model for something is told of its failure."""
    if isinstance(error, ModelUnloaded | WeightsError):
        return ProblemError(503, f"{error} GET /health says more.", headers={"Retry-After": "5"})
    if isinstance(error, ModelBusy):
        return ProblemError(503, str(error), headers={"Retry-After": "1"})
    # What isn't a failure is a wrong request: a voice that isn't there.
    return ProblemError(502 if isinstance(error, ModelFailed) else 422, str(error))


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    document = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(document.model_dump(), status, headers, media_type=MEDIA_TYPE)


async def refuse(
    scope: Scope,
    receive: Receive,
    send: Send,
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Answer a request or a WebSocket handshake with a problem document."""
    response = problem(status, detail, headers)
    if scope["type"] == "websocket":
        await receive()  # the handshake
        await send(
            {"type": "websocket.http.response.start", "status": status, "headers": response.raw_headers}
        )
        await send({"type": "websocket.http.response.body", "body": response.body})
    else:
        await response(scope, receive, send)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What an endpoint's OpenAPI entry says of its errors."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""

    @app.exception_handler(ProblemError)
    async def _ours(asked: HTTPConnection, error: ProblemError) -> JSONResponse | None:
        if asked.url.path.startswith("/v1/"):
            return _openai_error(error.status_code, error.detail, error.headers)
        answer = problem(error.status_code, error.detail, error.headers)
        if not isinstance(asked, WebSocket):
            return answer
        await asked.send_denial_response(answer)
        return None

    @app.exception_handler(ModelError)
    async def _models(asked: HTTPConnection, error: ModelError) -> JSONResponse | None:
        return await _ours(asked, of_model(error))

    @app.exception_handler(HTTPException)
    async def _starlette(request: Request, error: HTTPException) -> JSONResponse:
        detail = {
            404: f"There is nothing at {request.url.path}. See /docs for what there is.",
            405: f"{request.method} doesn't work on {request.url.path}. See /docs for what does.",
        }.get(error.status_code, f"{error.detail.rstrip('.')}.")
        headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
        return problem(error.status_code, detail, headers)

    @app.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: RequestValidationError) -> JSONResponse:
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if isinstance(error.body, bytes) and not kind.endswith("json"):
            detail = "Send the body as JSON, with Content-Type: application/json. See /docs."
        else:
            detail = "; ".join(_sentence(item) for item in error.errors()) + ". See /docs."
        return _openai_error(422, detail) if request.url.path.startswith("/v1/") else problem(422, detail)

    @app.exception_handler(ClientDisconnect)
    async def _left(_: Request, __: ClientDisconnect) -> JSONResponse:
        return problem(400, "The body ended before it was whole.")  # nobody reads it

    @app.exception_handler(Exception)
    async def _bug(_: Request, __: Exception) -> JSONResponse:
        return problem(500, "The server failed at this request. Its log says why.")


def _openai_error(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """As those who speak OpenAI's API read it."""
    return JSONResponse({"error": {"message": detail, "type": HTTPStatus(status).phrase}}, status, headers)


def _allowed(request: Request) -> str:
    """What works on a path: Starlette tells the methods of the first route there alone."""
    routes = [route for route in iter_route_contexts(request.app.routes) if getattr(route, "methods", None)]
    first = next((route.path for route in routes if route.path_regex.match(request.url.path)), None)
    return ", ".join(sorted({one for route in routes if route.path == first for one in route.methods or ()}))


def _sentence(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"] if part != "body") or "the body"
    return f"{where}: {error['msg']}"
