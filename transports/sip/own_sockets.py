"""This process's sockets, by their descriptors: those that the C stack opened are told nowhere else."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path

from transports.sip.limits import Source, source_of


def count_connections(ports: Container[int]) -> Counter[Source]:
    """How many TCP connections to `ports` each source has."""
    return Counter(source_of(address) for address, _ in _connections(ports))


def cut_connections(ports: Container[int], banned: Callable[[str], bool]) -> None:
    """Close the TCP connections to `ports` from addresses that are `banned`."""
    for address, sock in _connections(ports):
        if banned(address):
            with contextlib.suppress(OSError):  # the peer was faster
                sock.shutdown(socket.SHUT_RDWR)


def cut_strangers(ports: Container[int], keeps: Callable[[Source], bool], most: int) -> int:
    """Leave those whom nobody `keeps` no more than `most` TCP connections to `ports`, shared evenly.

    Returns how many were closed.
    """
    strangers = {source: n for source, n in count_connections(ports).items() if not keeps(source)}
    each, cut = share(strangers.values(), most), 0
    held: Counter[Source] = Counter()
    for address, sock in _connections(ports):
        source = source_of(address)
        held[source] += 1
        if source in strangers and held[source] > each:
            cut += 1
            with contextlib.suppress(OSError):  # the peer was faster
                sock.shutdown(socket.SHUT_RDWR)
    return cut


def share(numbers: Iterable[int], most: int) -> int:
    """The most that each may have, of so many that they have, for all to have `most`."""
    left, each = most, 0
    rest = sorted(numbers)
    while rest:
        each = left // len(rest)
        if rest[0] > each:
            return each
        left -= rest.pop(0)
    return each


def _connections(ports: Container[int]) -> Iterator[tuple[str, socket.socket]]:
    """Whose they are, with handles that are good until the next one."""
    for sock in own_sockets():
        with sock:
            if sock.type != socket.SOCK_STREAM or sock.getsockname()[1] not in ports:
                continue
            try:
                address = sock.getpeername()[0]
            except OSError:  # it listens, or is over
                continue
            yield address, sock


def own_sockets() -> Iterator[socket.socket]:
    """Second handles on this process's Internet sockets. Raises OSError where it has no file left."""
    for entry in list(Path("/proc/self/fd").iterdir()):
        try:
            duplicate = os.dup(int(entry.name))
        except OSError as error:
            if error.errno != errno.EBADF:  # it isn't closed, but we have no file left
                raise
            continue
        try:
            sock = socket.socket(fileno=duplicate)
        except OSError:
            os.close(duplicate)
            continue
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            yield sock
        else:
            sock.close()
