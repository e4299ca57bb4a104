"""Ollama: what offhook makes of the ways in which it isn't there, isn't ready, or doesn't answer.

A stand-in that speaks its documented API in front of a real bundled model; no registry has Ollama itself.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from config.llm import LlmEndpointSettings, LlmSettings
from config.settings import Settings
from models.errors import ModelAway, ModelError, ModelFailed, ModelOverloaded
from models.llm import ollama_model, remote
from models.llm.brief import Brief
from models.llm.chain import Chain
from models.llm.child import LlamaChild
from models.llm.language_model import Llm
from models.llm.ollama import Ollama, chat_request
from models.pool import ModelPool
from tests.models.llama import ready
from tests.ollama_server import OllamaServer, Trouble, served
from tests.weights import require_weights

pytestmark = pytest.mark.models

BRIEF = Brief([{"role": "system", "content": "You answer the telephone."}])
HELLO = {"role": "user", "content": "Hello?"}


@pytest.fixture(autouse=True)
def quick_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "BEAT_S", 0.1)
    monkeypatch.setattr(ollama_model, "FRESH_S", 0.0)


@pytest.fixture
async def child() -> AsyncIterator[LlamaChild]:
    path = require_weights("smollm2-135m").language_model("smollm2-135m")
    assert path is not None
    async with ready(LlamaChild(path, slots=6)) as child:
        yield child


@asynccontextmanager
async def asking(server: OllamaServer, **settings: Any) -> AsyncIterator[Llm]:
    async with served(server.app) as url:
        more = {"max_tokens": 24, "first_token_timeout_s": 5.0, **settings}
        llm = Llm(LlmSettings(**more), weights=None, environ={"OLLAMA_HOST": url}, max_calls=8)
        try:
            await llm.start((BRIEF,))
            yield llm
        finally:
            await llm.close()


@asynccontextmanager
async def two(first: OllamaServer, second: OllamaServer, **settings: Any) -> AsyncIterator[Llm]:
    async with served(second.app) as url:
        named = LlmEndpointSettings(url=url, model="llama3.2")
        async with asking(first, fallbacks=(named,), model="llama3.2", **settings) as llm:
            yield llm


async def said(chain: Chain, question: str = "Hello?") -> str:
    params = {"messages": [*BRIEF.primer, {"role": "user", "content": question}], "max_tokens": 24}
    text = ""
    async with aclosing(chain.answer(params, keep=1)) as chunks:
        async for chunk in chunks:
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    return text


async def until(condition: Callable[[], bool], deadline_s: float = 30.0) -> None:
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110  # another server's state has no event here
            await asyncio.sleep(0.01)


async def test_what_calls_begin_with_is_read_before_the_first_one(child: LlamaChild) -> None:
    server = OllamaServer(child)
    async with asking(server) as llm:
        assert llm.state == "ready"
        assert server.loaded == [4096]
        primed = server.chats[-1]
        assert primed["messages"] == [*BRIEF.primer, {"role": "user", "content": "Hello."}]
        assert primed["keep_alive"] == -1
        assert not server.conversations


async def test_another_who_asks_it_takes_its_place_only_until_the_next_beat(child: LlamaChild) -> None:
    server = OllamaServer(child)
    async with asking(server) as llm:
        primed = len(server.chats)
        async with httpx2.AsyncClient() as other:  # lets it go after five minutes
            url = llm.endpoint.url
            body = {"model": "llama3.2", "messages": [HELLO], "options": {"num_ctx": 4096}}
            await other.post(f"{url}/api/chat", json=body)
        await until(lambda: len(server.chats) >= primed + 2)
        assert server.chats[-1]["messages"][0] == BRIEF.primer[0]
        assert server.loaded == [4096]


@pytest.mark.parametrize("num_ctx", [None, 2048])
async def test_a_model_that_is_gone_is_loaded_by_a_request_that_nobody_cancels(
    child: LlamaChild, num_ctx: int | None
) -> None:
    server = OllamaServer(child)
    async with asking(server) as llm:
        server.load_s = 1.0
        if num_ctx is None:
            server.unload()
        else:
            assert server.running is not None
            server.running = server.running[0], num_ctx, server.running[2]
        chain = llm.chain()
        guess = asyncio.create_task(said(chain))
        await until(lambda: server.loading)
        guess.cancel()  # as the caller goes on
        await asyncio.gather(guess, return_exceptions=True)
        assert llm.state == "loading"
        await until(lambda: llm.state == "ready")
        assert server.loads_given_up == 0
        assert server.loaded == [4096, 4096]
        assert await said(chain)
        chain.close()


async def test_ready_is_loaded_and_not_a_port_that_answers(child: LlamaChild) -> None:
    server = OllamaServer(child)
    server.load_s = 0.5
    async with asking(server) as llm:
        assert server.loaded == [4096]
        server.unload()
        await until(lambda: llm.state == "loading")
        assert llm.last_error == f"llama3.2:latest is being loaded at {llm.endpoint.url}."
        assert llm.accepting == (False, f"No language model answers. {llm.last_error}")
        await until(lambda: llm.state == "ready")


async def test_one_place_is_noticed_and_limits_the_calls(child: LlamaChild) -> None:
    async with asking(OllamaServer(child, places=1)) as llm:
        assert llm.endpoint.calls_borne == 4
        assert "OLLAMA_NUM_PARALLEL=2" in llm.why
        chains = [llm.chain() for _ in range(4)]
        assert llm.accepting[0] is False
        chains.pop().close()
        assert llm.accepting == (True, "")
    async with asking(OllamaServer(child, places=4)) as llm:
        assert llm.endpoint.calls_borne is None
        assert llm.why == f"Ollama at {llm.endpoint.url} has llama3.2:latest."


async def test_calls_beyond_its_places_go_to_the_next(child: LlamaChild) -> None:
    async with two(OllamaServer(child, places=1), OllamaServer(child)) as llm:
        chains = [llm.chain() for _ in range(5)]
        assert [chain.current is llm.endpoints[0] for chain in chains] == [True] * 4 + [False]
        assert llm.accepting == (True, "")


@pytest.mark.parametrize("trouble", ["refuse", "busy", "gone", "nonsense", "hang"])
async def test_whoever_is_next_answers_in_the_same_turn(child: LlamaChild, trouble: Trouble) -> None:
    first, second = OllamaServer(child), OllamaServer(child)
    async with two(first, second, fallback_after_s=0.5) as llm:
        first.trouble = [trouble]
        chain, began = llm.chain(), time.monotonic()
        assert await said(chain)
        assert time.monotonic() - began < 4
        assert len(second.conversations) == 1
        # One that was only busy is asked again in the next turn.
        assert (chain.current is llm.endpoints[0]) == (trouble in ("refuse", "busy"))
        chain.close()
        await until(lambda: llm.endpoint is llm.endpoints[0], 30)
        assert llm.chain().current is llm.endpoints[0]


async def test_nothing_is_asked_twice_once_words_were_said(child: LlamaChild) -> None:
    first, second = OllamaServer(child), OllamaServer(child)
    async with two(first, second) as llm:
        first.trouble = ["break off"]
        chain = llm.chain()
        with pytest.raises(ModelFailed, match="broke"):
            await said(chain)
        assert not second.conversations
        assert await said(chain)
        assert len(second.conversations) == 1


async def test_one_that_dies_is_left_and_returned_to(child: LlamaChild) -> None:
    first, second = OllamaServer(child), OllamaServer(child)
    listening = asyncio.Event()

    async def door(scope: Any, receive: Any, send: Any) -> None:
        if listening.is_set():
            await first.app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with served(door) as url, served(second.app) as spare:
        settings = LlmSettings(url=url, fallbacks=(LlmEndpointSettings(url=spare, model="llama3.2"),))
        llm = Llm(settings, weights=None, environ={})
        try:
            await llm.start((BRIEF,))
            assert llm.state == "degraded"
            assert llm.last_error == f"{url} answers HTTP 503."
            assert await said(llm.chain())
            listening.set()
            await until(lambda: llm.state == "ready")
            assert llm.endpoint is llm.endpoints[0]
            listening.clear()
            await until(lambda: llm.state == "degraded")
        finally:
            await llm.close()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"models": []}, "doesn't have llama3.2: fetch it with 'ollama pull llama3.2', or set llm.model."),
        ({"capabilities": ["embedding"]}, "can't hold a conversation: it is made for embedding."),
        ({"template": "{{ .Prompt }}"}, "has no chat template"),
        (
            {"load_error": "model requires more system memory (9.9 GiB) than is available (4.1 GiB)"},
            "model requires more system memory (9.9 GiB) than is available (4.1 GiB). llama3.2:latest can't "
            "be loaded: set llm.model to a smaller one",
        ),
    ],
)
async def test_a_model_that_cant_be_used_is_told_in_its_words(
    child: LlamaChild, change: dict[str, Any], sentence: str
) -> None:
    server = OllamaServer(child)
    for name, value in change.items():
        setattr(server, name, value)
    async with asking(server, model="llama3.2", url=None, fallback="never") as llm:
        assert llm.state == "down"
        assert sentence in (llm.last_error or "")
        assert llm.accepting == (False, f"No language model answers. {llm.last_error}")
        server.models, server.capabilities = ["llama3.2:latest"], ["completion"]
        server.template, server.load_error = "{{ .System }}{{ .Prompt }}", ""
        await until(lambda: llm.state == "ready")  # as soon as it can be


async def test_one_that_isn_t_running_is_named_with_the_remedy() -> None:
    async with httpx2.AsyncClient() as http:
        with pytest.raises(ModelAway) as away:
            await Ollama("http://127.0.0.1:9", http).models()
    assert str(away.value) == "Ollama isn't running at http://127.0.0.1:9: start it with 'ollama serve'."


async def test_the_key_goes_to_an_ollama_behind_a_proxy(child: LlamaChild) -> None:
    seen: list[str] = []
    server = OllamaServer(child)

    async def proxy(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(value.decode() for name, value in scope["headers"] if name == b"authorization")
        await server.app(scope, receive, send)

    async with served(proxy) as url:
        llm = Llm(LlmSettings(url=url, api_key=SecretStr("sesame")), weights=None, environ={})
        try:
            await llm.start()
            assert await said(llm.chain())
        finally:
            await llm.close()
    assert set(seen) == {"Bearer sesame"}
    assert len(seen) > 5


async def test_a_password_in_the_url_is_sent_and_never_shown(child: LlamaChild) -> None:
    seen: set[str] = set()
    server = OllamaServer(child)

    async def proxy(scope: Any, receive: Any, send: Any) -> None:
        seen.update(value.decode() for name, value in scope["headers"] if name == b"authorization")
        await server.app(scope, receive, send)

    async with served(proxy) as url:
        named = url.replace("://", "://me:hush@")
        llm = Llm(LlmSettings(url=named), weights=None, environ={})
        try:
            await llm.start()
            assert await said(llm.chain())
            assert llm.why == f"llm.url names the Ollama at {url}, which has llama3.2:latest."
        finally:
            await llm.close()
    assert seen == {"Basic bWU6aHVzaA=="}


async def test_a_pull_tells_its_progress_and_its_failure(child: LlamaChild) -> None:
    server = OllamaServer(child, models=())
    async with served(server.app) as url, httpx2.AsyncClient() as http:
        ollama = Ollama(url, http)
        seen = [progress async for progress in ollama.pull("qwen3:4b")]
        assert (seen[3].completed, seen[3].total) == (1_000_000, 1_000_000)
        assert seen[-1].status == "success"
        with pytest.raises(ModelFailed, match="file does not exist"):
            _ = [progress async for progress in ollama.pull("nosuchmodel")]


@pytest.mark.parametrize("trouble", ["refuse", "busy", "gone", "nonsense", "break off"])
async def test_what_it_repeats_of_a_conversation_is_not_told(child: LlamaChild, trouble: Trouble) -> None:
    server = OllamaServer(child)
    server.trouble = [trouble]
    params = {
        "model": "llama3.2",
        "messages": [{"role": "user", "content": "My PIN is 4711."}],
        "max_tokens": 8,
    }
    async with served(server.app) as url, httpx2.AsyncClient() as http:
        with pytest.raises(ModelError) as failed:
            async for _ in Ollama(url, http).chat(chat_request(params, num_ctx=512, think=None)):
                pass
    assert "4711" not in "".join(traceback.format_exception(failed.value))
    assert isinstance(failed.value, ModelOverloaded) == (trouble in ("refuse", "busy"))


async def test_requests_that_are_cancelled_early_leave_no_connection(child: LlamaChild) -> None:
    """httpx's pool keeps a place for each; with a hundred of them nothing is asked any more."""
    server = OllamaServer(child)
    async with served(server.app) as url, httpx2.AsyncClient() as http:
        ollama = Ollama(url, http)
        for turns in range(300):
            guess = asyncio.create_task(ollama.models())
            for _ in range(turns % 12):
                await asyncio.sleep(0)
            guess.cancel()
            await asyncio.gather(guess, return_exceptions=True)
        assert await ollama.models() == ["llama3.2:latest"]


async def test_a_server_that_gives_less_than_it_is_asked_isn_t_asked_again_and_again(
    child: LlamaChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model may bear less context than llm.num_ctx, and a proxy may let nobody keep a model."""
    server = OllamaServer(child)
    server.most_ctx, server.keeps = 2048, False
    async with asking(server) as llm:
        asked, looks = len(server.chats), server.looks
        await until(lambda: server.looks >= looks + 4)
        assert llm.state == "ready"
        assert server.loaded == [2048]
        assert len(server.chats) == asked


async def test_health_can_be_asked_while_a_model_loads(child: LlamaChild, tmp_path: Path) -> None:
    server = OllamaServer(child)
    server.load_s = 1.0
    async with served(server.app) as url:
        settings = Settings(llm=LlmSettings(url=url, fallback="never"), cache_dir=tmp_path)
        pool = ModelPool(settings, voices=["v"], languages=["en"])
        starting = asyncio.create_task(pool.start_llm())
        await until(lambda: server.loading)
        assert pool.health()[-1].state == "loading"
        await starting
        assert (pool.health()[-1].state, pool.health()[-1].model) == ("ready", "llama3.2:latest")
        await pool.close()
