"""Calls that end badly, again and again, leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.process import open_files
from tests.transports import netns
from tests.transports.fake_agent import FakeAgent
from tests.transports.test_webrtc_call import Browser, serving
from tests.waiting import until
from transports.call import EndReason

pytestmark = [pytest.mark.netns, pytest.mark.peers]


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    with netns.cable() as cable, netns.inside(cable.server):
        yield


def ledger() -> dict[str, int]:
    gc.collect()
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": sum(thread.name == "audio-decoder" for thread in threading.enumerate()),
        "files": open_files(),
    }


@pytest.mark.parametrize("rounds", [5, pytest.param(100, marks=pytest.mark.soak)], ids=["some", "a hundred"])
async def test_killed_browsers_leave_the_ledger_where_it_was(network: None, rounds: int) -> None:
    agent = FakeAgent(greeting_s=0)
    async with serving(agent, gone_s=2) as endpoint:

        async def one() -> None:
            browser = Browser()
            await browser.call(endpoint)
            await until(lambda: browser.channel.readyState == "open")
            await browser.vanish()
            await browser.close()

        await one()  # what is made once and kept
        await until(lambda: not agent.live)
        before = ledger()
        for start in range(0, rounds, 10):
            await asyncio.gather(*(one() for _ in range(min(10, rounds - start))))
            await until(lambda: not agent.live)
        assert agent.ended == [EndReason.CALLER_GONE] * (rounds + 1)
        with suppress(TimeoutError):
            await until(lambda: ledger() == before, 5)
        assert ledger() == before
