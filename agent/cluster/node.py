"""What is known of a node: what it tells of itself, and what that means. No I/O, no clock."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, SecretStr

from config.answering import Personas
from config.keys import KEYS
from config.settings import Settings
from config.sources import value_of

State = Literal["starting", "ready", "draining", "down", "lost"]

BEAT_S = 3.0
SILENT_S = 12.0  # and it is taken for dead: with a beat of whoever notices, half of the 30 s that it may take
OVER = ("down", "lost")

# What each node has of its own: addresses, folders, devices, and what its hardware bears.
_OWN = (
    *("cluster.url", "records.node", "state_dir", "cache_dir", "recordings.folder", "voicemail", "log"),
    *("sip.host", "sip.port", "sip.tls_port", "sip.public_address", "sip.rtp_ports", "sip.processes"),
    *("sip.tls_cert", "sip.tls_key", "http.host", "http.port", "http.tls_cert", "http.tls_key"),
    *("stt", "tts.device", "tts.threads", "llm", "call.max_calls"),
)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a node tells of itself."""

    url: str
    version: str
    configuration: str
    personas: str
    state: State
    calls: int
    max_calls: int


@dataclass(frozen=True, slots=True)
class Node(Heartbeat):
    """As the database has it."""

    name: str = ""
    silent_s: float = 0.0  # by the database's clock

    @property
    def silent(self) -> bool:
        return self.silent_s >= SILENT_S

    @property
    def alive(self) -> bool:
        return self.state not in OVER and not self.silent


def strays(nodes: Iterable[Node]) -> list[str]:
    """Names of the nodes whose version, configuration or personas most others don't have."""
    alive = [node for node in nodes if node.alive]
    kinds = [(node.version, node.configuration, node.personas) for node in alive]
    usual = max(kinds, key=lambda kind: (kinds.count(kind), kind), default=None)
    return [node.name for node, kind in zip(alive, kinds, strict=True) if kind != usual]


def share(limit: int, name: str, nodes: Sequence[str]) -> int:
    """What `name` has of a limit over these nodes: all shares come to it, but that nobody has none."""
    each, left = divmod(limit, len(nodes))
    return max(1, each + (sorted(nodes).index(name) < left))


def configuration(settings: Settings, key: str) -> str:
    """A hash of what should be the same on each node, by which nobody without the `key` finds a secret."""
    shared = [name for name in KEYS if not any(f"{name}.".startswith(f"{own}.") for own in _OWN)]
    return _hash({name: value_of(settings, name) for name in shared}, key)


def answering(personas: Personas, key: str) -> str:
    """A hash of who answers which call, and how."""
    return _hash(vars(personas), key)


def _hash(value: Any, key: str) -> str:
    text = json.dumps(value, default=_plain, sort_keys=True)
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()[:12]


def _plain(value: Any) -> Any:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case BaseModel() | MappingProxyType():
            return dict(value)
        case set() | frozenset():
            return sorted(value)
        case _:
            return str(value)
