"""The pages: to call at `/`, for operators at `/ops`, and the API's reference at `/docs`.

Static files that need nothing of any other host.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import Response

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "media-src 'self' blob: mediastream:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self), camera=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# Swagger UI's style sheet has its icons in itself.
_DOCS_HEADERS = {
    **_HEADERS,
    "Content-Security-Policy": _HEADERS["Content-Security-Policy"].replace(
        "img-src 'self'", "img-src 'self' data:"
    ),
}


def page_router(*, calls: bool = True) -> APIRouter:
    """Serves each file of the pages under its name, and each index.html as its folder.

    Where browsers may not call, `calls` is false, and there is nothing at `/`.
    """
    router = APIRouter(include_in_schema=False)
    pages = files("agent.http").joinpath("page")
    for prefix, folder in (("", pages), ("/ops", pages.joinpath("ops")), ("/docs", pages.joinpath("docs"))):
        for file in folder.iterdir():
            kind = _TYPES.get(file.name[file.name.rfind(".") :])
            index = file.name == "index.html"
            if kind and (calls or prefix or not index):
                path = (prefix or "/") if index else f"{prefix}/{file.name}"
                _add(router, path, file.read_bytes(), kind, _DOCS_HEADERS if prefix == "/docs" else _HEADERS)
    return router


def _add(router: APIRouter, path: str, body: bytes, kind: str, headers: Mapping[str, str]) -> None:
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    tagged = {**headers, "ETag": tag}

    @router.get(path)
    async def serve(request: Request) -> Response:
        if tag in request.headers.get("If-None-Match", ""):
            return Response(status_code=304, headers=tagged)
        return Response(body, media_type=kind, headers=tagged)
