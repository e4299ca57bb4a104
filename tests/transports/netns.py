"""Two network namespaces with a cable between them: ICE doesn't use loopback, and cables can be cut."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000
HERE, THERE = "10.77.0.1", "10.77.0.2"


@dataclass(frozen=True)
class Cable:
    """The server's end has the address HERE, the caller's end THERE."""

    server: str
    caller: str

    def cut(self) -> None:
        _run("ip", "-n", self.caller, "link", "set", "eth", "down")

    def mend(self) -> None:
        _run("ip", "-n", self.caller, "link", "set", "eth", "up")

    def command(self, *words: str) -> list[str]:
        """`words`, run at the caller's end."""
        return ["ip", "netns", "exec", self.caller, *words]


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=20)


def require_root() -> None:
    """Skip visibly on a laptop; in CI a missing peer is a failure."""
    if os.geteuid() == 0 and shutil.which("ip"):
        return
    why = "network namespaces need root and iproute2"
    if os.environ.get("OFFHOOK_REQUIRE_PEERS") == "1":
        pytest.fail(why)
    pytest.skip(why)


@contextlib.contextmanager
def cable() -> Iterator[Cable]:
    require_root()
    tag = uuid.uuid4().hex[:6]
    ends = Cable(f"oh-s-{tag}", f"oh-c-{tag}")
    try:
        for name in (ends.server, ends.caller):
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        _run(
            "ip", "link", "add", "eth", "netns", ends.server, "type", "veth",
            "peer", "name", "eth", "netns", ends.caller,
        )  # fmt: skip
        for name, address in ((ends.server, HERE), (ends.caller, THERE)):
            # No IPv6: its address appears a second later, and Chromium then gives up what it is loading.
            _run("ip", "-n", name, "link", "set", "eth", "addrgenmode", "none")
            _run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth")
            _run("ip", "-n", name, "link", "set", "eth", "up")
        yield ends
    finally:
        for name in (ends.server, ends.caller):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True, timeout=20)


@contextlib.contextmanager
def star(ends: int, *here: str) -> Iterator[list[str]]:
    """A namespace with the addresses `here`, which routes between `ends` others, each on a cable of its own.

    Gives their names, the middle first; the first of the others has the address 10.78.0.11.
    """
    require_root()
    tag = uuid.uuid4().hex[:6]
    names = [f"oh-{tag}-{nth}" for nth in range(ends + 1)]
    middle, *others = names
    try:
        for name in names:
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        for address in here:
            _run("ip", "-n", middle, "addr", "add", f"{address}/32", "dev", "lo")
        for nth, name in enumerate(others):
            address, port = f"10.78.0.{nth + 11}", f"port{nth}"
            _run(
                "ip",
                "link",
                "add",
                port,
                "netns",
                middle,
                "type",
                "veth",
                "peer",
                "name",
                "eth",
                "netns",
                name,
            )
            _run("ip", "-n", name, "addr", "add", f"{address}/32", "dev", "eth")
            for namespace, interface in ((middle, port), (name, "eth")):
                _run("ip", "-n", namespace, "link", "set", interface, "up")
            _run("ip", "-n", middle, "route", "add", address, "dev", port, "src", here[0])
            _run("ip", "-n", name, "route", "add", here[0], "dev", "eth", "src", address)
            _run("ip", "-n", name, "route", "add", "10.78.0.0/24", "via", here[0], "src", address)
        _run("ip", "netns", "exec", middle, "sysctl", "-w", "net.ipv4.ip_forward=1")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True, timeout=20)


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread's new sockets belong to `namespace`."""
    libc = ctypes.CDLL(None, use_errno=True)
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(Path("/run/netns") / namespace, os.O_RDONLY)
    try:
        if libc.setns(other, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        libc.setns(own, CLONE_NEWNET)
        os.close(other)
        os.close(own)
