"""The operators' page in a real Chromium, with real calls: only their models and wires are scripted."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import soundfile
from playwright.async_api import Page, Route, expect
from sqlalchemy import update

from agent.cluster.node import Node, State
from agent.http.call_views import Sessions, SessionView
from agent.records.query import Query
from agent.records.tables import Call
from models.pool import ComponentHealth
from tests.agent.http.fakes import FakeCalls
from tests.agent.records.conftest import Talk
from tests.e2e.browser import opened, until
from tests.e2e.ops_site import SAID, Site, ops_site
from transports.call import EndReason, MediaStats

pytestmark = pytest.mark.peers
expect.set_options(timeout=30_000)  # the machine may be busy

TABLE, OPEN, PARKING, BOOKING, BREAK, THANKS = SAID
CALLERS = ("alice", "+4930123456", "+33142685300", "bob", "600")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 860}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 860}},
    "phone": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}, "has_touch": True},
}
AT_ONCE = 10


async def calls(site: Site, number: int) -> None:
    """So many, some at a time, ended in several ways; they are over, written, and begun in the last day."""
    for first in range(0, number, AT_ONCE):
        batch = []
        for nth in range(first, min(number, first + AT_ONCE)):
            said = [BREAK] if nth % 20 == 7 else [(TABLE, OPEN, PARKING, BOOKING)[nth % 4]]
            ends = EndReason.CALLER_GONE if nth % 10 == 3 else EndReason.CALLER_HANGUP
            batch.append(site.call(CALLERS[nth % 5], *said, ends=ends))
        await asyncio.gather(*batch)
    await until(lambda: _true(site.recorder.health().queued == 0), 60)
    await site.spread(timedelta(hours=22))


async def _true(value: bool) -> bool:
    return value


def shoot(page: Page, name: str) -> Any:
    """Keeps a picture where OFFHOOK_SCREENSHOTS says, for people to look at."""
    folder = os.environ.get("OFFHOOK_SCREENSHOTS")
    return page.screenshot(path=f"{folder}/ops-{name}.png") if folder else asyncio.sleep(0)


@asynccontextmanager
async def watched(folder: Path, site: Site, view: str = "", **context: Any) -> AsyncIterator[Page]:
    """The page, which must write nothing to the console."""
    said: list[str] = []
    async with opened(None, folder, f"{site.url}{view}", **context) as page:
        page.on("console", lambda message: said.append(message.text))
        await page.reload()
        yield page
    assert said == []


def row(page: Page, text: str) -> Any:
    return page.locator("tbody tr", has_text=text)


async def fits(page: Page) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.timeout(600)
async def test_a_hundred_past_calls_and_five_live_ones(tmp_path: Path) -> None:
    async with ops_site(tmp_path) as site:
        await calls(site, 100)
        live = [site.call(caller, TABLE, called="+4930987654", ends=None) for caller in CALLERS]
        async with watched(tmp_path, site, **LOOKS["light"]) as page:
            await expect(page.locator(".live-calls tbody tr")).to_have_count(5)
            await expect(row(page, "alice").locator(".answer")).to_have_text(re.compile(r"\d ms"))
            await expect(row(page, "alice").locator(".words")).to_contain_text(re.compile(r"Agent .+"))
            await shoot(page, "light-live")

            await page.get_by_role("link", name="Calls", exact=True).click()
            await page.get_by_label("Period").select_option("72")
            await expect(page.locator(".past-calls tbody tr")).to_have_count(50)
            await shoot(page, "light-calls")
            await page.get_by_role("link", name="Older").click()
            await expect(page.get_by_role("link", name="Newest")).to_be_visible()
            await expect(page.locator(".past-calls tbody tr")).to_have_count(50)
            await expect(page.get_by_role("link", name="Older")).to_have_count(0)

            await page.get_by_role("link", name=re.compile("^Caller lost")).click()
            await expect(page.locator(".past-calls tbody tr")).to_have_count(10)
            await page.get_by_label("Caller", exact=True).fill("bob")
            await page.keyboard.press("Enter")
            await expect(page.locator(".past-calls tbody tr")).to_have_count(10)
            await page.get_by_label("Caller", exact=True).fill("nobody")
            await page.keyboard.press("Enter")
            await expect(page.get_by_text("No call fits.")).to_be_visible()
            await page.get_by_role("link", name="drop the filters").click()

            await page.locator("a.row", has_text="alice").first.click()
            await expect(page.get_by_role("heading", level=1)).to_have_text("alice → agent")
            await expect(page.locator(".log .caller").first).to_be_visible()
            await expect(page.locator(".log .agent").first).to_contain_text("Hello there.")
            await page.locator("summary .ms").first.click()
            await expect(page.locator(".waterfall").first).to_contain_text("First token")
            await shoot(page, "light-call")

            await page.get_by_role("link", name="Capacity").click()
            await expect(page.locator(".charts canvas")).to_have_count(3)
            await page.get_by_text("As a table").click()
            begun = await page.locator(".figures tbody td:nth-child(2)").all_text_contents()
            assert sum(map(int, begun)) == 105
            await shoot(page, "light-capacity")
        for look in ("dark", "phone"):
            for view in ("live", "calls", "health", "capacity"):
                async with watched(tmp_path, site, f"#/{view}", **LOOKS[look]) as page:
                    await expect(page.get_by_role("heading", level=1)).to_be_visible()
                    await expect(page.locator("canvas, tbody tr").first).to_be_visible()
                    assert await fits(page)
                    await shoot(page, f"{look}-{view}")
        await site.sessions.drain(0)
        await asyncio.gather(*live)


async def test_a_call_is_followed_and_acted_on(tmp_path: Path) -> None:
    async with ops_site(tmp_path) as site, opened(None, tmp_path, site.url, **LOOKS["phone"]) as page:
        await expect(page.get_by_text("Nobody is on the line.")).to_be_visible()
        live = site.call("alice", OPEN, BREAK, ends=None)
        await page.get_by_role("link", name="alice").click()
        await expect(page.locator(".log")).to_contain_text("We open at noon.")
        await expect(page.locator(".problem")).to_contain_text("told to fail")
        assert await fits(page)

        await page.get_by_role("button", name="Say…").click()
        await page.get_by_label("Words").fill("One moment, please.")
        await page.get_by_role("button", name="Say it").click()
        await expect(page.locator(".log .agent").last).to_contain_text("One moment, please.")
        await expect(page.locator(".log .action")).to_contain_text("say “One moment, please.”")
        await page.get_by_role("button", name="Instruct…").click()
        await page.get_by_label("Instruction").fill("The kitchen is closed.")
        await page.get_by_role("button", name="Tell it").click()
        await expect(page.locator(".log .action").last).to_contain_text("inject “The kitchen is closed.”")

        (call,) = site.sessions.live()
        await page.get_by_role("button", name="Mute the agent").click()
        await page.get_by_role("button", name="Cancel").click()
        assert not call.control.agent_muted
        await page.get_by_role("button", name="Mute the caller").click()
        await page.get_by_role("dialog").get_by_role("button", name="Mute the caller").click()
        await expect(page.get_by_role("button", name="Unmute the caller")).to_be_visible()
        assert call.control.caller_muted
        assert not call.control.agent_muted
        await page.get_by_role("button", name="Unmute the caller").click()
        await expect(page.get_by_role("button", name="Mute the caller")).to_be_visible()
        assert not call.control.caller_muted

        await page.get_by_role("button", name="Hang up…").click()
        await page.get_by_role("dialog").get_by_role("button", name="Hang up").click()
        await expect(page.locator("main .pill")).to_have_text("Operator hung up")
        await expect(page.get_by_role("button", name="Hang up…")).to_be_hidden()
        await live


@pytest.mark.parametrize("key", [None, "a key that is long enough"])
async def test_a_turn_is_heard(tmp_path: Path, key: str | None) -> None:
    settings: dict[str, Any] = {"recordings": {"enabled": True}, "http": {"api_key": key}}
    async with ops_site(tmp_path, **settings) as site:
        await site.call("alice", TABLE, OPEN, after_s=5)  # behind the announcement
        await until(lambda: _true(site.recorder.health().queued == 0), 60)
        async with opened(None, tmp_path, f"{site.url}#/calls", **LOOKS["light"]) as page:
            if key:
                await page.get_by_label("API key").fill(key)
                await page.keyboard.press("Enter")
            await page.locator("a.row", has_text="alice").click()
            await expect(page.locator(".player canvas")).to_be_visible()
            sought = (
                "document.querySelector('audio').onseeked = (it) => (window.sought = it.target.currentTime)"
            )
            await page.evaluate(f"() => {{ {sought} }}")
            turn = page.locator(".log .caller").last
            await turn.get_by_role("button", name="Play from").click()
            plays_on = "document.querySelector('audio').currentTime > window.sought + 0.3"
            await until(lambda: page.evaluate(plays_on), 30)
            await expect(turn).to_have_attribute("data-now", "")
            (call,) = await site.recorder.database.page(Query(), whole=True)
            last = [said for said in call.turns if said.speaker == "caller"][-1]
            assert last.began
            assert call.recording_began
            began_s = (last.began - call.recording_began).total_seconds()
            assert await page.evaluate("window.sought") == pytest.approx(began_s, abs=0.1)
            sound, rate = soundfile.read(call.recording_path)
            assert abs(sound[int(began_s * rate) : int((began_s + 0.5) * rate), 0]).max() > 0.1
            await page.get_by_role("button", name="Pause", exact=True).click()
            await page.get_by_role("slider", name="Position in the recording").focus()
            await page.keyboard.press("Home")
            await expect(page.locator(".position")).to_have_text(re.compile("^0:00 / "))
            await shoot(page, "light-recording")


async def test_a_recording_is_fetched_once_and_not_played_where_its_page_was_left(tmp_path: Path) -> None:
    key = "a key that is long enough"
    settings: dict[str, Any] = {"recordings": {"enabled": True}, "http": {"api_key": key}}
    script = """
        window.played = 0;
        HTMLMediaElement.prototype.play = async () => {
          window.played += 1;
          throw new DOMException("no gesture", "NotAllowedError");
        };
    """
    async with ops_site(tmp_path, **settings) as site:
        await site.call("alice", TABLE, after_s=5)  # behind the announcement
        await until(lambda: _true(site.recorder.health().queued == 0), 60)
        async with opened(None, tmp_path, f"{site.url}#/calls", script=script, **LOOKS["light"]) as page:
            await page.get_by_label("API key").fill(key)
            await page.keyboard.press("Enter")
            call = page.locator("a.row", has_text="alice")
            play = page.locator(".player .play")
            fetched: list[Route] = []
            await page.route("**/recording", lambda route: fetched.append(route))  # and not answered yet
            await call.click()
            await play.click()
            await play.click()
            async with page.expect_event("requestfailed", lambda one: one.url.endswith("/recording")):
                await page.get_by_role("link", name="Calls", exact=True).click()
            assert len(fetched) == 1
            assert await page.evaluate("window.played") == 0
            await page.unroute("**/recording")
            await call.click()
            await play.click()
            await expect(page.locator(".player").get_by_role("alert")).to_contain_text("press Play once more")


async def test_by_keyboard_alone(tmp_path: Path) -> None:
    async with ops_site(tmp_path) as site:
        await site.call("alice", OPEN)
        await until(lambda: _true(site.recorder.health().queued == 0), 60)
        async with watched(tmp_path, site, **LOOKS["light"]) as page:
            focused = page.locator(":focus")
            await expect(page.get_by_role("heading", level=1)).to_be_visible()
            await page.keyboard.press("Tab")
            await expect(focused).to_have_text("Skip to the content")
            assert await focused.evaluate("(it) => it.getBoundingClientRect().top") >= 0
            await page.keyboard.press("Tab")
            await page.keyboard.press("Tab")
            await expect(focused).to_have_text("Calls")
            outline = await focused.evaluate("(it) => parseFloat(getComputedStyle(it).outlineWidth)")
            assert outline >= 2
            await page.keyboard.press("Enter")
            await expect(focused).to_have_text("Calls")
            await expect(page.get_by_role("heading", name="Calls")).to_be_focused()
            for _ in range(12):
                await page.keyboard.press("Tab")
                if await focused.get_attribute("class") == "row":
                    break
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("heading", name="alice → agent")).to_be_focused()
            for _ in range(12):
                await page.keyboard.press("Tab")
                if await focused.evaluate("(it) => it.tagName") == "SUMMARY":
                    break
            await page.keyboard.press("Enter")
            await expect(page.locator(".waterfall li").first).to_be_visible()
            await page.goto(f"{site.url}#main")
            await page.reload()
            await expect(page.get_by_role("heading", level=1)).to_be_visible()


async def test_the_key_is_asked_for_once_and_never_in_an_address(tmp_path: Path) -> None:
    key = "a key that is long enough"
    async with (
        ops_site(tmp_path, http={"api_key": key}) as site,
        opened(None, tmp_path, site.url, **LOOKS["phone"]) as page,
    ):
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.get_by_label("API key").fill("a wrong one, which is as long")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("isn't a key of this server's")
        await page.get_by_label("API key").fill(key)
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Nobody is on the line.")).to_be_visible()
        live = site.call("alice", OPEN, ends=None)
        await expect(page.locator(".live-calls")).to_contain_text("alice")  # the stream has it as well
        await page.reload()
        await expect(page.locator(".live-calls")).to_contain_text("alice")
        assert not any("long" in url for url in asked)
        await site.sessions.drain(0)
        await live


async def test_nothing_is_asked_with_a_key_that_was_refused(tmp_path: Path) -> None:
    asked: list[str] = []

    async def refuse(route: Route) -> None:
        asked.append(route.request.url)
        await route.fulfill(status=401, json={"detail": "That isn't a key of this server's."})

    async with ops_site(tmp_path) as site, opened(None, tmp_path, site.url, **LOOKS["light"]) as page:
        await page.clock.install()
        await page.reload()
        await expect(page.get_by_text("Nobody is on the line.")).to_be_visible()
        await page.route(re.compile("/api/|/health"), refuse)
        await page.clock.run_for(6000)
        await expect(page.get_by_label("API key")).to_be_visible()
        asked.clear()
        await page.clock.run_for(20_000)
        await page.evaluate("location.hash = '#/calls'")
        await page.evaluate("fetch('api/last').then(() => 0)")
        assert [url.rpartition("/")[2] for url in asked] == ["last"]


async def test_a_server_that_is_cut_off_isnt_shown_as_ready(tmp_path: Path) -> None:
    async with ops_site(tmp_path) as site, opened(None, tmp_path, site.url, **LOOKS["light"]) as page:
        await expect(page.get_by_role("status")).to_contain_text("ready")
        sooner = (
            "const real = AbortSignal.timeout; AbortSignal.timeout = (ms) => real.call(AbortSignal, ms / 30)"
        )
        await page.evaluate(f"() => {{ {sooner} }}")
        held: list[Route] = []
        await page.route("**/health", lambda route: held.append(route))
        await expect(page.get_by_role("status")).to_contain_text("no answer")
        await expect(page.locator("#notices")).to_contain_text("Is it running")
        await page.unroute("**/health")
        await expect(page.get_by_role("status")).to_contain_text("ready")


async def test_a_tab_that_nobody_looks_at_follows_nothing(tmp_path: Path) -> None:
    hide = """(value) => {
        Object.defineProperty(document, "hidden", { value, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""

    async with ops_site(tmp_path) as site, opened(None, tmp_path, site.url, **LOOKS["light"]) as page:
        live = site.call("alice", OPEN, TABLE, ends=None)
        await expect(row(page, "alice").locator(".words")).to_contain_text("noon")
        async with page.expect_event("requestfailed", lambda one: "/events" in one.url):
            await page.evaluate(hide, True)
        await until(lambda: _true(len(site.sessions.live()[0].turns) >= 5))
        async with page.expect_request("**/api/v1/events*"):
            await page.evaluate(hide, False)
        await expect(row(page, "alice").locator(".words")).to_contain_text("half past seven")
        await expect(page.get_by_text("What is shown may be old")).to_be_hidden()
        await page.get_by_role("link", name="Calls", exact=True).click()
        await expect(page.get_by_text("Those that end appear here.")).to_be_visible()
        await site.sessions.drain(0)
        await live
        await expect(page.locator(".past-calls")).to_contain_text("alice")


async def test_a_call_ends_on_its_page_though_no_record_is_kept(tmp_path: Path) -> None:
    async with (
        ops_site(tmp_path, records={"enabled": False}) as site,
        opened(None, tmp_path, site.url, **LOOKS["light"]) as page,
    ):
        live = site.call("alice", OPEN, ends=None)
        await page.get_by_role("link", name="alice").click()
        await expect(page.locator(".log")).to_contain_text("We open at noon.")
        await site.sessions.live()[0].hangup()
        await live
        await expect(page.locator("main .pill")).to_have_text("Operator hung up")
        await expect(page.get_by_role("button", name="Hang up…")).to_be_hidden()
        await expect(page.get_by_text("There is no record of it")).to_be_visible()
        await expect(page.locator(".log")).to_contain_text("We open at noon.")


async def test_a_call_is_shown_before_its_recording_is(tmp_path: Path) -> None:
    async with ops_site(tmp_path, recordings={"enabled": True}) as site:
        await site.call("alice", TABLE, after_s=5)  # behind the announcement
        await until(lambda: _true(site.recorder.health().queued == 0), 60)
        async with opened(None, tmp_path, f"{site.url}#/calls", **LOOKS["light"]) as page:
            held: list[Route] = []
            await page.route("**/peaks*", lambda route: held.append(route))
            await page.locator("a.row", has_text="alice").click()
            await expect(page.locator(".log .caller")).to_contain_text("a table for two")
            await held[0].abort()
            await page.unroute("**/peaks*")
            await page.get_by_role("button", name="Try again").click()
            await expect(page.locator(".player canvas")).to_be_visible()
            await expect(page.get_by_role("button", name="Play from").first).to_be_visible()


@pytest.mark.parametrize(
    ("zone", "now", "midnight", "hours"),
    [
        ("Asia/Kolkata", "2026-11-28T20:10:00Z", "2026-11-28T18:30:00.000Z", 3),
        ("Europe/Berlin", "2026-10-25T09:00:00Z", "2026-10-24T22:00:00.000Z", 12),  # clocks have gone back
    ],
)
async def test_today_begins_at_midnight(
    tmp_path: Path, zone: str, now: str, midnight: str, hours: int
) -> None:
    look = LOOKS["light"] | {"timezone_id": zone}
    async with ops_site(tmp_path) as site, opened(None, tmp_path, site.url, **look) as page:
        await page.clock.set_fixed_time(now)
        async with (
            # Not that for the live ones, whose page is left.
            page.expect_request("**/api/v1/sessions?*since=*") as sessions,
            page.expect_request(f"**/api/v1/stats?hours={hours}"),
        ):
            await page.get_by_role("link", name="Calls", exact=True).click()
        assert parse_qs(urlsplit((await sessions.value).url).query)["since"] == [midnight]


async def test_what_else_is_kept_of_a_call_and_all_as_a_file(tmp_path: Path) -> None:
    key = "a key that is long enough"
    slots = {"day": "2026-11-30", "people": 4, "name": None}
    flow = {"task": "book_table", "step": "what", "waits_for": "name", "slots": slots}
    async with ops_site(tmp_path, http={"api_key": key}) as site:
        talk = Talk(flow=flow).recorded_by(site.recorder)
        talk.conversation.agent_said("We open at noon.", cut_off=False)
        talk.turns[0].sources = ("hours: Opening hours",)
        site.recorder.ended(talk, EndReason.CALLER_HANGUP, MediaStats())
        await until(lambda: _true(site.recorder.health().queued == 0), 60)
        async with site.recorder.database.session() as session:
            await session.execute(update(Call).values(summary="Alice asked when we open."))
        async with opened(None, tmp_path, f"{site.url}#/calls?period=all", **LOOKS["phone"]) as page:
            await page.get_by_label("API key").fill(key)
            await page.keyboard.press("Enter")
            for name, text in (("CSV", ",alice,"), ("JSON Lines", "We open at noon.")):
                async with page.expect_download() as saved:
                    await page.get_by_role("link", name=f"Export {name}").click()
                file = await saved.value
                assert text in (await file.path()).read_text()
            assert await fits(page)
            await page.locator("a.row", has_text="alice").click()
            await expect(page.get_by_text("Alice asked when we open.")).to_be_visible()
            await expect(page.locator(".log .agent")).to_contain_text("From hours: Opening hours")
            await expect(page.locator(".facts")).to_contain_text("book table, what, waits for name")
            await expect(page.locator(".facts")).to_contain_text("day: 2026-11-30; people: 4; name: left out")
            assert await fits(page)


class Nodes:
    """Five of a cluster, of which the second has a call, too."""

    name, strays, away = "berlin-1", ["berlin-2"], False

    def __init__(self) -> None:
        self.calls = FakeCalls()
        self.calls.add("carol")
        states: tuple[State, ...] = ("ready", "ready", "draining", "lost", "down")
        self.nodes = [
            Node(
                "http://10.0.0.7:8080",
                "0.1.0",
                kind,
                "7d793037a076",
                state,
                1,
                40,
                f"berlin-{nth}",
                2.0 * nth,
            )
            for nth, (state, kind) in enumerate(
                zip(states, ["5d41402abc4b", "b1946ac92492"] * 3, strict=False), 1
            )
        ]

    async def having(self, id: str, *, past: bool = False) -> None:
        return None

    async def ask(self, target: str, headers: Any) -> dict[str, httpx2.Response]:
        theirs = [SessionView.of(call, "berlin-2") for call in self.calls.live()]
        return {"berlin-2": httpx2.Response(200, text=Sessions(sessions=theirs).model_dump_json())}

    @asynccontextmanager
    async def following(self, *_: Any) -> AsyncIterator[None]:
        yield


async def test_nodes_and_their_calls(tmp_path: Path) -> None:
    async with ops_site(tmp_path, nodes=Nodes(), records={"node": "berlin-1"}) as site:
        await site.call("bob", OPEN)
        await until(lambda: _true(site.recorder.health().queued == 0), 60)
        live = site.call("alice", OPEN, ends=None)
        why = "Not as most nodes: berlin-2. GET /api/v1/nodes has their versions and hashes."
        site.parts.append(ComponentHealth("cluster", "degraded", "", "berlin-1", why, 0))
        for name, look in LOOKS.items():
            async with watched(tmp_path, site, "#/health", **look) as page:
                await expect(page.locator(".nodes tbody tr")).to_have_count(5)
                await expect(page.locator(".nodes .sick")).to_have_count(3)
                await expect(row(page, "berlin-2").first).to_contain_text("not as most others")
                await expect(page.locator(".nodes tbody tr", has_text="berlin-5")).to_contain_text("down")
                assert await fits(page)
                await shoot(page, f"{name}-nodes")
                await page.get_by_role("link", name="Live", exact=True).click()
                await expect(page.locator(".live-calls tbody tr")).to_have_count(2)
                if name != "phone":
                    nodes = page.locator(".live-calls tbody .node")
                    await expect(nodes).to_have_text(["berlin-2", "berlin-1"])
                assert await fits(page)
                await shoot(page, f"{name}-nodes-live")
        async with watched(tmp_path, site, "#/calls", **LOOKS["light"]) as page:
            await expect(page.locator(".past-calls tbody .node")).to_have_text(["berlin-1"])
            await page.locator("a.row", has_text="bob").click()
            await expect(page.locator(".facts")).to_contain_text("berlin-1")
        await site.sessions.drain(0)
        await live


async def test_what_is_wrong_says_what_to_do(tmp_path: Path) -> None:
    why = "The account provider isn't registered: 403 Forbidden. Check its password."
    async with ops_site(tmp_path, records={"enabled": False}) as site:
        site.parts.append(ComponentHealth("sip", "degraded", "", "", why, 0))
        async with opened(None, tmp_path, f"{site.url}#/calls", **LOOKS["phone"]) as page:
            await expect(page.locator("main").get_by_role("alert")).to_contain_text("set records.enabled")
            await page.get_by_role("link", name="Live").click()
            await expect(page.locator("main .notice li")).to_contain_text(f"sip is degraded. {why}")
            await page.get_by_role("link", name="Health").click()
            await expect(page.locator(".parts tbody tr").first).to_contain_text(why)
            await expect(page.get_by_role("status")).to_contain_text("degraded")
            await page.get_by_role("button", name="Take no new calls…").click()
            await page.get_by_role("dialog").get_by_role("button", name="Take no new calls").click()
            await expect(page.locator(".sentence")).to_contain_text("draining")
            assert site.sessions.draining
            await page.get_by_role("button", name="Take calls again").click()
            await expect(page.locator(".sentence")).to_contain_text("New calls are answered.")
            assert not site.sessions.draining
            for no_id in ("%E0", "nothing"):
                await page.goto(f"{site.url}#/call/{no_id}")
                await expect(page.locator("main").get_by_role("alert")).to_contain_text(f"'{no_id}'")
