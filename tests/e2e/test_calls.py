"""What is done with a call, by `offhook serve` with the bundled models and real telephones."""

from __future__ import annotations

import asyncio
import io
import wave
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray

from config.persona import load_persona
from tests.e2e.served import Served, aside, plain, served
from tests.peers import softphone, target
from transports.resampler import Resampler

pytestmark = [pytest.mark.models, pytest.mark.peers]

MESSAGE = "Please tell Anna that her order is ready."


def persona(folder: Path) -> str:
    who = load_persona("en").model_copy(update={"tools": ("transfer_call", "take_message")})
    (folder / "persona.yaml").write_text(who.model_dump_json(exclude_none=True))  # JSON is YAML
    return str(folder / "persona.yaml")


def spoken(server: Served) -> NDArray[np.int16]:
    """The message, at 16 kHz."""
    answer = httpx2.post(f"{server.url}/api/v1/tts", json={"text": MESSAGE}, timeout=30)
    with wave.open(io.BytesIO(answer.content)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


async def session(http: httpx2.AsyncClient, state: str | None) -> str:
    """The id of the only call, once it is in this state; empty once there is none, if that is None."""
    async with asyncio.timeout(20):
        while True:
            live = (await http.get("/api/v1/sessions")).json()["sessions"]
            if state is None and not live:
                return ""
            if live and live[0]["state"] == state:
                return str(live[0]["id"])
            await asyncio.sleep(0.05)


async def test_a_call_is_held_leaves_a_message_and_is_put_through(tmp_path: Path) -> None:
    async with target(tmp_path, "200 OK") as port:
        environment = {
            "OFFHOOK_PERSONA": persona(tmp_path),
            "OFFHOOK_LLM__BUNDLED": "smollm2-135m",
            "OFFHOOK_TRANSFER__TO": f"reception=sip:reception@127.0.0.1:{port}",
            "OFFHOOK_STATE_DIR": str(tmp_path / "state"),
            "OFFHOOK_VOICEMAIL__SILENCE_S": "1.5",
        }
        async with aside(served(tmp_path, **environment)) as server:
            speech = await asyncio.to_thread(spoken, server)

            def says(rate_hz: int) -> NDArray[np.int16]:
                once = np.concatenate((np.zeros(64_000, np.int16), speech))
                return Resampler(16_000, rate_hz).process(np.tile(once, 12))

            uri = f"sip:agent@127.0.0.1:{server.sip}"
            async with (
                softphone(tmp_path, uri, says) as phone,
                httpx2.AsyncClient(base_url=server.url, timeout=60) as http,
            ):
                await operate(http)
            heard, rate_hz = phone.heard()
    seconds = heard[: len(heard) // rate_hz * rate_hz].reshape(-1, rate_hz).astype(float)
    loud = np.sqrt((seconds**2).mean(axis=1)) > 300
    assert any(all(loud[n : n + 3]) for n in range(len(loud)))  # the music


async def operate(http: httpx2.AsyncClient) -> None:
    id = await session(http, "listening")

    async def ask(what: str, body: dict[str, Any] | None = None) -> httpx2.Response:
        return await http.post(f"/api/v1/sessions/{id}/{what}", json=body)

    assert (await ask("hold")).json()["state"] == "holding"
    assert (await ask("transfer", {"to": "reception"})).status_code == 409
    await asyncio.sleep(4)
    assert (await ask("resume")).status_code == 200
    assert (await ask("keys", {"keys": "12#"})).status_code == 204
    taken = (await ask("message")).json()["message"]
    assert taken
    async with asyncio.timeout(30):
        while not (text := (await http.get("/api/v1/messages")).json()["messages"][0]["text"]):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    assert "order is ready" in plain(text)
    sound = (await http.get(f"/api/v1/messages/{taken}/audio")).content
    assert len(sound) > 2 * 16_000
    assert (await ask("transfer", {"to": "sip:900@127.0.0.1"})).status_code == 422
    put_through = await ask("transfer", {"to": "reception"})
    assert (put_through.status_code, put_through.json()) == (200, {"to": "reception"})
    await session(http, None)
