"""What Prometheus finds, and whether the alerts and the dashboard that come with offhook fit it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from agent.cluster.cluster import Cluster
from agent.cluster.node import Heartbeat, Node
from agent.conversation import LatencyTrace
from agent.events import Events
from agent.http.app import create_app
from agent.metrics import Metrics
from agent.records.recorder import Recorder
from agent.vitals import Pulse
from agent.workers import Workers
from config.settings import Settings
from models.nvml import Gpu
from tests.agent.cluster.conftest import settings_of
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls, FakeModels
from tests.agent.records.conftest import Talk
from tests.peers import free_port, require_peer
from transports.call import CallInfo, EndReason, MediaStats
from transports.outbound import OutboundGuard

MONITORING = Path("config/monitoring").resolve()
GPU = Gpu("NVIDIA L4", "580.95.05", (13, 0), 24_000_000_000, 23_000_000_000, 40)


def talked(metrics: Metrics, cause: EndReason = EndReason.CALLER_HANGUP) -> None:
    """A call of one turn, and its end."""
    talk = Talk(CallInfo("sip", "+49 30 123456", "agent"), guesses=(3, 1), false_starts=1)
    metrics.began(talk)
    talk.conversation.caller_said("Hello?")
    trace = LatencyTrace(10.0)
    trace.mark("transcript", 10.1)
    trace.mark("first_packet", 10.35)
    metrics.answered(talk, trace)
    talk.conversation.agent_said("Hello", cut_off=True)
    talk.conversation.tool_called("end_call", {})
    talk.conversation.failed("The model took too long.")
    metrics.ended(talk, cause, MediaStats(98, 2, 4.0, None))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """Of three nodes, which never ask each other."""
    settings = settings_of("one", "postgresql://host/db", tmp_path)
    made = Cluster(
        settings,
        Recorder(settings).database,
        Events(),
        lambda: ("ready", 0, 20),
        lambda _: False,
        OutboundGuard(settings.outbound),
    )
    told = Heartbeat("http://host", "1", "c", "p", "ready", 0, 20)
    made.nodes = [
        Node(**{**asdict(told), "state": state}, name=name, silent_s=silent_s)
        for name, state, silent_s in (("one", "ready", 0), ("other", "ready", 60), ("third", "lost", 60))
    ]
    return made


@pytest.fixture
async def client(serve: Serve, metrics: Metrics, cluster: Cluster) -> AsyncIterator[httpx2.AsyncClient]:
    pulse = Pulse()
    beating = asyncio.create_task(pulse.run())
    while pulse.vitals().loop_lag_p99_ms is None:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    models = FakeModels(found=GPU)
    yield await serve(
        create_app(
            settings=Settings(),
            calls=FakeCalls(),
            models=models,
            metrics=metrics,
            pulse=pulse,
            nodes=cluster,
        )
    )
    beating.cancel()


async def samples(client: httpx2.AsyncClient) -> dict[tuple[str, ...], float]:
    """Each value, by its name and its labels' values, by the labels' names."""
    text = (await client.get("/metrics")).text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_call_is_counted(client: httpx2.AsyncClient, metrics: Metrics) -> None:
    metrics.began(Talk())
    talked(metrics)
    found = await samples(client)
    assert found["offhook_live_calls", "sip"] == 1
    assert found["offhook_calls_total", "caller_hangup", "sip"] == 1
    assert found["offhook_voice_to_voice_seconds_sum", "sip"] == pytest.approx(0.35)
    assert found["offhook_answer_stage_seconds_sum", "transcript"] == pytest.approx(0.1)
    assert found[("offhook_interruptions_total",)] == 1
    assert found[("offhook_false_starts_total",)] == 1
    assert found["offhook_speculations_total", "heard"] == 2
    assert found["offhook_speculations_total", "discarded"] == 1
    assert found[("offhook_call_problems_total",)] == 1
    assert found["offhook_tool_calls_total", "end_call"] == 1
    assert found["offhook_rtp_packets_received_total", "sip"] == 98
    assert found["offhook_rtp_packets_lost_total", "sip"] == 2
    assert found["offhook_rtp_jitter_seconds_sum", "sip"] == pytest.approx(0.004)


async def test_calls_that_a_process_took_along_are_counted(
    client: httpx2.AsyncClient, metrics: Metrics
) -> None:
    metrics.lost(2, "process_died")
    assert (await samples(client))["offhook_calls_total", "process_died", "sip"] == 2


async def test_nobody_is_on_the_line_before_the_first_call(client: httpx2.AsyncClient) -> None:
    assert (await samples(client))["offhook_live_calls", "sip"] == 0


async def test_the_parts_are_looked_up(client: httpx2.AsyncClient) -> None:
    found = await samples(client)
    assert found["offhook_component_state", "llm", "ready"] == 1
    assert found["offhook_queued_jobs", "llm"] == 0
    states = ("starting", "ready", "draining", "down", "silent", "lost")
    assert [found["offhook_nodes", state] for state in states] == [0, 1, 0, 0, 1, 1]
    assert found[("offhook_accepting",)] == 1
    assert found[("offhook_draining",)] == 0
    assert found[("offhook_max_calls",)] == 20
    assert found[("offhook_gpu_utilisation_ratio",)] == 0.4
    assert found[("process_resident_memory_bytes",)] > 0


async def test_the_figures_of_a_process_stay_its_own_while_another_is_down(
    serve: Serve, metrics: Metrics
) -> None:
    settings = Settings.model_validate({"sip": {"processes": 3}})
    unused: Any = None
    workers = Workers(settings, unused, unused, Events(), unused)
    second, third = workers._workers.values()
    second.up, third.up = False, True
    told = "# TYPE offhook_live_calls gauge\noffhook_live_calls 7\n"
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, text=told))
    await third.http.aclose()
    third.http = httpx2.AsyncClient(transport=transport, base_url="http://localhost")
    client = await serve(
        create_app(
            settings=settings, calls=FakeCalls(), models=FakeModels(), metrics=metrics, elsewhere=workers
        )
    )
    found = await samples(client)
    assert found["offhook_live_calls", "1", "sip"] == 0
    assert found["offhook_live_calls", "3"] == 7
    await workers.close(0)


async def test_nobody_is_named(client: httpx2.AsyncClient, metrics: Metrics) -> None:
    talked(metrics)
    text = (await client.get("/metrics")).text
    assert "123456" not in text
    assert "Hello" not in text


async def test_no_series_is_of_a_models_invention(client: httpx2.AsyncClient, metrics: Metrics) -> None:
    talk = Talk()
    metrics.began(talk)
    for name in ("call +49 30 123456", "transfer_call", "pay"):
        talk.conversation.tool_called(name, {})
    metrics.ended(talk, EndReason.IDLE, MediaStats())
    found = await samples(client)
    tools = {
        labels[0]: value for (name, *labels), value in found.items() if name == "offhook_tool_calls_total"
    }
    assert tools == {"transfer_call": 1, "other": 2}


async def test_openmetrics_where_it_is_asked_for(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def expressions() -> Iterator[str]:
    """Of the alerts and of the dashboard, with its variables filled in."""
    for group in yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for panel in json.loads((MONITORING / "grafana.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")


async def run(*words: str, cwd: Path | None = None) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        *words, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(child.communicate(), 60)
    return child.returncode or 0, said.decode()


@pytest.mark.peers
async def test_promtool_takes_the_configuration() -> None:
    status, said = await run(require_peer("promtool"), "check", "config", "prometheus.yaml", cwd=MONITORING)
    assert status == 0, said


async def check_alert(folder: Path, alert: str, series: Mapping[str, float | str], *, fires: bool) -> None:
    """With these series: ten minutes of them, or as they are for so long.

    Leaves out what the alert is told with.
    """
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    (rule,) = (rule for rule in rules["groups"][0]["rules"] if rule["alert"] == alert)
    rules["groups"][0]["rules"] = [rule | {"expr": f"count({rule['expr']})", "annotations": {}}]
    (folder / "alerts.yaml").write_text(yaml.safe_dump(rules))
    found = [{"exp_labels": rule["labels"]}] if fires else []
    given = [
        {"series": name, "values": value if isinstance(value, str) else f"{value:g}x10"}
        for name, value in series.items()
    ]
    case = {
        "interval": "1m",
        "input_series": given,
        "alert_rule_test": [{"eval_time": "10m", "alertname": alert, "exp_alerts": found}],
    }
    (folder / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["alerts.yaml"], "tests": [case]}))
    status, said = await run(require_peer("promtool"), "test", "rules", "test.yaml", cwd=folder)
    assert status == 0, said


@pytest.mark.peers
@pytest.mark.parametrize(("live", "fires"), [(None, True), (0, True), (19, True), (20, False)])
async def test_who_refuses_calls_with_free_lines_is_told_of(
    tmp_path: Path, live: int | None, fires: bool
) -> None:
    series: dict[str, float] = {
        'offhook_accepting{instance="a"}': 0,
        'offhook_max_calls{instance="a"}': 20,
        **({} if live is None else {'offhook_live_calls{instance="a",transport="sip"}': live}),
    }
    await check_alert(tmp_path, "OffhookRefusesCalls", series, fires=fires)
    series['offhook_accepting{instance="a"}'] = 1
    await check_alert(tmp_path, "OffhookRefusesCalls", series, fires=False)


@pytest.mark.peers
async def test_who_drains_isnt_told_of_as_who_refuses_calls(tmp_path: Path) -> None:
    series = {
        'offhook_accepting{instance="a"}': 0,
        'offhook_max_calls{instance="a"}': 20,
        'offhook_draining{instance="a"}': 1,
    }
    await check_alert(tmp_path, "OffhookRefusesCalls", series, fires=False)


@pytest.mark.peers
@pytest.mark.parametrize(("starts", "fires"), [("0 1 2 3x7", True), ("0 1 2x8", False)])
async def test_a_process_that_dies_again_and_again_is_told_of(
    tmp_path: Path, starts: str, fires: bool
) -> None:
    series = {'process_start_time_seconds{job="offhook",instance="a",process="2"}': starts}
    await check_alert(tmp_path, "OffhookDies", series, fires=fires)


@pytest.mark.peers
@pytest.mark.parametrize("live", [19, 20])
async def test_the_lines_of_several_processes_are_told_of_once(tmp_path: Path, live: int) -> None:
    series: dict[str, float] = {}
    for process, calls in (("1", 9), ("2", live - 9)):
        labels = f'instance="a",process="{process}"'
        series |= {f"offhook_accepting{{{labels}}}": 0, f"offhook_max_calls{{{labels}}}": 20}
        series[f'offhook_live_calls{{{labels},transport="sip"}}'] = calls
    await check_alert(tmp_path, "OffhookRefusesCalls", series, fires=live < 20)
    await check_alert(tmp_path, "OffhookLinesFull", series, fires=live == 20)


@contextlib.asynccontextmanager
async def prometheus(folder: Path, target: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Debian's, with our configuration, scraping `target` each second."""
    configuration = yaml.safe_load((MONITORING / "prometheus.yaml").read_text())
    configuration["global"]["scrape_interval"] = "1s"
    configuration["rule_files"] = [str(MONITORING / "alerts.yaml")]
    configuration["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{free_port()}"
    with (folder / "prometheus.log").open("wb") as log:
        child = await asyncio.create_subprocess_exec(
            require_peer("prometheus"),
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            stdout=log,
            stderr=log,
        )
    try:
        async with httpx2.AsyncClient(base_url=f"http://{address}/api/v1", timeout=10) as client:
            yield client
    finally:
        child.terminate()
        await asyncio.wait_for(child.wait(), 30)


async def ask(client: httpx2.AsyncClient, path: str, **query: str) -> Any:
    answer = (await client.get(path, params=query)).json()
    assert answer["status"] == "success", answer
    return answer["data"]


@pytest.mark.peers
async def test_every_expression_finds_what_it_asks_for(
    client: httpx2.AsyncClient, metrics: Metrics, tmp_path: Path
) -> None:
    talked(metrics)
    async with prometheus(tmp_path, str(client.base_url.netloc, "ascii")) as asked:

        async def scraped() -> bool:
            try:
                return bool((await ask(asked, "/query", query="offhook_calls_total"))["result"])
            except (httpx2.TransportError, ValueError):  # it isn't up yet
                return False

        async with asyncio.timeout(60):
            while not await scraped():  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        talked(metrics, EndReason.MODEL_FAILURE)
        names = set(await ask(asked, "/label/__name__/values"))
        for expression in expressions():
            await ask(asked, "/query", query=expression)
            named = re.sub(r'"[^"]*"', "", expression)  # no value of a label
            used = set(re.findall(r"\b(?:offhook|process)_\w+", named))
            assert used <= names, expression
        firing = await ask(asked, "/rules")
        assert len(firing["groups"][0]["rules"]) == 12
