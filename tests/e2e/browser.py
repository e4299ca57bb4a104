"""Chromium in a network namespace of its own, with a recording as its microphone."""

from __future__ import annotations

import os
import stat
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Browser, async_playwright

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


@asynccontextmanager
async def chromium(cable: Cable, folder: Path, *, microphone: Path | None) -> AsyncIterator[Browser]:
    """`microphone` None is a microphone that nobody allows."""
    require_chromium()
    wrapper = folder / "chromium"
    # playwright starts and kills this process; its pid is kept for tests that kill it themselves
    wrapper.write_text(f'#!/bin/sh\necho $$ > {folder}/pid\nexec {" ".join(cable.command(CHROMIUM))} "$@"\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    flags = list(FLAGS)
    if microphone:
        flags += ["--use-fake-ui-for-media-stream", f"--use-file-for-fake-audio-capture={microphone}"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(wrapper),
            args=flags,
            ignore_default_args=["--mute-audio"],
            env=_environment(folder),
        )
        try:
            yield browser
        finally:
            await browser.close()


def _environment(folder: Path) -> dict[str, str | float | bool]:
    return {"HOME": str(folder), "PATH": os.environ["PATH"], "XDG_CONFIG_HOME": str(folder / "config")}


def speech(folder: Path) -> Path:
    """A recording to speak: two seconds of voice-like sound, then three of silence."""
    rate = 48_000
    t = np.arange(2 * rate) / rate
    voice = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 3.5 * t), 0, 1)
    pcm = np.concatenate((voice * syllables * 5000, np.zeros(3 * rate))).astype("<i2")
    file = folder / "speech.wav"
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(pcm.tobytes())
    return file
