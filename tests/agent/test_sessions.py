from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.sessions import Sessions
from config.answering import Personas, load_personas
from config.persona import load_persona
from config.settings import Settings
from models.pool import ModelPool
from transports.call import CallInfo, CallRefused, CallTransport

POOL = cast(ModelPool, SimpleNamespace(llm=SimpleNamespace(accepting=(True, ""))))


async def test_only_latency_needs_a_language_model(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = list[str]()

    def session(call: CallTransport, **_: Any) -> Any:
        async def run() -> None:
            tried.append(call.info.called)

        return SimpleNamespace(run=run, forgotten=asyncio.Event())

    monkeypatch.setattr("agent.sessions.CallSession", session)
    without = cast(ModelPool, SimpleNamespace(llm=SimpleNamespace(accepting=(False, "No model."))))
    personas = load_personas(Settings())
    sessions = Sessions(settings=Settings(), personas=personas, pool=without)
    sessions._ready = True
    names = ("echo", "tone", "keys", "repeat", "quality")
    calls = {
        name: cast(CallTransport, SimpleNamespace(info=CallInfo("sip", "alice", name)))
        for name in (*names, "agent", "latency")
    }
    for name in names:
        await sessions.handle(calls[name])
    assert tried == list(names)
    for name in ("agent", "latency"):
        with pytest.raises(CallRefused, match="No model"):
            await sessions.handle(calls[name])


async def test_a_call_is_gone_when_its_session_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    over = asyncio.Event()

    def session(*_: Any, **__: Any) -> Any:
        return SimpleNamespace(run=over.wait, forgotten=asyncio.Event())

    monkeypatch.setattr("agent.sessions.CallSession", session)
    sessions = Sessions(settings=Settings(), personas=Personas((load_persona("en"),)), pool=POOL)
    sessions._ready = True
    call = SimpleNamespace(info=CallInfo("sip", "alice", "agent"))
    await sessions.gone(call.info.id)  # it isn't there yet

    running = asyncio.create_task(sessions.handle(cast(CallTransport, call)))
    await asyncio.sleep(0)
    gone = asyncio.create_task(sessions.gone(call.info.id))
    await asyncio.sleep(0)
    assert not gone.done()
    over.set()
    await gone
    assert not sessions.live()
    await running
