"""Whom calls may be put through to."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

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
    timeout_s: float = Field(
        45.0, ge=5, le=180, description="How long until somebody has answered; then the caller is taken back."
    )
