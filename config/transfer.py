"""Whom calls may be put through to."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from config.section import Section

_SIP_URI = re.compile(r"sips?:[^@\s<>\"?,]+@[^@\s<>\"?,]+", re.IGNORECASE)


def _sip_uri(value: str) -> str:
    if not _SIP_URI.fullmatch(value):
        raise ValueError("a SIP address such as sip:200@192.0.2.10")
    return value


# Validators' messages go on from "it must be".
SipUri = Annotated[str, AfterValidator(_sip_uri)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]


class TransferSettings(Section):
    to: dict[Name, SipUri] = Field(
        {},
        max_length=100,
        description="Whom calls may be put through to: a name, as callers say it, and its SIP address. "
        "Nobody else, whoever asks for it.",
    )
    warm: tuple[Name, ...] = Field(
        (),
        description="Names in `to` of those who are called first and told what it is about. `outbound.allow` "
        "must list their addresses, too.",
    )
    account: str = Field("", max_length=64, description="By which account those are called; '' for none.")
    on_failure: Name | None = Field(
        None,
        description="Whose name in `to` a caller is put through to when the models fail; null ends the call.",
    )
    on_limit: Name | None = Field(
        None, description="Whom a caller is put through to whose call has reached one of `limits`."
    )
    timeout_s: float = Field(
        45.0, ge=5, le=180, description="How long until somebody has answered; then the caller is taken back."
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        taking_over = (("on_failure", self.on_failure), ("on_limit", self.on_limit))
        named = [(key, name) for key, name in taking_over if name is not None]
        for key, name in (*named, *(("warm", name) for name in self.warm)):
            if name not in self.to:
                raise ValueError(f"transfer.{key} has {name}; it must be a name that transfer.to has.")
        return self
