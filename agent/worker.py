"""A process that takes calls for the server that started it: `python -m agent.worker DESCRIPTOR`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import socket
import sys
import threading

from agent import logs
from agent.server import Server, SipDied
from agent.workers import Launch
from config.carriers import CarrierSettings
from config.settings import HttpSettings, Settings, WebRtcSettings
from models.errors import ModelError
from models.llm.child_main import die_with
from transports.sip.errors import SipError
from transports.sip.link import Link
from transports.sip.worker import Worker

EXIT_CANNOT_START, EXIT_SIP_DIED, EXIT_ALONE = 1, 3, 4


def settings_of(number: int, settings: Settings) -> Settings:
    """The server's, without what only its first process does."""
    return settings.model_copy(
        update={
            "sip": settings.sip.of_process(number),
            "http": HttpSettings(),  # on a socket that nobody else reaches
            "webrtc": WebRtcSettings(enabled=False),
            "carriers": CarrierSettings(),
        }
    )


async def work(link: Link, launch: Launch) -> int:
    settings = settings_of(launch.number, launch.settings)
    logs.set_up(settings.log)
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    worker = Worker(link, lambda: os._exit(EXIT_ALONE))
    server = Server(settings, launch.personas, worker=worker, http_socket=launch.http_socket)
    try:
        await server.start(lambda _: None)
    except (ModelError, SipError) as error:
        print(f"offhook: process {launch.number + 1}: {error}", file=sys.stderr)
        await server.close(drain_s=0)
        return EXIT_CANNOT_START
    _follow(server, launch.number)
    try:
        await server.wait(stop)
    except SipDied:
        await server.close(drain_s=0)
        return EXIT_SIP_DIED
    await server.close(drain_s=server.settings.call.drain_s)
    return 0


def _follow(server: Server, number: int) -> None:
    """Take the settings and personas that come on the standard input."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        with contextlib.suppress(EOFError, RuntimeError):  # one of the two is at its end
            while True:
                settings, personas = pickle.load(sys.stdin.buffer)
                following = server.follow(settings_of(number, settings), personas)
                asyncio.run_coroutine_threadsafe(following, loop)

    threading.Thread(target=read, name="settings", daemon=True).start()


def main() -> None:
    link = Link(socket.socket(fileno=int(sys.argv[1])))
    launch: Launch = pickle.load(sys.stdin.buffer)
    die_with(launch.parent)
    sys.exit(asyncio.run(work(link, launch)))


if __name__ == "__main__":
    main()
