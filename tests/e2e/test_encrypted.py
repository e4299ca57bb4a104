"""`offhook serve` with TLS and SRTP, called by Debian's baresip, which hears itself."""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.certificates import Authority
from tests.e2e.served import Served, served
from tests.peers import free_port, softphone
from tests.transports.test_sip_audio import pitch_hz, tone

pytestmark = [pytest.mark.peers, pytest.mark.models]

TONE_HZ = 600
ECHOED_S = 60.0


def serial_number(port: int, authority: Authority) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port), ca_certs=str(authority.file))


async def told(server: Served, path: str) -> Any:
    return await asyncio.to_thread(server.get, path)


@pytest.mark.parametrize(("mediaenc", "encryption"), [("srtp-mand", "sdes"), ("dtls_srtp", "dtls-srtp")])
async def test_the_echo_comes_back_and_a_new_certificate_ends_no_call(
    tmp_path: Path, mediaenc: str, encryption: str
) -> None:
    authority, port = Authority(tmp_path), free_port()
    cert, key = authority.sign("offhook")
    settings = {
        "OFFHOOK_SIP__TLS_PORT": str(port),
        "OFFHOOK_SIP__TLS_CERT": str(cert),
        "OFFHOOK_SIP__TLS_KEY": str(key),
        "OFFHOOK_SIP__MEDIA_ENCRYPTION": "required",
        "OFFHOOK_LLM__BUNDLED": "smollm2-135m",
    }
    with served(tmp_path, **settings) as server:
        first = await asyncio.to_thread(serial_number, port, authority)
        uri = f"sip:echo@127.0.0.1:{port};transport=tls"
        says = partial(tone, seconds=200, frequency_hz=TONE_HZ)
        async with softphone(tmp_path, uri, says, mediaenc=mediaenc, ca=authority.file) as phone:
            async with asyncio.timeout(ECHOED_S):
                while not (sessions := (await told(server, "/api/v1/sessions"))["sessions"]):  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
            await asyncio.sleep(10)  # the greeting, and some of the echo
            authority.sign("another", file="offhook")
            async with asyncio.timeout(ECHOED_S):
                while await asyncio.to_thread(serial_number, port, authority) == first:  # noqa: ASYNC110
                    await asyncio.sleep(1)
            (still,) = (await told(server, "/api/v1/sessions"))["sessions"]
            health = await told(server, "/health")
        there, rate_hz = phone.heard()
    assert still["id"] == sessions[0]["id"]
    assert still["encryption"] == encryption
    (certificate,) = (one for one in health["components"] if one["name"] == "SIP certificate")
    assert certificate["state"] == "ready"
    last = there[-3 * rate_hz :]
    assert np.abs(last).max() > 3000
    assert pitch_hz(last, rate_hz) == pytest.approx(TONE_HZ, abs=5)
