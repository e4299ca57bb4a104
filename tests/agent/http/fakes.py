"""Small stand-ins for the parts of the process that the HTTP server asks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse
from openai.types.chat import ChatCompletionChunk

from agent.admission import Admission
from agent.conversation import Action, CallState, Problem, ToolCall, Turn
from agent.observer import Recorded
from agent.recordings.listener import Listener
from agent.recordings.monitor import CantBeHeard
from config.llm import LlmSettings
from config.persona import Persona, load_persona
from models.errors import ModelError, ModelUnloaded
from models.lanes import Priority
from models.llm.chain import Chain
from models.llm.endpoint import Endpoint
from models.llm.openai_model import OpenAiModel
from models.nvml import Gpu
from transports.call import CallInfo, MediaStats


@dataclass
class FakeControl:
    """Does what it is asked for, or fails as it is told to."""

    error: Exception | None = None
    asked: list[tuple[str, Any]] = field(default_factory=list)
    caller_muted: bool = False
    agent_muted: bool = False

    async def transfer(self, to: str) -> None:
        self._do("transfer", to)

    async def say(self, text: str) -> None:
        self._do("say", text)

    async def hold(self) -> None:
        self._do("hold")

    async def send_keys(self, keys: str) -> None:
        self._do("keys", keys)

    async def ask_for_keys(self, name: str) -> str | None:
        self._do("keypad", name)
        return "1234"

    async def take_message(self) -> str | None:
        self._do("message")
        return "5c1f7e20b9d3"

    async def resume(self) -> None:
        self._do("resume")

    def mute(self, *, caller: bool, agent: bool) -> None:
        self.caller_muted, self.agent_muted = caller, agent

    async def inject(self, text: str, *, answer: bool) -> None:
        self._do("inject", (text, answer))

    def hand_over(self, name: str) -> None:
        self._do("persona", name)

    def _do(self, what: str, how: Any = None) -> None:
        self.asked.append((what, how))
        if self.error:
            raise self.error


@dataclass
class FakeMonitor:
    paused: bool = False
    error: str = ""

    def pause(self, paused: bool) -> None:
        if self.error:
            raise CantBeHeard(self.error)
        self.paused = paused

    def listen(self, on_over: Callable[[], None]) -> Listener:
        raise CantBeHeard(self.error)


@dataclass
class FakeCall:
    directory: FakeCalls
    info: CallInfo
    state: CallState = "listening"
    connected_at: float | None = None
    turns: list[Turn] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    last_voice_to_voice_ms: float | None = None
    guesses: tuple[int, int] = (0, 0)
    false_starts: int = 0
    flow: Mapping[str, Any] | None = None
    recorded: Recorded | None = None
    persona: Persona = field(default_factory=lambda: load_persona("fr"))
    stats: MediaStats = field(default_factory=MediaStats)
    control: FakeControl = field(default_factory=FakeControl)
    monitor: FakeMonitor = field(default_factory=FakeMonitor)
    ends: bool = True
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def media_stats(self) -> MediaStats:
        return self.stats

    async def hangup(self) -> None:
        """As a real call: asked at once, over a little later."""
        self.state = "ending"
        if self.ends:
            asyncio.get_running_loop().call_later(0.05, self.end)

    def note(self, action: str, by: str, **arguments: Any) -> None:
        self.actions.append(Action(action, arguments, by))

    def end(self) -> None:
        self.directory.calls.remove(self)
        self.over.set()


@dataclass
class FakeCalls:
    calls: list[FakeCall] = field(default_factory=list)
    accepting: tuple[bool, str] = (True, "")
    admission: Admission = field(default_factory=lambda: Admission(20))
    draining: bool = False

    def live(self) -> list[FakeCall]:
        return list(self.calls)

    async def gone(self, id: str) -> None:
        for call in self.live():
            if call.info.id == id:
                await call.over.wait()

    def add(self, caller: str = "alice") -> FakeCall:
        call = FakeCall(self, CallInfo("sip", caller, "agent", remote="192.0.2.7", codec="pcmu"))
        self.calls.append(call)
        return call


@dataclass
class FakeComponent:
    name: str
    state: str = "ready"
    device: str | None = "cpu"
    model: str | None = None
    last_error: str | None = None
    queued: int = 0
    oldest_s: float = 0.0
    precision: str | None = None
    weights_bytes: int | None = None
    note: str | None = None
    remedy: str | None = None


class FakeEndpoint(Endpoint):
    """Asks whatever server the test names, as an OpenAI-compatible one."""

    kind = "openai"
    state = "ready"
    why = "It is the one that the test names."

    def __init__(self, url: str = "http://127.0.0.1:1/v1", model: str = "tiny") -> None:
        super().__init__()
        self.url, self.model = url, model
        self._http = httpx2.AsyncClient()
        self._server = OpenAiModel(url, model, LlmSettings(), self._http, api_key=None, briefs=())

    def fit(self, params: Mapping[str, Any], *, keep: int, slot: int | None) -> dict[str, Any]:
        return {**params, "model": self.model}

    def chat(
        self, params: Mapping[str, Any], *, acting: Any = None, brevity: Any = None
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        return self._server.chat(params)

    async def wait_ready(self, timeout_s: float) -> None:
        return

    async def close(self) -> None:
        await self._http.aclose()


class FakeLlm:
    """Without an endpoint it hasn't been started."""

    def __init__(self, endpoint: FakeEndpoint | None, settings: LlmSettings | None = None) -> None:
        self.chosen = endpoint
        self._settings = settings or LlmSettings()

    @property
    def endpoint(self) -> FakeEndpoint:
        if self.chosen is None:
            raise ModelUnloaded("The language model hasn't been started.")
        return self.chosen

    @property
    def endpoints(self) -> list[FakeEndpoint]:
        return [self.endpoint]

    @property
    def why(self) -> str:
        return self.endpoint.why

    def chain(self) -> Chain:
        return Chain(self.endpoints, self._settings)


@dataclass
class FakeModels:
    """The control plane's view of the pool. Its models don't work; tests of those use real ones."""

    components: list[FakeComponent] = field(
        default_factory=lambda: [FakeComponent("stt", model="base"), FakeComponent("llm")]
    )
    llm: FakeLlm = field(default_factory=lambda: FakeLlm(FakeEndpoint()))
    voices: Any = None
    recognizer: Any = None
    vad: Any = None

    found: Gpu | None = None

    def health(self) -> list[FakeComponent]:
        return self.components

    def gpu(self) -> Gpu | None:
        return self.found


@dataclass
class ScriptedLlm:
    """An OpenAI-compatible endpoint that answers with a script, one token a chunk."""

    tokens: list[str] = field(default_factory=lambda: ["Paris", " is", " the", " capital", "."])
    hold_after: int | None = None  # tokens after which it says nothing more until released
    status: int = 200
    seen: list[dict[str, Any]] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    holding: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/v1/chat/completions")
        async def completions(body: dict[str, Any]) -> Response:
            self.seen.append(body)
            if self.status != 200:
                return Response("{}", self.status, media_type="application/json")
            return StreamingResponse(self._chunks(), media_type="text/event-stream")

        return app

    async def _chunks(self) -> AsyncIterator[str]:
        for index, token in enumerate(self.tokens):
            if index == self.hold_after:
                self.holding.set()
                await self.released.wait()
            choice = {"index": 0, "delta": {"content": token}, "finish_reason": None}
            chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
            yield f"data: {json.dumps(chunk | {'choices': [choice]})}\n\n"
        yield "data: [DONE]\n\n"


@dataclass
class FakeSpeech:
    pcm: bytes


class ToneVoices:
    """Says 10 ms of a square wave for each character."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.languages: list[str | None] = []
        self.priorities: list[Priority] = []
        self.pause_s = 0.0
        self.bytes_each = 0

    async def stream(
        self,
        text: str,
        *,
        voice: str | tuple[str, ...],
        call_id: str,
        language: str | None,
        priority: Priority,
    ) -> AsyncGenerator[FakeSpeech, None]:
        if voice == "nobody":
            raise ModelError("The voice nobody isn't loaded; loaded are: tone.")
        self.said.append(text)
        self.languages.append(language)
        self.priorities.append(priority)
        await asyncio.sleep(self.pause_s)
        yield FakeSpeech(b"\x00\x10" * (self.bytes_each or 160 * len(text)))
