"""SIP over TLS: who is let in, whom offhook trusts, and what is left."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from baresip.ua import UserAgent

from config.sip import SipSettings
from tests.certificates import Authority, chain
from tests.peers import Reception, free_port
from tests.process import open_files
from tests.sip_caller import Caller
from tests.srtp import Sdes
from tests.transports.sip_calls import phone, soon
from tests.waiting import until
from transports.sip.errors import SipError
from transports.sip.server import SipServer


def refused(server: SipServer) -> dict[str, str]:
    """Why the last certificate was refused, of hosts that it connected to."""
    assert server._stack is not None
    return dict(server._stack.tls.refused)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextlib.asynccontextmanager
async def serving(reception: Reception, own: bytes, **settings: object) -> AsyncIterator[SipServer]:
    values = {"host": "127.0.0.1", "port": free_port(), "tls": True, "tls_port": free_port(), **settings}
    server = SipServer(SipSettings.model_validate(values), 5, reception)
    await server.certify(own)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


def where(server: SipServer) -> tuple[str, int]:
    return server._settings.host, server._settings.tls_port


async def test_a_call_over_tls(authority: Authority) -> None:
    reception = Reception()
    async with (
        serving(reception, chain(authority.sign("offhook"))) as server,
        phone(where(server), tcp=True, tls=authority.trusting()) as caller,
    ):
        answer = await Sdes(caller).call()
        assert answer.status == 200
        assert ";transport=tls" in answer.header("Contact")
        call = await soon(reception.connected.get())
        assert call.info.encryption == "sdes"
        await call.hangup()
        assert (await soon(caller.receive())).startswith("BYE ")


async def test_over_tls_we_offer_encryption(authority: Authority) -> None:
    """And who doesn't want it has the call all the same."""
    reception = Reception()
    async with (
        serving(reception, chain(authority.sign("offhook"))) as server,
        phone(where(server), tcp=True, tls=authority.trusting()) as caller,
    ):
        caller.send_request("INVITE")
        offer = await caller.final_answer()
        assert "RTP/AVP" in offer.text
        assert "a=crypto" in offer.text
        caller.ack(offer, caller.sdp())
        call = await soon(reception.connected.get())
        assert call.info.encryption == ""
        caller.start_rtp(offer)
        await until(lambda: len(caller.received) > 10)
        await caller.bye()


async def test_another_certificate_is_shown_from_then_on_and_calls_go_on(authority: Authority) -> None:
    reception, trusting = Reception(), authority.trusting()
    async with (
        serving(reception, chain(authority.sign("old"))) as server,
        phone(where(server), tcp=True, tls=trusting) as before,
    ):
        assert (await before.call()).status == 200
        call = await soon(reception.connected.get())
        await server.certify(chain(authority.sign("new")))
        with contextlib.closing(Caller(where(server), tcp=True, tls=trusting)) as after:
            assert isinstance(after.sip, ssl.SSLSocket)
            assert "new" in str(after.sip.getpeercert())
            assert (await after.call()).status == 200
            await soon(reception.connected.get())
            await after.bye()
        with pytest.raises(SipError, match="can't use the certificate"):
            await server.certify(b"nothing")
        await call.hangup()
        assert (await soon(before.receive())).startswith("BYE ")


async def test_callers_may_have_to_have_a_certificate(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reception = Reception()
    other = Authority(tmp_path, "other")
    async with serving(reception, chain(authority.sign("offhook")), tls_client_ca=authority.file) as server:
        for own in (None, other.sign("stranger"), authority.sign("expired", days=-1)):
            async with phone(where(server), tcp=True, tls=authority.trusting(own)) as caller:
                with pytest.raises((ssl.SSLError, ConnectionError, TimeoutError)):
                    await asyncio.wait_for(caller.call(), 5)
        own = authority.sign("friend")
        async with phone(where(server), tcp=True, tls=authority.trusting(own)) as caller:
            assert (await caller.call()).status == 200
            await soon(reception.connected.get())
            await caller.bye()
    told = [
        r.getMessage() for r in caplog.records if r.name == "offhook.sip" and "certificate" in r.getMessage()
    ]
    assert told[0] == (
        "the caller's certificate from 127.0.0.1 isn't signed by a known authority: set sip.tls_client_ca."
    )
    assert reception.calls.qsize() == 1


@contextlib.asynccontextmanager
async def peer(files: tuple[Path, Path]) -> AsyncIterator[tuple[int, asyncio.Queue[str]]]:
    """A server for TLS, its port and what it is told first on each connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    told: asyncio.Queue[str] = asyncio.Queue()
    writers = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            told.put_nowait((await reader.readuntil(b"\r\n")).decode())

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], told
    finally:
        for writer in writers:
            writer.close()
        server.close()
        await server.wait_closed()


async def calls(server: SipServer, uri: str) -> None:
    """A call out, that nobody answers."""
    assert server._runtime
    agent = await UserAgent.create(server._runtime, "<sip:offhook@127.0.0.1>;regint=0")
    server._dialogs.dial(uri.partition(";")[0])
    await agent.dial(uri)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_whom_we_connect_to_is_trusted_by_name_or_address(authority: Authority, host: str) -> None:
    reception = Reception()
    async with (
        serving(reception, chain(authority.sign("offhook")), tls_ca=authority.file) as server,
        peer(authority.sign("peer", host)) as (port, told),
    ):
        await calls(server, f"sip:x@{host}:{port};transport=tls")
        assert (await soon(told.get())).startswith("INVITE ")
        assert refused(server) == {}


@pytest.mark.parametrize(
    ("made", "dialled", "why"),
    [
        ("unknown", "127.0.0.1", "isn't signed by a known authority: set sip.tls_ca."),
        ("expired", "127.0.0.1", "has expired."),
        ("192.0.2.1", "127.0.0.1", "is somebody else's: it doesn't name that host."),
        ("other.example", "localhost", "is somebody else's: it doesn't name that host."),
        ("localhost", "127.0.0.1", "is somebody else's: it doesn't name that host."),
    ],
)
async def test_who_isnt_trusted_is_told_nothing(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture, made: str, dialled: str, why: str
) -> None:
    reception = Reception()
    if made == "unknown":
        files = Authority(tmp_path, "other").sign("peer", dialled)
    elif made == "expired":
        files = authority.sign("peer", dialled, days=-1)
    else:
        files = authority.sign("peer", made)
    async with (
        serving(reception, chain(authority.sign("offhook")), tls_ca=authority.file) as server,
        peer(files) as (port, told),
    ):
        await calls(server, f"sip:x@{dialled}:{port};transport=tls")
        await until(lambda: refused(server), 15)
        assert refused(server) == {dialled: f"the certificate of {dialled} {why}"}
        assert told.empty()
    assert f"the certificate of {dialled} {why}" in caplog.messages


async def test_without_a_port_for_tls_we_connect_over_it_all_the_same(authority: Authority) -> None:
    reception = Reception()
    async with peer(authority.sign("peer")) as (port, told):
        server = SipServer(
            SipSettings(host="127.0.0.1", port=free_port(), tls_ca=authority.file), 5, reception
        )
        await server.start()
        try:
            await calls(server, f"sip:x@127.0.0.1:{port};transport=tls")
            assert (await soon(told.get())).startswith("INVITE ")
        finally:
            await server.close()


async def test_connections_leave_nothing_behind(authority: Authority) -> None:
    """Some that say nothing, some that aren't TLS, some that break off in the handshake, and some whole."""
    await leave_nothing_behind(authority, 60)


@pytest.mark.soak
async def test_a_thousand_connections_leave_nothing_behind(authority: Authority) -> None:
    await leave_nothing_behind(authority, 1000)


async def leave_nothing_behind(authority: Authority, count: int) -> None:
    reception = Reception()
    trusting = authority.trusting()
    async with serving(reception, chain(authority.sign("offhook"))) as server:
        host, port = where(server)
        before = open_files()
        for nth in range(count):
            match nth % 4:
                case 0:
                    _, writer = await asyncio.open_connection(host, port)
                    writer.close()
                case 1:
                    _, writer = await asyncio.open_connection(host, port)
                    writer.write(b"OPTIONS sip:x SIP/2.0\r\n\r\n")
                    await writer.drain()
                    writer.close()
                case 2:
                    with contextlib.suppress(ssl.SSLError, ConnectionError):
                        await asyncio.open_connection(host, port, ssl=ssl.create_default_context())
                case _:
                    async with phone((host, port), tcp=True, tls=trusting) as caller:
                        assert (await caller.call()).status == 200
                        await soon(reception.connected.get(), 20)
                        await caller.bye()
                        await soon(reception.ended.get(), 20)
        await until(lambda: open_files() <= before, 60)
        assert not reception.live


@pytest.mark.soak
async def test_who_says_nothing_is_cut_off_within_a_minute(authority: Authority) -> None:
    """As is who stops in the handshake: the stack gives either 32 s."""
    async with serving(Reception(), chain(authority.sign("offhook"))) as server:
        before = open_files()
        writers = []
        for nth in range(100):
            _, writer = await asyncio.open_connection(*where(server))
            if nth % 2:
                writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # a ClientHello begins
            writers.append(writer)
        await until(lambda: open_files() >= before + 200)
        await until(lambda: open_files() <= before + 100, 60)
        for writer in writers:
            writer.close()


@pytest.mark.parametrize("trusted", [True, False])
async def test_an_account_registers_over_tls_or_says_why_not(authority: Authority, trusted: bool) -> None:
    async with peer(authority.sign("provider")) as (port, told):
        account = {"server": f"127.0.0.1:{port}", "user": "1001", "secret": "s", "transport": "tls"}
        async with serving(
            Reception(),
            chain(authority.sign("offhook")),
            accounts={"provider": account},
            **({"tls_ca": authority.file} if trusted else {}),
        ) as server:
            if trusted:
                assert (await soon(told.get(), 15)).startswith("REGISTER ")
                return
            await until(lambda: server.accounts[0].last_error, 15)
            assert server.accounts[0].last_error == (
                "the certificate of 127.0.0.1 isn't signed by a known authority: set sip.tls_ca."
            )
            assert told.empty()
