"""Debian's Kamailio as `deploy/kamailio` sets it up, with or without rtpengine, before servers of ours."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers import free_port, require_peer

DEPLOYED = Path(__file__).parent.parent / "deploy" / "kamailio"
NODE = "127.0.0.21"  # by whose address the proxy knows it, so that it can't be the callers'
STARTED_S = 10.0


@dataclass(frozen=True)
class Tls:
    """A proxy's port for TLS, its certificate, and who signs the others'."""

    port: int
    certificate: Path
    key: Path
    ca: Path


def configured(
    folder: Path,
    address: tuple[str, int],
    nodes: Sequence[tuple[str, int]],
    *,
    transport: str = "udp",
    rtpengine: int | None = None,
    tls: Tls | None = None,
    peers: Sequence[str] = (),
) -> list[str]:
    """What starts it in the foreground, on `address`, before these nodes.

    `rtpengine` is the port on which that listens, `peers` are as in peers.list.
    """
    host, port = address
    lines = [
        f"1 sip:{node[0]}:{node[1]};transport={transport} 0 0 duid={nth}" for nth, node in enumerate(nodes)
    ]
    (folder / "dispatcher.list").write_text("".join(f"{line}\n" for line in lines))
    (folder / "peers.list").write_text("".join(f"{peer} 32\n" for peer in peers))
    text = (DEPLOYED / "kamailio.cfg").read_text()
    changes = {
        "10.0.0.10:5060": f"{host}:{port}",
        "10.0.0.0/24": f"{nodes[0][0]}/32",
        "/etc/kamailio/dispatcher.list": str(folder / "dispatcher.list"),
        "/etc/kamailio/peers.list": str(folder / "peers.list"),
        "127.0.0.1:2223": f"127.0.0.1:{rtpengine}",
    }
    if tls:
        changes["10.0.0.10:5061"] = f"{host}:{tls.port}"
        for name in ("certificate", "key", "ca"):
            changes[f"/etc/kamailio/{name.removesuffix('ificate')}.pem"] = str(getattr(tls, name))
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "kamailio.cfg").write_text(text)
    defined = (("WITH_RTPENGINE", rtpengine), ("WITH_TLS", tls))
    return [
        *(require_peer("kamailio"), "-f", str(folder / "kamailio.cfg"), "-DD", "-E", "-Y", str(folder)),
        *("-P", str(folder / "kamailio.pid"), "-m", "32", "-M", "4"),
        *(option for name, wanted in defined if wanted for option in ("-A", name)),
    ]


@contextlib.asynccontextmanager
async def kamailio(
    folder: Path,
    *nodes: tuple[str, int],
    transport: str = "udp",
    rtpengine: bool = False,
    tls: Tls | None = None,
    peers: Sequence[str] = (),
) -> AsyncIterator[tuple[str, int]]:
    """A proxy on 127.0.0.1 that spreads calls over `nodes`, by `transport`. Gives its address."""
    address, control = ("127.0.0.1", free_port()), free_port()
    listens = control if rtpengine else None
    command = configured(
        *(folder, address, nodes), transport=transport, rtpengine=listens, tls=tls, peers=peers
    )
    async with contextlib.AsyncExitStack() as stack:
        if rtpengine:
            await stack.enter_async_context(_rtpengine(control))
        await stack.enter_async_context(running(*command))
        await answers(address[1])
        yield address


@contextlib.asynccontextmanager
async def _rtpengine(control: int) -> AsyncIterator[None]:
    """In user space: `--table=-1` asks for no kernel module."""
    async with running(
        *(require_peer("rtpengine"), "--foreground", "--log-stderr", "--table=-1", "--interface=127.0.0.1"),
        *(f"--listen-ng=127.0.0.1:{control}", "--port-min=30000", "--port-max=30400", "--num-threads=1"),
        "--config-file=none",
    ):
        async with asyncio.timeout(STARTED_S):
            while b"pong" not in await _asked(control, b"1 d7:command4:pinge"):
                pass
        yield


@contextlib.asynccontextmanager
async def running(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program, ended with the block; what it said last is in the error if it came to nothing."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    said: list[bytes] = []

    async def read() -> None:
        assert process.stderr
        while line := await process.stderr.readline():
            said.append(line)

    reading = asyncio.create_task(read())
    try:
        yield process
    except TimeoutError:
        raise AssertionError(f"{command[0]}: {b''.join(said[-20:]).decode(errors='replace')}") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()
        await reading


async def answers(port: int) -> None:
    """Wait until the proxy has found the server alive and passes an OPTIONS on to it."""
    async with asyncio.timeout(STARTED_S):
        while True:
            text = (
                f"OPTIONS sip:agent@127.0.0.1:{port} SIP/2.0\r\n"
                "Via: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bKt\r\nMax-Forwards: 5\r\n"
                "From: <sip:t@127.0.0.1>;tag=t\r\nTo: <sip:agent@127.0.0.1>\r\nCall-ID: t\r\n"
                "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
            )
            if (await _asked(port, text.encode())).startswith(b"SIP/2.0 200"):
                return


async def _asked(port: int, question: bytes) -> bytes:
    """The first datagram that comes back from there; empty if none does."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError, TimeoutError):
        sock.setblocking(False)
        sock.connect(("127.0.0.1", port))
        sock.send(question)
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65536), 0.3)
    await asyncio.sleep(0.1)
    return b""
