"""Where what callers leave is posted."""

from __future__ import annotations

from pydantic import Field, SecretStr

from config.section import Section, Url


class WebhookSettings(Section):
    url: Url | None = Field(None, description="Where messages and keys that callers leave are posted.")
    token: SecretStr | None = Field(None, description="Sent there as Authorization: Bearer.")
    timeout_s: float = Field(5.0, ge=0.5, le=60, description="For one try; there are several.")
