"""What Prometheus scrapes: the figures of calls, and how the process and its parts are at that moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from agent.http.access import READ
from agent.http.contracts import Ban, Calls, Elsewhere, Gpu, HasHealth, Models, Nodes
from agent.http.nodes import STATES, state_of
from agent.metrics import Metrics
from agent.vitals import Pulse


def metrics_router(
    metrics: Metrics,
    calls: Calls,
    models: Models,
    listeners: Sequence[HasHealth],
    pulse: Pulse,
    bans: Callable[[], Sequence[Ban]],
    elsewhere: Elsewhere | None = None,
    nodes: Nodes | None = None,
) -> APIRouter:
    router = APIRouter()

    def found() -> Iterator[Metric]:
        state = _gauge("component_state", "1 for the state that a part is in.", "component", "state")
        queued = _gauge("queued_jobs", "Jobs that wait for a part.", "component")
        oldest = _gauge("oldest_job_seconds", "Age of a part's oldest work for calls.", "component")
        for part in (component for each in (models, *listeners) for component in each.health()):
            state.add_metric([part.name, part.state], 1)
            queued.add_metric([part.name], part.queued)
            oldest.add_metric([part.name], part.oldest_s)
        yield from (state, queued, oldest)
        yield _gauge("accepting", "1 if a new call would be answered.", value=calls.accepting[0])
        yield _gauge("draining", "1 while new calls are refused, as asked.", value=calls.draining)
        yield _gauge("max_calls", "Calls that are taken at once.", value=calls.admission.max_calls)
        yield _gauge("banned_sources", "Addresses that the SIP line ignores.", value=len(bans()))
        lag_ms = pulse.vitals().loop_lag_p99_ms
        if lag_ms is not None:
            text = "How late the event loop woke sleepers in the last ten seconds (p99)."
            yield _gauge("event_loop_lag_seconds", text, value=lag_ms / 1000)
        if nodes:
            by_state = Counter(map(state_of, nodes.nodes))
            known = _gauge("nodes", "Of the cluster, as this node last saw them.", "state")
            for one in STATES:
                known.add_metric([one], by_state[one])
            yield known
        if gpu := models.gpu():
            yield from _of_gpu(gpu)

    metrics.registry.register(_Lookup(found))

    @router.get(
        "/metrics",
        tags=["Health"],
        summary="For Prometheus",
        response_class=PlainTextResponse,
        dependencies=[READ],
        responses={200: {"content": {"application/openmetrics-text": {"schema": {"type": "string"}}}}},
    )
    async def scrape(accept: Annotated[str, Header()] = "") -> Response:
        """In its text format, or as OpenMetrics where that is asked for.

        Of several processes (`sip.processes`) each has figures of its own, by the label `process`.
        """
        encode, kind = choose_encoder(accept)
        found = (
            metrics.registry if elsewhere is None else _Every(await _labelled(metrics.registry, elsewhere))
        )
        return Response(encode(found), headers={"Content-Type": kind})

    return router


class _Lookup(Collector):
    def __init__(self, found: Callable[[], Iterator[Metric]]) -> None:
        self._found = found

    def describe(self) -> Iterable[Metric]:
        return ()  # what there is differs from one machine to the next

    def collect(self) -> Iterable[Metric]:
        return self._found()


class _Every(CollectorRegistry):
    """Figures that were collected already."""

    def __init__(self, figures: Iterable[Metric]) -> None:
        super().__init__()
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        return self._figures


async def _labelled(own: CollectorRegistry, elsewhere: Elsewhere) -> Iterable[Metric]:
    """Those of every process, each with the number of its own."""
    answers = await elsewhere.ask("/metrics")
    texts = {1: generate_latest(own).decode()} | {number: answer.text for number, answer in answers.items()}
    figures: dict[str, Metric] = {}
    for number, text in texts.items():
        for family in text_string_to_metric_families(text):
            every = figures.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            every.samples += [
                sample._replace(labels={**sample.labels, "process": str(number)}) for sample in family.samples
            ]
    return figures.values()


def _gauge(name: str, text: str, *labels: str, value: float | None = None) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"offhook_{name}", text, value=value, labels=labels or None)


def _of_gpu(gpu: Gpu) -> Iterator[Metric]:
    busy = None if gpu.utilisation is None else gpu.utilisation / 100
    for name, text, value in (
        ("gpu_memory_bytes", "Of the GPU.", gpu.memory_bytes),
        ("gpu_memory_used_bytes", "By all programs, and what the driver keeps.", gpu.used_bytes),
        ("gpu_utilisation_ratio", "Of the last second, in which something ran.", busy),
    ):
        if value is not None:
            yield _gauge(name, text, value=value)
