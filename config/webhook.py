"""Where what callers leave is posted."""

from __future__ import annotations

import base64
import binascii

from pydantic import Field, SecretStr, field_validator

from config.section import Section, Url

_BASE64 = "whsec_"


class WebhookSettings(Section):
    url: Url | None = Field(None, description="Where messages, keys and calls are posted.")
    token: SecretStr | None = Field(None, description="Sent there as Authorization: Bearer.")
    secret: SecretStr | None = Field(
        None,
        description="What is posted is signed with it (standardwebhooks.com): whsec_ and base64, or any.",
    )
    calls: bool = Field(False, description="Post the record of each call when it is over.")
    summary: bool = Field(
        False,
        description="Have the language model sum up each call that is posted; it also stands in its record.",
    )
    timeout_s: float = Field(5.0, ge=0.5, le=60, description="For one try; there are several.")

    @field_validator("secret")
    @classmethod
    def _is_base64(cls, secret: SecretStr | None) -> SecretStr | None:
        said = secret.get_secret_value() if secret else ""
        if said.startswith(_BASE64):
            try:
                base64.b64decode(said.removeprefix(_BASE64), validate=True)
            except binascii.Error:
                raise ValueError(
                    f"must be base64 behind {_BASE64}, as `openssl rand -base64 24` makes it"
                ) from None
        return secret

    @property
    def signing_key(self) -> bytes | None:
        """What `secret` stands for: behind whsec_ it is base64, else it is taken as it is."""
        if self.secret is None:
            return None
        said = self.secret.get_secret_value()
        return base64.b64decode(said.removeprefix(_BASE64)) if said.startswith(_BASE64) else said.encode()
