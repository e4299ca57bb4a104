"""A server's SIP calls in several processes: what one of the others runs, and the server with them.

`python -m tests.sip_worker DESCRIPTOR SETTINGS` answers what it is given, and tells on its standard output.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

from config.sip import SipSettings
from tests.peers import Reception, free_port
from transports.call import CallTransport
from transports.sip.dispatcher import Dispatcher
from transports.sip.link import Link
from transports.sip.server import SipServer
from transports.sip.worker import Worker


async def work(descriptor: int, settings: dict[str, Any]) -> None:
    reception = Reception()

    async def handle(call: CallTransport) -> None:
        async def on_key(_: CallTransport, key: str) -> None:
            tell("key", key=key)

        async def on_connected(_: CallTransport) -> None:
            tell("connected")

        call.add_event_handler("on_dtmf_event", on_key)
        call.add_event_handler("on_dialin_connected", on_connected)
        info = call.info
        tell("call", id=info.id, call_id=info.call_id, remote=info.remote, account=info.account)
        reception.ring_s = 30 if call.info.called == "rings" else 0
        await reception(call)
        tell("ended", call_id=call.info.call_id, reason=(await reception.ended.get()).value)

    def tell(event: str, **more: Any) -> None:
        print(json.dumps({"event": event, **more}), flush=True)

    link = Link(socket.socket(fileno=descriptor))
    server = SipServer(SipSettings(**settings), 20, handle, worker=Worker(link, lambda: os._exit(3)))
    await server.start()
    tell("started")
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        for call in list(reception.live.values()):
            if line == b"hang up\n":
                await call.hangup()
            elif line == b"hold\n":
                await call.hold()
    await server.close()


class Other:
    """A worker's process, as the test sees it."""

    def __init__(self, number: int, process: asyncio.subprocess.Process) -> None:
        self.number = number
        self.process = process

    async def told(self, event: str) -> dict[str, Any]:
        """The next event of a kind."""
        assert self.process.stdout
        async with asyncio.timeout(30):
            while line := await self.process.stdout.readline():
                said: dict[str, Any] = json.loads(line)
                if said["event"] == event:
                    return said
        raise AssertionError(f"the worker ended before {event}")

    def say(self, command: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{command}\n".encode())


class Several:
    def __init__(self, server: SipServer, dispatcher: Dispatcher, reception: Reception, port: int) -> None:
        self.server, self.dispatcher, self.reception = server, dispatcher, reception
        self.address = ("127.0.0.1", port)
        self.others: dict[int, Other] = {}
        self.room = True

    async def until(self, *live: int) -> None:
        """Wait until the processes have so many calls each."""
        async with asyncio.timeout(30):
            while [self.dispatcher.live(n) for n in range(len(live))] != list(live):  # noqa: ASYNC110
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def several(others: int = 1, **settings: Any) -> AsyncIterator[Several]:
    """A `SipServer` in this process, and `others` in more, which take calls."""
    port = free_port()
    values: dict[str, Any] = {"host": "127.0.0.1", "port": port, **settings}
    reception = Reception()
    dispatcher = Dispatcher(lambda _: here.room)
    server = SipServer(SipSettings(**values), 20, reception, dispatcher=dispatcher)
    here = Several(server, dispatcher, reception, port)
    await server.start()
    try:
        for number in range(1, others + 1):
            link, there = Link.pair()
            ports = 20_000 + 2000 * number, 20_999 + 2000 * number
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.sip_worker", str(there.fileno())),
                json.dumps(values | {"rtp_ports": ports}),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                pass_fds=[there.fileno()],
            )
            there.close()
            here.others[number] = Other(number, process)
            await dispatcher.join(number, link)
        for other in here.others.values():
            await other.told("started")
            async with asyncio.timeout(30):
                while not dispatcher.takes_calls(other.number):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        yield here
    finally:
        for other in here.others.values():
            if other.process.returncode is None:
                assert other.process.stdin
                other.process.stdin.close()
                try:
                    await asyncio.wait_for(other.process.wait(), 20)
                except TimeoutError:
                    other.process.kill()
                    await other.process.wait()
            await dispatcher.leave(other.number)
        await server.close()


if __name__ == "__main__":
    asyncio.run(work(int(sys.argv[1]), json.loads(sys.argv[2])))
