"""What the settings' sections, in whichever module they stand, are made of."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict


def _network(value: str) -> str:
    try:
        return str(ip_network(value, strict=False))
    except ValueError:
        raise ValueError("a list, each a network such as 192.168.0.0/16 or an IP address") from None


# Validators' messages go on from "it must be".
Network = Annotated[str, AfterValidator(_network)]
Codec = Literal["opus", "g722", "pcmu", "pcma"]


class Section(BaseModel):
    """A frozen branch of the tree that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
