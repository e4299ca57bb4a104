"""The bundled language model in a supervised child process: a crash in it never takes the phone down."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import httpx2
from loguru import logger

import models
from models.capacity import usable_cores
from models.errors import ModelFailed
from models.llm.backoff import Backoff
from models.llm.child_main import Launch

State = Literal["loading", "ready", "restarting", "down"]

START_DEADLINE_S = 60.0  # a gigabyte from a slow disk
STOP_DEADLINE_S = 1.0
POLL_S = 0.02
# llama.cpp's threads meet several hundred times a token, and GNU's OpenMP lets them spin for each other.
# When another model has one of the cores they spin through whole time slices: with one busy neighbour
# on two cores 1 token/s, instead of 24 with a short spin. No spin at all halves the speed of an idle machine.
ENVIRONMENT = {"GOMP_SPINCOUNT": "1000"}
# The server closes connections that were idle for a while or have carried many requests, and a request on
# one that is just being closed fails. A new connection costs half a millisecond.
ONE_REQUEST = {"Connection": "close"}
HEARTBEAT_S = 2.0
ANSWER_S = 2.0  # to one
# What warms the model, and tells its speed: read anew each time.
WARM_UP = {"prompt": "Good morning! " * 12, "n_predict": 8, "ignore_eos": True, "cache_prompt": False}
MISSED_HEARTBEATS = 3


def default_threads() -> int:
    """One core is left to the speech models: on two, a second thread waits for them more than it helps.

    A model this small gains nothing from more than four.
    """
    return max(1, min(4, usable_cores() - 1))


class LlamaChild:
    """Starts the server, starts it again when it dies or hangs, and closes it.

    Its port changes with every start: read `url` when a request is made.
    """

    def __init__(
        self,
        weights: Path,
        *,
        adapter: Path | None = None,
        threads: int = 0,
        slots: int = 8,
        slot_ctx: int = 1536,
        states: Path | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """`adapter` is a LoRA for these weights. `states` is the folder for what slots know; a temporary one
        where it isn't given."""
        self.weights = weights
        self.adapter = adapter
        self.slots = slots
        self.slot_ctx = slot_ctx
        self.api_key = secrets.token_hex(16)
        self.url = ""
        self.pid: int | None = None
        self.restarts = 0
        self.last_error = ""
        # Awaited whenever it has come up, before anyone is told.
        self.on_up: Callable[[], Awaitable[None]] | None = None
        self.state: State = "loading"
        self.threads = threads or default_threads()
        self.prompt_tokens_s = 0.0  # as measured when it last came up
        self.answer_tokens_s = 0.0
        self._backoff = backoff or Backoff()
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._last_line = ""
        self.http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {self.api_key}", **ONE_REQUEST},
            verify=False,  # plain HTTP to loopback: no certificates to load
            trust_env=False,  # no proxy
            timeout=30.0,
        )
        self._temporary = _temporary() if states is None else None
        self.states = states or Path(self._temporary.name if self._temporary else "")

    async def start(self) -> None:
        """Begin to load; `wait_ready` tells when it is done."""
        if self._task is None:
            try:
                self.states.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:  # only later starts would have been quicker for it
                logger.debug(f"{self.states} couldn't be made: {error}")
                self._temporary = _temporary()
                self.states = Path(self._temporary.name)
            self._task = asyncio.create_task(self._supervise(), name="llama-child")

    async def wait_ready(self, timeout_s: float) -> None:
        """Return once the model answers. Raises ModelFailed if it doesn't in time, or won't."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: self.state in ("ready", "down"))
        except TimeoutError:
            raise ModelFailed(f"The bundled language model isn't ready after {timeout_s:.1f} s.") from None
        if self.state == "down":
            raise ModelFailed(f"The bundled language model doesn't stay up: {self.last_error}")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._set("down")
        await self.http.aclose()
        if self._temporary is not None:
            self._temporary.cleanup()

    async def _supervise(self) -> None:
        while True:
            try:
                await self._run()
            except ModelFailed as error:
                self.last_error = str(error)
            except Exception as error:  # whatever it was: without a supervisor the model is gone for good
                self.last_error = f"It failed: {type(error).__name__}: {error}."
            delay_s = self._backoff.failed(time.monotonic())
            logger.warning(f"Language model: {self.last_error} Next start in {delay_s:.2f} s.")
            await self._set("down" if self._backoff.hopeless else "restarting")
            await asyncio.sleep(delay_s)
            self.restarts += 1

    async def _run(self) -> None:
        """One life of the process. Always raises."""
        # The folder that holds the `models` package, wherever it was installed or checked out.
        root = Path(models.__file__).parents[1]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "models.llm.child_main",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=ENVIRONMENT | os.environ | {"PYTHONPATH": str(root), "PYTHONSAFEPATH": "1"},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.pid = process.pid
        drain = asyncio.create_task(self._drain(process.stderr), name="llama-child-stderr")
        try:
            launch = Launch(
                weights=str(self.weights),
                api_key=self.api_key,
                parent=os.getpid(),
                threads=self.threads,
                slots=self.slots,
                slot_ctx=self.slot_ctx,
                slot_dir=f"{self.states}/",
                adapter=str(self.adapter or ""),
            )
            process.stdin.write(launch.to_line())
            try:
                async with asyncio.timeout(START_DEADLINE_S):
                    await self._come_up(process.stdout, drain)
            except TimeoutError:
                raise ModelFailed(f"It didn't come up within {START_DEADLINE_S:.0f} s.") from None
            self._backoff.ready(time.monotonic())
            if self.on_up is not None:
                await self.on_up()
            await self._set("ready")
            await self._watch(process)
        finally:
            self.pid = None
            await asyncio.shield(self._stop(process))
            drain.cancel()
            await asyncio.gather(drain, return_exceptions=True)

    async def _come_up(self, stdout: asyncio.StreamReader, drain: asyncio.Task[None]) -> None:
        line = await stdout.readline()
        if not line:
            await drain  # its last words tell what was missing
            raise ModelFailed(f"It ended while it loaded {self.weights.name}: {self._last_line}")
        self.url = json.loads(line)["address"]
        while not await self._healthy():  # noqa: ASYNC110  # another process's state has no event
            await asyncio.sleep(POLL_S)
        await self.measure()

    async def measure(self) -> None:
        """Have the model read and write a little, and note how fast. Raises httpx2.HTTPError."""
        answer = await self.http.post(f"{self.url}/completion", json=WARM_UP)
        answer.raise_for_status()
        timings = answer.json()["timings"]
        self.prompt_tokens_s = float(timings["prompt_per_second"])
        self.answer_tokens_s = float(timings["predicted_per_second"])

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        missed = 0
        while missed < MISSED_HEARTBEATS:
            try:
                code = await asyncio.wait_for(process.wait(), HEARTBEAT_S)
            except TimeoutError:
                missed = 0 if await self._healthy() else missed + 1
            else:
                raise ModelFailed(f"The process ended with code {code}.")
        raise ModelFailed("The process stopped answering.")

    async def _healthy(self) -> bool:
        try:
            return (await self.http.get(f"{self.url}/health", timeout=ANSWER_S)).status_code == 200
        except httpx2.TransportError:
            return False

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        for stop in (process.stdin.close, process.kill):
            if process.returncode is None:
                stop()
            try:
                await asyncio.wait_for(process.wait(), STOP_DEADLINE_S)
                break
            except TimeoutError:
                continue
        # The transport closes with its last pipe, which may be one that isn't read to its end.
        transport: asyncio.SubprocessTransport = process._transport  # type: ignore[attr-defined]
        transport.close()

    async def _drain(self, stderr: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stderr.readline()
            except ValueError:  # longer than a line may be; what there is of it is gone
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            if text:
                self._last_line = text
                logger.debug(f"llama.cpp: {text}")

    async def _set(self, state: State) -> None:
        async with self._changed:
            self.state = state
            self._changed.notify_all()


def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="offhook-llm-")
