"""Says before anything starts that a port can't be had, and which key names it."""

from __future__ import annotations

import errno
import socket
from typing import Literal

from config.errors import ConfigError


def require_free(section: str, host: str, port: int, kind: Literal["tcp", "udp"]) -> None:
    """Raises ConfigError unless `section`.port can be bound at `section`.host."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET  # localhost is listened on over IPv4
    try:
        infos = socket.getaddrinfo(host, port, family, _KINDS[kind])
    except OSError as error:
        raise ConfigError(f"{section}.host is {host}, which can't be resolved.") from error
    _, type_, proto, _, address = infos[0]
    try:
        with socket.socket(family, type_, proto) as probe:
            if kind == "tcp":  # a server that just stopped leaves its port in TIME_WAIT, which is free enough
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            if kind == "tcp":
                probe.listen()
    except OSError as error:
        raise ConfigError(_sentence(error, section, host, port, kind)) from error


_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def _sentence(error: OSError, section: str, host: str, port: int, kind: str) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"{section}.port is {port}, but another program already uses {kind.upper()} port {port} "
                f"on {host}; stop it, or choose another with --{section}-port."
            )
        case errno.EADDRNOTAVAIL:
            return f"{section}.host is {host}, which isn't an address of this machine."
        case errno.EACCES:
            return f"{section}.port is {port}, which only root may listen on; choose one from 1024 to 65535."
        case _:
            return f"{section}.port {port} on {host} can't be listened on: {error.strerror}."
