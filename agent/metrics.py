"""Figures for Prometheus: what calls do."""

from __future__ import annotations

import time
from collections.abc import Container

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from agent.conversation import LatencyTrace
from agent.observer import Observed, Observer
from agent.tools.builtin import BUILTIN
from transports.call import EndReason, MediaStats

LATENCY_S = (0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 8.0)
STAGE_S = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0)
DURATION_S = (5, 15, 30, 60, 120, 300, 600, 1800, 3600)
JITTER_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


class Metrics(Observer):
    """Counts calls as they go."""

    def __init__(self, tools: Container[str] = ()) -> None:
        """`tools` are counted by their names besides the built-in ones."""
        self.known = tools  # a model may make up others
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._live = Gauge(
            "offhook_live_calls", "Calls that are on the line.", ("transport",), registry=self.registry
        )
        self._live.labels("sip")  # there is a figure before the first call
        self._ended = Counter(
            "offhook_calls", "Calls that are over, by why.", ("transport", "cause"), registry=self.registry
        )
        self._duration = Histogram(
            "offhook_call_duration_seconds",
            "Of calls that are over.",
            ("transport",),
            registry=self.registry,
            buckets=DURATION_S,
        )
        self._voice_to_voice = Histogram(
            "offhook_voice_to_voice_seconds",
            "From the caller's last speech packet to the agent's first, in each turn.",
            ("transport",),
            registry=self.registry,
            buckets=LATENCY_S,
        )
        self._stage = Histogram(
            "offhook_answer_stage_seconds",
            "What each stage added to it.",
            ("stage",),
            registry=self.registry,
            buckets=STAGE_S,
        )
        self._interruptions = Counter(
            "offhook_interruptions", "Answers that callers cut off.", registry=self.registry
        )
        self._false_starts = Counter(
            "offhook_false_starts", "Turns that were answered, and went on.", registry=self.registry
        )
        self._speculations = Counter(
            "offhook_speculations",
            "Answers begun before a turn was surely over.",
            ("outcome",),
            registry=self.registry,
        )
        self._problems = Counter("offhook_call_problems", "What failed in calls.", registry=self.registry)
        self._tools = Counter("offhook_tool_calls", "What the agent did.", ("tool",), registry=self.registry)
        self._received = Counter(
            "offhook_rtp_packets_received", "From callers.", ("transport",), registry=self.registry
        )
        self._lost = Counter(
            "offhook_rtp_packets_lost", "On their way from callers.", ("transport",), registry=self.registry
        )
        self._jitter = Histogram(
            "offhook_rtp_jitter_seconds",
            "Of calls that are over.",
            ("transport",),
            registry=self.registry,
            buckets=JITTER_S,
        )

    def began(self, call: Observed) -> None:
        self._live.labels(call.info.transport).inc()

    def answered(self, call: Observed, trace: LatencyTrace) -> None:
        if trace.voice_to_voice_ms is not None:
            self._voice_to_voice.labels(call.info.transport).observe(trace.voice_to_voice_ms / 1000)
        for stage, ms in trace.parts_ms().items():
            self._stage.labels(stage).observe(ms / 1000)

    def lost(self, calls: int, cause: str) -> None:
        """So many have ended with another process that counted them until then."""
        self._ended.labels("sip", cause).inc(calls)

    def ended(self, call: Observed, reason: EndReason, stats: MediaStats) -> None:
        transport = call.info.transport
        self._live.labels(transport).dec()
        self._ended.labels(transport, reason.value).inc()
        self._duration.labels(transport).observe(max(0.0, time.time() - call.info.since))
        self._interruptions.inc(sum(turn.cut_off for turn in call.turns))
        self._false_starts.inc(call.false_starts)
        begun, discarded = call.guesses
        self._speculations.labels("heard").inc(begun - discarded)
        self._speculations.labels("discarded").inc(discarded)
        self._problems.inc(len(call.problems))
        for tool in call.tool_calls:
            known = tool.name in BUILTIN or tool.name in self.known
            self._tools.labels(tool.name if known else "other").inc()
        self._received.labels(transport).inc(stats.packets_received or 0)
        self._lost.labels(transport).inc(stats.packets_lost or 0)
        if stats.jitter_ms is not None:
            self._jitter.labels(transport).observe(stats.jitter_ms / 1000)
