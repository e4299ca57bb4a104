"""What calls came to, over HTTP."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent.http.app import create_app
from agent.records.recorder import Recorder
from config.settings import Settings
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls, FakeModels
from tests.agent.records.conftest import Talk
from tests.waiting import until
from transports.call import CallInfo, EndReason, MediaStats


async def test_the_last_hours(serve: Serve, tmp_path: Path) -> None:
    recorder = Recorder(Settings(state_dir=tmp_path))
    await recorder.start()
    client = await serve(
        create_app(settings=Settings(), calls=FakeCalls(), models=FakeModels(), past=recorder.database)
    )
    talk = Talk(CallInfo("sip", "alice", "agent", since=time.time() - 3600)).recorded_by(recorder)
    recorder.ended(talk, EndReason.IDLE, MediaStats())
    await until(lambda: recorder.health().queued == 0)
    hours = (await client.get("/api/v1/stats?hours=3")).json()["hours"]
    assert len(hours) == 3
    assert sum(hour["calls"] for hour in hours) == 1
    assert {"idle": 1} in [hour["causes"] for hour in hours]
    assert max(hour["peak"] for hour in hours) == 1
    assert hours[-1]["voice_to_voice_median_ms"] is None
    for refused in ("hours=0", "hours=169", "hours=x"):
        assert (await client.get(f"/api/v1/stats?{refused}")).status_code == 422
    await recorder.close()


@pytest.mark.parametrize("kept", [True, False])
async def test_without_records(serve: Serve, tmp_path: Path, kept: bool) -> None:
    """None are kept, or their database is away."""
    past = Recorder(Settings(state_dir=tmp_path)).database if kept else None
    client = await serve(create_app(settings=Settings(), calls=FakeCalls(), models=FakeModels(), past=past))
    answer = await client.get("/api/v1/stats")
    assert answer.status_code == 503
    assert "records" in answer.json()["detail"]
