"""The page in a real Chromium calls `offhook serve` and talks with the bundled models."""

from __future__ import annotations

import asyncio
import re
import signal
import wave
from collections.abc import Iterator
from pathlib import Path

import jiwer
import numpy as np
import pytest
from playwright.async_api import expect

from tests.e2e.browser import opened, recording, sounds, until, voice_like
from tests.e2e.served import QUESTIONS, Served, plain, served, talkative
from tests.transports import netns

pytestmark = [pytest.mark.netns, pytest.mark.peers, pytest.mark.models]

KEY = "of-the-front-desk"
# A recording as microphone hears nothing of the agent, and of a voice over the agent's Chromium's echo
# canceller then leaves shreds.
NO_ECHO = """
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = ({ audio }) => open({ audio: { ...audio, echoCancellation: false } });
"""
SPEAKS_AFTER_S = 4.0  # from the microphone's opening: over the greeting


@pytest.fixture(scope="module")
def server(cable: netns.Cable, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("serve")
    settings = {
        "OFFHOOK_PERSONA": talkative(folder),
        "OFFHOOK_HTTP__HOST": netns.HERE,
        "OFFHOOK_HTTP__TLS": "true",
        "OFFHOOK_HTTP__API_KEY": KEY,
        "OFFHOOK_TURN__ECHO_GUARD": "false",
    }
    with served(folder, **settings) as running:
        yield running


@pytest.fixture
def microphone(questions: list[Path], tmp_path: Path) -> Path:
    """Asks once over the greeting, and then is silent for longer than the test takes."""
    with wave.open(str(questions[0])) as file:
        question = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    before, after = (np.zeros(int(seconds * 16_000), np.int16) for seconds in (SPEAKS_AFTER_S, 60))
    return recording(tmp_path, np.concatenate((before, question, after)), 16_000)


async def test_a_conversation(cable: netns.Cable, server: Served, microphone: Path, tmp_path: Path) -> None:
    async with opened(cable, tmp_path, f"{server.url}/", microphone=microphone, script=NO_ECHO) as page:
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("asks for an API key")
        await page.locator("#key").fill(KEY)
        await page.keyboard.press("Enter")

        log = page.get_by_role("log")
        await expect(log).to_contain_text("thank you for calling")
        await until(lambda: sounds(page, "agent"))
        (session,) = await asyncio.to_thread(server.sessions)
        assert session["transport"] == "webrtc"

        # The recording interrupts the greeting.
        mine, agents = log.locator(".entry.you"), log.locator(".entry.agent")
        await expect(mine).to_have_count(1, timeout=15_000)
        said = await mine.locator("p").inner_text()
        assert jiwer.wer(plain(QUESTIONS[0]), plain(said)) <= 0.4
        await expect(agents.first.locator("s").last).to_contain_text("happy to tell you")
        await expect(agents).to_have_count(2, timeout=15_000)
        await until(lambda: sounds(page, "agent"))
        await expect(page.locator("#latency-last")).to_have_text(re.compile(r"\d+ ms"))

        await page.get_by_role("textbox").fill("Please tell me a long story about the sea.")
        await page.keyboard.press("Enter")
        await expect(mine).to_have_count(2)
        await expect(agents).to_have_count(3, timeout=15_000)
        await expect(agents.nth(2).locator(".unsaid").first).to_be_visible()
        await page.get_by_role("textbox").fill("How are you?")
        await page.keyboard.press("Enter")
        await expect(agents.nth(2).locator("s").first).to_be_visible()
        await expect(agents).to_have_count(4, timeout=15_000)

        await page.get_by_role("button", name="Keypad").click()
        await page.get_by_role("button", name="5", exact=True).click()
        await page.get_by_role("button", name="pound").click()
        await expect(log).to_contain_text("DTMF: 5")

        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("status")).to_have_text("You hung up.")
        await until(lambda: _gone(server), 30)


async def _gone(server: Served) -> bool:
    return not await asyncio.to_thread(server.sessions)


async def test_keys_are_read_back_at_a_test_number(
    cable: netns.Cable, server: Served, tmp_path: Path
) -> None:
    script = f'sessionStorage.setItem("offhook.key", "{KEY}")'
    microphone = voice_like(tmp_path)
    async with opened(cable, tmp_path, f"{server.url}/", microphone=microphone, script=script) as page:
        await page.get_by_label("Dial").select_option("keys")
        await page.get_by_role("button", name="Call", exact=True).click()
        agents = page.get_by_role("log").locator(".entry.agent")
        await expect(agents.first).to_contain_text("Key test.")
        await page.get_by_role("button", name="Keypad").click()
        await page.get_by_role("button", name="5", exact=True).click()
        await page.get_by_role("button", name="pound").click()
        await expect(agents.filter(has_text="pound")).to_be_visible(timeout=15_000)
        (session,) = await asyncio.to_thread(server.sessions)
        assert session["to"] == "keys"
        await page.get_by_role("button", name="Hang up").click()
        await until(lambda: _gone(server), 30)


async def test_a_server_that_stops_says_so(cable: netns.Cable, tmp_path: Path) -> None:
    settings = {"OFFHOOK_HTTP__HOST": netns.HERE, "OFFHOOK_HTTP__TLS": "true", "OFFHOOK_HTTP__API_KEY": KEY}
    with served(tmp_path, **settings) as server:
        async with opened(cable, tmp_path, f"{server.url}/", microphone=voice_like(tmp_path)) as page:
            await page.get_by_role("button", name="Call", exact=True).click()
            await page.locator("#key").fill(KEY)
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("log")).to_contain_text("How can I help?")
            server.process.send_signal(signal.SIGTERM)  # call.drain_s is 0
            await expect(page.get_by_role("status")).to_have_text(re.compile("shutting down"), timeout=20_000)
            assert await asyncio.to_thread(server.process.wait, 30) == 0
