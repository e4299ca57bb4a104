"""SIP over TLS: who is let in, whom offhook trusts, and what is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.certificates import Authority, chain
from tests.peers import Reception, free_port, sip_server
from tests.srtp import Sdes
from tests.transports.sip_calls import phone, soon


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_a_call_over_tls(authority: Authority) -> None:
    reception, port = Reception(), free_port()
    own = chain(authority.sign("offhook"))
    async with (
        sip_server(reception, certificate=own, tls=True, tls_port=port) as (host, _),
        phone((host, port), tcp=True, tls=authority.trusting()) as caller,
    ):
        answer = await Sdes(caller).call()
        assert answer.status == 200
        call = await soon(reception.connected.get())
        assert call.info.encryption == "sdes"
        await call.hangup()
        assert (await soon(caller.receive())).startswith("BYE ")
