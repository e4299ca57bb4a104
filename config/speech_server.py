"""Speech models on a server."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from config.section import BaseUrl, Section


class SpeechServerSettings(Section):
    url: BaseUrl | None = Field(
        None,
        description="The /v1 of a server with OpenAI's speech API, such as offhook models serve; unset, "
        "models run in this process.",
    )
    api_key: SecretStr | None = Field(None, description="Sent to the server at url.")
    timeout_s: float = Field(
        4.0, ge=0.2, le=60, description="The server's answer, or its first sound, counts as failed later."
    )
    max_requests: int = Field(16, ge=1, le=200, description="That the server is asked at once; others wait.")
    fallback: Literal["bundled", "never"] = Field(
        "bundled",
        description="What works where the server doesn't: the weights that are here; never refuses calls "
        "instead.",
    )
