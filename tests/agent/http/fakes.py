"""Small stand-ins for the parts of the process that the HTTP server asks."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal

from openai import AsyncOpenAI

from agent.http.contracts import CallState
from transports.call import CallInfo


@dataclass
class FakeTurn:
    speaker: Literal["caller", "agent"]
    text: str
    cut_off: bool = False
    at: float = field(default_factory=time.time)
    ledger: dict[str, float] = field(default_factory=dict)


@dataclass
class FakeCall:
    directory: FakeCalls
    info: CallInfo
    state: CallState = "listening"
    turns: list[FakeTurn] = field(default_factory=list)
    last_voice_to_voice_ms: float | None = None

    async def hangup(self) -> None:
        self.directory.calls.remove(self)


@dataclass
class FakeCalls:
    calls: list[FakeCall] = field(default_factory=list)
    accepting: tuple[bool, str] = (True, "")

    def live(self) -> list[FakeCall]:
        return list(self.calls)

    def add(self, caller: str = "sip:alice@127.0.0.1") -> FakeCall:
        call = FakeCall(self, CallInfo("sip", caller, "sip:agent@127.0.0.1", codec="PCMU/8000"))
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


@dataclass
class FakeEndpoint:
    url: str = "http://127.0.0.1:1/v1"
    model: str = "tiny"
    kind: str = "openai"
    why: str = "It is the one that the test names."


@dataclass
class FakeLlm:
    endpoint: FakeEndpoint | None = field(default_factory=FakeEndpoint)
    state: str = "ready"

    @property
    def client(self) -> AsyncOpenAI:
        assert self.endpoint is not None
        if self._client is None:
            self._client = AsyncOpenAI(base_url=self.endpoint.url, api_key="none", max_retries=0)
        return self._client

    _client: AsyncOpenAI | None = None


@dataclass
class FakeModels:
    """The control plane's view of the pool. Its models don't work; tests of those use real ones."""

    components: list[FakeComponent] = field(
        default_factory=lambda: [FakeComponent("stt", model="base"), FakeComponent("llm")]
    )
    llm: FakeLlm = field(default_factory=FakeLlm)
    voices: Any = None
    recognizer: Any = None
    vad: Any = None

    def health(self) -> list[FakeComponent]:
        return self.components
