"""Which STUN and TURN servers a call may use."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TypedDict

from aiortc import RTCIceServer

from config.settings import WebRtcSettings


class IceServer(TypedDict, total=False):
    """An entry of a browser's `RTCConfiguration.iceServers`."""

    urls: list[str]
    username: str
    credential: str


def turn_credentials(secret: str, *, expires_at: int, user: str) -> tuple[str, str]:
    """The user name and password that a TURN server accepts until `expires_at` (Unix time).

    Source: draft-uberti-behave-turn-rest-00, as coturn's `use-auth-secret` understands it.
    """
    username = f"{expires_at}:{user}"
    digest = hmac.digest(secret.encode(), username.encode(), hashlib.sha1)
    return username, base64.b64encode(digest).decode()


def ice_servers(settings: WebRtcSettings, *, now: float, user: str) -> list[IceServer]:
    """The servers for one call, in the form a browser takes; none unless they were set."""
    servers: list[IceServer] = []
    if settings.stun:
        servers.append({"urls": list(settings.stun)})
    if settings.turn and settings.turn_secret:
        username, credential = turn_credentials(
            settings.turn_secret.get_secret_value(), expires_at=int(now) + settings.turn_ttl_s, user=user
        )
        servers.append({"urls": list(settings.turn), "username": username, "credential": credential})
    return servers


def own_ice_servers(servers: list[IceServer]) -> list[RTCIceServer]:
    """The same servers, for our end of the connection."""
    return [
        RTCIceServer(urls=s["urls"], username=s.get("username"), credential=s.get("credential"))
        for s in servers
    ]
