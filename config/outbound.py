"""What may be called, and how much."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from config.destinations import Gateway, Pattern


def _pattern(text: str) -> str:
    Pattern.parse(text)
    return text


def _gateway(text: str) -> str:
    return str(Gateway.parse(text))


class OutboundSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    allow: tuple[Annotated[str, AfterValidator(_pattern)], ...] = Field(
        (),
        max_length=1000,
        description="What may be called: numbers (+331*, 6??) at the gateway, or user@host; * is any "
        "characters, ? is one. Empty calls nobody.",
    )
    deny: tuple[Annotated[str, AfterValidator(_pattern)], ...] = Field(
        (), max_length=1000, description="What may not, of what outbound.allow lists: +3389*."
    )
    international_prefixes: tuple[Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}$")], ...] = Field(
        ("00",),
        max_length=20,
        description="What is dialled for + there, as 00 or 011: outbound.allow and deny mean such numbers as "
        "if they began with +.",
    )
    gateway: Annotated[str, AfterValidator(_gateway)] | None = Field(
        None, description="Where numbers are called: host[:port][;transport=tcp] of a provider or PBX."
    )
    ring_timeout_s: int = Field(45, ge=1, le=300, description="How long it may ring.")
    max_calls: int = Field(
        2, ge=1, le=200, description="Outgoing calls at once; call.max_calls counts them, too."
    )
    calls_per_minute: int = Field(6, ge=1, le=6000, description="Calls that are begun, over any 60 s.")
    minutes_per_day: int = Field(120, ge=1, le=288_000, description="Of answered calls, over any 24 h.")
    key_max_calls: int | None = Field(None, ge=1, le=200, description="outbound.max_calls of each API key.")
    key_calls_per_minute: int | None = Field(
        None, ge=1, le=6000, description="outbound.calls_per_minute of each API key."
    )
    key_minutes_per_day: int | None = Field(
        None, ge=1, le=288_000, description="outbound.minutes_per_day of each API key."
    )
