"""Nonsense on the wire and calls that end in every way."""

from __future__ import annotations

import asyncio
import random
import socket
from pathlib import Path

from tests.peers import Reception, sip_server
from tests.process import open_files
from tests.sip_caller import Caller, dialled

SEED = 20
A_WORD_S = 0.1  # how long a short call lasts


def mangled(message: bytes, chance: random.Random) -> bytes:
    """A SIP message with something wrong in it."""
    kind = chance.randrange(6)
    if kind == 0:
        return chance.randbytes(chance.randrange(1, 1200))
    data = bytearray(message)
    if kind == 1:
        del data[chance.randrange(1, len(data)) :]
    elif kind == 2:
        for _ in range(chance.randrange(1, 40)):
            data[chance.randrange(len(data))] = chance.randrange(256)
    elif kind == 3:
        lines = message.split(b"\r\n")
        del lines[chance.randrange(len(lines))]
        return b"\r\n".join(lines)
    elif kind == 4:
        lines = message.split(b"\r\n")
        at = chance.randrange(len(lines))
        lines[at] = lines[at][: chance.randrange(8)] + b"%" * chance.randrange(4000)
        return b"\r\n".join(lines)
    else:
        return message.replace(b"Content-Length: ", b"Content-Length: -9" + b"9" * chance.randrange(20))
    return bytes(data)


async def test_malformed_packets_harm_neither_this_call_nor_the_next() -> None:
    chance = random.Random(SEED)
    reception = Reception()
    async with sip_server(reception, max_calls=200) as server:
        async with dialled(server) as caller:
            await reception.connected.get()
            before = len(caller.received)
            enemy = Caller(server)
            enemy.cseq = 1
            messages = [
                enemy.request(method, enemy.sdp() if method == "INVITE" else "", cseq=1).encode()
                for method in ("OPTIONS", "REGISTER", "BYE", "CANCEL", "ACK", "SUBSCRIBE", "INFO", "NOTIFY")
            ]
            for nth in range(5000):
                enemy.sip.sendto(mangled(chance.choice(messages), chance), server)
                if nth % 100 == 99:
                    await asyncio.sleep(0.01)  # as fast as the kernel's buffer is emptied
            enemy.close()
            assert caller.rtp_to
            with socket.socket(type=socket.SOCK_DGRAM) as stranger:
                for nth in range(2000):
                    sender = caller.rtp if nth % 2 else stranger
                    packet = bytes([chance.choice((0x80, 0x90, 0xBF, 0x00))]) + chance.randbytes(
                        chance.randrange(0, 400)
                    )
                    sender.sendto(packet, caller.rtp_to)
                    if nth % 100 == 99:
                        await asyncio.sleep(0.01)
            after = len(caller.received)
            assert after > before
            async with asyncio.timeout(15):
                while len(caller.received) < after + 25:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert reception.ended.empty()
        async with dialled(server):
            await asyncio.wait_for(reception.connected.get(), 5)


def footprint() -> tuple[int, int, int]:
    """Open files, native threads and tasks."""
    return open_files(), len(list(Path("/proc/self/task").iterdir())), len(asyncio.all_tasks())


async def settled_footprint() -> tuple[int, int, int]:
    """The footprint once it has stood still for half a second."""
    async with asyncio.timeout(10):
        now, unchanged = footprint(), 0
        while unchanged < 10:
            await asyncio.sleep(0.05)
            last, now = now, footprint()
            unchanged = unchanged + 1 if now == last else 0
    return now


async def test_two_hundred_calls_leave_nothing_behind() -> None:
    reception = Reception()
    async with sip_server(reception, max_calls=20) as server:
        await end_in_every_way(server, reception, 8)  # what is made once and kept
        before = await settled_footprint()
        for _ in range(25):
            await end_in_every_way(server, reception, 8)
        assert await settled_footprint() == before
        assert not reception.live


async def end_in_every_way(server: tuple[str, int], reception: Reception, calls: int) -> None:
    """As many calls at once, ended in turn by the caller's BYE, our BYE, a CANCEL, a BYE after some talk."""
    await asyncio.gather(*(one_call(server, reception, nth % 4) for nth in range(calls)))
    for queue in (reception.calls, reception.connected, reception.ended):
        while not queue.empty():
            queue.get_nowait()


async def one_call(server: tuple[str, int], reception: Reception, way: int) -> None:
    caller = Caller(server)
    try:
        if way == 2:
            caller.send_request("INVITE", caller.sdp())
            caller.cancel()
            answer = await caller.final_answer()
            caller.ack(answer)
            if answer.status == 200:  # the answer was faster
                await caller.bye()
            return
        await caller.call()
        if way == 1:
            call = reception.live[caller.call_id]
            await asyncio.gather(call.hangup(), asyncio.wait_for(caller.serve(), 5))
            return
        await asyncio.sleep(A_WORD_S if way == 3 else 0)
        await caller.bye()
    finally:
        caller.close()
