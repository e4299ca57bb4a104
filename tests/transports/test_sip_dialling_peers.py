"""Calls that we make to sipp, to Debian's baresip, and through Kamailio, which wants a password."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from config.accounts import AccountSettings
from tests.peers import require_peer, softphone, target
from tests.registrar import PASSWORD, USER, registrar
from tests.sip_callee import callee
from tests.transports.sip_calls import soon
from tests.transports.test_sip_dialling import dial, dialler
from transports.call import EndReason

pytestmark = pytest.mark.peers

ANSWERS = "<sip:600@127.0.0.1>;regint=0;answermode=auto"
TONE_HZ, OURS_HZ = 700, 1200


def tone(rate_hz: int, hz: int = TONE_HZ) -> NDArray[np.int16]:
    return (8000 * np.sin(2 * np.pi * hz * np.arange(10 * rate_hz) / rate_hz)).astype(np.int16)


def strongest(pcm: NDArray[np.int16], rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(pcm.astype(float)))
    return float(np.argmax(spectrum)) * rate_hz / len(pcm)


def address(folder: Path) -> str:
    found = re.search(r"sip_listen (\S+)", (folder / "config").read_text())
    assert found
    return f"sip:600@{found[1]}"


@pytest.mark.parametrize("codec", ["pcmu", "g722", "opus"])
async def test_a_softphone_is_called_and_hears_us(codec: str, tmp_path: Path) -> None:
    async with dialler() as server, softphone(tmp_path, "", tone, codec, account=ANSWERS) as phone:
        call, dialling = await dial(server, address(tmp_path))
        await soon(dialling.answered.wait(), 10)
        assert call.info.codec == codec
        call.playout.write(tone(16_000, OURS_HZ).tobytes())
        await asyncio.sleep(2)
        await call.hangup()
        assert await soon(dialling.stopped) is EndReason.AGENT_HANGUP
    heard, rate_hz = phone.heard()
    assert abs(strongest(heard[-rate_hz // 2 :], rate_hz) - OURS_HZ) < 5


async def test_a_softphone_hangs_up(tmp_path: Path) -> None:
    async with dialler() as server, softphone(tmp_path, "", tone, account=ANSWERS) as phone:
        _, dialling = await dial(server, address(tmp_path))
        await soon(dialling.answered.wait(), 10)
        await phone.command("hangup")
        assert await soon(dialling.stopped, 10) is EndReason.CALLED_HANGUP


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("486 Busy Here", EndReason.BUSY),
        ("603 Decline", EndReason.DECLINED),
        ("404 Not Found", EndReason.NOT_REACHED),
        ("503 Service Unavailable", EndReason.NOT_REACHED),
    ],
)
async def test_sipp_refuses(status: str, reason: EndReason, tmp_path: Path) -> None:
    async with dialler() as server, target(tmp_path, status) as port:
        _, dialling = await dial(server, f"sip:600@127.0.0.1:{port}")
        assert await soon(dialling.stopped, 10) is reason


def account(port: int, **more: Any) -> AccountSettings:
    values = {"server": f"127.0.0.1:{port}", "user": USER, "secret": PASSWORD, "registers": False}
    return AccountSettings.model_validate(values | more)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_through_a_proxy_that_wants_a_password(transport: str, tmp_path: Path) -> None:
    require_peer("kamailio")
    async with registrar(tmp_path) as port, callee() as called:
        accounts = {"provider": account(port, transport=transport)}
        async with dialler(accounts=accounts) as server:
            number = f"9{called.address.rpartition(':')[2]}"
            _, dialling = await dial(server, number, account="provider")
            await called.invited()
            called.reply(called.invite_text, "180 Ringing")
            called.reply(called.invite_text, "486 Busy Here")
            assert await soon(dialling.stopped, 10) is EndReason.BUSY


async def test_through_a_proxy_with_a_wrong_password(tmp_path: Path) -> None:
    async with registrar(tmp_path) as port:
        accounts = {"provider": account(port, secret="guessed")}
        async with dialler(accounts=accounts) as server:
            call, dialling = await dial(server, "95060", account="provider")
            assert await soon(dialling.stopped, 10) is EndReason.UNAUTHORIZED
            assert call.failure
            assert call.failure.status == 407
