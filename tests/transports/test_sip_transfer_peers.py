"""Debian's baresip and linphonec are asked to call somebody else, who answers or doesn't."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from config.outbound import OutboundSettings
from config.sip import SipSettings
from tests.linphone import linphone
from tests.peers import Reception, free_port, sip_server, softphone, target
from tests.transports.sip_calls import soon
from tests.transports.test_sip_dialling import Dialling
from transports.call import CallTransport, EndReason, TransferFailed
from transports.outbound import OutboundGuard
from transports.sip.server import SipServer

pytestmark = pytest.mark.peers

OUTCOMES = [("200 OK", None), ("486 Busy Here", 486), ("603 Decline", 603)]


def silence(rate_hz: int) -> NDArray[np.int16]:
    return np.zeros(rate_hz, np.int16)


async def put_through(reception: Reception, call: CallTransport, port: int, status: int | None) -> None:
    """Have the caller call `port`, and expect that `status` is what becomes of it."""
    uri = f"sip:reception@127.0.0.1:{port}"
    if status is None:
        await call.transfer(uri, timeout_s=20)
        assert await soon(reception.ended.get()) is EndReason.TRANSFERRED
        return
    with pytest.raises(TransferFailed) as failed:
        await call.transfer(uri, timeout_s=20)
    assert failed.value.status == status
    assert reception.ended.empty()
    await call.hangup()


@pytest.mark.parametrize(("answer", "status"), OUTCOMES)
async def test_baresip_calls_somebody_else(answer: str, status: int | None, tmp_path: Path) -> None:
    reception = Reception()
    async with (
        sip_server(reception) as server,
        target(tmp_path, answer) as port,
        softphone(tmp_path, f"sip:agent@127.0.0.1:{server[1]}", silence),
    ):
        call = await soon(reception.connected.get(), 10)
        await put_through(reception, call, port, status)


@pytest.mark.parametrize(("answer", "status"), OUTCOMES)
async def test_linphone_calls_somebody_else(answer: str, status: int | None, tmp_path: Path) -> None:
    reception = Reception()
    async with (
        sip_server(reception, host="0.0.0.0", allow=("0.0.0.0/0",)) as server,
        target(tmp_path, answer) as port,
        linphone(tmp_path, info=False) as phone,
    ):
        await phone.command(f"call sip:agent@127.0.0.1:{server[1]}", b"Media streams established")
        call = await soon(reception.connected.get(), 10)
        await put_through(reception, call, port, status)


async def test_linphone_takes_our_place_with_another_linphone(tmp_path: Path) -> None:
    reception = Reception()
    guard = OutboundGuard(OutboundSettings(allow=("*@127.0.0.1:*",)))
    settings = SipSettings(host="0.0.0.0", port=free_port(), allow=("0.0.0.0/0",))
    server = SipServer(settings, 5, reception, outbound=guard)
    for name in ("caller", "colleague"):
        (tmp_path / name).mkdir()
    await server.start()
    try:
        async with (
            linphone(tmp_path / "caller", info=False) as caller,
            linphone(tmp_path / "colleague", info=False) as colleague,
        ):
            await colleague.command("autoanswer enable", b"enabled")
            await caller.command(f"call sip:agent@127.0.0.1:{settings.port}", b"Media streams established")
            call = await soon(reception.connected.get(), 10)
            dialling = Dialling()
            port = re.search(r"sip_port=(\d+)", (tmp_path / "colleague" / "linphonerc").read_text())
            assert port
            uri = f"sip:colleague@127.0.0.1:{port[1]}"
            consultation = await server.dial(uri, dialling, ring_timeout_s=20)
            await soon(dialling.answered.wait(), 10)
            await call.transfer(consultation, timeout_s=20)
            assert await soon(reception.ended.get()) is EndReason.TRANSFERRED
            assert await soon(dialling.stopped, 10) is EndReason.CALLED_HANGUP
    finally:
        await server.close()
