from __future__ import annotations

import resource
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent import surroundings
from agent.surroundings import Finding
from config.settings import CallSettings, HttpSettings, Settings
from models.errors import WeightsError
from tests.postgres import Postgres, postgres


def only(findings: Any) -> Finding:
    (found,) = findings
    assert isinstance(found, Finding)
    return found


def test_a_package_that_hides_ours_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(surroundings.clashes(Settings())).verdict == "pass"
    monkeypatch.setattr(surroundings, "packages_distributions", lambda: {"config": ["offhook", "other"]})
    found = only(surroundings.clashes(Settings()))
    assert found.verdict == "fail"
    assert found.detail == "other has a package config, as offhook has."


@pytest.mark.parametrize(
    ("hard", "verdict"),
    [(resource.RLIM_INFINITY, "pass"), (100_000, "pass"), (1024, "warn"), (100, "fail")],
)
def test_descriptors_are_enough_for_the_calls(
    hard: int, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, hard))
    found = only(surroundings.descriptors(Settings(call=CallSettings(max_calls=100))))
    assert found.verdict == verdict
    assert bool(found.remedy) is (verdict != "pass")


@pytest.mark.parametrize(
    ("ahead", "state", "verdict"),
    [(timedelta(0), 0, "pass"), (timedelta(0), 5, "warn"), (timedelta(days=-9999), 0, "fail")],
)
def test_a_clock_that_nothing_keeps_right_is_told(
    ahead: timedelta, state: int, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + ahead

    monkeypatch.setattr(surroundings, "datetime", Clock)
    monkeypatch.setattr(surroundings, "_clock_state", lambda: state)
    assert only(surroundings.clock(Settings())).verdict == verdict


def test_the_kernel_tells_of_the_clock() -> None:
    assert surroundings._clock_state() in range(-1, 6)


def test_folders_with_room_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(state_dir=tmp_path / "state", cache_dir=tmp_path / "cache")
    assert [found.verdict for found in surroundings.disks(settings)] == ["pass", "pass"]
    recorded = Settings.model_validate(
        {
            "state_dir": tmp_path,
            "cache_dir": tmp_path,
            "recordings": {"enabled": True, "folder": tmp_path / "heard"},
        }
    )
    assert [found.name for found in surroundings.disks(recorded)][2:] == ["recordings.folder"]
    monkeypatch.setattr(surroundings, "free_bytes", lambda _: 1)
    assert [found.verdict for found in surroundings.disks(settings)] == ["warn", "warn"]


def test_folders_that_cant_be_looked_for_end_no_examination(tmp_path: Path) -> None:
    lost = tmp_path / ("x" * 300)  # as one of a folder that isn't this user's
    settings = Settings(state_dir=lost, cache_dir=lost)
    assert [found.name for found in surroundings.disks(settings)] == ["state_dir", "cache_dir"]
    assert only(surroundings.database(settings)).name == "database"


def test_a_database_is_asked_and_not_changed(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    assert only(surroundings.database(settings)).detail.endswith("which the first start makes.")
    assert not list(tmp_path.iterdir())
    (tmp_path / "calls.db").touch()
    assert only(surroundings.database(settings)).verdict == "pass"
    (tmp_path / "calls.db").write_text("This is no database, and long enough to be taken for one. " * 9)
    found = only(surroundings.database(settings))
    assert found.verdict == "warn"
    assert "not a database" in found.detail


@pytest.mark.peers
def test_a_server_that_is_away_is_told() -> None:
    with postgres() as server:
        settings = of(server)
        assert only(surroundings.database(settings)).verdict == "pass"
        server.stop()
        found = only(surroundings.database(settings))
    assert found.verdict == "warn"
    assert "connection" in found.detail


def of(server: Postgres) -> Settings:
    return Settings.model_validate({"records": {"url": server.url}})


def test_a_page_for_others_wants_https(tmp_path: Path) -> None:
    def found(**http: Any) -> list[tuple[str, str]]:
        settings = Settings.model_validate({"cache_dir": tmp_path, "http": {"api_key": "k" * 16, **http}})
        return [(one.name, one.verdict) for one in surroundings.https(settings)]

    assert found() == [("HTTPS", "pass")]
    assert found(host="0.0.0.0") == [("HTTPS", "warn")]
    assert found(host="0.0.0.0", trusted_proxies=["10.0.0.1/32"]) == []
    assert found(host="0.0.0.0", tls=True) == [("HTTPS", "warn")]  # self-signed
    assert list(surroundings.https(Settings(http=HttpSettings(enabled=False)))) == []


def test_weights_that_were_changed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        def __init__(self, name: str) -> None:
            self.name, self.state = name, "ready"

    class Catalog:
        def __init__(self, *_: object) -> None:
            return

        def entries(self) -> list[Entry]:
            return [Entry("base"), Entry("joe"), Entry("mine")]

        def verify(self, name: str) -> str:
            if name == "joe":
                raise WeightsError("joe.onnx isn't what it should be.")
            return "right" if name == "base" else "unknown"

    monkeypatch.setattr("models.catalog.Catalog", Catalog)
    found = list(surroundings.sums(Settings()))
    assert [(one.verdict, one.detail) for one in found] == [
        ("fail", "joe.onnx isn't what it should be."),
        ("warn", "Nobody noted what was fetched of mine."),
        ("pass", "1 models are as they should be."),
    ]
