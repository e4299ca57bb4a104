"""OpenAI's API, asked by a node as it asks any such server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import httpx2
import pytest

from agent.http.app import create_app
from agent.http.openai_chat import openai_chat_router
from agent.http.openai_speech import openai_speech_router
from agent.http.server import HttpServer
from agent.http.speech import STT_BODY_BYTES
from agent.model_server import Requests
from config.settings import HttpSettings, Settings, SttSettings, TtsSettings
from models.errors import ModelBusy, ModelOverloaded
from models.expected import Expected
from models.lanes import Priority
from models.llm.chunks import completion_chunk
from models.pool import ModelPool
from models.question import question
from models.remote_recognizer import RemoteRecognizer
from models.remote_voices import RemoteVoices
from models.speech import SAMPLE_RATE_HZ, Speech, Word, wav
from models.transcript import Languages, Transcript
from tests.waiting import until

KEY = "0123456789abcdef"
HEARD = Transcript("What time?", "en", -0.2, 0.1, 0.0, -0.4, Languages({"en": 0.9}, 1.5), 0.8, 0.01)
SAID = Speech(b"\x01\x10" * 1600, (Word("Hello", 0, 700), Word("there.", 700, 1600)))


class Pool:
    """One that has all loaded, and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.cancelled = False
        self.hang = self.busy = False
        self.recognizer = SimpleNamespace(transcribe=self._transcribe)
        self.voices = SimpleNamespace(names=("joe",), stream=self._stream)
        self.llm = SimpleNamespace(
            endpoint=SimpleNamespace(model="a mind", kind="ollama"),
            chain=lambda: SimpleNamespace(answer=self._answer, close=lambda: None),
        )

    async def _transcribe(self, pcm: bytes, **asked: Any) -> Transcript:
        self.asked.append(asked | {"bytes": len(pcm)})
        if self.busy:
            raise ModelBusy("It has too much to do.")
        try:
            if self.hang:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return HEARD

    async def _stream(self, text: str, **asked: Any) -> AsyncIterator[Speech]:
        self.asked.append(asked | {"text": text})
        yield SAID

    async def _answer(self, params: Any, **asked: Any) -> AsyncIterator[Any]:
        self.asked.append(params | {"keep": asked["keep"]})
        for word in ("It is", " nine."):
            yield completion_chunk("a mind", "x", {"content": word})

    def health(self) -> list[Any]:
        return [SimpleNamespace(model=name) for name in ("base", "joe")]


@contextlib.asynccontextmanager
async def serving(loading: ModelPool | None = None) -> AsyncIterator[tuple[Pool, str]]:
    settings = Settings(http=HttpSettings(api_key=KEY))
    pool = Pool()
    models = loading or cast(ModelPool, pool)
    app = create_app(
        settings=settings,
        calls=Requests(settings),
        models=models,
        routers=[openai_chat_router(models, "en"), openai_speech_router(models, settings.text)],
        body_bytes={"/v1/audio/transcriptions": STT_BODY_BYTES},
    )
    http = HttpServer(app, host="127.0.0.1")
    await http.start()
    try:
        yield pool, f"http://127.0.0.1:{http.port}/v1"
    finally:
        await http.stop(0)


@contextlib.asynccontextmanager
async def client(url: str, key: str = KEY) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as http:
        yield http


@pytest.mark.parametrize("guess", [False, True])
async def test_a_node_is_told_all_that_was_heard(guess: bool) -> None:
    async with serving() as (pool, url):
        recognizer = RemoteRecognizer(SttSettings(url=url, api_key=KEY), local=None)
        try:
            heard = await recognizer.transcribe(
                question(),
                call_id="1",
                language="en-GB",
                speculative=guess,
                expected=Expected("names"),
                priority=Priority.CALL,
            )
        finally:
            await recognizer.close()
    assert heard.decode_ms > 0
    assert heard.network_ms > 0
    assert replace(heard, decode_ms=0.0, network_ms=0.0) == HEARD
    (asked,) = pool.asked
    assert asked.pop("call_id").startswith("v1-")
    assert asked == {
        "bytes": len(question()),
        "language": "en",
        "speculative": guess,
        "expected": Expected("names"),
        "priority": Priority.CALL,
    }


async def test_a_node_speaks_with_the_words_where_they_are() -> None:
    async with serving() as (pool, url):
        voices = RemoteVoices(TtsSettings(url=url, api_key=KEY), ["joe"], local=None)
        try:
            parts = [
                part async for part in voices.stream("Hello there.", voice="joe", call_id="1", language="en")
            ]
        finally:
            await voices.close()
    assert [(part.words, len(part.pcm)) for part in parts] == [(SAID.words, len(SAID.pcm))]
    assert parts[0].network_ms > 0
    assert pool.asked[0]["text"] == "Hello there."
    assert pool.asked[0]["priority"] is Priority.CALL


async def test_who_leaves_isnt_worked_for() -> None:
    async with serving() as (pool, url), client(url) as http:
        pool.hang = True
        asking = asyncio.create_task(http.post("/audio/transcriptions", files={"file": wav(question())}))
        await until(lambda: pool.asked)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        await until(lambda: pool.cancelled)


@pytest.mark.parametrize(("form", "answer"), [("text", "What time?\n"), ("json", '{"text":"What time?"}')])
async def test_others_get_what_openai_answers(form: str, answer: str) -> None:
    async with serving() as (pool, url), client(url) as http:
        heard = await http.post(
            "/audio/transcriptions",
            data={"response_format": form, "model": "whisper-1", "unknown": "1"},
            files={"file": ("a.wav", wav(question()))},
        )
        spoken = await http.post("/audio/speech", json={"input": "Hello there.", "voice": "joe", "speed": 1})
        samples = await http.post(
            "/audio/speech", json={"input": "Hello.", "voice": "joe", "response_format": "pcm"}
        )
    assert heard.text == answer
    assert pool.asked[0]["priority"] is Priority.TEXT
    assert spoken.content == wav(SAID.pcm)
    assert samples.content == SAID.pcm
    assert samples.headers["Content-Type"] == f"audio/pcm;rate={SAMPLE_RATE_HZ};channels=1"


async def test_a_conversation_is_answered() -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What time is it?"}]
    async with serving() as (pool, url), client(url) as http:
        whole = (await http.post("/chat/completions", json={"messages": messages, "seed": 1})).json()
        streamed = await http.post("/chat/completions", json={"messages": messages, "stream": True})
        models = (await http.get("/models")).json()
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": "It is nine."}
    assert pool.asked[0] == {"stream": True, "messages": messages, "keep": 1}
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert streamed.text.count('"content":') == 2
    assert [model["id"] for model in models["data"]] == ["a mind", "base", "joe"]


async def test_a_bundled_model_says_that_it_takes_no_tools() -> None:
    tool = {"type": "function", "function": {"name": "end_call"}}
    async with serving() as (pool, url), client(url) as http:
        pool.llm.endpoint.kind = "bundled"
        refused = await http.post(
            "/chat/completions", json={"messages": [{"role": "user", "content": "Bye."}], "tools": [tool]}
        )
    assert refused.status_code == 400
    assert "takes no tools here" in refused.json()["error"]["message"]


@pytest.mark.parametrize("where", ["messages", "tools", "tool_choice"])
async def test_half_of_a_surrogate_pair_is_refused(where: str) -> None:
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello."}]}
    half = {"type": "function", "text": "\ud83d"}
    async with serving() as (pool, url), client(url) as http:
        body = json.dumps(asked | {where: half if where == "tool_choice" else [half]})
        refused = await http.post(
            "/chat/completions", content=body, headers={"Content-Type": "application/json"}
        )
    assert refused.status_code == 422
    assert f"{where}: Value error, it has half of a surrogate pair" in refused.json()["error"]["message"]
    assert pool.asked == []


async def test_what_is_refused_says_why() -> None:
    async with serving() as (pool, url), client(url) as http, client(url, "a wrong key, long") as stranger:
        pool.busy = True
        busy = await http.post("/audio/transcriptions", files={"file": ("a.wav", wav(question()))})
        other = await http.post("/audio/speech", json={"input": "Hello.", "voice": "alloy"})
        wrong = await stranger.post("/audio/speech", json={"input": "Hello.", "voice": "joe"})
        noise = await http.post("/audio/transcriptions", files={"file": ("a.wav", b"no sound")})
    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "1")
    assert (other.status_code, other.json()["error"]["message"]) == (
        422,
        "voice: alloy isn't loaded; loaded are: joe.",
    )
    assert (wrong.status_code, noise.status_code) == (401, 415)


async def test_while_the_models_load_it_says_so() -> None:
    loading = ModelPool(Settings(), voices=["joe"], languages=["en"])
    async with serving(loading) as (_, url), client(url) as http:
        answers = [
            await http.get("/models"),
            await http.post("/chat/completions", json={"messages": [{"role": "user", "content": "Hi."}]}),
            await http.post("/audio/speech", json={"input": "Hello.", "voice": "joe"}),
            await http.post("/audio/transcriptions", files={"file": ("a.wav", wav(question()))}),
            await http.post("/audio/transcriptions", files={"file": ("a.wav", wav(bytes(31 * 32_000)))}),
        ]
    for answer in answers:
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.json()["error"]["message"] == "The models aren't loaded. GET /health says more."


async def test_a_node_takes_a_busy_server_for_one_that_is_there() -> None:
    async with serving() as (pool, url):
        pool.busy = True
        recognizer = RemoteRecognizer(SttSettings(url=url, api_key=KEY, timeout_s=0.5), local=None)
        try:
            with pytest.raises(ModelOverloaded):
                await recognizer.transcribe(question(), call_id="1", language="en")
            assert recognizer.state == "ready"
        finally:
            await recognizer.close()
