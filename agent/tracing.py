"""Calls as traces in OpenTelemetry: a trace a call, a span an answered turn, a child of that a stage."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent import logs
from agent.conversation import LatencyTrace
from agent.observer import Observed, Observer
from config.errors import ConfigError
from config.telemetry import TelemetrySettings
from transports.call import EndReason, MediaStats

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_FAILED = (EndReason.MODEL_FAILURE, EndReason.TRANSPORT_FAILURE)


@dataclass
class _Call:
    span: Span
    turns: int = 0  # that are told
    problems: int = 0
    tool_calls: int = 0


class Tracing(Observer):
    """Sends in the background, from a thread of its own; a receiver that is away costs no call."""

    def __init__(self, settings: TelemetrySettings, provider: TracerProvider) -> None:
        self._words = settings.words
        self._provider = provider
        self._tracer = provider.get_tracer("offhook")
        self._calls: dict[str, _Call] = {}

    def began(self, call: Observed) -> None:
        info = call.info
        span = self._tracer.start_span("call", start_time=_ns(info.since))
        span.set_attributes(
            {
                "call.id": info.id,
                "call.transport": info.transport,
                "call.direction": info.direction,
                "call.codec": info.codec,
                "call.persona": call.persona.name,
            }
        )
        self._calls[info.id] = _Call(span)
        logs.trace_id.set(f"{span.get_span_context().trace_id:032x}")

    def changed(self, call: Observed) -> None:
        told = self._calls[call.info.id]
        for problem in call.problems[told.problems :]:
            told.span.add_event("problem", {"problem": problem.text}, _ns(problem.at))
        for tool_call in call.tool_calls[told.tool_calls :]:
            told.span.add_event("tool call", {"tool": tool_call.name}, _ns(tool_call.at))
        told.problems, told.tool_calls = len(call.problems), len(call.tool_calls)
        if self._words:
            for turn in call.turns[told.turns :]:
                told.span.add_event(turn.speaker, {"text": turn.text}, _ns(turn.at))
            told.turns = len(call.turns)

    def answered(self, call: Observed, trace: LatencyTrace) -> None:
        from opentelemetry.trace import set_span_in_context

        parts, whole_ms = trace.parts_ms(), trace.voice_to_voice_ms
        if whole_ms is None:
            return
        told = self._calls[call.info.id]
        at = time.time() - whole_ms / 1000  # its first packet leaves now
        turn = self._tracer.start_span("turn", set_span_in_context(told.span), start_time=_ns(at))
        turn.set_attribute("turn.voice_to_voice_ms", whole_ms)
        for stage, ms in parts.items():
            within = set_span_in_context(turn)
            self._tracer.start_span(stage, within, start_time=_ns(at)).end(_ns(at + ms / 1000))
            at += ms / 1000
        turn.end(_ns(at))

    def ended(self, call: Observed, reason: EndReason, stats: MediaStats) -> None:
        from opentelemetry.trace import StatusCode

        span = self._calls.pop(call.info.id).span
        span.set_attributes(
            {
                "call.cause": reason.value,
                "call.turns": len(call.turns),
                "call.interruptions": sum(turn.cut_off for turn in call.turns),
                "call.false_starts": call.false_starts,
            }
        )
        if stats.packets_lost is not None:
            span.set_attribute("call.packets_lost", stats.packets_lost)
        if reason in _FAILED:
            span.set_status(StatusCode.ERROR, reason.value)
        span.end()

    def close(self) -> None:
        """Send what waits; blocks for seconds where nobody takes it."""
        self._provider.shutdown()


def tracing(settings: TelemetrySettings) -> Tracing | None:
    """None where nothing is to be sent. Raises ConfigError where what sends it isn't installed."""
    if settings.otlp_endpoint is None:
        return None
    try:
        from agent.otlp import provider
    except ImportError:
        raise ConfigError(
            "telemetry.otlp_endpoint is set: install what makes traces with pip install '.[telemetry]'."
        ) from None
    return Tracing(settings, provider(settings.otlp_endpoint))


def _ns(unix_s: float) -> int:
    return int(unix_s * 1e9)
