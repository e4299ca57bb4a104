"""Another process that answers HTTP: of this server, or another node of the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from httpx2 import AsyncClient
from websockets.asyncio.client import ClientConnection, connect, unix_connect

CLUSTER_KEY = "x-offhook-cluster-key"  # by which one node knows another


@dataclass(frozen=True, slots=True)
class Peer:
    http: AsyncClient
    socket: str = ""  # the path of its Unix socket, where it has one
    headers: Mapping[str, str] = field(default_factory=dict)  # beside those that `http` sends by itself

    async def connect(self, target: str, headers: Mapping[str, str]) -> ClientConnection:
        """A WebSocket at this path and query. Raises OSError, WebSocketException."""
        wanted = {**headers, **self.headers}
        if self.socket:
            url = f"ws://localhost{target}"
            return await unix_connect(self.socket, url, additional_headers=wanted, compression=None)
        base = str(self.http.base_url).rstrip("/").replace("http", "ws", 1)
        return await connect(f"{base}{target}", additional_headers=wanted, compression=None, proxy=None)
