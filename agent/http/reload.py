"""The settings, read again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from pydantic import BaseModel, Field

from agent.http.access import ADMIN
from agent.http.problems import ProblemError, responses
from agent.reload import Reloaded
from config.errors import ConfigError


class ReloadView(BaseModel):
    applied: list[str] = Field(description="Settings that have changed, and hold from now on.")
    needs_restart: list[str] = Field(description="Those that have changed, and hold from the next start on.")


def reload_router(reload: Callable[[], Awaitable[Reloaded]]) -> APIRouter:
    router = APIRouter()

    @router.post(
        "/api/v1/reload",
        tags=["Health"],
        summary="Read the settings again",
        responses=responses(422),
        dependencies=[ADMIN],
    )
    async def read_again() -> ReloadView:
        """As SIGHUP does: the file, those of secrets, and the personas. No call ends by it.

        422, with nothing applied, where they can't be used.
        """
        try:
            reloaded = await reload()
        except ConfigError as error:
            raise ProblemError(422, str(error)) from None
        return ReloadView(applied=list(reloaded.applied), needs_restart=list(reloaded.needs_restart))

    return router
