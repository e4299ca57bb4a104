"""What strangers do at the server's doors during a call: it goes on, and nothing of them stays."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray

from agent.http.connections import HEADERS_S, READER_S
from models.speech import wav
from tests.agent.http.test_upload import encoded, matroska
from tests.e2e.served import Served, served
from tests.sip_caller import Caller

pytestmark = pytest.mark.models

AT_ONCE = 8
TALK_S = 15
MOST_GROWTH_MB = 100
LATEST_ANSWER_S = 20.0  # two cores answer four callers, and send and read nothing for the crowd
HALF = b"POST /api/v1/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\nX-Slow: "
LONG = " ".join(["This is a sentence that nobody listens to."] * 45)
UNREAD = (
    b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200,
    b"POST /api/v1/tts HTTP/1.1\r\nHost: localhost\r\nAccept: audio/pcm\r\nContent-Type: application/json\r\n"
    + f'Content-Length: {len(LONG) + 12}\r\n\r\n{{"text": "{LONG}"}}'.encode(),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = {"OFFHOOK_LLM__BUNDLED": "smollm2-135m", "OFFHOOK_LLM__MAX_TOKENS": "16"}
    with served(tmp_path_factory.mktemp("doors"), **settings) as running:
        yield running


@pytest.fixture(scope="module")
def question(questions: list[Path]) -> NDArray[np.int16]:
    """s16 mono PCM at 8 kHz."""
    with wave.open(str(questions[0])) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)[::2].copy()


class Line:
    """Somebody on the line who asks, again and again."""

    def __init__(self, server: Served, caller: Caller, question: NDArray[np.int16]) -> None:
        self._server = server
        self._caller = caller
        self._question = question

    async def answered(self) -> float:
        """Ask, and wait for the answer. Returns how long the caller waited for it, in seconds."""
        before = (await self._call())["transcript"]
        self._caller.say(self._question)
        await asyncio.sleep(len(self._question) / 8000)
        async with asyncio.timeout(LATEST_ANSWER_S):
            while True:
                call = await self._call()
                new = [turn["speaker"] for turn in call["transcript"][len(before) :]]
                if "caller" in new and new[-1] == "agent":
                    break
                await asyncio.sleep(0.1)
        await asyncio.sleep(2)  # for the answer to be heard
        return float(call["last_voice_to_voice_ms"]) / 1000

    async def _call(self) -> dict[str, Any]:
        calls = await asyncio.to_thread(self._server.sessions)
        (call,) = (call for call in calls if call["from"] == self._caller.name)
        return dict(await asyncio.to_thread(self._server.get, f"/api/v1/sessions/{call['id']}"))


@contextlib.asynccontextmanager
async def on_the_line(
    server: Served, question: NDArray[np.int16], *, name: str = "caller"
) -> AsyncIterator[Line]:
    caller = Caller(("127.0.0.1", server.sip), name=name)
    try:
        assert (await caller.call()).status == 200
        await asyncio.sleep(3)  # the greeting
        yield Line(server, caller, question)
        assert (await caller.bye()).status == 200
    finally:
        caller.close()


async def stand_in_the_door(port: int, sent: bytes, until: float) -> None:
    """Send so much and read nothing; again when the server has closed it, until that time."""
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        with socket.socket() as peer, contextlib.suppress(OSError):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.setblocking(False)
            await loop.sock_connect(peer, ("127.0.0.1", port))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, until - loop.time())):
                    await loop.sock_sendall(peer, sent)
                    while True:  # a byte that it takes no more tells that it has closed
                        await asyncio.sleep(1)
                        peer.getpeername()
                        peer.send(b"x")


async def crowd(server: Served, *, half_open: int, not_reading: int, hold_s: float) -> None:
    until = asyncio.get_running_loop().time() + hold_s
    sent = [HALF] * half_open + [UNREAD[number % len(UNREAD)] for number in range(not_reading)]
    await asyncio.gather(*(stand_in_the_door(server.http, each, until) for each in sent))


async def doors_held(
    server: Served, question: NDArray[np.int16], *, half_open: int, not_reading: int, hold_s: float
) -> None:
    idle = await asyncio.to_thread(server.files)
    async with on_the_line(server, question) as line:
        alone = await line.answered()
        held = asyncio.create_task(crowd(server, half_open=half_open, not_reading=not_reading, hold_s=hold_s))
        times, most = [], 0
        while not held.done():
            most = max(most, await asyncio.to_thread(server.files))
            times.append(await line.answered())
        await held
        print(
            f"\n{half_open} half open, {not_reading} not reading, {hold_s:.0f} s: {len(times)} questions "
            f"answered after {np.median(times):.2f} s, {max(times):.2f} s at most, alone {alone:.2f} s; "
            f"{most} descriptors at most, {idle} before"
        )
        assert most > idle + half_open // 2
    async with asyncio.timeout(HEADERS_S + READER_S + 15):
        while await asyncio.to_thread(server.files) > idle + 2:  # noqa: ASYNC110
            await asyncio.sleep(0.5)


async def test_a_call_goes_on_while_the_doors_are_held(server: Served, question: NDArray[np.int16]) -> None:
    await doors_held(server, question, half_open=50, not_reading=10, hold_s=12)


@pytest.mark.soak
@pytest.mark.timeout(400)
async def test_a_call_goes_on_while_the_doors_are_held_for_two_minutes(
    server: Served, question: NDArray[np.int16]
) -> None:
    await doors_held(server, question, half_open=500, not_reading=50, hold_s=120)


async def busy(server: Served, recording: bytes, until: float) -> list[int]:
    """Upload and have long texts spoken as fast as they are taken; the statuses of what was answered."""
    loop, statuses = asyncio.get_running_loop(), list[int]()

    async def client(number: int, http: httpx2.AsyncClient) -> None:
        while loop.time() < until:
            if number % 2:
                answer = await http.post("/api/v1/stt", content=recording)
            else:
                answer = await http.post("/api/v1/tts", json={"text": LONG})
            statuses.append(answer.status_code)
            if answer.status_code == 503:
                await asyncio.sleep(0.05)

    async with httpx2.AsyncClient(base_url=server.url, timeout=180) as http:
        await asyncio.gather(*(client(number, http) for number in range(AT_ONCE)))
    return statuses


async def talk(lines: list[Line], until: Callable[[], bool]) -> list[float]:
    """All ask again and again, each in their own time; how long they waited."""
    times: list[float] = []

    async def one(number: int, line: Line) -> None:
        await asyncio.sleep(number * 1.3)
        while True:
            times.append(await line.answered())
            if until():
                return

    await asyncio.gather(*(one(number, line) for number, line in enumerate(lines)))
    return times


async def beside_eight(server: Served, question: NDArray[np.int16], *, callers: int) -> None:
    """Calls go on beside eight clients, each answered in time; prints how much longer that takes."""
    # Speech that says the same again and again is the hardest to hear.
    recording = wav(np.tile(np.repeat(question, 2), 12).tobytes())
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as calls:
        lines = [
            await calls.enter_async_context(on_the_line(server, question, name=f"caller{number}"))
            for number in range(callers)
        ]
        end = loop.time() + TALK_S
        alone = await talk(lines, lambda: loop.time() > end)
        working = asyncio.create_task(busy(server, recording, loop.time() + TALK_S))
        times = await talk(lines, working.done)
        statuses = await working
    told = [f"{len(s)} times, after {np.median(s):.2f} s, {max(s):.2f} s at most" for s in (times, alone)]
    done = statuses.count(200)
    print(f"\n{callers} callers answered {told[0]}, beside {done} answers to eight clients; alone {told[1]}")
    assert done > 0
    assert set(statuses) <= {200, 503}


async def test_eight_who_upload_and_synthesize_cost_a_caller_no_turn(
    server: Served, question: NDArray[np.int16]
) -> None:
    await beside_eight(server, question, callers=1)


@pytest.mark.soak
@pytest.mark.timeout(400)
async def test_nor_do_they_cost_four_callers_one(server: Served, question: NDArray[np.int16]) -> None:
    await beside_eight(server, question, callers=4)


def hostile() -> list[bytes]:
    noise = random.Random(1).randbytes(200_000)
    ogg = encoded("ogg", "libopus", seconds=3)
    return [
        matroska(1),
        matroska(100_000_000),
        matroska(16_000, 200),
        b"RIFF\xff\xff\xff\xffWAVE" + noise,
        b"\x1a\x45\xdf\xa3" + noise,
        b"\x00\x00\x00\x20ftypM4A " + noise,
        b"OggS" + noise,
        b"ID3" + noise,
        ogg[:2000] + noise + ogg[2000:],
        wav(bytes(20_000_000)),
        wav(noise),
        noise,
    ]


async def uploads(server: Served, count: int) -> None:
    """So many hostile uploads, as fast as they are taken."""
    files = hostile()
    statuses: dict[int, int] = {}
    rest_mb = most_mb = float((await asyncio.to_thread(server.get, "/health"))["process"]["memory_mb"])
    numbers = iter(range(count))

    async with httpx2.AsyncClient(base_url=server.url, timeout=60) as client:

        async def upload() -> None:
            for number in numbers:
                status = 503
                while status == 503:  # there is no place just now
                    status = (
                        await client.post("/api/v1/stt", content=files[number % len(files)])
                    ).status_code
                    if status == 503:
                        await asyncio.sleep(0.1)
                statuses[status] = statuses.get(status, 0) + 1

        sending = asyncio.gather(*(upload() for _ in range(AT_ONCE)))
        while not sending.done():
            health = (await client.get("/health")).json()
            most_mb = max(most_mb, float(health["process"]["memory_mb"]))
            await asyncio.sleep(0.1)
        await sending
    print(f"\n{count} uploads: {statuses}; {rest_mb:.0f} MB before, {most_mb:.0f} MB at most")
    assert set(statuses) <= {200, 415, 422}
    assert most_mb - rest_mb < MOST_GROWTH_MB


async def test_hostile_uploads_cost_the_phone_s_process_little(server: Served) -> None:
    await uploads(server, 60)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_a_thousand_hostile_uploads_cost_it_no_more(server: Served) -> None:
    await uploads(server, 1000)
