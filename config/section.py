"""What the settings' sections, in whichever module they stand, are made of."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict


def _network(value: str) -> str:
    try:
        return str(ip_network(value, strict=False))
    except ValueError:
        raise ValueError("a list, each a network such as 192.168.0.0/16 or an IP address") from None


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return value
    except ValueError:  # no port, no IPv6 address
        pass
    raise ValueError("a URL that begins with http:// or https://")


# Validators' messages go on from "it must be".
Network = Annotated[str, AfterValidator(_network)]
Url = Annotated[str, AfterValidator(_url)]
BaseUrl = Annotated[Url, AfterValidator(lambda url: url.rstrip("/"))]  # more is put behind it
Codec = Literal["opus", "g722", "pcmu", "pcma"]


class Section(BaseModel):
    """A frozen branch of the tree that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
