"""Where a language model's server is."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from config.section import PRIVATE_NETWORKS

OLLAMA_PORT = 11434


def ollama_url(environ: Mapping[str, str]) -> str:
    """Where OLLAMA_HOST says that Ollama is; it takes what Ollama's own tools take."""
    value = environ.get("OLLAMA_HOST", "").strip().strip("'\"")
    parts = urlsplit(value if "://" in value else f"http://{value}")
    host = parts.hostname or "127.0.0.1"
    if host in ("0.0.0.0", "::"):  # an address to listen on, not to call
        host = "127.0.0.1"
    default_port = {"http": 80, "https": 443}[parts.scheme] if "://" in value else OLLAMA_PORT
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}:{parts.port or default_port}{parts.path.rstrip('/')}"


def nearby(url: str) -> bool:
    """Whether the host is this machine or on its network: a private address, or a name without a dot."""
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host
    return any(address in ip_network(network) for network in PRIVATE_NETWORKS)


def mounts(url: str) -> Mapping[str, None] | None:
    """An HTTP client's: no proxy for a server nearby, whatever the environment names.

    Who sets one has distant servers in mind, and what is said to one nearby doesn't pass through it.
    """
    return {"http://": None, "https://": None} if nearby(url) else None


def same_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
