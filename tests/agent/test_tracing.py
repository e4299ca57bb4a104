"""Calls as traces, taken by a small OTLP receiver of our own: no registry has Jaeger or a collector."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from collections.abc import AsyncIterator
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent import logs
from agent.conversation import LatencyTrace
from agent.http.server import HttpServer
from agent.tracing import Tracing, tracing
from config.errors import ConfigError
from config.settings import LogSettings
from config.telemetry import TelemetrySettings
from tests.agent.records.conftest import Talk
from tests.peers import missing_peer
from tests.waiting import until
from transports.call import CallInfo, EndReason, MediaStats

STAGES = ("transcript", "end_of_turn", "first_token", "first_sentence", "first_audio", "first_packet")


class Receiver:
    """What a collector takes at /v1/traces."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.service = ""
        self.app = Starlette(routes=[Route("/v1/traces", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        body = await request.body()
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.service = attributes(resource.resource)["service.name"]
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        return Response(media_type="application/x-protobuf")

    def named(self, name: str) -> Any:
        (found,) = [span for span in self.spans if span.name == name]
        return found


def attributes(of: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    if find_spec("opentelemetry.exporter") is None:
        missing_peer("opentelemetry-exporter-otlp-proto-common")
    taking = Receiver()
    server = HttpServer(taking.app, host="127.0.0.1", port=0)
    await server.start()
    try:
        yield taking, f"http://127.0.0.1:{server.port}"
    finally:
        await server.stop(1)


def answered() -> LatencyTrace:
    """100 ms a stage."""
    trace = LatencyTrace(10.0)
    for nth, stage in enumerate(STAGES, 1):
        trace.mark(stage, 10.0 + nth / 10)  # type: ignore[arg-type]
    return trace


async def a_call(observer: Tracing, reason: EndReason = EndReason.CALLER_HANGUP) -> Talk:
    talk = Talk(CallInfo("sip", "+15550100", "agent", remote="192.0.2.7", codec="opus"))
    observer.began(talk)
    talk.conversation.on_changed = lambda: observer.changed(talk)
    talk.conversation.caller_said("My secret word.")
    talk.conversation.tool_called("take_message", {"message": "secret"})
    talk.conversation.failed("The model took too long.")
    observer.answered(talk, answered())
    observer.ended(talk, reason, MediaStats(100, 3))
    await asyncio.to_thread(observer.close)
    return talk


async def test_a_call_is_a_trace_with_its_turns_and_their_stages(receiver: tuple[Receiver, str]) -> None:
    taken, url = receiver
    observer = tracing(TelemetrySettings(otlp_endpoint=url))
    assert observer
    talk = await a_call(observer)
    await until(lambda: len(taken.spans) == 2 + len(STAGES))
    call, turn = taken.named("call"), taken.named("turn")
    assert taken.service == "offhook"
    assert {span.trace_id for span in taken.spans} == {call.trace_id}
    assert turn.parent_span_id == call.span_id
    assert not call.parent_span_id
    stages = [taken.named(stage) for stage in STAGES]
    assert {stage.parent_span_id for stage in stages} == {turn.span_id}
    assert stages[0].start_time_unix_nano == turn.start_time_unix_nano
    assert stages[-1].end_time_unix_nano == turn.end_time_unix_nano
    for one, next_ in pairwise(stages):
        assert one.end_time_unix_nano == next_.start_time_unix_nano
    assert turn.end_time_unix_nano - turn.start_time_unix_nano == pytest.approx(6e8, rel=0.01)
    found = attributes(call)
    assert (found["call.id"], found["call.cause"], found["call.packets_lost"]) == (
        talk.info.id,
        "caller_hangup",
        3,
    )
    assert [event.name for event in call.events] == ["tool call", "problem"]
    everything = "".join(map(str, taken.spans))
    assert "secret" not in everything
    assert "15550100" not in everything


async def test_what_was_said_is_sent_where_it_is_asked_for(receiver: tuple[Receiver, str]) -> None:
    taken, url = receiver
    observer = tracing(TelemetrySettings(otlp_endpoint=url, words=True))
    assert observer
    await a_call(observer, EndReason.MODEL_FAILURE)
    await until(lambda: bool(taken.spans))
    call = taken.named("call")
    assert [attributes(event) for event in call.events if event.name == "caller"] == [
        {"text": "My secret word."}
    ]
    assert call.status.message == "model_failure"


async def test_the_log_has_the_trace(receiver: tuple[Receiver, str]) -> None:
    _, url = receiver
    observer = tracing(TelemetrySettings(otlp_endpoint=url))
    assert observer
    handlers, stream = logging.getLogger().handlers[:], io.StringIO()
    logs.set_up(LogSettings(), stream=stream)
    try:
        observer.began(Talk())
        logging.getLogger("offhook.calls").info("It rings.")
    finally:
        logging.getLogger().handlers[:] = handlers
    await asyncio.to_thread(observer.close)
    assert f"It rings. [trace {logs.trace_id.get()}]" in stream.getvalue()
    assert len(logs.trace_id.get()) == 32


async def test_a_receiver_that_is_away_costs_no_call(receiver: tuple[Receiver, str]) -> None:
    observer = tracing(TelemetrySettings(otlp_endpoint="http://127.0.0.1:9"))
    assert observer
    async with asyncio.timeout(60):
        await a_call(observer)


def test_nothing_is_traced_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracing(TelemetrySettings()) is None
    for name in [name for name in sys.modules if name.startswith("opentelemetry.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "agent.otlp", raising=False)
    with pytest.raises(ConfigError, match="pip install"):
        tracing(TelemetrySettings(otlp_endpoint="http://127.0.0.1:4318"))
