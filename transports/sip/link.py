"""What the processes of one server tell each other of SIP: a head in JSON, and a datagram or a descriptor."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from dataclasses import dataclass
from typing import Any

_LARGEST = 1 << 20  # hundreds of calls, or thousands of telephones
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Said:
    kind: str
    head: dict[str, Any]
    payload: bytes
    descriptor: int | None  # is the receiver's to close


class Link:
    """One end of a Unix socket that keeps messages apart (SOCK_SEQPACKET). May be used on any thread."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)

    @classmethod
    def pair(cls) -> tuple[Link, socket.socket]:
        """A link, and the socket to make the other end's of."""
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(here), there

    @property
    def descriptor(self) -> int:
        return self._socket.fileno()

    def tell(self, kind: str, payload: bytes = b"", *, descriptor: int | None = None, **head: Any) -> bool:
        """Whether it was told: nobody waits for one that doesn't listen, and what is too long isn't sent."""
        message = [json.dumps([kind, head]).encode(), b"\n", payload]
        if sum(map(len, message)) > _LARGEST:
            return False
        descriptors = [] if descriptor is None else [descriptor]
        try:
            socket.send_fds(self._socket, message, descriptors)
        except OSError:
            return False
        return True

    def hear(self) -> Said | None:
        """What was told next, if anything. Raises EOFError once the other end is gone."""
        try:
            message, descriptors, flags, _ = socket.recv_fds(self._socket, _LARGEST, 1)
        except BlockingIOError:
            return None
        except OSError as error:
            raise EOFError from error
        if not message or flags & socket.MSG_TRUNC:
            for one in descriptors:
                os.close(one)
            raise EOFError
        head, _, payload = message.partition(b"\n")
        kind, values = json.loads(head)
        return Said(kind, values, payload, descriptors[0] if descriptors else None)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()
