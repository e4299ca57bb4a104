"""The page in a real Chromium, against the real endpoint and a fake agent."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from playwright.async_api import Page, Route, expect

from agent.rtvi import ending_message
from config.settings import TestNumber
from tests.e2e.browser import opened, sounds, until, voice_like
from tests.e2e.page_agent import GREETING, QUESTION, PageAgent, site
from tests.transports import netns
from transports.call import CallTransport, EndReason

pytestmark = [pytest.mark.netns, pytest.mark.peers]


def shoot(page: Page, name: str) -> Any:
    """Keeps a picture where OFFHOOK_SCREENSHOTS says, for people to look at."""
    folder = os.environ.get("OFFHOOK_SCREENSHOTS")
    return page.screenshot(path=f"{folder}/{name}.png") if folder else asyncio.sleep(0)


@asynccontextmanager
async def calling(cable: netns.Cable, folder: Path, agent: PageAgent, **settings: Any) -> AsyncIterator[Page]:
    """The page with a voice at its microphone, once "Call" is pressed. `settings` are WebRtcSettings."""
    async with (
        site(folder, agent, **settings) as here,
        opened(cable, folder, here.url, microphone=voice_like(folder)) as page,
    ):
        await page.get_by_role("button", name="Call", exact=True).click()
        yield page


LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1200, "height": 820}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1200, "height": 820}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 780}, "has_touch": True},
}


@pytest.mark.parametrize("look", LOOKS)
async def test_a_whole_call(cable: netns.Cable, tmp_path: Path, look: str) -> None:
    agent, context = PageAgent(), LOOKS[look]
    async with (
        site(tmp_path, agent) as here,
        opened(cable, tmp_path, here.url, microphone=voice_like(tmp_path), **context) as page,
    ):
        await shoot(page, f"{look}-idle")
        await page.get_by_role("button", name="Call", exact=True).click()
        log = page.get_by_role("log")
        await expect(log).to_contain_text(GREETING)

        await until(lambda: sounds(page, "agent"))
        await expect(log).to_contain_text(QUESTION, timeout=15_000)
        await expect(page.locator("#latency-last")).to_have_text("612 ms")
        await expect(page.locator("#waterfall li")).to_have_count(6)
        await expect(page.locator(".unsaid").last).to_have_text("or a larger one at nine.")

        await page.get_by_role("button", name="Keypad").click()
        await page.get_by_role("button", name="5", exact=True).click()
        await page.get_by_role("button", name="pound").click()
        await until(lambda: _true(agent.keys == "5#"))
        await shoot(page, f"{look}-keypad")
        await page.get_by_role("button", name="Keypad").click()

        await page.get_by_role("textbox").fill("The garden, please.")
        await page.keyboard.press("Enter")
        await expect(log).to_contain_text("The garden, please.")
        await expect(log.locator("s").last).to_have_text("or a larger one at nine.")
        await expect(log).to_contain_text("I can do that as well.")
        await shoot(page, f"{look}-talking")

        await page.get_by_role("button", name="Mute").click()
        await expect(page.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "true")
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("button", name="Call", exact=True)).to_be_focused()
        await until(lambda: _true(agent.ended == [EndReason.CALLER_HANGUP]))
        await shoot(page, f"{look}-after")


async def test_a_double_click_is_one_call(cable: netns.Cable, tmp_path: Path) -> None:
    agent = PageAgent()
    async with (
        site(tmp_path, agent) as here,
        opened(cable, tmp_path, here.url, microphone=voice_like(tmp_path)) as page,
    ):
        await page.get_by_role("button", name="Call", exact=True).dblclick()
        await expect(page.get_by_role("log")).to_contain_text(QUESTION, timeout=15_000)
        assert agent.connected == 1
        await page.get_by_role("button", name="Hang up").click()
        await until(lambda: _true(agent.ended == [EndReason.CALLER_HANGUP] and not agent.live))


async def _true(value: bool) -> bool:
    return value


async def test_a_call_is_held_by_the_keyboard_alone(cable: netns.Cable, tmp_path: Path) -> None:
    agent = PageAgent()
    async with calling(cable, tmp_path, agent) as page:
        await expect(page.get_by_role("log")).to_contain_text(GREETING)
        keys, mute = page.keyboard, page.get_by_role("button", name="Mute")
        await keys.press("m")
        await expect(mute).to_have_attribute("aria-pressed", "true")
        await keys.press("M")
        await expect(mute).to_have_attribute("aria-pressed", "false")

        await keys.press("k")
        for _ in range(3):  # held
            await keys.down("5")
        await keys.up("5")
        await page.get_by_role("button", name="7", exact=True).focus()
        for _ in range(3):
            await keys.down("Enter")
        await keys.up("Enter")
        await keys.press("#")
        await until(lambda: _true(agent.keys.endswith("#")))
        assert agent.keys == "57#"

        await page.get_by_role("textbox").press_sequentially("mk5")
        await expect(page.get_by_role("textbox")).to_have_value("mk5")
        await expect(page.get_by_role("region", name="Keypad")).to_be_visible()
        await keys.press("Escape")
        await expect(page.get_by_role("region", name="Keypad")).to_be_hidden()
        await expect(mute).to_have_attribute("aria-pressed", "false")


async def test_keys_pressed_while_the_connection_is_lost_are_no_flood(
    cable: netns.Cable, tmp_path: Path
) -> None:
    agent = PageAgent()
    async with calling(cable, tmp_path, agent, gone_s=30) as page:
        await expect(page.get_by_role("log")).to_contain_text(GREETING)
        await page.keyboard.press("k")
        cable.cut()
        try:
            await expect(page.locator("#status")).to_contain_text("Connection lost", timeout=15_000)
            for _ in range(60):
                await page.keyboard.press("5")
        finally:
            cable.mend()
        await expect(page.locator("#status")).to_contain_text("Connected again", timeout=15_000)
        await page.get_by_role("textbox").fill("Still here")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("log")).to_contain_text("I can do that as well.")
        assert not agent.ended


# What was opened, and a microphone that is opened when `allow` is called, or not at all.
MICROPHONES = """
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
window.opened = [];
window.wait = Promise.resolve();
navigator.mediaDevices.getUserMedia = async (wanted) => {
  await window.wait;
  if (window.refused || (window.gone && wanted.audio.deviceId)) {
    throw new DOMException("", window.gone ? "OverconstrainedError" : "NotFoundError");
  }
  const stream = await open(wanted);
  window.opened.push(stream.getAudioTracks()[0]);
  return stream;
};
window.states = () => window.opened.map((track) => track.readyState);
window.lose = () => {  // as if it had been unplugged
  const track = window.opened.at(-1);
  track.stop();
  track.dispatchEvent(new Event("ended"));
};
"""


@asynccontextmanager
async def calling_with_microphones(cable: netns.Cable, folder: Path, agent: PageAgent) -> AsyncIterator[Page]:
    async with (
        site(folder, agent) as here,
        opened(cable, folder, here.url, microphone=voice_like(folder), script=MICROPHONES) as page,
    ):
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.get_by_role("log")).to_contain_text(GREETING)
        yield page


async def test_a_microphone_that_is_unplugged_is_replaced(cable: netns.Cable, tmp_path: Path) -> None:
    async with calling_with_microphones(cable, tmp_path, PageAgent()) as page:
        await page.evaluate("lose()")
        await expect(page.get_by_role("log")).to_contain_text("The call goes on with another")
        assert await page.evaluate("states()") == ["ended", "live"]
        await until(lambda: sounds(page, "you"))

        await page.evaluate("refused = true; lose()")
        await expect(page.get_by_role("alert")).to_contain_text("No microphone was found.")
        await expect(page.get_by_role("button", name="Call without a microphone")).to_be_hidden()

        await page.evaluate("refused = false")
        await page.evaluate("navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
        await expect(page.get_by_role("alert")).to_be_hidden()
        assert await page.evaluate("states()") == ["ended", "ended", "live"]


async def test_no_microphone_is_left_on_by_a_change_that_comes_too_late(
    cable: netns.Cable, tmp_path: Path
) -> None:
    change = "document.getElementById('microphone').dispatchEvent(new Event('change'))"
    async with calling_with_microphones(cable, tmp_path, PageAgent()) as page:
        await page.evaluate(f"wait = new Promise((allow) => window.allow = allow); {change}; {change}")
        await page.evaluate("allow()")
        await until(lambda: page.evaluate("opened.length === 3"))
        await until(lambda: page.evaluate("states().join() === 'ended,ended,live'"))

        await page.evaluate(f"wait = new Promise((allow) => window.allow = allow); {change}")
        await page.get_by_role("button", name="Hang up").click()
        await page.evaluate("allow()")
        await until(
            lambda: page.evaluate("opened.length === 4 && states().every((state) => state === 'ended')")
        )
        await expect(page.get_by_role("alert")).to_be_hidden()


async def test_a_microphone_that_was_chosen_and_is_gone_bars_no_call(
    cable: netns.Cable, tmp_path: Path
) -> None:
    agent = PageAgent()
    async with calling_with_microphones(cable, tmp_path, agent) as page:
        await expect(page.locator("#microphone")).not_to_have_value("")
        await page.get_by_role("button", name="Hang up").click()
        await page.evaluate("gone = true")
        await page.get_by_role("button", name="Call", exact=True).click()
        await until(lambda: _true(agent.connected == 2))


@pytest.mark.parametrize("look", ["light", "phone"])
async def test_a_test_number_is_dialled(cable: netns.Cable, tmp_path: Path, look: str) -> None:
    agent = PageAgent()
    context = LOOKS[look]
    async with (
        site(tmp_path, agent, test_numbers=get_args(TestNumber)) as here,
        opened(cable, tmp_path, here.url, microphone=voice_like(tmp_path), **context) as page,
    ):
        dial = page.get_by_label("Dial")
        await expect(dial.get_by_role("option")).to_have_count(7)
        await dial.select_option("keys")
        await shoot(page, f"{look}-dial")
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.get_by_role("log")).to_contain_text(GREETING)
        (call,) = agent.live
        assert call.info.called == "keys"
        await page.get_by_role("button", name="Hang up").click()
        await expect(dial).to_have_value("keys")  # for the next
        await shoot(page, f"{look}-dial-after")


async def test_without_test_numbers_there_is_only_the_agent(cable: netns.Cable, tmp_path: Path) -> None:
    agent = PageAgent()
    async with calling(cable, tmp_path, agent) as page:
        await expect(page.get_by_role("log")).to_contain_text(GREETING)
        assert agent.live[0].info.called == ""
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("button", name="Call", exact=True)).to_be_focused()
        await expect(page.get_by_label("Dial")).to_be_hidden()


async def test_a_blocked_microphone_is_explained_and_typing_still_works(
    cable: netns.Cable, tmp_path: Path
) -> None:
    agent = PageAgent()
    async with (
        site(tmp_path, agent) as here,
        opened(cable, tmp_path, here.url, microphone=None) as page,
    ):
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("The microphone is blocked.")
        await shoot(page, "blocked")
        await page.get_by_role("button", name="Call without a microphone").click()
        await expect(page.get_by_role("log")).to_contain_text(GREETING)
        await page.get_by_role("textbox").fill("Hello")
        await page.get_by_role("button", name="Send").click()
        await expect(page.get_by_role("log")).to_contain_text("I can do that as well.")


async def test_full_and_draining_servers_say_so(cable: netns.Cable, tmp_path: Path) -> None:
    agent = PageAgent(max_calls=0)
    async with calling(cable, tmp_path, agent) as page:
        await expect(page.get_by_role("alert")).to_contain_text("All lines are busy.")
        agent.draining = True
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("shutting down")


async def test_a_second_call_that_is_refused_was_hung_up_by_nobody(
    cable: netns.Cable, tmp_path: Path
) -> None:
    agent = PageAgent()
    async with calling(cable, tmp_path, agent) as page:
        await expect(page.get_by_role("log")).to_contain_text(GREETING)
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("log")).to_contain_text("You hung up.")
        await until(lambda: _true(not agent.live))
        agent.max_calls = 0
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("All lines are busy.")
        await expect(page.get_by_role("log")).not_to_contain_text("You hung up.")


async def test_a_call_that_cannot_be_rejoined_at_once_can_be_later(
    cable: netns.Cable, tmp_path: Path
) -> None:
    agent = PageAgent()
    async with calling(cable, tmp_path, agent, gone_s=60) as page:
        await expect(page.get_by_role("log")).to_contain_text(GREETING)
        await page.reload()
        await page.route("**/offer", lambda route: route.fulfill(status=502))
        await page.get_by_role("button", name="Rejoin").click()
        await expect(page.get_by_role("alert")).to_contain_text("502")
        await page.unroute("**/offer")
        await page.get_by_role("button", name="Rejoin").click()
        await expect(page.get_by_role("button", name="Hang up")).to_be_visible()
        assert agent.connected == 1
        assert not agent.ended


class SlowAgent(PageAgent):
    """Is called, and answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.called = asyncio.Event()
        self.answers = asyncio.Event()

    async def __call__(self, call: CallTransport) -> None:
        self.called.set()
        await self.answers.wait()
        await super().__call__(call)


async def test_a_call_is_given_up_before_it_is_answered(cable: netns.Cable, tmp_path: Path) -> None:
    agent = SlowAgent()
    async with (
        site(tmp_path, agent) as here,
        opened(cable, tmp_path, here.url, microphone=voice_like(tmp_path), script=MICROPHONES) as page,
    ):
        call, hang_up = (page.get_by_role("button", name=n, exact=True) for n in ("Call", "Hang up"))
        await page.evaluate("wait = new Promise((allow) => window.allow = allow); null")
        await call.click()
        await hang_up.click()  # while the browser asks for the microphone
        await expect(call).to_be_focused()
        await page.evaluate("allow()")
        await until(lambda: page.evaluate("states().join() === 'ended'"))

        await call.click()
        await agent.called.wait()
        await expect(page.get_by_role("button", name="Mute")).to_be_hidden()
        await hang_up.click()
        await expect(page.get_by_role("status")).to_have_text("You hung up.")
        agent.answers.set()
        await until(lambda: _true(bool(agent.ended)))
        await until(lambda: page.evaluate("states().join() === 'ended,ended'"))
        await expect(call).to_be_visible()


async def test_a_call_is_over_where_no_request_gets_through(cable: netns.Cable, tmp_path: Path) -> None:
    async with calling(cable, tmp_path, PageAgent(), gone_s=2) as page:
        await expect(page.get_by_role("log")).to_contain_text(GREETING)
        held: list[Route] = []
        await page.route("**/webrtc/**", lambda route: held.append(route))
        cable.cut()
        try:
            await expect(page.get_by_role("status")).to_contain_text("the call with it", timeout=40_000)
        finally:
            cable.mend()
        assert held


async def test_a_call_is_offered_again_for_as_long_as_it_is_kept(cable: netns.Cable, tmp_path: Path) -> None:
    agent = PageAgent()
    async with calling(cable, tmp_path, agent, gone_s=15) as page:
        await expect(page.get_by_role("log")).to_contain_text(GREETING)
        await page.reload()
        await expect(page.get_by_role("button", name="Rejoin")).to_be_visible()
        await expect(page.get_by_role("button", name="Call", exact=True)).to_be_visible(timeout=20_000)


async def test_a_browser_that_keeps_nothing_for_the_site_calls(cable: netns.Cable, tmp_path: Path) -> None:
    blocked = """
      Object.defineProperty(window, "sessionStorage", {
        get() { throw new DOMException("", "SecurityError"); },
      });
    """
    async with (
        site(tmp_path, PageAgent()) as here,
        opened(cable, tmp_path, here.url, microphone=voice_like(tmp_path), script=blocked) as page,
    ):
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.get_by_role("log")).to_contain_text(GREETING)


async def test_the_screen_stays_on_for_the_length_of_a_call(cable: netns.Cable, tmp_path: Path) -> None:
    locks = """
      window.locks = [];
      navigator.wakeLock.request = async (kind) => {
        const lock = { kind, held: true, async release() { this.held = false; } };
        window.locks.push(lock);
        return lock;
      };
    """
    async with (
        site(tmp_path, PageAgent()) as here,
        opened(cable, tmp_path, here.url, microphone=voice_like(tmp_path), script=locks) as page,
    ):
        await page.get_by_role("button", name="Call", exact=True).click()
        await until(lambda: page.evaluate("locks.some((lock) => lock.held && lock.kind === 'screen')"))
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await until(lambda: page.evaluate("locks.length === 2 && !locks[0].held && locks[1].held"))
        await page.get_by_role("button", name="Hang up").click()
        await until(lambda: page.evaluate("locks.every((lock) => !lock.held)"))


async def test_where_a_key_is_asked_for_it_can_be_typed_at_once(cable: netns.Cable, tmp_path: Path) -> None:
    async with (
        site(tmp_path, PageAgent()) as here,
        opened(cable, tmp_path, here.url, microphone=voice_like(tmp_path)) as page,
    ):
        await page.route("**/config", lambda route: route.fulfill(status=401))
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.get_by_label("API key")).to_be_focused()


async def test_sound_that_the_browser_keeps_off_comes_by_a_key(cable: netns.Cable, tmp_path: Path) -> None:
    silent = """
      const play = HTMLMediaElement.prototype.play;
      HTMLMediaElement.prototype.play = async function () {
        if (window.why) throw new DOMException("", window.why);
        return play.call(this);
      };
    """
    async with (
        site(tmp_path, PageAgent()) as here,
        opened(cable, tmp_path, here.url, microphone=voice_like(tmp_path), script=silent) as page,
    ):
        call, log = page.get_by_role("button", name="Call", exact=True), page.get_by_role("log")
        await page.evaluate("why = 'AbortError'")
        await call.click()
        await expect(log).to_contain_text(GREETING)
        await expect(log).not_to_contain_text("Press any key")
        await page.get_by_role("button", name="Hang up").click()

        await page.evaluate("why = 'NotAllowedError'; document.getElementById('agent').autoplay = false")
        await call.click()
        await expect(log).to_contain_text("Press any key")
        await page.evaluate("why = null")
        await page.keyboard.press("x")
        await until(lambda: page.evaluate("!document.getElementById('agent').paused"))


async def test_the_page_says_why_the_call_ended(cable: netns.Cable, tmp_path: Path) -> None:
    agent = PageAgent()
    async with calling(cable, tmp_path, agent) as page:
        await expect(page.get_by_role("log")).to_contain_text(GREETING)
        (call,) = agent.live
        await call.send_message(ending_message(EndReason.DRAIN))
        await call.hangup()
        await expect(page.get_by_role("status")).to_have_text(re.compile("shutting down"))
        await expect(page.get_by_role("log")).to_contain_text("shutting down")


async def test_a_killed_browser_is_gone_in_time(cable: netns.Cable, tmp_path: Path) -> None:
    agent = PageAgent()
    async with calling(cable, tmp_path, agent) as page:
        await expect(page.get_by_role("log")).to_contain_text(GREETING)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        killed = asyncio.get_running_loop().time()
        await until(lambda: _true(agent.ended == [EndReason.CALLER_GONE] and not agent.live), 15)
        assert asyncio.get_running_loop().time() - killed < 15


async def test_a_cut_cable_is_survived(cable: netns.Cable, tmp_path: Path) -> None:
    agent = PageAgent()
    async with calling(cable, tmp_path, agent, gone_s=30) as page:
        await expect(page.get_by_role("log")).to_contain_text(QUESTION, timeout=15_000)
        cable.cut()
        try:
            await expect(page.get_by_role("status")).to_contain_text("Connection lost", timeout=15_000)
            await shoot(page, "lost")
        finally:
            cable.mend()
        await expect(page.get_by_role("status")).to_contain_text("Connected again", timeout=15_000)
        await page.get_by_role("textbox").fill("Still here")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("log")).to_contain_text("I can do that as well.")
        assert agent.connected == 1
        assert not agent.ended


async def test_a_reloaded_page_goes_on_with_its_call(cable: netns.Cable, tmp_path: Path) -> None:
    agent = PageAgent()
    async with calling(cable, tmp_path, agent) as page:
        await expect(page.get_by_role("log")).to_contain_text(QUESTION, timeout=15_000)
        await page.reload()
        await page.get_by_role("button", name="Rejoin").click()
        await expect(page.get_by_role("button", name="Hang up")).to_be_visible()
        await page.get_by_role("textbox").fill("Back again")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("log")).to_contain_text("I can do that as well.")
        assert agent.connected == 1
        assert len(agent.live) == 1
