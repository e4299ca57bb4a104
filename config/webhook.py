"""Where what callers leave is posted."""

from __future__ import annotations

from pydantic import Field, SecretStr

from config.section import Section, Url


class WebhookSettings(Section):
    url: Url | None = Field(None, description="Where messages, keys and calls are posted.")
    token: SecretStr | None = Field(None, description="Sent there as Authorization: Bearer.")
    secret: SecretStr | None = Field(
        None, description="What is posted is signed with it, as standardwebhooks.com says."
    )
    calls: bool = Field(False, description="Post the record of each call when it is over.")
    summary: bool = Field(
        False,
        description="Have the language model sum up each call that is posted; it also stands in its record.",
    )
    timeout_s: float = Field(5.0, ge=0.5, le=60, description="For one try; there are several.")
