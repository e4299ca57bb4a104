"""Debian's Kamailio as a provider: it wants passwords, keeps bindings and passes calls on to them.

What is called as 9 and a port goes to that port of this machine, for who has the password.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.peers import free_port, require_peer
from tests.proxy import answers, running
from tests.sip_caller import SipAnswer

USER, PASSWORD = "4930123456", 'p;a"s <w>ö\\rd'
NUMBER = "+4930123456"

_CONFIGURATION = """#!KAMAILIO
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
children=1
tcp_children=1
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("usrloc", "db_mode", 0)
modparam("registrar", "min_expires", {expires})
modparam("registrar", "max_expires", {expires})
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")

request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("OPTIONS")) {{ sl_send_reply("200", "OK"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (loose_route()) t_relay();
        else if (is_method("ACK") && t_check_trans()) t_relay();
        exit;
    }}
    if (is_method("REGISTER")) {{
        if ($tU != "{user}") {{ sl_send_reply("404", "Not Found"); exit; }}
        $var(password) = "{password}";
        if (!pv_www_authenticate("$td", "$var(password)", "0")) {{ auth_challenge("$td", "1"); exit; }}
        save("location");
        exit;
    }}
    record_route();
    if (is_method("INVITE") && $rU =~ "^9[0-9]+$") {{
        $var(password) = "{password}";
        if (!pv_proxy_authenticate("$fd", "$var(password)", "0")) {{ auth_challenge("$fd", "1"); exit; }}
        consume_credentials();
        $ru = "sip:600@127.0.0.1:" + $(rU{{s.substr,1,0}});
        t_relay();
        exit;
    }}
    if ($rU == "{number}") $rU = "{user}";
    if (!lookup("location")) {{ sl_send_reply("480", "Temporarily Unavailable"); exit; }}
    t_relay();
}}
"""


@contextlib.asynccontextmanager
async def registrar(folder: Path, port: int = 0, expires_s: int = 60) -> AsyncIterator[int]:
    """On 127.0.0.1, over UDP and TCP; gives its port."""
    program = require_peer("kamailio")
    port = port or free_port()
    password = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    values = {"port": port, "expires": expires_s, "user": USER, "password": password, "number": NUMBER}
    (folder / "registrar.cfg").write_text(_CONFIGURATION.format(**values))
    async with running(
        *(program, "-f", str(folder / "registrar.cfg"), "-DD", "-E", "-Y", str(folder)),
        *("-P", str(folder / "registrar.pid"), "-m", "32", "-M", "4"),
    ):
        await answers(port)
        yield port


def granting(request: SipAnswer) -> bytes:
    """The answer of a registrar that wants no password, for an hour."""
    lines = [f"{name}: {request.header(name)}" for name in ("Via", "From", "To", "Call-ID", "CSeq")]
    lines += [f"Contact: {request.header('Contact')};expires=3600", "Content-Length: 0", "", ""]
    return "\r\n".join(["SIP/2.0 200 OK", *lines]).encode()


class Contacts(asyncio.DatagramProtocol):
    """What is registered with one over UDP."""

    def __init__(self) -> None:
        self.registered: asyncio.Queue[str] = asyncio.Queue()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data.startswith(b"REGISTER"):
            request = SipAnswer(0, data.decode())
            self.transport.sendto(granting(request), addr)
            self.registered.put_nowait(request.header("Contact"))


@contextlib.asynccontextmanager
async def contacts() -> AsyncIterator[Contacts]:
    transport, registrar = await asyncio.get_running_loop().create_datagram_endpoint(
        Contacts, local_addr=("127.0.0.1", 0)
    )
    try:
        yield registrar
    finally:
        transport.close()
