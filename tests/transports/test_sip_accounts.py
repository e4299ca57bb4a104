"""Accounts at Debian's Kamailio: registered, refreshed, refused, called by them, changed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from config.accounts import AccountSettings
from config.logins import AuthSettings, LoginSettings
from config.sip import SipSettings
from config.sources import load
from tests.peers import Reception, free_port, sipp
from tests.process import open_files, resident_mb
from tests.registrar import NUMBER, PASSWORD, USER, granting, registrar
from tests.sip_caller import Caller, SipAnswer, dialled
from tests.transports.sip_calls import soon
from transports.call import EndReason
from transports.sip import accounts
from transports.sip import server as server_module
from transports.sip.accounts import AccountState
from transports.sip.registration import State
from transports.sip.server import SipServer

pytestmark = pytest.mark.peers
DEADLINE_S = 60.0
README = Path(__file__).parents[2] / "README.md"
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
    """It has forgotten whom it knew; before the next refresh comes, it is called in vain.

    Over TCP, where it is known at once that nobody is there.
    """
    reception = Reception()
    async with contextlib.AsyncExitStack() as stack:
        async with registrar(tmp_path, expires_s=8) as port:
            server = await stack.enter_async_context(
                server_with({"provider": account(port, transport="tcp")}, reception)
            )
            await until(server, registered)
        await until(server, lambda state: state.last_error is not None)
        await stack.enter_async_context(registrar(tmp_path, port, expires_s=8))
        await until(server, lambda state: registered(state) and state.last_error is None)
        await sipp("proxied", ("127.0.0.1", port), "-s", NUMBER)
        assert (await soon(reception.connected.get())).info.account == "provider"


async def test_accounts_change_without_ending_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is gone is forgotten there; what its calls still have to say is heard, and no new ones."""
    monkeypatch.setattr(server_module, "WATCH_INTERVAL_S", 0.2)
    reception = Reception()
    async with registrar(tmp_path) as port:
        good = account(port)
        async with server_with({"one": good}, reception, allow=("192.0.2.0/24",)) as server:
            await until(server, registered)
            trunk = AccountSettings(server="127.0.0.7", user="600", registers=False)
            await server.apply_accounts({"one": good, "two": trunk})
            assert [(one.name, one.state) for one in server.accounts] == [
                ("one", State.REGISTERED),
                ("two", State.TRUNK),
            ]
            # What is changed is registered anew, once the old one has left.
            await server.apply_accounts({"one": account(port, expires_s=61), "two": trunk})
            await until(server, registered)
            calling = asyncio.create_task(sipp("proxied", ("127.0.0.1", port), "-s", NUMBER))
            call = await soon(reception.connected.get())
            await server.apply_accounts({})
            assert server.accounts == []
            assert call.info.call_id in reception.live
            at = "127.0.0.1", server._settings.port
            with pytest.raises(ConnectionError, match="403"):
                async with dialled(at):
                    pass
            await calling
            assert await soon(reception.ended.get()) is EndReason.CALLER_HANGUP
            with pytest.raises(ConnectionError, match="480"):
                async with dialled(("127.0.0.1", port), user=NUMBER):
                    pass
            assert server._accounts
            async with asyncio.timeout(DEADLINE_S):
                while server._accounts.heard:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)


async def test_who_drains_is_registered_no_longer(tmp_path: Path) -> None:
    async with registrar(tmp_path) as port, server_with({"one": account(port)}) as server:
        await until(server, registered)
        server.drain(5)
        async with asyncio.timeout(DEADLINE_S):
            while True:
                try:
                    async with dialled(("127.0.0.1", port), user=NUMBER):
                        pass
                except ConnectionError as error:
                    if "480" in str(error):  # 503 as long as the registrar knows us
                        break


async def test_to_know_the_contact_is_no_password(tmp_path: Path) -> None:
    auth = AuthSettings(users={"alice": LoginSettings(secret=SecretStr("geheim"))})
    async with (
        registrar(tmp_path) as port,
        server_with({"one": account(port)}, auth=auth, allow=("192.0.2.0/24",)) as server,
    ):
        await until(server, registered)
        assert server._accounts
        caller = Caller(("127.0.0.1", server._settings.port), "127.0.0.9")
        caller.user = server._accounts._accounts["one"].agent.user
        try:
            assert (await caller.invite()).status == 401
        finally:
            caller.close()


async def test_a_trunk_is_known_by_its_addresses_and_has_its_codecs() -> None:
    """Whatever `sip.allow` lists; and it isn't anybody else's doing that a PBX is refused."""
    reception = Reception()
    trunk = AccountSettings(
        server="127.0.0.7", user="600", registers=False, addresses=("127.0.0.8/31",), codecs=("pcma", "pcmu")
    )
    async with server_with({"pbx": trunk}, reception, allow=("127.0.0.1/32",), codecs=("pcmu",)) as server:
        at = "127.0.0.1", server._settings.port
        for host, expected in (("127.0.0.7", "pbx"), ("127.0.0.9", "pbx"), ("127.0.0.1", "")):
            caller = Caller(at, host)
            caller.formats = "0 8"
            caller.attributes = ()
            try:
                answer = await caller.call()
                assert answer.text.partition("RTP/AVP ")[2].startswith("8" if expected else "0")
                assert (await soon(reception.connected.get())).info.account == expected
                await caller.bye()
            finally:
                caller.close()
        stranger = Caller(at, "127.0.0.6")
        try:
            stranger.send_request("OPTIONS")
            with pytest.raises(TimeoutError):
                await stranger.final_answer(0.5)
        finally:
            stranger.close()


class Line(asyncio.DatagramProtocol):
    """A network between a server and a registrar, which can be cut."""

    def __init__(self, to: tuple[str, int]) -> None:
        self.to, self.cut = to, False
        self.ours: tuple[str, int] | None = None
        self.kept_alive = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.kept_alive += data == b"\r\n\r\n"
        if self.cut:
            return
        if addr != self.to:
            self.ours = addr
        if there := self.ours if addr == self.to else self.to:
            self.transport.sendto(data, there)


async def test_a_network_that_is_cut_is_borne(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it isn't, NATs on the way are kept from forgetting who is behind them."""
    monkeypatch.setattr(accounts, "KEEP_ALIVE_S", 0.2)
    async with registrar(tmp_path, expires_s=8) as port:
        transport, line = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Line(("127.0.0.1", port)), local_addr=("127.0.0.1", 0)
        )
        try:
            async with server_with({"provider": account(transport.get_extra_info("sockname")[1])}) as server:
                await until(server, registered)
                async with asyncio.timeout(DEADLINE_S):
                    while line.kept_alive < 3:  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                line.cut = True
                assert "no answer from 127.0.0.1" in str((await until(server, failed)).last_error)
                line.cut = False
                await until(server, lambda state: registered(state) and state.last_error is None)
        finally:
            transport.close()


async def test_a_connection_that_is_lost_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before the registration is over: calls come by it alone."""
    monkeypatch.setattr(accounts, "KEEP_CONNECTED_S", 0.2)
    contacts: asyncio.Queue[str] = asyncio.Queue()

    async def register(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = SipAnswer(0, (await reader.readuntil(b"\r\n\r\n")).decode())
        contact = request.header("Contact")
        assert f":{writer.get_extra_info('peername')[1]};" in contact
        writer.write(granting(request))
        await writer.drain()
        writer.close()
        contacts.put_nowait(contact)

    async with await asyncio.start_server(register, "127.0.0.1", 0) as registrar:
        port = registrar.sockets[0].getsockname()[1]
        async with server_with({"provider": account(port, transport="tcp", expires_s=3600)}) as server:
            first = await soon(contacts.get())
            await until(server, registered)
            assert await soon(contacts.get(), 5) != first


@pytest.mark.soak
async def test_a_thousand_registrations_leave_nothing_behind(tmp_path: Path) -> None:
    async with registrar(tmp_path) as port, server_with({}) as server:

        async def register() -> None:
            await server.apply_accounts({"provider": account(port)})
            await until(server, registered)
            await server.apply_accounts({})
            assert server._accounts
            while any(one.leaving for one in server._accounts._departed):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            server._accounts.forget(())

        for _ in range(20):
            await register()
        gc.collect()
        before, memory_mb = left(server), resident_mb()
        for _ in range(1000):
            await register()
        assert left(server) == before
        gc.collect()
        assert resident_mb() - memory_mb < 4


def left(server: SipServer) -> dict[str, int]:
    assert server._stack
    return {
        "descriptors": open_files(),
        "threads": threading.active_count(),
        "tasks": len(asyncio.all_tasks()),
        "requests": len(server._stack.requests._open),
        "agents": len(server._agents),
        "kept": len(server._stack.agents._known),
    }


@pytest.mark.parametrize("registers", [True, False], ids=["registers", "trunk"])
async def test_what_the_readme_says_takes_calls(
    registers: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = README.read_text().partition("\n## Point a SIP trunk at it\n")[2].partition("\n## ")[0]
    texts = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    assert [text.count("\n") <= 5 for text in texts] == [True, True]
    reception = Reception()
    async with registrar(tmp_path) as port:
        if registers:
            monkeypatch.setenv("OFFHOOK_SIP__ACCOUNTS__PROVIDER__SECRET", PASSWORD)
        text = texts[not registers].replace("sip.example.com", f"127.0.0.1:{port}")
        file = tmp_path / "offhook.yaml"
        file.write_text(text.replace("203.0.113.10", "127.0.0.1"))
        accounts = load(file, {}).settings.sip.accounts
        async with server_with(accounts, reception, allow=("192.0.2.0/24",)) as server:
            if registers:
                await until(server, registered)
                await sipp("proxied", ("127.0.0.1", port), "-s", NUMBER)
            else:
                await sipp("proxied", ("127.0.0.1", server._settings.port), "-s", NUMBER)
            info = (await soon(reception.connected.get())).info
            assert (info.account, info.called) == (next(iter(accounts)), NUMBER)
