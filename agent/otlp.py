"""Sends spans by OTLP over HTTP. OpenTelemetry's own exporter would bring a second HTTP client with it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import httpx2
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

SEND_S = 5.0

logger = logging.getLogger("offhook.tracing")


class OtlpExporter(SpanExporter):
    """What can't be delivered is dropped, and the log says so once."""

    def __init__(self, endpoint: str) -> None:
        self._url = f"{endpoint}/v1/traces"
        self._http = httpx2.Client(timeout=SEND_S)
        self._failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        body = encode_spans(spans).SerializeToString()
        try:
            answer = self._http.post(
                self._url, content=body, headers={"Content-Type": "application/x-protobuf"}
            )
            why = "" if answer.status_code < 300 else f"HTTP {answer.status_code}"
        except httpx2.HTTPError as error:
            why = type(error).__name__
        if why and not self._failed:
            logger.warning("traces can't be sent to telemetry.otlp_endpoint: %s", why)
        self._failed = bool(why)
        return SpanExportResult.FAILURE if why else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._http.close()


def provider(endpoint: str) -> TracerProvider:
    """Sends what its tracers make, from a thread of its own."""
    made = TracerProvider(resource=Resource.create({"service.name": "offhook"}), shutdown_on_exit=False)
    made.add_span_processor(BatchSpanProcessor(OtlpExporter(endpoint)))
    return made
