from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.sessions import Sessions
from config.answering import Personas
from config.persona import load_persona
from config.settings import Settings
from models.pool import ModelPool
from transports.call import CallInfo, CallTransport

POOL = cast(ModelPool, SimpleNamespace(llm=SimpleNamespace(accepting=(True, ""))))


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
