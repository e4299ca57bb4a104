"""The pages, to call at `/` and for operators at `/ops`: static files that need nothing of any other host."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter
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


def page_router(*, calls: bool = True) -> APIRouter:
    """Serves each file of the pages under its name, and each index.html as its folder.

    Where browsers may not call, `calls` is false, and there is nothing at `/`.
    """
    router = APIRouter(include_in_schema=False)
    pages = files("agent.http").joinpath("page")
    for prefix, folder in (("", pages), ("/ops", pages.joinpath("ops"))):
        for file in folder.iterdir():
            kind = _TYPES.get(file.name[file.name.rfind(".") :])
            index = file.name == "index.html"
            if kind and (calls or prefix or not index):
                path = (prefix or "/") if index else f"{prefix}/{file.name}"
                _add(router, path, file.read_bytes(), kind)
    return router


def _add(router: APIRouter, path: str, body: bytes, kind: str) -> None:
    @router.get(path)
    async def serve() -> Response:
        return Response(body, media_type=kind, headers=_HEADERS)
