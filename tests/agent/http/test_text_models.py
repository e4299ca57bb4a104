"""The text API on the bundled models."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest
import websockets

from agent.http.app import create_app
from config.persona import load_persona
from config.settings import Settings
from models.llm.brief import Brief
from models.pool import ModelPool
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls

pytestmark = pytest.mark.models

QUESTION = "What time do you open tomorrow?"
ROUNDS = 5


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[httpx2.AsyncClient]:
    settings, persona = Settings(), load_persona("en")
    pool = ModelPool(
        settings, voices=[persona.voice], languages=[persona.language], briefs=[Brief(persona.primer)]
    )
    await pool.start()
    client = await serve(create_app(settings=settings, calls=FakeCalls(), models=pool, persona=persona))
    client.timeout = httpx2.Timeout(30)
    yield client
    await pool.close()


async def http_first_token_ms(client: httpx2.AsyncClient) -> float:
    began = time.perf_counter()
    async with client.stream(
        "POST", "/api/v1/chat", json={"text": QUESTION}, headers={"Accept": "text/event-stream"}
    ) as response:
        times = [time.perf_counter() async for line in response.aiter_lines() if line.startswith("data")]
    return (times[0] - began) * 1000


async def socket_first_token_ms(socket: websockets.ClientConnection, conversation: int) -> float:
    began = time.perf_counter()
    times: list[float] = []
    async with asyncio.timeout(30):
        await socket.send(json.dumps({"text": QUESTION, "conversation": f"c{conversation}"}))
        while (message := json.loads(await socket.recv()))["type"] != "done":
            assert message["type"] == "tokens", message
            times.append(time.perf_counter())
    return (times[0] - began) * 1000


async def test_text_is_spoken_transcribed_and_answered(
    client: httpx2.AsyncClient, record_property: Callable[[str, object], None]
) -> None:
    spoken = await client.post("/api/v1/tts", json={"text": QUESTION})
    assert spoken.status_code == 200, spoken.text
    assert 800 < int(spoken.headers["x-audio-ms"]) < 4000

    heard = await client.post("/api/v1/stt", content=spoken.content)
    assert heard.status_code == 200, heard.text
    document = heard.json()
    assert document["text"].lower().strip(" ?.") == QUESTION.lower().strip(" ?.")
    (segment,) = document["segments"]
    assert 0 <= segment["start_ms"] < segment["end_ms"] <= document["audio_ms"] + 64

    http, sockets = [], []
    port = client.base_url.port
    async with websockets.connect(f"ws://127.0.0.1:{port}/api/v1/chat") as socket:
        for round in range(ROUNDS):
            http.append(await http_first_token_ms(client))
            sockets.append(await socket_first_token_ms(socket, round))
    record_property("http_ttft_ms", statistics.median(http))
    record_property("ws_ttft_ms", statistics.median(sockets))

    first_byte: list[float] = []
    for round in range(ROUNDS):
        began = time.perf_counter()
        async with client.stream(
            "POST", "/api/v1/tts", json={"text": f"We open at {round + 1}.", "format": "pcm"}
        ) as response:
            async for _ in response.aiter_bytes():
                break
        first_byte.append((time.perf_counter() - began) * 1000)
    record_property("tts_first_byte_ms", statistics.median(first_byte))
