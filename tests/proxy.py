"""Debian's Kamailio as docs/pbx.md sets it up, with or without rtpengine, in front of a server of ours."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from tests.peers import free_port, require_peer

PBX = Path(__file__).parent.parent / "docs" / "pbx.md"
STARTED_S = 10.0


def recipe() -> tuple[str, str]:
    """Kamailio's dispatcher.list and kamailio.cfg, as the page has them."""
    section = PBX.read_text().partition("\n## Kamailio\n")[2].partition("\n## ")[0]
    destinations, configuration = re.findall(r"```\n(.*?)```", section, re.DOTALL)
    return destinations, configuration


@contextlib.asynccontextmanager
async def kamailio(
    folder: Path, server: tuple[str, int], *, transport: str = "udp", rtpengine: bool = False
) -> AsyncIterator[tuple[str, int]]:
    """A proxy on 127.0.0.1 that hands every call to `server`, over `transport`. Gives its address."""
    program = require_peer("kamailio")
    port, control = free_port(), free_port()
    _, configuration = recipe()
    listed = folder / "dispatcher.list"
    listed.write_text(f"1 sip:{server[0]}:{server[1]};transport={transport}\n")
    configuration = configuration.replace("192.0.2.10:5060", f"127.0.0.1:{port}")
    configuration = configuration.replace("/etc/kamailio/dispatcher.list", str(listed))
    (folder / "kamailio.cfg").write_text(configuration.replace("127.0.0.1:2223", f"127.0.0.1:{control}"))
    async with contextlib.AsyncExitStack() as stack:
        if rtpengine:
            await stack.enter_async_context(_rtpengine(control))
        options = ["-A", "WITH_RTPENGINE"] if rtpengine else []
        await stack.enter_async_context(
            running(
                *(program, "-f", str(folder / "kamailio.cfg"), "-DD", "-E", "-Y", str(folder)),
                *("-P", str(folder / "kamailio.pid"), "-m", "32", "-M", "4", *options),
            )
        )
        await answers(port)
        yield "127.0.0.1", port


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
async def running(*command: str) -> AsyncIterator[None]:
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
        yield
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
