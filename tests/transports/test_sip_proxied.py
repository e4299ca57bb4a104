"""Calls through Debian's Kamailio, and from sipp, baresip, linphonec and sipsak, over IPv6 as well."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from config.sip import SipSettings
from tests.linphone import linphone
from tests.peers import Reception, free_port, require_peer, sip_server, sipp, softphone
from tests.proxy import NODE, kamailio
from transports.call import EndReason
from transports.sip.server import SipServer

pytestmark = pytest.mark.peers


KEYS = ["7", "#", "4"]
TONE_HZ = 700


@pytest.mark.parametrize("rtpengine", [False, True], ids=["direct", "rtpengine"])
@pytest.mark.parametrize(("client", "transport"), [("u1", "udp"), ("t1", "tcp")])
async def test_a_call_through_a_proxy(client: str, transport: str, rtpengine: bool, tmp_path: Path) -> None:
    """Held, taken up again with another codec at another port, keys by RFC 4733 and INFO, hung up."""
    reception = Reception()
    async with (
        sip_server(reception, host=NODE) as (_, port),
        kamailio(tmp_path, (NODE, port), transport=transport, rtpengine=rtpengine) as proxy,
    ):
        await sipp("proxied", proxy, "-t", client)
        assert await asyncio.wait_for(reception.ended.get(), 5) is EndReason.CALLER_HANGUP
    assert [reception.digits.get_nowait() for _ in range(reception.digits.qsize())] == KEYS


async def test_a_softphone_talks_through_a_proxy(tmp_path: Path) -> None:
    reception = Reception()
    async with (
        sip_server(reception, host=NODE) as (_, port),
        kamailio(tmp_path, (NODE, port), rtpengine=True) as proxy,
        softphone(tmp_path, f"sip:agent@127.0.0.1:{proxy[1]}", tone) as phone,
    ):
        call = await asyncio.wait_for(reception.connected.get(), 10)
        call.playout.write(tone(16000).tobytes())
        await asyncio.sleep(1.5)
        await call.hangup()
    heard, rate_hz = phone.heard()
    spectrum = np.abs(np.fft.rfft(heard[-rate_hz:].astype(float)))
    assert abs(int(np.argmax(spectrum)) * rate_hz / len(heard[-rate_hz:]) - TONE_HZ) < 5


@pytest.mark.parametrize("info", [False, True], ids=["rfc4733", "info"])
async def test_linphone_presses_keys_and_holds_through_a_proxy(info: bool, tmp_path: Path) -> None:
    reception = Reception()
    async with (
        sip_server(reception, host=NODE, allow=("0.0.0.0/0",)) as (_, port),
        kamailio(tmp_path, (NODE, port)) as proxy,
        linphone(tmp_path, info=info) as phone,
    ):
        await phone.command(f"call sip:agent@127.0.0.1:{proxy[1]}", b"Media streams established")
        call = await asyncio.wait_for(reception.connected.get(), 5)
        for key in "1#":
            await phone.command(key, key.encode())
            assert await asyncio.wait_for(reception.digits.get(), 5) == key
        await asyncio.sleep(0.5)  # Linphone refuses while an INFO is unanswered
        await phone.command("pause", b"is now paused")
        assert call.on_hold
        await phone.command("resume", b"Media streams established")
        assert not call.on_hold
        await phone.command("terminate", b"ended")
        assert await asyncio.wait_for(reception.ended.get(), 5) is EndReason.CALLER_HANGUP


@pytest.mark.parametrize("options", [(), ("-E", "tcp")], ids=["udp", "tcp"])
async def test_sipsak_finds_us_alive(options: tuple[str, ...]) -> None:
    async with sip_server(Reception()) as (host, port):
        await ran("sipsak", *options, "-s", f"sip:agent@{host}:{port}")


@pytest.mark.parametrize("transport", ["u1", "t1"])
async def test_calls_over_ipv6(transport: str) -> None:
    reception = Reception()
    async with sip_server(reception, host="::1") as (_, port):
        await sipp("call", ("[::1]", port), "-t", transport)
        assert await asyncio.wait_for(reception.ended.get(), 5) is EndReason.CALLER_HANGUP


@pytest.mark.parametrize(
    ("tool", "options"),
    [
        ("svmap", ("-p{port}", "127.0.0.1")),
        ("svwar", ("-p{port}", "-e100-400", "--force", "127.0.0.1")),
        ("svwar", ("-p{port}", "-e100-400", "-m", "INVITE", "--force", "127.0.0.1")),
        ("svcrack", ("-p{port}", "-u100", "-r1000-1400", "127.0.0.1")),
    ],
)
async def test_scanners_get_nothing_and_are_banned(tool: str, options: tuple[str, ...]) -> None:
    reception = Reception()
    settings = SipSettings(host="127.0.0.1", port=free_port(), ban_exempt=())
    server = SipServer(settings, 5, reception)
    await server.start()
    try:
        words = [option.format(port=settings.port) for option in options]
        said = await ran(tool, "-v", *words, status=None)
        assert "no reply" in said or "not found" in said or "No results" in said or "found nothing" in said
        assert [ban.address for ban in server.bans] == ["127.0.0.1"]
        assert reception.calls.empty()
        sent = [message for message in server.trace.messages() if message.sent]
        assert sent == []
    finally:
        await server.close()


async def ran(program: str, *options: str, status: int | None = 0) -> str:
    """What a program says, all of it; fails the test if it doesn't end well."""
    process = await asyncio.create_subprocess_exec(
        *(require_peer(program), *options), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(30):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode(errors="replace")
    assert status is None or process.returncode == status, text
    return text


def tone(rate_hz: int) -> NDArray[np.int16]:
    """Two seconds of it, s16 mono PCM."""
    times = np.arange(2 * rate_hz) / rate_hz
    return (8000 * np.sin(2 * np.pi * TONE_HZ * times)).astype(np.int16)
