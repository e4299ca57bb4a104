"""What calls came to, over hours."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from agent.http.access import READ
from agent.http.problems import responses
from agent.http.sessions import kept, readable
from agent.records.database import Database
from agent.records.stats import by_hour

MOST_HOURS = 7 * 24


class HourView(BaseModel):
    since: datetime
    calls: int = Field(description="That began in it.")
    causes: dict[str, int] = Field(
        description="Why those of them that are over ended.", examples=[{"caller_hangup": 12, "idle": 1}]
    )
    peak: int = Field(description="The most calls at once.")
    answers: int = Field(description="Of the agent, whose latency is known.")
    voice_to_voice_median_ms: float | None = Field(description="Null where there was none, as p95.")
    voice_to_voice_p95_ms: float | None

    model_config = ConfigDict(from_attributes=True)


class Stats(BaseModel):
    hours: list[HourView] = Field(description="The oldest first; the last one is under way.")


def stats_router(past: Database | None) -> APIRouter:
    router = APIRouter()

    @router.get(
        "/api/v1/stats",
        tags=["Calls"],
        summary="Calls hour by hour",
        dependencies=[READ],
        responses=responses(422, 503),
    )
    async def stats(
        hours: Annotated[
            int, Query(ge=1, le=MOST_HOURS, description="By UTC's clock, this one included.")
        ] = 24,
    ) -> Stats:
        """How many began, why they ended, how many there were at once, and how fast they were answered.

        Latencies are kept as long as what was said, `records.keep_words_days`.
        """
        with readable():
            found = await by_hour(kept(past), datetime.now(UTC), hours)
        return Stats(hours=[HourView.model_validate(hour) for hour in found])

    return router
