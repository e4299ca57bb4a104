"""Live calls while Ollama does what servers do: a stand-in that speaks its API, in front of a real model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.caller.script import Play, Step, Wait
from models.llm.child import LlamaChild
from tests.e2e.served import Served, aside, served
from tests.e2e.test_serve import ask, call
from tests.models.llama import ready
from tests.ollama_server import OllamaServer, Trouble
from tests.ollama_server import served as ollama_served
from tests.weights import require_weights

pytestmark = pytest.mark.models


@asynccontextmanager
async def beside_ollama(folder: Path, **environment: str) -> AsyncIterator[tuple[Served, OllamaServer]]:
    path = require_weights("smollm2-135m").language_model("smollm2-135m")
    assert path is not None
    async with ready(LlamaChild(path, slots=4)) as child:
        ollama = OllamaServer(child)
        async with ollama_served(ollama.app) as url:
            running = served(folder, OFFHOOK_LLM__URL=url, OFFHOOK_LLM__MAX_TOKENS="24", **environment)
            async with aside(running) as server:
                yield server, ollama


async def until(condition: Callable[[], bool], deadline_s: float) -> None:
    async with asyncio.timeout(deadline_s):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110  # another process's state has no event
            await asyncio.sleep(0.1)


async def called(server: Served, steps: list[Step], folder: Path) -> dict[str, Any]:
    return await asyncio.to_thread(call, server, steps, folder)


def timeouts(result: dict[str, Any]) -> list[Any]:
    return [mark for mark in result["marks"] if mark["event"] == "timeout"]


def states(server: Served) -> list[str]:
    return [endpoint["state"] for endpoint in server.get("/health")["llm"]["endpoints"]]


async def test_whatever_ollama_does_the_caller_is_answered(questions: list[Path], tmp_path: Path) -> None:
    small = {"OFFHOOK_LLM__BUNDLED": "smollm2-135m"}
    async with beside_ollama(tmp_path, OFFHOOK_LLM__FALLBACK_AFTER_S="1.5", **small) as (server, ollama):
        await until(lambda: states(server) == ["ready", "ready"], 60)
        assert server.get("/health")["llm"]["kind"] == "ollama"
        troubles: tuple[Trouble, ...] = ("hang", "nonsense", "break off")
        for trouble in troubles:
            ollama.trouble = [trouble] * 3  # speculations among them
            assert not timeouts(await called(server, ask(questions[0]), tmp_path))
            ollama.trouble = []
            await until(lambda: server.get("/health")["status"] == "ok", 40)
        ollama.load_s = 20.0
        ollama.unload()
        assert not timeouts(await called(server, ask(questions[0]), tmp_path))  # while it is being loaded
        assert server.get("/health")["status"] == "degraded"
        await until(lambda: states(server) == ["ready", "ready"], 40)
        assert ollama.loads_given_up == 0
        assert ollama.loaded == [4096, 4096]
        ollama.chats.clear()
        assert not timeouts(await called(server, ask(questions[0]), tmp_path))
        assert ollama.conversations


async def test_without_another_model_new_calls_are_refused(questions: list[Path], tmp_path: Path) -> None:
    async with beside_ollama(tmp_path, OFFHOOK_LLM__FALLBACK="never") as (server, ollama):
        assert not timeouts(await called(server, ask(questions[0]), tmp_path))
        ollama.load_s, ollama.load_error = 0.0, "model requires more system memory"
        ollama.unload()
        await until(lambda: states(server) == ["down"], 20)
        health = server.get("/health")
        assert health["accepting"] is False
        assert "model requires more system memory" in health["reason"]
        refused = await called(server, [Play(wav=questions[0]), Wait(timeout_s=0.1)], tmp_path)
        assert refused["outcome"] == "refused"
        ollama.load_error = ""
        await until(server.ready, 20)
        assert not timeouts(await called(server, ask(questions[0]), tmp_path))
