"""Chromium in a network namespace of its own, with a recording as its microphone."""

from __future__ import annotations

import asyncio
import os
import stat
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.async_api import Browser, Page, Playwright, async_playwright

from tests.transports.netns import Cable

CHROMIUM = "/usr/bin/chromium"
# Everything by which Chromium would talk to its maker, and what a root without a desktop needs.
FLAGS = (
    "--no-sandbox",
    "--ignore-certificate-errors",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-features=OptimizationHints,MediaRouter,DialMediaRouteProvider",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    "--autoplay-policy=user-gesture-required",
    "--use-fake-device-for-media-stream",
)


def require_chromium() -> None:
    if Path(CHROMIUM).exists():
        return
    if os.environ.get("OFFHOOK_REQUIRE_PEERS") == "1":
        pytest.fail("chromium isn't installed")
    pytest.skip("chromium isn't installed")


async def launch(
    playwright: Playwright, cable: Cable | None, folder: Path, microphone: Path | None
) -> Browser:
    """At the far end of the cable, or here.

    `microphone` None is a microphone that nobody allows. The process's id is written to `folder`/pid.
    """
    require_chromium()
    wrapper = folder / "chromium"
    command = cable.command(CHROMIUM) if cable else [CHROMIUM]
    # playwright starts and kills this process; its pid is kept for tests that kill it themselves
    wrapper.write_text(f'#!/bin/sh\necho $$ > {folder}/pid\nexec {" ".join(command)} "$@"\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    flags = list(FLAGS)
    if microphone:
        flags += ["--use-fake-ui-for-media-stream", f"--use-file-for-fake-audio-capture={microphone}"]
    return await playwright.chromium.launch(
        executable_path=str(wrapper),
        args=flags,
        ignore_default_args=["--mute-audio"],
        env=_environment(folder),
    )


@asynccontextmanager
async def opened(
    cable: Cable | None,
    folder: Path,
    url: str,
    *,
    microphone: Path | None = None,
    script: str = "",
    **context: Any,
) -> AsyncIterator[Page]:
    """The page at `url` in a browser of its own, where `script` runs before the page's own.

    The page must ask nothing of any other host and raise no error.
    """
    asked: list[str] = []
    errors: list[str] = []
    said: list[str] = []
    async with async_playwright() as playwright:
        browser = await launch(playwright, cable, folder, microphone)
        try:
            page = await browser.new_page(ignore_https_errors=True, **context)
            page.on("request", lambda request: asked.append(request.url))
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("requestfailed", lambda request: said.append(f"{request.url}: {request.failure}"))
            page.on("console", lambda message: said.append(message.text))
            if script:
                await page.add_init_script(script)
            await page.goto(url)
            try:
                yield page
            finally:
                print("errors:", errors, "console:", said, "requests:", asked)
        finally:
            await browser.close()
    ours = urljoin(url, "/")
    assert all(request.removeprefix("blob:").startswith(ours) for request in asked)
    assert not errors


async def sounds(page: Page, who: str) -> bool:
    """Whether the page measures sound, from "you" or from the "agent"."""
    meter = page.locator(f"#level-{who} [role=meter]")
    return int(await meter.get_attribute("aria-valuenow") or 0) > 50


async def until(condition: Callable[[], Awaitable[bool]], deadline_s: float = 30) -> None:
    async with asyncio.timeout(deadline_s):
        while not await condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.05)


def _environment(folder: Path) -> dict[str, str | float | bool]:
    return {"HOME": str(folder), "PATH": os.environ["PATH"], "XDG_CONFIG_HOME": str(folder / "config")}


def voice_like(folder: Path) -> Path:
    """A recording to speak: two seconds of voice-like sound, then three of silence."""
    rate = 48_000
    t = np.arange(2 * rate) / rate
    voice = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 3.5 * t), 0, 1)
    return recording(folder, np.concatenate((voice * syllables * 5000, np.zeros(3 * rate))), rate)


def recording(folder: Path, pcm: NDArray[Any], rate_hz: int) -> Path:
    """A WAV file of mono `pcm`, for a microphone."""
    file = folder / "speech.wav"
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(pcm.astype("<i2").tobytes())
    return file
