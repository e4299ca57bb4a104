"""Live calls while Ollama does what servers do: a stand-in that speaks its API, in front of a real model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.caller.script import Play, Step, Wait
from models.llm.child import LlamaChild
from tests.e2e.served import OFFHOOK, Served, aside, served
from tests.e2e.test_serve import ask, call
from tests.models.llama import ready
from tests.ollama_server import OllamaServer, Trouble
from tests.ollama_server import served as ollama_served
from tests.peers import free_port
from tests.weights import require_weights

pytestmark = pytest.mark.models

SMALL = "smollm2-135m"
FALLING_BACK = {"OFFHOOK_LLM__BUNDLED": SMALL, "OFFHOOK_LLM__FALLBACK_AFTER_S": "1.5"}


@asynccontextmanager
async def model() -> AsyncIterator[LlamaChild]:
    path = require_weights(SMALL).language_model(SMALL)
    assert path is not None
    async with ready(LlamaChild(path, slots=4)) as child:
        yield child


@asynccontextmanager
async def beside(folder: Path, url: str, environment: Mapping[str, str]) -> AsyncIterator[Served]:
    running = served(folder, OFFHOOK_LLM__URL=url, OFFHOOK_LLM__MAX_TOKENS="24", **environment)
    async with aside(running) as server:
        yield server


@asynccontextmanager
async def beside_ollama(
    folder: Path, environment: Mapping[str, str], *, places: int = 8
) -> AsyncIterator[tuple[Served, OllamaServer]]:
    async with model() as child:
        ollama = OllamaServer(child, places=places)
        async with ollama_served(ollama.app) as url, beside(folder, url, environment) as server:
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


def well(server: Served) -> bool:
    return states(server) == ["ready", "ready"] and server.get("/health")["status"] == "ok"


def trouble_with_the_first(server: Served) -> str:
    """Health's words, while the second speaks in its place."""
    health = server.get("/health")
    assert (health["status"], health["llm"]["kind"]) == ("degraded", "bundled")
    error = health["llm"]["endpoints"][0]["last_error"]
    assert error.rstrip(".") in health["llm"]["why"]
    return str(error)


async def test_whatever_ollama_does_the_caller_is_answered(questions: list[Path], tmp_path: Path) -> None:
    async with beside_ollama(tmp_path, FALLING_BACK) as (server, ollama):
        await until(lambda: well(server), 60)
        assert server.get("/health")["llm"]["kind"] == "ollama"
        told: dict[Trouble, str | None] = {
            "hang": "gave no first token within 1.5 s",
            "nonsense": "answers what isn't its API",
            "gone": "HTTP 404",
            # The next question goes to it again, as if nothing had been.
            "break off": None,
            "refuse": None,
            "busy": None,
            "slow": None,
        }
        for trouble, words in told.items():
            ollama.trouble = [trouble] * 3  # speculations among them
            calling = asyncio.create_task(called(server, ask(questions[0]), tmp_path))
            if words:
                await until(lambda: server.get("/health")["status"] == "degraded", 40)
                assert words in trouble_with_the_first(server)
            assert not timeouts(await calling)
            ollama.trouble = []
            await until(lambda: well(server), 40)
        ollama.load_s = 20.0
        ollama.unload()
        assert not timeouts(await called(server, ask(questions[0]), tmp_path))  # while it is being loaded
        assert "is being loaded" in trouble_with_the_first(server)
        await until(lambda: well(server), 40)
        assert ollama.loads_given_up == 0
        assert ollama.loaded == [4096, 4096]
        ollama.load_s = 3.0
        assert ollama.running
        ollama.running = (ollama.running[0], 2048, ollama.running[2])  # loaded by another, with their context
        assert not timeouts(await called(server, ask(questions[0]), tmp_path))
        await until(lambda: well(server), 40)
        assert (ollama.loads_given_up, ollama.loaded) == (0, [4096] * 3)
        ollama.chats.clear()
        assert not timeouts(await called(server, ask(questions[0]), tmp_path))
        assert ollama.conversations


async def test_one_that_comes_later_and_dies_between_calls_is_missed(
    questions: list[Path], tmp_path: Path
) -> None:
    port = free_port()
    async with model() as child, beside(tmp_path, f"http://127.0.0.1:{port}", FALLING_BACK) as server:
        ollama = OllamaServer(child, models=())
        ollama.load_s = 20.0
        assert not timeouts(await called(server, ask(questions[0]), tmp_path))
        assert "doesn't answer" in trouble_with_the_first(server)
        async with ollama_served(ollama.app, port):
            await until(lambda: "doesn't have llama3.2" in trouble_with_the_first(server), 20)
            assert "fetch it with 'ollama pull llama3.2'" in trouble_with_the_first(server)
            ollama.pull_error = "max retries exceeded: unexpected EOF"
            assert ollama.pull_error in await pulled(server, status=1)
            assert not timeouts(await called(server, ask(questions[0]), tmp_path))
            ollama.pull_error = ""
            await pulled(server, status=0)
            await until(lambda: "is being loaded" in trouble_with_the_first(server), 20)
            assert not timeouts(await called(server, ask(questions[0]), tmp_path))
            await until(lambda: well(server), 40)
            assert ollama.loads_given_up == 0
            assert not timeouts(await called(server, ask(questions[0]), tmp_path))
            assert ollama.conversations
        assert not timeouts(await called(server, ask(questions[0]), tmp_path))
        assert "Ollama isn't running at" in trouble_with_the_first(server)
        assert "start it with 'ollama serve'" in trouble_with_the_first(server)
        ollama.unload()  # as it begins again
        async with ollama_served(ollama.app, port):
            await until(lambda: well(server), 60)


async def pulled(server: Served, *, status: int) -> str:
    """What `offhook models pull` says about the model that the server waits for."""
    url = server.get("/health")["llm"]["endpoints"][0]["url"]
    pull = await asyncio.create_subprocess_exec(
        *(*OFFHOOK, "models", "pull", "llama3.2", "--set", f"llm.url={url}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(pull.communicate(), 60)
    assert pull.returncode == status, said.decode()
    return said.decode()


async def test_six_callers_with_one_place_are_all_answered(questions: list[Path], tmp_path: Path) -> None:
    async with beside_ollama(tmp_path, FALLING_BACK, places=1) as (server, _):
        await until(lambda: well(server), 60)
        assert "OLLAMA_NUM_PARALLEL=" in server.get("/health")["llm"]["why"]
        folders = [tmp_path / str(caller) for caller in range(6)]
        for folder in folders:
            folder.mkdir()
        results = await asyncio.gather(*(called(server, ask(questions[0]), folder) for folder in folders))
        assert [timeouts(result) for result in results] == [[]] * 6
        assert {result["outcome"] for result in results} == {"answered"}


async def test_without_another_model_new_calls_are_refused(questions: list[Path], tmp_path: Path) -> None:
    async with beside_ollama(tmp_path, {"OFFHOOK_LLM__FALLBACK": "never"}) as (server, ollama):
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
