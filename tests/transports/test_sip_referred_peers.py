"""Debian's baresip and linphonec put us through to a sipp, or to another linphonec."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.linphone import linphone
from tests.peers import Reception, softphone, target
from tests.sip_caller import dialled
from tests.transports.sip_calls import soon
from tests.transports.test_sip_referred import last_news, refer, served
from tests.transports.test_sip_transfer_peers import silence
from tests.waiting import until
from transports.call import EndReason
from transports.sip.moving import MovingCall

pytestmark = pytest.mark.peers

EVERYBODY = {"allow": ("*@127.0.0.1:*",)}
PUBLIC = {"host": "0.0.0.0", "allow": ("0.0.0.0/0",)}


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "offhook.sip")


async def outcome(
    reception: Reception, call: MovingCall, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What becomes of a call that is being put through to who gives this `answer`."""
    if answer.startswith("200"):
        await until(lambda: call.over)  # that with who has put it through
        assert reception.ended.empty()
    else:
        await until(lambda: "isn't put through: It is busy. (486" in caplog.text)
        assert not call.over
    await call.hangup()
    assert await soon(reception.ended.get()) is EndReason.AGENT_HANGUP


@pytest.mark.parametrize("answer", ["200 OK", "486 Busy Here"])
async def test_baresip_puts_us_through(answer: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reception = Reception()
    async with (
        served(reception, EVERYBODY) as server,
        target(tmp_path, answer) as port,
        softphone(tmp_path, f"sip:agent@127.0.0.1:{server[1]}", silence) as phone,
    ):
        call = await soon(reception.connected.get())
        await phone.command("transfer", f"sip:reception@127.0.0.1:{port}")
        await outcome(reception, call, answer, caplog)


@pytest.mark.parametrize("answer", ["200 OK", "486 Busy Here"])
async def test_linphone_puts_us_through(
    answer: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reception = Reception()
    async with (
        served(reception, EVERYBODY, **PUBLIC) as server,
        target(tmp_path, answer) as port,
        linphone(tmp_path, info=False) as phone,
    ):
        await phone.command(f"call sip:agent@127.0.0.1:{server[1]}", b"Media streams established")
        call = await soon(reception.connected.get())
        await phone.command(f"transfer sip:reception@127.0.0.1:{port}", b"")
        await outcome(reception, call, answer, caplog)


async def test_we_take_the_place_of_who_puts_us_through_with_a_linphone(tmp_path: Path) -> None:
    reception = Reception()
    async with served(reception, EVERYBODY, **PUBLIC) as server, linphone(tmp_path) as colleague:
        await colleague.command("autoanswer enable", b"enabled")
        port = re.search(r"sip_port=(\d+)", (tmp_path / "linphonerc").read_text())
        assert port
        there = ("127.0.0.1", int(port[1]))
        async with dialled(server) as caller, dialled(there) as consulting:
            call = await soon(reception.connected.get())
            replaces = f"{consulting.call_id};to-tag={consulting.to_tag};from-tag={consulting.tag}"
            to = f"<sip:colleague@127.0.0.1:{port[1]}?Replaces={quote(replaces)}>"
            assert (await refer(caller, to)).status == 202
            assert await last_news(caller) == "200"
            await soon(consulting.serve())
            assert consulting.requests[-1] == "BYE"
            assert (await caller.bye()).status == 200
            caller.ended.set()
            assert reception.ended.empty()
            await colleague.command("terminate", b"ended")
            assert await soon(reception.ended.get()) is EndReason.CALLER_HANGUP
            assert call.over
