"""Callers with passwords, and telephones that log in here: sipp, baresip and linphonec."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import SecretStr

from config.logins import AuthSettings, LoginSettings, RegistrarSettings
from config.outbound import OutboundSettings
from config.sip import SipSettings
from tests.certificates import Authority, chain
from tests.linphone import linphone
from tests.peers import Reception, free_port, sipp, softphone
from tests.sip_caller import Caller, dialled
from tests.transports.sip_calls import soon
from transports.call import CallGone, CallTransport, EndReason, TransferFailed
from transports.outbound import NotPermitted, OutboundGuard
from transports.sip.outgoing import OutgoingCall
from transports.sip.server import SipServer

pytestmark = pytest.mark.peers
PASSWORD = "geheim"
USERS = {user: LoginSettings(secret=SecretStr(PASSWORD)) for user in ("alice", "bob")}
DEADLINE_S = 30.0
NOBODY_LISTED = ("192.0.2.0/24",)


@contextlib.asynccontextmanager
async def door(
    reception: Reception, outbound: OutboundGuard | None = None, **settings: Any
) -> AsyncIterator[tuple[SipServer, int]]:
    """`certificate` among the settings is a chain for TLS."""
    port, certificate = free_port(), settings.pop("certificate", None)
    values: dict[str, Any] = {"host": "127.0.0.1", "port": port}
    server = SipServer(SipSettings(**(values | settings)), 5, reception, outbound=outbound)
    if certificate:
        await server.certify(certificate)
    await server.start()
    try:
        yield server, port
    finally:
        await server.close()


@pytest.mark.parametrize("client", ["u1", "t1"])
async def test_who_isnt_listed_calls_with_a_password(client: str) -> None:
    reception = Reception()
    async with door(reception, auth=AuthSettings(users=USERS), allow=NOBODY_LISTED) as (_, port):
        await sipp("digest", ("127.0.0.1", port), "-t", client, "-au", "alice", "-ap", PASSWORD, calls=3)
        for _ in range(3):
            assert await soon(reception.ended.get()) is EndReason.CALLER_HANGUP
        with pytest.raises(AssertionError, match="Failed call"):
            await sipp("digest", ("127.0.0.1", port), "-t", client, "-au", "alice", "-ap", "wrong")
        assert reception.calls.qsize() == 3


async def test_who_guesses_passwords_is_banned() -> None:
    """Who has none yet isn't, however often it is asked for."""
    settings: dict[str, Any] = {"auth": AuthSettings(users=USERS), "allow": NOBODY_LISTED, "ban_exempt": ()}
    async with door(Reception(), **settings) as (server, port):
        caller = Caller(("127.0.0.1", port), "127.0.0.9")
        try:
            for _ in range(25):
                assert (await caller.ask("OPTIONS")).status == 401
            assert server.bans == []
            guess = 'Authorization: Digest username="alice", realm="offhook", nonce="x", response="0"\r\n'
            with contextlib.suppress(TimeoutError):
                for _ in range(25):
                    caller.send_request("OPTIONS", headers=guess)
                    assert (await caller.final_answer(2.0)).status == 403
            async with asyncio.timeout(DEADLINE_S):
                while not server.bans:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert [one.address for one in server.bans] == ["127.0.0.9"]
        finally:
            caller.close()


async def bound(server: SipServer, telephones: dict[str, int]) -> None:
    assert server.registrar
    async with asyncio.timeout(DEADLINE_S):
        while server.registrar.bound() != telephones:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_telephones_log_in_and_call_the_agent(tmp_path: Path) -> None:
    reception, folders = Reception(), [tmp_path / "alice", tmp_path / "bob"]
    for folder in folders:
        folder.mkdir()
    registrar = RegistrarSettings(users=USERS)
    async with door(reception, registrar=registrar) as (server, port):
        bob = f"<sip:bob@127.0.0.1:{port}>;auth_pass={PASSWORD};regint=60"
        async with (
            softphone(folders[1], "", silence, account=bob) as baresip,
            linphone(folders[0], info=False) as phone,
        ):
            await bound(server, {"bob": 1})
            assert server.registrar
            assert (server.registrar.contact("bob") or "").startswith("sip:bob")
            here = f"sip:127.0.0.1:{port}"
            await phone.command(f"register sip:alice@127.0.0.1:{port} {here} {PASSWORD}", b"register")
            await bound(server, {"alice": 1, "bob": 1})
            await phone.command(f"call sip:agent@127.0.0.1:{port}", b"Media streams established")
            call = await soon(reception.connected.get())
            assert call.info.caller == "alice"
            await phone.command("terminate", b"ended")
            assert await soon(reception.ended.get()) is EndReason.CALLER_HANGUP
            await baresip.command("quit")
            await bound(server, {"alice": 1})


@pytest.mark.parametrize("over_tls", [False, True], ids=["udp", "tls"])
async def test_a_telephone_is_dialled_and_transferred_to_by_its_user(tmp_path: Path, over_tls: bool) -> None:
    reception, tls_port = Reception(), free_port()
    outbound = OutboundGuard(OutboundSettings(allow=("*@offhook",)))
    authority = Authority(tmp_path)
    settings: dict[str, Any] = {"registrar": RegistrarSettings(users=USERS)}
    if over_tls:
        settings |= {"tls": True, "tls_port": tls_port, "certificate": chain(authority.sign("offhook"))}
    async with door(reception, outbound, **settings) as (server, port):
        where = f"127.0.0.1:{tls_port if over_tls else port}"
        bob = f"<sip:bob@{where}>;auth_pass={PASSWORD};regint=60;answermode=auto"
        ca = authority.file if over_tls else None
        async with softphone(tmp_path, "", silence, account=bob, ca=ca):
            await bound(server, {"bob": 1})
            assert server.registrar
            answered: asyncio.Queue[CallTransport] = asyncio.Queue()

            async def talk(call: OutgoingCall) -> None:
                await call.answer()
                answered.put_nowait(call)
                await asyncio.Event().wait()

            call = await server.dial("sip:bob@offhook", talk, ring_timeout_s=DEADLINE_S)
            assert await soon(answered.get(), DEADLINE_S) is call
            await call.hangup()
            with pytest.raises(CallGone, match="hasn't logged in"):
                await server.dial("sip:alice@offhook", talk, ring_timeout_s=DEADLINE_S)
            with pytest.raises(NotPermitted):
                await server.dial(server.registrar.contact("bob") or "", talk, ring_timeout_s=DEADLINE_S)
            async with dialled(("127.0.0.1", port)) as caller:
                taken = await soon(reception.connected.get())
                with pytest.raises(TransferFailed, match="hasn't logged in"):
                    await taken.transfer("sip:alice@offhook", timeout_s=DEADLINE_S)
                asking = asyncio.create_task(taken.transfer("sip:bob@offhook", timeout_s=DEADLINE_S))
                while not (refer := await soon(caller.receive())).startswith("REFER "):
                    pass
                assert f"{server.registrar.contact('bob')}" in refer
                caller.answer_request(refer, status="405 Method Not Allowed")
                with pytest.raises(TransferFailed, match="405"):
                    await asking


def silence(rate_hz: int) -> NDArray[np.int16]:
    return np.zeros(rate_hz, np.int16)
