"""The HTTP application: control plane, text, and whatever wires come in over HTTP."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.utils import get_openapi
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from agent import version
from agent.briefing import brief
from agent.events import Events
from agent.http import problems
from agent.http.access import needed_scopes
from agent.http.admission import TextAdmission
from agent.http.attempts import Rates
from agent.http.call_control import call_control_router
from agent.http.chat import Chat
from agent.http.contracts import Account, Ban, Calls, Elsewhere, HasHealth, Models, Nodes
from agent.http.control import control_router
from agent.http.elsewhere import OthersCalls
from agent.http.events import events_router
from agent.http.guard import ApiKeyGuard, BodyLimit, HostGuard, OriginGuard, guarded
from agent.http.heads import Heads
from agent.http.keyring import Keyring
from agent.http.listening import listening_router
from agent.http.metrics import metrics_router
from agent.http.nodes import nodes_router
from agent.http.problems import Problem
from agent.http.proxies import ProxyGuard, Unmapped
from agent.http.recordings import recordings_router
from agent.http.request_id import RequestId
from agent.http.sessions import sessions_router
from agent.http.speech import STT_BODY_BYTES, speech_router
from agent.http.stats import stats_router
from agent.http.text import chat_router
from agent.http.voicemail import voicemail_router
from agent.metrics import Metrics
from agent.recordings.recordings import Recordings
from agent.records.database import Database
from agent.records.keys import Keys
from agent.vitals import Pulse
from agent.voicemail import Voicemail
from config.persona import Persona
from config.settings import Settings

BODY_BYTES = 256 * 1024
_BODY_BYTES = {"/api/v1/stt": STT_BODY_BYTES}

_ABOUT = """A telephone agent on your own machine. Calls arrive over SIP, from a browser or from a
carrier; this is where you watch them, end them, and use the same models without a call.

Where `http.api_key` is set, send it, or a key that `offhook keys create` made, as
`Authorization: Bearer <key>` or as `X-API-Key`. A key has scopes, and each operation names the one that it
needs: `read`; `operate`, which may do what `read` may; `listen`, to hear callers; or `admin`, for all.

Without `http.api_key`, the API answers only as `localhost` or a loopback address, and not through a proxy.

Every error is an RFC 9457 problem document whose `detail` says what to do."""

_TAGS = [
    {"name": "Health", "description": "For probes, supervisors and people."},
    {"name": "Calls", "description": "Who is on the line, what was said, and how fast."},
    {"name": "Outgoing calls", "description": "Whom to call, how far that is, and how it ended."},
    {"name": "Recordings", "description": "What was heard in calls, where they are recorded."},
    {"name": "Messages", "description": "What callers left to be passed on."},
    {
        "name": "Text",
        "description": 'The models without a call.\n\n`WS /api/v1/chat` takes `{"text": "..."}` and answers '
        '`{"type": "tokens", "text": "..."}` as they come, then `{"type": "done", ...}`. '
        "A new text interrupts the answer before it.",
    },
    {"name": "SIP", "description": "What the telephone line was sent, and whom it ignores."},
    {"name": "WebRTC", "description": "Calls from a browser."},
    {"name": "Carriers", "description": "What a carrier's console is pointed at. Requests are signed by it."},
]


def create_app(
    *,
    settings: Settings,
    calls: Calls,
    models: Models,
    persona: Persona | None = None,
    listeners: Sequence[HasHealth] = (),
    pulse: Pulse | None = None,
    bans: Callable[[], Sequence[Ban]] = tuple,
    accounts: Callable[[], Sequence[Account]] = tuple,
    past: Database | None = None,
    owed: Callable[[], bool] = lambda: False,
    metrics: Metrics | None = None,
    events: Events | None = None,
    voicemail: Voicemail | None = None,
    elsewhere: Elsewhere | None = None,
    nodes: Nodes | None = None,
    api_key: Callable[[], str] | None = None,
    recordings: Recordings | None = None,
    routers: Sequence[APIRouter] = (),
    body_bytes: dict[str, int] | None = None,
) -> FastAPI:
    """The application: the control plane, text where there is a `persona`, and further `routers`.

    `owed`: records of calls that are over have yet to come into `past`.

    `body_bytes` are the routers' limits, by path. `api_key` is asked for it with each request, where the
    settings have one. Raises ValueError where a route that is for keys says no scope.
    """
    app = FastAPI(
        title="offhook",
        version=version(),
        description=_ABOUT,
        openapi_tags=_TAGS,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    problems.install(app)
    pulse = pulse or Pulse()
    app.include_router(control_router(calls, models, listeners, pulse, bans, accounts, elsewhere))
    if metrics:
        app.include_router(metrics_router(metrics, calls, models, listeners, pulse, bans, elsewhere, nodes))
    app.include_router(sessions_router(calls, past, owed, voicemail, recordings, elsewhere, nodes))
    if nodes:
        app.include_router(nodes_router(nodes))
    app.include_router(stats_router(past))
    if voicemail:
        app.include_router(voicemail_router(voicemail, elsewhere))
    if events:
        app.include_router(events_router(events, nodes))
    if recordings:
        app.include_router(recordings_router(calls, recordings))
        app.include_router(listening_router(calls))
    app.include_router(call_control_router(calls))
    text_routers = _text(settings, calls, models, persona) if persona else []
    for router in (*text_routers, *routers):
        app.include_router(router)
    for (method, path), scopes in needed_scopes(app).items():
        if guarded(path) and not scopes:  # any key would do
            raise ValueError(f"{method} {path} says no scope: give it dependencies=[READ], or another")

    @functools.cache
    def openapi() -> dict[str, Any]:
        return _openapi(app, keyed=settings.http.api_key is not None)

    app.openapi = openapi  # type: ignore[method-assign]

    # Rendered once: it takes as long as a packet may, and whoever is on the line would hear that.
    @functools.cache
    def document() -> bytes:
        return json.dumps(openapi(), ensure_ascii=False).encode()

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi_json() -> Response:
        return Response(document(), media_type="application/json")

    # The last one added is asked first.
    if elsewhere or nodes:
        app.add_middleware(OthersCalls, elsewhere=elsewhere, nodes=nodes)
    app.add_middleware(Heads)
    app.add_middleware(BodyLimit, default_bytes=BODY_BYTES, by_path=_BODY_BYTES | (body_bytes or {}))
    if settings.http.api_key is not None:
        keyring = Keyring(api_key or settings.http.api_key.get_secret_value, Keys(past) if past else None)
        cluster_key = settings.cluster.key.get_secret_value() if nodes and settings.cluster.key else ""
        by_source, by_key = (Rates(settings.http.requests_per_minute) for _ in range(2))
        if nodes:
            nodes.share(by_key)
        app.add_middleware(
            ApiKeyGuard, keyring=keyring, by_source=by_source, by_key=by_key, cluster_key=cluster_key
        )
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.http.trusted_proxies))
    else:
        app.add_middleware(HostGuard)
        app.add_middleware(ProxyGuard, paths=guarded)
    app.add_middleware(OriginGuard, proxies=settings.http.trusted_proxies)
    app.add_middleware(Unmapped)
    app.add_middleware(RequestId)
    return app


def _text(settings: Settings, calls: Calls, models: Models, persona: Persona) -> list[APIRouter]:
    admission = TextAdmission(calls, settings.text.max_requests)
    chat = Chat(
        models,
        admission,
        persona.primer,
        persona.language,
        settings.llm,
        settings.text,
        brief(persona),
    )
    return [
        chat_router(chat, settings.text.group_tokens),
        speech_router(
            models, admission, voice=persona.voice, language=persona.language, settings=settings.text
        ),
    ]


def _openapi(app: FastAPI, *, keyed: bool) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        tags=app.openapi_tags,
        routes=app.routes,
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    needed = needed_scopes(app)
    if keyed:
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            # What the guards in front of every route answer, and FastAPI itself.
            statuses = [413]
            if guarded(path):
                scopes = needed[method.upper(), path]
                operation["security"] = [{"bearer": scopes}, {"key": scopes}] if keyed else []
                needs = f"Needs the scope `{scopes[0]}`."
                operation["description"] = "\n\n".join(filter(None, [operation.get("description"), needs]))
                statuses += [401, 403, 429, 503]
            found = operation["responses"]
            if "requestBody" in operation or not guarded(path):  # carriers' forms aren't described
                statuses += [400, 408]
            if found.pop("422", None):
                statuses.append(422)
            found = {str(status): said for status, said in problems.responses(*statuses).items()} | found
            operation["responses"] = dict(sorted(found.items()))
    return document
