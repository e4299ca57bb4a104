"""`offhook serve` in a process of its own, as people run it, and what tests ask of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import numpy as np
import numpy.typing as npt

from config.persona import load_persona
from models.speech import wav
from tests.peers import free_port

T = TypeVar("T")

START_S = 240.0  # ten on a machine that has nothing else to do
OFFHOOK = [sys.executable, "-c", "from agent.cli import app; app()"]
# What callers ask: synthesized by the fixture `questions`.
QUESTIONS = ("What is the capital of France?", "How many days are in a week?")

# Long enough to be interrupted.
GREETING = (
    "Hello, and thank you for calling the front desk of the hotel. Everything that you would like to know "
    "about our rooms, about the restaurant, or about the city around us, I will be very happy to tell you."
)


def talkative(folder: Path) -> str:
    """The path of a persona that greets with GREETING."""
    persona = load_persona("en").model_copy(update={"greeting": GREETING})
    path = folder / "persona.yaml"
    path.write_text(persona.model_dump_json(exclude_none=True))  # JSON is YAML
    return str(path)


class Served:
    """A running server. `environment` is settings, by variable; `program` stands in for `offhook`."""

    def __init__(
        self, folder: Path, environment: dict[str, str], program: Sequence[str] = tuple(OFFHOOK)
    ) -> None:
        self.sip, self.http = free_port(), int(environment.get("OFFHOOK_HTTP__PORT") or free_port())
        environment = {
            "OFFHOOK_SIP__HOST": "127.0.0.1",
            "OFFHOOK_SIP__PORT": str(self.sip),
            "OFFHOOK_HTTP__HOST": "127.0.0.1",
            "OFFHOOK_HTTP__PORT": str(self.http),
            "OFFHOOK_CALL__DRAIN_S": "0",
            "OFFHOOK_CALL__MAX_CALLS": "20",  # also on a machine that is busy
            "OFFHOOK_STATE_DIR": str(folder),
            "OFFHOOK_LLM__TEMPERATURE": "0",  # the same answers each time
            **environment,
        }
        scheme = "https" if environment.get("OFFHOOK_HTTP__TLS") else "http"
        self.url = f"{scheme}://{environment['OFFHOOK_HTTP__HOST']}:{self.http}"
        self.ws_url = self.url.replace("http", "ws", 1)
        self._http = httpx2.Client(
            base_url=self.url,
            timeout=30,
            verify=False,
            headers={"X-API-Key": environment.get("OFFHOOK_HTTP__API_KEY", "")},
        )
        self.log = folder / "serve.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*program, "serve"], env={**os.environ, **environment}, stderr=log
            )

    def get(self, path: str) -> Any:
        return self._http.get(path).json()

    def sessions(self) -> list[dict[str, Any]]:
        return list(self.get("/api/v1/sessions")["sessions"])

    def transcribe(self, samples: npt.NDArray[np.int16]) -> str:
        """What is said in `samples`, mono at 16 kHz."""
        answer = self._http.post("/api/v1/stt", content=wav(samples.tobytes()), timeout=60)
        return str(answer.json()["text"])

    def files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self._http.get("/readyz", timeout=2).status_code == 200
        except httpx2.TransportError:
            return False

    def stop(self) -> int:
        self._http.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """As the kernel does when memory is short. Safe to call twice."""
        self._http.close()
        self.process.kill()
        self.process.wait(10)


@contextlib.contextmanager
def served(folder: Path, **environment: str) -> Iterator[Served]:
    """A server that answers calls. Settings are given as `OFFHOOK_...="..."`."""
    running = Served(folder, environment)
    try:
        assert until(running.ready, START_S), running.log.read_text()
        yield running
    finally:
        status = running.stop()
    assert status == 0, running.log.read_text()


@contextlib.asynccontextmanager
async def aside(manager: contextlib.AbstractContextManager[T]) -> AsyncIterator[T]:
    """What blocks, such as `served`, entered and left while this event loop serves others."""
    entered = await asyncio.to_thread(manager.__enter__)
    try:
        yield entered
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)


def until(condition: Callable[[], bool], deadline_s: float) -> bool:
    """Wait for the condition; whether it came true in time."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def plain(text: str) -> str:
    """The words alone, to compare what was said with what was heard."""
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))
