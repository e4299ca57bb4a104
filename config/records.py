"""What is kept of calls that are over, where, and for how long."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from config.section import Section


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from None
    return text


def _database(url: SecretStr | None) -> SecretStr | None:
    if url is not None and not url.get_secret_value().startswith(("sqlite:///", "postgresql://")):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    return url


class RecordsSettings(Section):
    enabled: bool = Field(True, description="Keep a record of each call.")
    url: Annotated[SecretStr | None, AfterValidator(_database)] = Field(
        None,
        description="postgresql://user:password@host/database, or sqlite:///PATH; calls.db in state_dir "
        "if absent.",
    )
    node: str = Field(
        "", description="This machine's name in a PostgreSQL of several; its host name if empty."
    )
    keep_days: int = Field(90, ge=1, le=36500, description="How long a call's record is kept.")
    keep_words_days: int = Field(30, ge=0, le=36500, description="How long what was said is kept.")
    redact_digits: bool = Field(False, description="Store '#' in the place of each digit that was said.")
    redact: tuple[Annotated[str, AfterValidator(_pattern)], ...] = Field(
        (), description="Regular expressions: what they match of what was said is stored as '[redacted]'."
    )
