"""Where traces go."""

from __future__ import annotations

from pydantic import Field

from config.section import BaseUrl, Section


class TelemetrySettings(Section):
    otlp_endpoint: BaseUrl | None = Field(
        None,
        description="Where traces are sent by OTLP over HTTP, such as http://127.0.0.1:4318.",
    )
    words: bool = Field(False, description="Send along what was said.")
