"""Several machines that are one, over one PostgreSQL."""

from __future__ import annotations

from pydantic import Field, SecretStr

from config.section import BaseUrl, Section


class ClusterSettings(Section):
    enabled: bool = Field(
        False, description="Be one of the nodes that share records.url; records.node is this one's name."
    )
    url: BaseUrl | None = Field(
        None, description="Where the other nodes reach this one's HTTP: http://10.0.0.7:8080."
    )
    key: SecretStr | None = Field(
        None, description="At least 16 characters, the same on each node: by it they know each other."
    )
