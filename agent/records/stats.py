"""What calls came to, hour by hour, counted by the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, extract, func, literal, or_, select, union_all

from agent.records.database import Database
from agent.records.tables import Call, Moment, Turn

LONGEST_CALL = timedelta(days=1)


@dataclass
class Hour:
    since: datetime
    calls: int = 0  # that began in it
    causes: dict[str, int] = field(default_factory=dict)  # of those of them that are over
    peak: int = 0  # most calls at once
    answers: int = 0
    voice_to_voice_median_ms: float | None = None
    voice_to_voice_p95_ms: float | None = None


async def by_hour(database: Database, now: datetime, hours: int) -> list[Hour]:
    """The last `hours`, by UTC's clock, the oldest first; the last of them is under way.

    May raise SQLAlchemyError or OSError.
    """
    first = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours - 1)
    found = [Hour(first + timedelta(hours=nth)) for nth in range(hours)]
    by_start = {int(hour.since.timestamp()): hour for hour in found}
    async with database.session() as session:
        for start, cause, calls in await session.execute(_causes(first)):
            if hour := by_start.get(int(start)):
                hour.calls += calls
                if cause is not None:
                    hour.causes[cause] = calls
        steps = {int(start): (more, most) for start, more, most in await session.execute(_live(first))}
        for start, answers, median, p95 in await session.execute(_answers(first)):
            if hour := by_start.get(int(start)):
                hour.answers = answers
                hour.voice_to_voice_median_ms, hour.voice_to_voice_p95_ms = median, p95
    live = 0
    for start, hour in by_start.items():
        more, most = steps.get(start, (0, 0))
        hour.peak = max(live, most)
        live += more
    return found


def _start(at: Any) -> ColumnElement[Any]:
    """Of the hour that `at` is in, in Unix time."""
    epoch = extract("epoch", at)
    return epoch - epoch % 3600


def _there(first: datetime) -> ColumnElement[bool]:
    """What wasn't over then; what nobody closed is given up after a day."""
    return or_(Call.ended >= first, and_(Call.ended.is_(None), Call.began >= first - LONGEST_CALL))


def _causes(first: datetime) -> Any:
    hour = _start(Call.began)
    return select(hour, Call.cause, func.count()).where(Call.began >= first).group_by(hour, Call.cause)


def _live(first: datetime) -> Any:
    """By hour: how many calls more there are at its end than at its beginning, and the most at once."""
    began = case((Call.began < first, literal(first, Moment())), else_=Call.began)
    steps = union_all(
        select(began.label("at"), literal(1).label("step")).where(_there(first)),
        select(Call.ended, literal(-1)).where(Call.ended >= first),
    ).subquery()
    live = func.sum(steps.c.step).over(order_by=(steps.c.at, steps.c.step))
    running = select(_start(steps.c.at).label("hour"), steps.c.step, live.label("live")).subquery()
    return select(running.c.hour, func.sum(running.c.step), func.max(running.c.live)).group_by(running.c.hour)


def _answers(first: datetime) -> Any:
    """By hour: how many, and their latencies' median and 95th percentile, by nearest rank."""
    hour, ms = _start(Turn.at), Turn.voice_to_voice_ms
    ranked = (
        select(
            hour.label("hour"),
            ms.label("ms"),
            func.row_number().over(partition_by=hour, order_by=ms).label("rank"),
            func.count().over(partition_by=hour).label("of"),
        )
        .join(Call, Call.id == Turn.call_id)
        .where(_there(first), Turn.at >= first, ms.is_not(None))
        .subquery()
    )
    is_median = ranked.c.rank == (ranked.c.of + 1) // 2
    is_p95 = ranked.c.rank == (ranked.c.of * 95 + 99) // 100
    return (
        select(ranked.c.hour, func.max(ranked.c.of), func.min(ranked.c.ms), func.max(ranked.c.ms))
        .where(or_(is_median, is_p95))
        .group_by(ranked.c.hour)
    )
