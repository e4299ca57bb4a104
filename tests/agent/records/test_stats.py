"""What calls came to, hour by hour, as both databases count it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from agent.records.recorder import Recorder
from agent.records.stats import by_hour
from agent.records.tables import Call, Turn
from tests.agent.records.conftest import Talk
from tests.waiting import until
from transports.call import CallInfo, EndReason, MediaStats

NOW = datetime(2030, 1, 2, 12, 40, tzinfo=UTC)
THIS = NOW.replace(minute=0)


async def past(
    recorder: Recorder,
    began: datetime,
    minutes: float | None,
    *latencies_ms: float,
    cause: EndReason = EndReason.CALLER_HANGUP,
) -> None:
    """A call that took so long, or isn't over, in which there were such answers."""
    talk = Talk(CallInfo("sip", "alice", "agent", since=began.timestamp())).recorded_by(recorder)
    for _ in latencies_ms:
        talk.conversation.agent_said("Yes.", cut_off=False)
    if minutes is not None:
        recorder.ended(talk, cause, MediaStats())
    await until(lambda: recorder.health().queued == 0)
    async with recorder.database.session() as session:
        for number, ms in enumerate(latencies_ms):
            mine = (Turn.call_id == talk.info.id) & (Turn.number == number)
            await session.execute(update(Turn).where(mine).values(at=began, voice_to_voice_ms=ms))
        if minutes is not None:
            over = began + timedelta(minutes=minutes)
            await session.execute(update(Call).where(Call.id == talk.info.id).values(ended=over))


async def hours(recorder: Recorder, n: int) -> list[Any]:
    return await by_hour(recorder.database, NOW, n)


async def test_calls_are_counted_by_hour_and_cause(recorder: Recorder) -> None:
    await past(recorder, THIS - timedelta(hours=3), 1)  # before
    await past(recorder, THIS - timedelta(hours=2), 1)
    await past(recorder, THIS - timedelta(minutes=1), 2, cause=EndReason.CALLER_GONE)
    await past(recorder, THIS, 1)
    await past(recorder, THIS + timedelta(minutes=39, seconds=59.9), None)
    found = await hours(recorder, 3)
    assert [hour.since for hour in found] == [THIS - timedelta(hours=n) for n in (2, 1, 0)]
    assert [hour.calls for hour in found] == [1, 1, 2]
    assert [hour.causes for hour in found] == [{"caller_hangup": 1}, {"caller_gone": 1}, {"caller_hangup": 1}]


async def test_the_most_calls_at_once(recorder: Recorder) -> None:
    await past(recorder, THIS - timedelta(hours=5), 3 * 60 + 30)  # to the middle of the second hour
    await past(recorder, THIS - timedelta(hours=2, minutes=10), 20)  # beside it
    await past(recorder, THIS - timedelta(minutes=50), 10)
    await past(recorder, THIS - timedelta(minutes=40), 10)  # begins as the other ends
    await past(recorder, THIS + timedelta(minutes=30), None)
    await past(recorder, THIS - timedelta(days=2), None)  # that nobody closed
    found = await hours(recorder, 4)
    assert [hour.peak for hour in found] == [2, 2, 1, 1]
    assert [hour.peak for hour in await hours(recorder, 2)] == [1, 1]


async def test_latencies_by_nearest_rank(recorder: Recorder) -> None:
    await past(recorder, THIS, 5, *range(100, 2100, 100))  # twenty
    await past(recorder, THIS - timedelta(hours=1), 5, 700.0)
    first, second, third = await hours(recorder, 3)
    assert (first.answers, first.voice_to_voice_median_ms, first.voice_to_voice_p95_ms) == (0, None, None)
    assert (second.answers, second.voice_to_voice_median_ms, second.voice_to_voice_p95_ms) == (1, 700, 700)
    assert (third.answers, third.voice_to_voice_median_ms, third.voice_to_voice_p95_ms) == (20, 1000, 1900)


@pytest.mark.parametrize("n", [1, 168])
async def test_without_calls(recorder: Recorder, n: int) -> None:
    found = await hours(recorder, n)
    assert len(found) == n
    assert {(hour.calls, hour.peak, hour.answers) for hour in found} == {(0, 0, 0)}
