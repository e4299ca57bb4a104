"""What tests of SIP calls do again and again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from tests.peers import Reception
from tests.sip_caller import Caller, SipAnswer
from transports.call import CallTransport


async def soon(awaitable: Any, timeout_s: float = 15.0) -> Any:
    return await asyncio.wait_for(awaitable, timeout_s)


@contextlib.asynccontextmanager
async def phone(server: tuple[str, int], **named: Any) -> AsyncIterator[Caller]:
    """A caller that hasn't called yet."""
    caller = Caller(server, **named)
    try:
        yield caller
    finally:
        caller.close()


async def heard_both_ways(caller: Caller, answer: SipAnswer, reception: Reception) -> None:
    """The answered and acknowledged call carries packets both ways; then it is ended."""
    call: CallTransport = await soon(reception.connected.get())
    caller.start_rtp(answer)
    await packets(caller, 10)
    async with asyncio.timeout(15):
        while call.info.codec == "":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await caller.bye()
    await soon(reception.ended.get())


async def packets(caller: Caller, count: int) -> None:
    """Wait until the caller has received as many more packets."""
    wanted = len(caller.received) + count
    async with asyncio.timeout(15):
        while len(caller.received) < wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
