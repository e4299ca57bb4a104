from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli import app
from bench.models import Timing, borne, figures, measure
from bench.stages import Figures, Loaded, Stage
from bench.usage import Usage
from models.bearing import Limit, Work, limits
from models.devices import Devices
from models.errors import WeightsError
from tests.weights import CACHE, require_weights


def test_the_model_that_is_busiest_limits() -> None:
    works = [
        Work("language model", "cpu", 1.0, 1.0),
        Work("voice", "cuda", 0.5, 1.0),
        Work("speech", "cuda", 0.5, 1.0),
    ]
    assert limits(works, cores=8) == [
        Limit("language model on cpu", 5, "1000 ms a turn"),
        Limit("the GPU", 5, "1000 ms a turn"),
        Limit("voice on cuda", 10, "500 ms a turn"),
        Limit("speech on cuda", 10, "500 ms a turn"),
        Limit("8 cores", 20, "2.00 s of a core a turn"),
    ]


def test_the_cores_limit_where_they_are_few() -> None:
    assert limits([Work("voice", "cpu", 1.0, 2.0)], cores=1)[0] == Limit(
        "1 core", 2, "2.00 s of a core a turn"
    )


def test_p95_is_the_slow_end() -> None:
    warm: list[Figures] = [{"look_ms": n, "read_tokens_s": n} for n in range(1, 21)]
    look, read = figures({"look_ms": 99, "read_tokens_s": 9}, warm)
    assert (look.cold, look.median, look.p95) == (99, 10.5, 19)
    assert (read.cold, read.median, read.p95) == (9, 10.5, 2)


def timing(model: str, device: str, seconds: float) -> Timing:
    some = figures({"look_ms": 1}, [{"look_ms": 1}])
    return Timing("voice", model, device, figures=some, usage=Usage(1.0, 1.0, None, None), seconds=seconds)


def test_what_is_borne_is_told_of_the_first_model_on_its_quicker_device() -> None:
    timings = [timing("joe", "cpu", 1.0), timing("joe", "cuda", 0.5), timing("siwis", "cpu", 0.1)]
    assert [limit.what for limit in borne(timings, 4)] == ["voice (joe) on cuda", "the GPU", "4 cores"]
    assert borne([Timing("voice", "joe", "cuda", error="It failed.")], 4) == []


@pytest.fixture
def loads() -> Iterator[list[str]]:
    done: list[str] = []
    yield done
    assert done.count("loaded") == done.count("closed")


def test_a_stage_is_timed_cold_and_warm(loads: list[str]) -> None:
    took = count(1)

    def load() -> Loaded:
        loads.append("loaded")
        return Loaded(lambda: {"look_ms": next(took)}, "int8", close=lambda: loads.append("closed"))

    def missing() -> Loaded:
        raise WeightsError("It isn't here.")

    def failing() -> Loaded:
        raise RuntimeError("CUDA error")

    stages = [
        Stage("turn", "model", "cpu", load, lambda run: run["look_ms"] / 1000),
        Stage("turn", "absent", "cpu", missing, lambda run: 0.0),
        Stage("turn", "model", "cuda", failing, lambda run: 0.0),
    ]
    said: list[str] = []
    timed, failed = measure(stages, 3, Devices(), said.append)
    (figure,) = timed.figures
    assert (figure.cold, figure.median, figure.p95) == (1, 3, 4)
    assert timed.seconds == 0.003
    assert timed.usage is not None
    assert timed.usage.memory_mb > 10
    assert failed.error == "CUDA error"
    assert said == ["turn: model on cpu ...", "turn: absent on cpu ...", "turn: model on cuda ..."]


@pytest.mark.models
def test_real_models_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_weights("tiny.en", "en_US-joe-medium", "smollm2-135m")
    monkeypatch.setenv("OFFHOOK_CACHE_DIR", str(CACHE))
    only = [f"--only={name}" for name in ("silero", "tiny.en", "joe", "smollm2")]
    ran = CliRunner().invoke(app, ["bench", "models", "--runs=2", f"--json={tmp_path / 'out.json'}", *only])
    assert ran.exit_code == 0, ran.output
    document = json.loads((tmp_path / "out.json").read_text())
    assert [(one["stage"], one["error"]) for one in document["timings"] if one["device"] == "cpu"] == [
        (name, "") for name in ("voice activity", "speech-to-text", "text-to-speech", "language model")
    ]
    assert all(figure["median"] > 0 for one in document["timings"] for figure in one["figures"])
    assert "Calls that it bears: " in ran.output


def test_the_bench_of_calls_is_still_what_bench_means() -> None:
    ran = CliRunner().invoke(app, ["bench", "--only", "nonsense"])
    assert ran.exit_code == 2
    assert "--only nonsense: there are greeting" in ran.output
    ran = CliRunner().invoke(app, ["bench", "models", "--only", "nonsense"])
    assert ran.exit_code == 2
    assert "no stage or model has nonsense in its name" in ran.output
