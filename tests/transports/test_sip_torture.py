"""Torture, by RFC 4475 and by chance, while five callers talk: nothing crashes, leaks, or is heard."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import numpy as np
import pytest

from agent.vitals import return_memory
from tests.peers import Reception, sip_server
from tests.process import open_files, resident_mb
from tests.sip_caller import Caller, dialled
from tests.transports.torture import Peers, generated, torture

CALLS = 5
MESSAGES = 5_000
MESSAGES_SOAK = 60_000
SEEDS = (1, 2, 3, 4)
AT_ONCE = 50  # then the kernel's buffer is left to be emptied
PER_CONNECTION = 25
UNACKNOWLEDGED_S = 60  # 64 T1, and then some
GROWTH_MB = 10
GAP_MS = 60  # on a machine where others work


@contextlib.asynccontextmanager
async def five_calls(
    reception: Reception, **settings: Any
) -> AsyncIterator[tuple[tuple[str, int], list[Caller]]]:
    """A server with five callers, of whom nothing may be lost by the end."""
    async with sip_server(reception, max_calls=30, **settings) as server, AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(dialled(server)) for _ in range(CALLS)]
        ids = {caller.call_id for caller in callers}
        yield server, callers
        assert ids <= reception.live.keys()
        for caller in callers:
            caller.send_request("OPTIONS")
            assert (await caller.final_answer()).status == 200
            heard = len(caller.received)
            async with asyncio.timeout(15):
                while len(caller.received) < heard + 25:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)


def worst_gap_ms(callers: list[Caller]) -> float:
    """Of the packets that any of them got: the longest wait for the next one (p99)."""
    gaps = np.concatenate([np.diff([packet.at for packet in caller.received]) for caller in callers])
    return float(np.percentile(gaps, 99)) * 1000


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
        ("sdp01", {200}),
    ],
)
async def test_what_rfc_4475_has_answered(name: str, statuses: set[int]) -> None:
    async with sip_server(Reception()) as server:
        caller = Caller(server)
        host, port = caller.sip.getsockname()
        raw = torture(Peers(server[0], server[1], f"{host}:{port}"))[name]
        caller.sip.sendto(raw, server)
        try:
            async with asyncio.timeout(5):
                while (text := await caller.receive()).split()[1] in ("100", "180"):
                    pass
        finally:
            caller.close()
        assert int(text.split()[1]) in statuses


async def test_generated_messages() -> None:
    reception = Reception()
    async with five_calls(reception) as (server, callers):
        await assault(server, [generated(peers_of(server), random.Random(0)) for _ in range(MESSAGES)])
        await asyncio.sleep(0.5)
        assert worst_gap_ms(callers) < GAP_MS


@pytest.mark.soak
async def test_many_generated_messages() -> None:
    reception = Reception()
    async with five_calls(reception, trace_calls=0) as (server, callers):
        before = await footprint_after(server, reception, random.Random(0), MESSAGES)
        for seed in SEEDS:
            forget(callers)
            chance = random.Random(seed)
            files, memory_mb = await footprint_after(server, reception, chance, MESSAGES_SOAK // len(SEEDS))
            gap_ms = worst_gap_ms(callers)
            print(
                f"seed {seed}: packets {gap_ms:.1f} ms apart (p99), {files - before[0]} more files, "
                f"{memory_mb - before[1]:.1f} MB more"
            )
            assert gap_ms < GAP_MS
        assert files == before[0]
        assert memory_mb - before[1] < GROWTH_MB


def forget(callers: list[Caller]) -> None:
    """What they heard, which takes memory in this process."""
    for caller in callers:
        caller.received.clear()
        caller.sent_at.clear()


async def footprint_after(
    server: tuple[str, int], reception: Reception, chance: random.Random, count: int
) -> tuple[int, float]:
    """Open files and resident MB once all calls that nobody acknowledged are over."""
    for _ in range(count // 1000):
        await assault(server, [generated(peers_of(server), chance) for _ in range(1000)])
    async with asyncio.timeout(UNACKNOWLEDGED_S):
        while len(reception.live) > CALLS:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    await asyncio.sleep(5)
    for queue in (reception.calls, reception.connected, reception.ended, reception.digits):
        while not queue.empty():
            queue.get_nowait()
    return_memory()
    return open_files(), resident_mb()
