"""A colleague is called before a caller is put through: what that counts as."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent.outbound.calls import OutboundCalls
from config.outbound import OutboundSettings
from transports.outbound import LimitReached, OutboundGuard


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
