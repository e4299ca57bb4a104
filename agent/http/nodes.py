"""The nodes of a cluster: how each is, and which takes new calls."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from agent.http.access import READ
from agent.http.contracts import Node, Nodes
from agent.http.problems import responses

STATES = ("starting", "ready", "draining", "down", "silent", "lost")


class NodeView(BaseModel):
    name: str = Field(examples=["berlin-2"], description="Its records.node.")
    state: str = Field(
        examples=["ready"],
        description="starting, ready, draining, or down; silent, if nothing was heard of it lately; or lost, "
        "when its calls have been closed for that.",
    )
    url: str = Field(examples=["http://10.0.0.7:8080"], description="Where the others reach it.")
    version: str = Field(examples=["0.1.0"])
    configuration: str = Field(
        examples=["5d41402abc4b"], description="A hash of what should be the same on each node."
    )
    personas: str = Field(examples=["7d793037a076"], description="A hash of who answers which call, and how.")
    stray: bool = Field(description="Most others have another version, configuration or personas.")
    calls: int = Field(description="Live calls.")
    max_calls: int = Field(description="That it takes at once.")
    silent_s: float = Field(description="Since its last heartbeat.")

    @classmethod
    def of(cls, node: Node, *, stray: bool) -> NodeView:
        return cls(
            name=node.name,
            state=state_of(node),
            url=node.url,
            version=node.version,
            configuration=node.configuration,
            personas=node.personas,
            stray=stray,
            calls=node.calls,
            max_calls=node.max_calls,
            silent_s=round(node.silent_s, 1),
        )


def state_of(node: Node) -> str:
    over = node.state in ("down", "lost")
    return node.state if node.alive or over else "silent"


class NodesView(BaseModel):
    node: str = Field(description="The one that answers.")
    away: bool = Field(description="The database is away, and the rest as it last was.")
    nodes: list[NodeView]


def nodes_router(nodes: Nodes) -> APIRouter:
    router = APIRouter()

    @router.get(
        "/api/v1/nodes",
        tags=["Health"],
        summary="The nodes of the cluster",
        dependencies=[READ],
        responses=responses(),
    )
    async def all_nodes() -> NodesView:
        """As of the last heartbeat, a few seconds ago. One that is down is named for a day."""
        strays = nodes.strays
        found = [NodeView.of(node, stray=node.name in strays) for node in nodes.nodes]
        return NodesView(node=nodes.name, away=nodes.away, nodes=found)

    return router
