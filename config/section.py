"""What the settings' sections, in whichever module they stand, are made of."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

PRIVATE_NETWORKS = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)


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


def as_address(value: str) -> str:
    """Raises ValueError, whose message goes on from "it must be"."""
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError("an IP address, such as 127.0.0.1 or 0.0.0.0") from None


# Validators' messages go on from "it must be".
Network = Annotated[str, AfterValidator(_network)]
Url = Annotated[str, AfterValidator(_url)]
BaseUrl = Annotated[Url, AfterValidator(lambda url: url.rstrip("/"))]  # more is put behind it
Address = Annotated[str, AfterValidator(as_address)]
Port = Annotated[int, Field(ge=1, le=65535)]
FilePath = Annotated[Path, AfterValidator(Path.expanduser)]
Codec = Literal["opus", "g722", "pcmu", "pcma"]


class Section(BaseModel):
    """A frozen branch of the tree that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def require_both(section: str, cert: Path | None, key: Path | None) -> None:
    """A certificate without its key is of no use, nor the other way round. Raises ValueError."""
    if (cert is None) != (key is None):
        here, missing = ("tls_key", "tls_cert") if cert is None else ("tls_cert", "tls_key")
        raise ValueError(f"{section}.{here} is set without {section}.{missing}; they must be set together.")
