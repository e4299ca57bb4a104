"""What the settings' sections, in whichever module they stand, are made of."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a URL that begins with http:// or https://")
    return value.rstrip("/")


# Validators' messages go on from "it must be".
Url = Annotated[str, AfterValidator(_url)]


class Section(BaseModel):
    """A frozen branch of the tree that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
