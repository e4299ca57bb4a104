"""A colleague is called before a caller is put through: what that counts as."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from agent.consultation import Consultation
from agent.outbound.calls import OutboundCalls
from config.outbound import OutboundSettings
from config.persona import Persona
from models.pool import ModelPool
from transports.call import CallTransport, TransferFailed
from transports.outbound import LimitReached, OutboundGuard


@pytest.mark.parametrize("cancelled", [False, True])
async def test_who_waits_for_a_colleague_is_told_of_any_failure(cancelled: bool) -> None:
    running: list[asyncio.Task[None]] = []

    class Colleague:
        connected_event, stopped_event = "on_dialout_answered", "on_dialout_stopped"

        def add_event_handler(self, *_: object) -> None: ...

        async def answer(self) -> None:
            if cancelled:
                running[0].cancel()
                await asyncio.Event().wait()
            raise RuntimeError("what nobody thought of")

    async def dial(
        to: str, handler: Callable[[CallTransport], Coroutine[Any, Any, None]], **_: object
    ) -> CallTransport:
        call = cast("CallTransport", Colleague())
        running.append(asyncio.create_task(handler(call)))
        return call

    class Silent(Consultation):
        async def _speak(self, text: str) -> bytes:
            return b""

    consultation = Silent(dial, cast("ModelPool", None), cast("Persona", None))
    with pytest.raises(TransferFailed, match="failed"):
        await asyncio.wait_for(
            consultation.reach("sip:600@pbx", "A caller.", account="", ring_timeout_s=20), 5
        )
    with pytest.raises(asyncio.CancelledError if cancelled else RuntimeError):
        await running[0]


async def test_a_call_counts_no_more_once_the_caller_has_hung_up_while_it_was_dialled() -> None:
    dialling = asyncio.Event()

    async def dial(*_: Any, **__: Any) -> Any:
        dialling.set()
        await asyncio.Event().wait()

    async def nobody(*_: Any, **__: Any) -> Any:
        raise NotImplementedError

    guard = OutboundGuard(OutboundSettings(max_calls=1))
    calls = OutboundCalls(dial, nobody, guard, lambda: (True, ""))
    consulting = asyncio.create_task(calls.consult("sip:600@pbx", nobody, account="", ring_timeout_s=20))
    await dialling.wait()
    with pytest.raises(LimitReached):
        guard.begin("key desk", 0.0)
    consulting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consulting
    guard.begin("key desk", 0.0)
