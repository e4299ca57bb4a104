"""A hundred times: Chromium calls and is killed. Its session ends in time, and nothing of it is left."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from pathlib import Path

import pytest
from playwright.async_api import Playwright, async_playwright, expect

from tests.e2e.browser import launch, until, voice_like
from tests.e2e.page_agent import Site, site
from tests.process import open_files
from tests.transports import netns
from tests.transports.fake_agent import FakeAgent
from tests.transports.media_carriers import loudness
from transports.call import EndReason

pytestmark = [pytest.mark.netns, pytest.mark.peers, pytest.mark.soak, pytest.mark.timeout(1200)]

ROUNDS = 100
AT_ONCE = 3  # more, and two cores have no time left for the server
GONE_WITHIN_S = 15.0


def ledger() -> dict[str, int]:
    gc.collect()
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "files": open_files(),
    }


class Rounds:
    """Chromium after Chromium, some at once."""

    def __init__(self, playwright: Playwright, cable: netns.Cable, here: Site, folder: Path) -> None:
        self._playwright = playwright
        self._cable = cable
        self._here = here
        self._folder = folder
        self._microphone = voice_like(folder)
        self._room = asyncio.Semaphore(AT_ONCE)
        self._dialling = asyncio.Lock()  # one after another, so that each knows its own call
        self.gone_after_s: list[float] = []

    async def one(self, number: int) -> None:
        folder = self._folder / str(number)
        folder.mkdir()
        agent = self._here.agent
        async with self._room:
            browser = await launch(self._playwright, self._cable, folder, self._microphone)
            page = await browser.new_page(ignore_https_errors=True)
            await page.goto(self._here.url)
            async with self._dialling:
                calls = len(agent.recorders)
                await page.get_by_role("button", name="Call", exact=True).click()
                await until(lambda: _true(len(agent.recorders) > calls))
                call, recorder = agent.live[-1], agent.recorders[-1]
            await expect(page.get_by_role("status")).to_have_text("Connected")
            await until(lambda: _true(loudness(bytes(recorder.pcm[-6400:])) > 500))
            os.kill(int((folder / "pid").read_text()), signal.SIGKILL)
        killed = asyncio.get_running_loop().time()
        await until(lambda: _true(call not in agent.live), GONE_WITHIN_S)
        self.gone_after_s.append(asyncio.get_running_loop().time() - killed)
        await browser.close()


async def _true(value: bool) -> bool:
    return value


async def test_killed_browsers_leave_the_ledger_where_it_was(cable: netns.Cable, tmp_path: Path) -> None:
    agent = FakeAgent(max_calls=ROUNDS)
    async with site(tmp_path, agent) as here, async_playwright() as playwright:
        rounds = Rounds(playwright, cable, here, tmp_path)
        await rounds.one(0)  # what is made once and kept
        before = ledger()
        async with asyncio.TaskGroup() as group:
            for number in range(1, ROUNDS + 1):
                group.create_task(rounds.one(number))
        assert agent.ended == [EndReason.CALLER_GONE] * (ROUNDS + 1)
        assert not agent.live
        print(f"gone after {min(rounds.gone_after_s):.1f} to {max(rounds.gone_after_s):.1f} s")
        print(before, ledger())
        await until(lambda: _true(ledger() == before), 15)
