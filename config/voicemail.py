"""How messages are taken, and where they go."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from config.section import Port, Section


class MailSettings(Section):
    host: str | None = Field(None, description="SMTP server that takes mail with messages.")
    port: Port = Field(587, description="Its port: 587 with starttls, 465 with tls.")
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How it is talked to; its certificate is verified."
    )
    user: str = Field("", description="Whom to log in as; empty doesn't.")
    password: SecretStr | None = Field(None, description="With which password.")
    sender: str = Field("", description="From whom: offhook@example.org.")
    to: tuple[str, ...] = Field((), max_length=20, description="To whom.")

    @model_validator(mode="after")
    def _addressed(self) -> Self:
        if self.host is not None and not (self.sender and self.to):
            raise ValueError(
                "voicemail.mail.host is set, so voicemail.mail.sender and voicemail.mail.to must be set: "
                "from whom messages are mailed, and to whom."
            )
        return self


class VoicemailSettings(Section):
    longest_s: int = Field(180, ge=5, le=600, description="Longest message.")
    silence_s: float = Field(5.0, ge=1, le=30, description="A silence this long ends one.")
    most: int = Field(500, ge=1, le=100_000, description="Messages that are kept; then none is taken.")
    mail: MailSettings = MailSettings()
