"""How the bench calls: one class per transport, each in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import httpx

from agent.bench.metrics import CallLog
from agent.bench.subjects import ROOT, Running
from agent.caller.g711 import Law
from agent.caller.script import Line, Script, Step

POLL_S = 0.5


class CallFailed(Exception):
    """The caller wasn't answered, or couldn't call."""


@dataclass(frozen=True, slots=True)
class AgentTurn:
    """A turn as the server tells it: when it was written down, and where its time went."""

    at: float
    text: str
    stages: dict[str, float]


@dataclass(frozen=True, slots=True)
class Call:
    """What both sides know of one call."""

    log: CallLog
    findings: list[str]
    ended_by: str = "caller"
    agent_turns: list[AgentTurn] = field(default_factory=list)
    caller_words: list[str] = field(default_factory=list)


class Caller(Protocol):
    async def call(self, steps: tuple[Step, ...], line: Line | None = None) -> Call:
        """Raises CallFailed."""


class SipCaller:
    """`python -m agent.caller`, and what the server's session API tells while the call lives."""

    def __init__(self, running: Running, codec: Law = "pcmu", keep: Path | None = None) -> None:
        self._running = running
        self._codec = codec
        self._keep = keep

    async def call(self, steps: tuple[Step, ...], line: Line | None = None) -> Call:
        name = f"bench-{secrets.token_hex(4)}"
        with tempfile.TemporaryDirectory(prefix="offhook-call-") as folder:
            wav = self._keep / f"{name}.wav" if self._keep else None
            script = Script(
                target=self._running.target,
                caller=name,
                codec=self._codec,
                steps=steps,
                line=line or Line(),
                wav=wav,
            )
            async with _watched(self._running.api, name) as seen:
                result = await _perform(script, Path(folder))
        if result["outcome"] != "answered":
            raise CallFailed(f"{result['outcome']}: {result['status']} {result['reason']}".strip())
        agent_turns = [
            AgentTurn(_monotonic(turn["at"]), turn["text"], turn.get("ledger") or {})
            for turn in seen.transcript
            if turn["speaker"] == "agent"
        ]
        said = [turn["text"] for turn in seen.transcript if turn["speaker"] == "caller"]
        return Call(CallLog.of(result), result["findings"], result["ended_by"], agent_turns, said)


CALLERS: dict[str, type[SipCaller]] = {"sip": SipCaller}


async def _perform(script: Script, folder: Path) -> dict[str, Any]:
    given, made = folder / "script.json", folder / "result.json"
    given.write_text(script.model_dump_json())
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent.caller", str(given), str(made),
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        _, errors = await child.communicate()
    except asyncio.CancelledError:
        child.kill()
        await child.wait()
        raise
    if not made.is_file():
        raise CallFailed(
            errors.decode(errors="replace").strip() or f"the caller ended with {child.returncode}"
        )
    result: dict[str, Any] = json.loads(made.read_text())
    return result


@dataclass(slots=True)
class _Seen:
    transcript: list[dict[str, Any]] = field(default_factory=list)


@contextlib.asynccontextmanager
async def _watched(api: str | None, caller: str) -> AsyncIterator[_Seen]:
    """The session of the one who calls as `caller`, as last seen before it went."""
    seen = _Seen()
    if api is None:
        yield seen
        return
    watching = asyncio.create_task(_watch(api, caller, seen))
    try:
        yield seen
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def _watch(api: str, caller: str, seen: _Seen) -> None:
    session = ""
    async with httpx.AsyncClient(base_url=api, trust_env=False, timeout=5.0) as client:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if not session:
                    listed = (await client.get("/api/v1/sessions")).json().get("sessions", [])
                    session = next((one["id"] for one in listed if caller in one["from"]), "")
                else:
                    answer = await client.get(f"/api/v1/sessions/{session}")
                    if answer.status_code == 200:
                        seen.transcript = answer.json()["transcript"]
            await asyncio.sleep(POLL_S)


def _monotonic(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp() - time.time() + time.monotonic()
