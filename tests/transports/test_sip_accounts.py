"""Accounts at Debian's Kamailio: registered, refreshed, refused, called by them, changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from config.accounts import AccountSettings
from config.settings import SipSettings
from tests.peers import Reception, free_port, sipp
from tests.registrar import NUMBER, PASSWORD, USER, registrar
from tests.sip_caller import dialled
from tests.transports.sip_calls import soon
from transports.call import EndReason
from transports.sip.accounts import AccountState
from transports.sip.registration import State
from transports.sip.server import SipServer

pytestmark = pytest.mark.peers
DEADLINE_S = 60.0
CLIENTS = {"udp": "u1", "tcp": "t1"}  # as sipp names them


def account(port: int, **more: Any) -> AccountSettings:
    values = {"server": f"127.0.0.1:{port}", "user": USER, "secret": PASSWORD, "expires_s": 60}
    return AccountSettings.model_validate(values | more)


@contextlib.asynccontextmanager
async def server_with(
    accounts: dict[str, AccountSettings], reception: Reception | None = None, **settings: Any
) -> AsyncIterator[SipServer]:
    values: dict[str, Any] = {"host": "127.0.0.1", "port": free_port(), "accounts": accounts}
    server = SipServer(SipSettings(**(values | settings)), 5, reception or Reception())
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def until(server: SipServer, wanted: Callable[[AccountState], bool]) -> AccountState:
    """The first account's state, once it is as wanted."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not wanted(server.accounts[0]):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(str(server.accounts)) from None
    return server.accounts[0]


def registered(state: AccountState) -> bool:
    return state.state is State.REGISTERED


def failed(state: AccountState) -> bool:
    return state.state is State.FAILED


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_calls_come_in_by_a_registered_account(transport: str, tmp_path: Path) -> None:
    """Also where `sip.allow` lists nobody: who is registered with is heard."""
    reception = Reception()
    accounts = {"provider": account(0)}
    async with registrar(tmp_path) as port:
        accounts = {"provider": account(port, transport=transport)}
        async with server_with(accounts, reception, allow=("192.0.2.0/24",)) as server:
            state = await until(server, registered)
            assert 50 < (state.expires_in_s or 0) <= 60
            assert state.last_error is None
            calling = asyncio.create_task(
                sipp("proxied", ("127.0.0.1", port), "-t", CLIENTS[transport], "-s", NUMBER)
            )
            call = await soon(reception.connected.get(), DEADLINE_S)
            assert (call.info.account, call.info.called) == ("provider", NUMBER)
            await calling
            assert await soon(reception.ended.get()) is EndReason.CALLER_HANGUP


async def test_a_wrong_password_is_told_from_no_answer(tmp_path: Path) -> None:
    async with registrar(tmp_path) as port:
        for name, value in (("secret", "wrong"), ("secret", None), ("user", "nobody")):
            async with server_with({"provider": account(port, **{name: value})}) as server:
                state = await until(server, failed)
                assert f"sip.accounts.provider.{'secret_file' if value is None else 'user'}" in str(state)
                assert "answered 40" in str(state.last_error)
    async with server_with({"provider": account(port, transport="tcp")}) as server:
        state = await until(server, failed)
        assert "nobody listens at" in str(state.last_error)


async def test_a_registrar_that_restarts_is_registered_with_again(tmp_path: Path) -> None:
    """It has forgotten whom it knew; before the next refresh comes, it is called in vain."""
    reception = Reception()
    async with contextlib.AsyncExitStack() as stack:
        async with registrar(tmp_path, expires_s=8) as port:
            server = await stack.enter_async_context(server_with({"provider": account(port)}, reception))
            await until(server, registered)
        await until(server, lambda state: state.last_error is not None)
        await stack.enter_async_context(registrar(tmp_path, port, expires_s=8))
        await until(server, lambda state: registered(state) and state.last_error is None)
        await sipp("proxied", ("127.0.0.1", port), "-s", NUMBER)
        assert (await soon(reception.connected.get())).info.account == "provider"


async def test_accounts_change_without_ending_calls(tmp_path: Path) -> None:
    """What isn't changed isn't registered anew; who is gone is forgotten there."""
    reception = Reception()
    async with registrar(tmp_path) as port:
        good = account(port)
        async with server_with({"one": good}, reception) as server:
            await until(server, registered)
            trunk = AccountSettings(server="127.0.0.1", user="600", registers=False)
            await server.apply_accounts({"one": good, "two": trunk})
            assert [(one.name, one.state) for one in server.accounts] == [
                ("one", State.REGISTERED),
                ("two", State.TRUNK),
            ]
            calling = asyncio.create_task(sipp("proxied", ("127.0.0.1", port), "-s", NUMBER))
            call = await soon(reception.connected.get())
            await server.apply_accounts({})
            assert server.accounts == []
            assert call.info.call_id in reception.live
            await calling
            assert await soon(reception.ended.get()) is EndReason.CALLER_HANGUP
            with pytest.raises(ConnectionError, match="480"):
                async with dialled(("127.0.0.1", port), user=NUMBER):
                    pass
