"""A server for a crowd of callers, in a process of its own, and the crowd, with what it hears.

`python -m tests.crowd PORT CALLS` serves until its standard input ends: whole sessions over real SIP, with
scripted models that take their scripted time.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.peers import free_port
from tests.sip_caller import PACKET_SAMPLES, PTIME_S, Caller, ulaw_encode

QUESTION, ANSWER = "What time is it?", "It is almost noon in the whole valley."
QUESTION_S = 1.5
EVERY_S = 12.0  # a caller asks
VARIED = 3  # values in a packet, which silence has fewer of; the kit's voice is faint on a telephone
SILENCE = ulaw_encode(np.zeros(PACKET_SAMPLES, np.int16))


async def serve(port: int, calls: int) -> None:
    from agent import logs
    from agent.sessions import Sessions
    from agent.vitals import keep_what_is_there
    from config.answering import Personas
    from config.settings import LogSettings, Settings
    from config.sip import SipSettings
    from tests.agent.conversation_kit import PERSONA, FakeModels, Outcome, Says
    from transports.sip.server import SipServer

    logs.set_up(LogSettings(level="warning"))
    models: Any = FakeModels([Says(0, QUESTION_S, QUESTION, finished=0.9)], {QUESTION: ANSWER}, Outcome())
    settings = Settings.model_validate({"call": {"max_calls": calls}})
    sessions = Sessions(settings=settings, personas=Personas((PERSONA,)), pool=models)
    sessions._ready = True
    line = SipSettings(host="127.0.0.1", port=port, ban_exempt=("127.0.0.1/32",))
    server = SipServer(line, calls, sessions.handle)
    await server.start()
    keep_what_is_there()  # as the whole server does
    print("serving", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.close()


@contextlib.asynccontextmanager
async def crowd_server(calls: int) -> AsyncIterator[tuple[tuple[str, int], int]]:
    """Its address and process id."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.crowd", str(port), str(calls)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    try:
        async with asyncio.timeout(60):
            while b"serving" not in (line := await process.stdout.readline()):
                assert line, "the server didn't start"
        yield ("127.0.0.1", port), process.pid
        assert process.returncode is None, "the server died"
        process.stdin.close()
        async with asyncio.timeout(30):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@dataclass
class Heard:
    """What one caller got."""

    caller: Caller
    last: float = 0.0  # the kernel's time of its last packet
    gaps_ms: list[float] = field(default_factory=list)
    speech_s: float = 0.0
    asked_at: float = 0.0  # where no answer has come yet
    answers_ms: list[float] = field(default_factory=list)  # voice to voice


class Refused(Exception):
    def __init__(self, status: int, took_s: float) -> None:
        super().__init__(f"the call was answered {status}")
        self.status = status
        self.took_s = took_s


class Crowd:
    """Callers whose sound is sent and received on one thread, each at a phase of its own."""

    def __init__(self, question: list[bytes], host: str = "127.0.0.1") -> None:
        self._host = host
        self._question = question
        self._heard: dict[int, Heard] = {}  # by the RTP socket's descriptor
        self._left_gaps_ms: list[float] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    async def join(self, server: tuple[str, int]) -> tuple[Caller, float]:
        """Call, and stay on the line. Returns the caller, and how long the answer took, in seconds.

        Raises Refused.
        """
        caller = Caller(server, self._host)
        began = time.monotonic()
        answer = await caller.invite()
        took = time.monotonic() - began
        caller.ack(answer)
        if answer.status != 200:
            caller.close()
            raise Refused(answer.status, took)
        caller.rtp_to = answer.media
        with self._lock:
            self._heard[caller.rtp.fileno()] = Heard(caller)
        return caller, took

    @property
    def callers(self) -> list[Caller]:
        return [heard.caller for heard in self._heard.values()]

    def speech_s(self) -> list[float]:
        """How much of the agent's voice each has heard so far."""
        with self._lock:
            return [heard.speech_s for heard in self._heard.values()]

    def answers_ms(self) -> list[float]:
        """How long each answer took, from the last packet of the question to the first that is audible."""
        with self._lock:
            return [ms for heard in self._heard.values() for ms in heard.answers_ms]

    def take_gaps_ms(self) -> list[float]:
        """All times between packets since the last look."""
        with self._lock:
            found, self._left_gaps_ms = self._left_gaps_ms, []
            for heard in self._heard.values():
                found += heard.gaps_ms
                heard.gaps_ms = []
            return found

    async def leave(self, caller: Caller) -> None:
        with self._lock:
            self._left_gaps_ms += self._heard.pop(caller.rtp.fileno()).gaps_ms
        try:
            if not caller.ended.is_set():
                await caller.bye()
        finally:
            caller.close()

    def drop(self, caller: Caller) -> None:
        """Let go of one whose server is gone."""
        with self._lock:
            self._heard.pop(caller.rtp.fileno())
        caller.close()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        began, turn, steps = time.monotonic(), 0, 10
        while not self._stop.is_set():
            with self._lock:
                all_of_them = list(self._heard.values())
                for nth in range(turn % steps, len(all_of_them), steps):
                    self._send(all_of_them[nth], turn // steps + 61 * nth)
            turn += 1
            due = began + turn * PTIME_S / steps
            while (left := due - time.monotonic()) > 0:
                with self._lock:
                    sockets = [heard.caller.rtp for heard in self._heard.values()]
                    self._receive(sockets)
                time.sleep(min(left, PTIME_S / steps))

    def _send(self, heard: Heard, packet: int) -> None:
        caller, asked = heard.caller, packet % round(EVERY_S / PTIME_S)
        payload = self._question[asked] if asked < len(self._question) else SILENCE
        assert caller.rtp_to
        caller.rtp.sendto(caller.header(0) + payload, caller.rtp_to)
        if asked == len(self._question) - 1:
            heard.asked_at = time.time()

    def _receive(self, sockets: list[socket.socket]) -> None:
        for sock in select.select(sockets, [], [], 0)[0]:
            data, extras, _, _ = sock.recvmsg(2048, 64)
            seconds, nanoseconds = np.frombuffer(extras[0][2][:16], np.int64)
            at = int(seconds) + int(nanoseconds) / 1e9
            heard = self._heard[sock.fileno()]
            if heard.last and data[1] & 0x7F == 0:
                heard.gaps_ms.append((at - heard.last) * 1000)
            heard.last = at
            if len(set(data[12:])) > VARIED:
                heard.speech_s += PTIME_S
                if heard.asked_at:
                    heard.answers_ms.append((at - heard.asked_at) * 1000)
                    heard.asked_at = 0.0


def question(segment: int = 0) -> list[bytes]:
    """A caller's sentence, in PCMU packets, as the scripted recognizer knows that of its script."""
    from tests.agent.conversation_kit import chord

    return [ulaw_encode(chord(segment)[::2].astype(np.int16))] * round(QUESTION_S / PTIME_S)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
