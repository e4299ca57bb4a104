"""Torture, by RFC 4475 and by chance, while five callers talk: nothing crashes, leaks, or is heard."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from tests.peers import Reception, sip_server
from tests.sip_caller import Caller, dialled
from tests.transports.torture import Peers, generated, torture

CALLS = 5
MESSAGES = 6_000
MESSAGES_SOAK = 60_000
SEEDS = (1, 2, 3, 4)
AT_ONCE = 50  # then the kernel's buffer is left to be emptied
PER_CONNECTION = 25


@contextlib.asynccontextmanager
async def five_calls(reception: Reception) -> AsyncIterator[tuple[tuple[str, int], list[Caller]]]:
    """A server with five callers, of whom nothing may be lost by the end."""
    async with sip_server(reception, max_calls=30) as server, AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(dialled(server)) for _ in range(CALLS)]
        ids = {caller.call_id for caller in callers}
        yield server, callers
        assert ids <= reception.live.keys()
        for caller in callers:
            caller.send_request("OPTIONS")
            assert (await caller.final_answer()).status == 200
            heard = len(caller.received)
            async with asyncio.timeout(3):
                while len(caller.received) < heard + 25:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)


def worst_gap_ms(callers: list[Caller]) -> float:
    """Of the packets that any of them got: the longest wait for the next one (p99)."""
    gaps = np.concatenate([np.diff([packet.at for packet in caller.received]) for caller in callers])
    return float(np.percentile(gaps, 99)) * 1000


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def resident_kb() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


async def assault(server: tuple[str, int], messages: list[bytes]) -> None:
    """Over UDP and, a part of them, over TCP."""
    loop = asyncio.get_running_loop()
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        for nth, raw in enumerate(messages):
            udp.sendto(raw, server)
            if nth % AT_ONCE == 0:
                await asyncio.sleep(0.005)
    for start in range(0, len(messages) // 5, PER_CONNECTION):
        with socket.socket() as tcp, contextlib.suppress(OSError, TimeoutError):
            tcp.setblocking(False)
            await loop.sock_connect(tcp, server)
            stream = b"".join(messages[start : start + PER_CONNECTION]).replace(
                b"SIP/2.0/UDP", b"SIP/2.0/TCP"
            )
            await asyncio.wait_for(loop.sock_sendall(tcp, stream), 1)
            await asyncio.sleep(0)


def peers_of(server: tuple[str, int]) -> Peers:
    return Peers(server[0], server[1], "127.0.0.1:9")  # answers go where nobody listens


async def test_rfc_4475() -> None:
    reception = Reception()
    async with five_calls(reception) as (server, _):
        cases = torture(peers_of(server))
        for raw in cases.values():
            await assault(server, [raw])
            with socket.socket() as tcp, contextlib.suppress(ConnectionError):  # it may be too much
                await asyncio.to_thread(tcp.connect, server)
                for at in range(0, len(raw), 7):  # as it may arrive
                    tcp.send(raw[at : at + 7])
        await asyncio.sleep(0.5)


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("esc01", {200}),
        ("lwsdisp", {200}),
        ("zeromf", {200, 483}),
        ("mismatch01", {400}),
        ("bext01", {200, 420}),
        ("inv2543", {200, 400}),
        ("sdp01", {200}),
    ],
)
async def test_what_rfc_4475_has_answered(name: str, statuses: set[int]) -> None:
    async with sip_server(Reception()) as server:
        caller = Caller(server)
        host, port = caller.sip.getsockname()
        raw = torture(Peers(server[0], server[1], f"{host}:{port}"))[name]
        caller.sip.sendto(raw, server)
        async with asyncio.timeout(5):
            while (text := await caller.receive()).split()[1] in ("100", "180"):
                pass
        caller.close()
        assert int(text.split()[1]) in statuses


async def test_generated_messages() -> None:
    await survive(MESSAGES, random.Random(0))


@pytest.mark.soak
@pytest.mark.parametrize("seed", SEEDS)
async def test_many_generated_messages(seed: int) -> None:
    await survive(MESSAGES_SOAK // len(SEEDS), random.Random(seed))


async def survive(count: int, chance: random.Random) -> None:
    reception = Reception()
    async with five_calls(reception) as (server, callers):
        peers = peers_of(server)
        await assault(server, [generated(peers, chance) for _ in range(1000)])  # what is made once and kept
        files, memory_kb = open_files(), resident_kb()
        for _ in range(count // 1000):
            await assault(server, [generated(peers, chance) for _ in range(1000)])
        await asyncio.sleep(1)
        assert worst_gap_ms(callers) < 60
        print(
            "gap p99",
            worst_gap_ms(callers),
            "kB",
            resident_kb() - memory_kb,
            "files",
            open_files() - files,
            "live",
            len(reception.live),
        )
    del memory_kb
