"""How the bench calls: in a process of its own, over any transport."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import httpx2

from bench.caller.g711 import Law
from bench.caller.script import Line, Script, Step, Transport
from bench.metrics import CallLog
from bench.subjects import ROOT, Running

POLL_S = 0.5


class CallFailed(Exception):
    """The caller wasn't answered, couldn't call, or heard nothing that could be measured."""


@dataclass(frozen=True, slots=True)
class AgentTurn:
    """A turn as the server tells it: when it was written down, and where its time went."""

    at: float
    text: str
    stages: dict[str, float]


@dataclass(frozen=True, slots=True)
class CallerTurn:
    """A turn of the caller's as the server has it: when it was written down, and what was heard."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """What both sides know of one call."""

    log: CallLog
    findings: list[str]
    ended_by: str = "caller"
    agent_turns: list[AgentTurn] = field(default_factory=list)
    caller_turns: list[CallerTurn] = field(default_factory=list)
    guesses: int = 0  # answers begun before the turn was surely over
    guesses_discarded: int = 0


class Caller(Protocol):
    async def call(self, steps: tuple[Step, ...], line: Line | None = None) -> Call:
        """Raises CallFailed."""


async def together(calls: Iterable[Awaitable[Call]]) -> list[Call]:
    """All at once. Raises what one of them raised once all are over, so that none disturbs what follows."""
    made = await asyncio.gather(*calls, return_exceptions=True)
    over = []
    for call in made:
        if isinstance(call, BaseException):
            raise call
        over.append(call)
    return over


class ScriptCaller:
    """`python -m bench.caller`, and what the server's session API tells while the call lives."""

    def __init__(
        self,
        running: Running,
        transport: Transport = "sip",
        codec: Law = "pcmu",
        keep: Path | None = None,
    ) -> None:
        self._running = running
        self._transport = transport
        self._codec = codec
        self._keep = keep
        self._claimed: set[str] = set()

    async def call(self, steps: tuple[Step, ...], line: Line | None = None) -> Call:
        name = f"bench-{secrets.token_hex(4)}"
        with tempfile.TemporaryDirectory(prefix="offhook-call-") as folder:
            wav = self._keep / f"{self._transport}-{name}.wav" if self._keep else None
            script = Script(
                transport=self._transport,
                target=self._running.target,
                api=self._running.api or "",
                caller=name,
                codec=self._codec,
                steps=steps,
                line=line or Line(),
                wav=wav,
            )
            async with _watched(self._running, self._finder(name)) as seen:
                result = await _perform(script, Path(folder), self._running.environment)
        if result["outcome"] != "answered":
            raise CallFailed(why_not(result))
        agent_turns = [
            AgentTurn(_monotonic(turn["at"]), turn["text"], turn.get("ledger") or {})
            for turn in seen.transcript
            if turn["speaker"] == "agent"
        ]
        caller_turns = [
            CallerTurn(_monotonic(turn["at"]), turn["text"])
            for turn in seen.transcript
            if turn["speaker"] == "caller"
        ]
        return Call(
            CallLog.of(result),
            result["findings"],
            result["ended_by"],
            agent_turns,
            caller_turns,
            seen.guesses,
            seen.guesses_discarded,
        )

    def _finder(self, name: str) -> Callable[[list[dict[str, Any]]], str]:
        """Picks this call's session from those that live.

        A browser has no number: of its calls, one that began after ours did and that no other of this
        bench has. Of two that begin at once each may get the other's.
        """
        began = time.time()

        def find(sessions: list[dict[str, Any]]) -> str:
            for one in sessions:
                if self._transport != "webrtc":
                    mine = name in one["from"]
                else:
                    since = datetime.fromisoformat(one["since"]).timestamp()
                    mine = one["transport"] == "webrtc" and since >= began and one["id"] not in self._claimed
                if mine:
                    self._claimed.add(one["id"])
                    return str(one["id"])
            return ""

        return find


def why_not(result: Mapping[str, Any]) -> str:
    """Why the call of this result wasn't answered."""
    what = f"{result['outcome']}: {result['status']} {result['reason']}".strip()
    return "; ".join([what, *result["findings"]])


async def _perform(script: Script, folder: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    given, made = folder / "script.json", folder / "result.json"
    given.write_text(script.model_dump_json())
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.caller", str(given), str(made),
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
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
    guesses: int = 0
    guesses_discarded: int = 0


@contextlib.asynccontextmanager
async def _watched(running: Running, find: Callable[[list[dict[str, Any]]], str]) -> AsyncIterator[_Seen]:
    """The session that `find` picks, as last seen before it went."""
    seen = _Seen()
    if running.api is None:
        yield seen
        return
    watching = asyncio.create_task(_watch(running.api, running.headers, find, seen))
    try:
        yield seen
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def _watch(
    api: str, headers: dict[str, str], find: Callable[[list[dict[str, Any]]], str], seen: _Seen
) -> None:
    session = ""
    async with httpx2.AsyncClient(base_url=api, headers=headers, trust_env=False, timeout=5.0) as client:
        while True:
            with contextlib.suppress(httpx2.HTTPError, ValueError):  # as of a proxy's page
                if not session:
                    session = find((await client.get("/api/v1/sessions")).json().get("sessions", []))
                else:
                    answer = await client.get(f"/api/v1/sessions/{session}")
                    if answer.status_code == 200:
                        told = answer.json()
                        seen.transcript = told["transcript"]
                        seen.guesses = told.get("guesses", 0)
                        seen.guesses_discarded = told.get("guesses_discarded", 0)
            await asyncio.sleep(POLL_S)


def _monotonic(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp() - time.time() + time.monotonic()
