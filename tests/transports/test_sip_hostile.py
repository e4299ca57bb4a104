"""Floods, scanners and addresses that come and go, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Container, Coroutine
from pathlib import Path
from typing import Any

import pytest
from baresip.errors import CommandQueueFull

from config.sip import SipSettings
from tests.peers import Reception, free_port
from tests.registrar import contacts
from tests.sip_caller import Caller, dialled
from tests.transports.netns import HERE, cable, inside
from tests.transports.sip_calls import phone, soon
from tests.waiting import until
from transports.sip import guard, kernel_filter, process
from transports.sip import server as sip_server_module
from transports.sip.limits import STRIKES
from transports.sip.native import Stack
from transports.sip.own_sockets import cut_connections, share
from transports.sip.server import SipServer

STRANGER = "127.0.0.66"


@contextlib.asynccontextmanager
async def guarded_server(reception: Reception, **settings: Any) -> Any:
    """A server that spares nobody, loopback included."""
    values: dict[str, Any] = {"host": "127.0.0.1", "port": free_port(), "ban_exempt": ()} | settings
    server = SipServer(SipSettings(**values), 5, reception)
    await server.start()
    try:
        yield server, ("127.0.0.1", values["port"])
    finally:
        await server.close()


def banned(server: SipServer) -> list[str]:
    return [ban.address for ban in server.bans]


async def test_a_scanner_gets_nothing_and_is_banned() -> None:
    async with guarded_server(Reception()) as (server, at):
        scanner = Caller(at, STRANGER)
        scanner.send_request("OPTIONS", headers="User-Agent: friendly-scanner\r\n")
        with pytest.raises(TimeoutError):
            await scanner.final_answer(0.5)
        assert banned(server) == [STRANGER]
        scanner.send_request("OPTIONS")
        with pytest.raises(TimeoutError):
            await scanner.final_answer(0.5)
        scanner.close()
        async with dialled(at):
            pass


async def test_a_banned_source_has_no_connection_and_gets_none() -> None:
    async with guarded_server(Reception()) as (server, at):
        with socket.socket() as tcp:
            tcp.bind((STRANGER, 0))
            tcp.connect(at)
            tcp.setblocking(False)
            phone = Caller(at, STRANGER)
            scan = phone.request("OPTIONS", headers="User-Agent: sipcli\r\n", cseq=1)
            phone.close()
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(tcp, scan.replace("SIP/2.0/UDP", "SIP/2.0/TCP").encode())
            await until(lambda: banned(server) == [STRANGER])
            async with asyncio.timeout(15):
                with contextlib.suppress(ConnectionError):
                    while await loop.sock_recv(tcp, 4096):
                        pass
        with socket.socket() as tcp:
            tcp.bind((STRANGER, 0))
            tcp.settimeout(0.5)
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(tcp.connect, at)


async def test_a_ban_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_server_module, "WATCH_INTERVAL_S", 0.1)
    async with guarded_server(Reception(), ban_s=1) as (server, at):
        phone = Caller(at, STRANGER)
        phone.send_request("OPTIONS", headers="User-Agent: friendly-scanner\r\n")
        await until(lambda: banned(server) == [STRANGER])
        await until(lambda: not banned(server))
        await asyncio.sleep(0.2)
        phone.send_request("OPTIONS")
        assert (await phone.final_answer()).status == 200
        phone.close()


async def test_bans_end_though_no_descriptor_was_left_when_one_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_server_module, "WATCH_INTERVAL_S", 0.1)
    errors = [OSError(errno.EMFILE, "Too many open files")]

    def cut(ports: Container[int], is_banned: Callable[[str], bool]) -> None:
        if errors and not is_banned(STRANGER):
            raise errors.pop()
        cut_connections(ports, is_banned)

    monkeypatch.setattr(kernel_filter, "cut_connections", cut)
    async with guarded_server(Reception(), ban_s=1) as (server, at):
        phone = Caller(at, STRANGER)
        for _ in range(2):
            phone.send_request("OPTIONS", headers="User-Agent: friendly-scanner\r\n")
            await until(lambda: banned(server) == [STRANGER])
            await until(lambda: not banned(server))
            await until(lambda: not errors)
            await asyncio.sleep(0.2)
        phone.send_request("OPTIONS")
        assert (await phone.final_answer()).status == 200
        phone.close()


async def test_who_holds_many_connections_is_banned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_server_module, "WATCH_INTERVAL_S", 0.1)
    monkeypatch.setattr(guard, "CONNECTIONS", 10)
    async with guarded_server(Reception()) as (server, at):
        with contextlib.ExitStack() as open_ones:

            async def connects(host: str) -> socket.socket:
                tcp = open_ones.enter_context(socket.socket())
                tcp.bind((host, 0))
                tcp.setblocking(False)
                await asyncio.get_running_loop().sock_connect(tcp, at)
                return tcp

            for _ in range(10):
                another = await connects("127.0.0.9")
            last = [await connects(STRANGER) for _ in range(11)][-1]
            await until(lambda: banned(server) == [STRANGER])
            async with asyncio.timeout(15):
                with contextlib.suppress(ConnectionError):
                    assert await asyncio.get_running_loop().sock_recv(last, 1) == b""
            with pytest.raises(BlockingIOError):
                another.recv(1)


async def test_strangers_connections_leave_descriptors_for_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many addresses, each of which holds fewer than would ban it."""
    monkeypatch.setattr(sip_server_module, "FILES_INTERVAL_S", 0.1)
    monkeypatch.setattr(process, "CONNECTIONS", 4)
    short = False
    monkeypatch.setattr(process, "short_of_files", lambda _: short)
    reception = Reception()
    async with guarded_server(reception) as (_, at), phone(at, host="127.0.0.8", tcp=True) as known:
        await known.call()
        await soon(reception.connected.get())
        with contextlib.ExitStack() as open_ones:
            held: list[socket.socket] = []
            for host in ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5") * 3:
                held.append(open_ones.enter_context(socket.create_connection(at, 5, (host, 0))))
                held[-1].setblocking(False)

            def left() -> int:
                count = 0
                for one in held:
                    with contextlib.suppress(ConnectionError):
                        try:
                            one.recv(1)
                        except BlockingIOError:
                            count += 1
                return count

            assert left() == 12
            short = True
            await until(lambda: left() <= 4)
            await asyncio.sleep(0.3)
            assert left() == 4  # one of each
        assert (await known.ask("OPTIONS")).status == 200
        await known.bye()


@pytest.mark.parametrize(
    ("numbers", "most", "each"),
    [([], 4, 4), ([3, 3], 4, 2), ([1, 9], 4, 3), ([1, 1, 1], 4, 1), ([1, 2, 9], 100, 88), ([1] * 9, 4, 0)],
)
def test_what_each_may_hold(numbers: list[int], most: int, each: int) -> None:
    held = share(numbers, most)
    assert sum(min(one, held) for one in numbers) <= most
    assert sum(min(one, held + 1) for one in numbers) > most or held >= max(numbers, default=0)
    assert held == each or held >= max(numbers, default=0)


def test_descriptors_are_short_before_none_is_left() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Path(os.devnull).open() as file:
        lowest = file.fileno()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2 * lowest + 20, before[1]))
        with contextlib.ExitStack() as open_ones:
            assert not process.short_of_files(1)
            while not process.short_of_files(1):
                open_ones.enter_context(Path(os.devnull).open())
            open_ones.enter_context(Path(os.devnull).open())  # some are left
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_who_is_banned_while_no_descriptor_is_left_loses_connections_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sip_server_module, "WATCH_INTERVAL_S", 0.1)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with guarded_server(Reception()) as (server, at):
        reader, writer = await asyncio.open_connection(*at, local_addr=(STRANGER, 0))
        phone = Caller(at, STRANGER)
        lowest = os.dup(0)
        os.close(lowest)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
            phone.send_request("OPTIONS", headers="User-Agent: friendly-scanner\r\n")
            await until(lambda: banned(server) == [STRANGER])
            await asyncio.sleep(3 * kernel_filter.BANS_INTERVAL_S)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        phone.close()


async def test_bans_that_come_together_are_told_to_the_kernel_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuts: list[int] = []
    monkeypatch.setattr(kernel_filter, "cut_connections", lambda port, _: cuts.append(port))
    async with guarded_server(Reception()) as (server, at):
        for nth in range(40):
            phone = Caller(at, f"127.0.1.{nth + 1}")
            phone.send_request("OPTIONS", headers="User-Agent: friendly-scanner\r\n")
            phone.close()
            await asyncio.sleep(0.002)
        await until(lambda: len(banned(server)) == 40)
        await asyncio.sleep(2 * kernel_filter.BANS_INTERVAL_S)
        assert 1 <= len(cuts) < 10


async def test_a_stack_with_much_to_do_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    async def full(_: Stack, timeout_s: float) -> None:
        looks.append(timeout_s)
        raise CommandQueueFull("queue full")

    monkeypatch.setattr(sip_server_module, "WATCH_INTERVAL_S", 0.05)
    monkeypatch.setattr(Stack, "ping", full)
    async with guarded_server(Reception()) as (server, at):
        await until(lambda: len(looks) > 2)
        assert server.listening
        async with dialled(at):
            pass


async def test_a_flood_of_registrations_is_banned() -> None:
    async with guarded_server(Reception()) as (server, at):
        flood = Caller(at, STRANGER)
        for _ in range(40):
            flood.send_request("REGISTER")
        await until(lambda: banned(server) == [STRANGER])
        flood.close()


async def test_who_only_cancels_is_banned() -> None:
    reception = Reception()
    reception.ring_s = 5
    async with guarded_server(reception) as (server, at):
        for _ in range(STRIKES + 1):
            phone = Caller(at, STRANGER)
            phone.send_request("INVITE", phone.sdp())
            await asyncio.wait_for(reception.calls.get(), 5)
            phone.cancel()
            phone.ack(await phone.final_answer())
            phone.close()
        await until(lambda: banned(server) == [STRANGER])


async def test_a_flood_in_a_callers_name_leaves_the_call_alone() -> None:
    reception = Reception()
    async with guarded_server(reception) as (server, at), dialled(at, STRANGER) as caller:
        await asyncio.wait_for(reception.connected.get(), 5)
        forger = Caller(at, STRANGER)
        for nth in range(3000):
            forger.send_request("OPTIONS", headers="User-Agent: friendly-scanner\r\n")
            if nth % 50 == 0:
                await asyncio.sleep(0.005)
        forger.close()
        assert banned(server) == []
        for _ in range(10):  # as a phone would send it again, where the kernel's buffer was full
            caller.send_request("OPTIONS")
            with contextlib.suppress(TimeoutError):
                assert (await caller.final_answer(0.5)).status == 200
                break
        else:
            pytest.fail("the caller isn't heard")
        assert reception.ended.empty()


async def test_peers_that_reset_their_connections_take_no_line() -> None:
    """The stack gave up such a call and kept it: five of them, and everyone else was busy for good."""
    reception = Reception()
    reception.full = True  # for those that do ring
    async with guarded_server(reception, ban_exempt=("127.0.0.0/8",)) as (_, at):
        for _ in range(30):
            phone = Caller(at)
            offer = phone.request("OPTIONS", cseq=1) + phone.request("INVITE", phone.sdp(), cseq=2)
            phone.close()
            with socket.socket() as tcp:
                await asyncio.to_thread(tcp.connect, at)
                tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                tcp.sendall(offer.replace("SIP/2.0/UDP", "SIP/2.0/TCP").encode())
        await asyncio.sleep(0.5)
        reception.full = False
        async with dialled(at):
            pass


async def test_a_call_can_be_traced() -> None:
    reception = Reception()
    async with guarded_server(reception) as (server, at):
        async with dialled(at) as caller:
            call = await asyncio.wait_for(reception.connected.get(), 5)
        messages = server.trace.messages(call.info.id)
        assert messages == server.trace.messages(caller.call_id)
        firsts = [(m.sent, m.text.splitlines()[0].split(" sip:")[0]) for m in messages]
        assert firsts[0] == (False, "INVITE")
        assert (True, "SIP/2.0 200 OK") in firsts
        assert firsts[-2:] == [(False, "BYE"), (True, "SIP/2.0 200 OK")]
        assert messages[0].local == at
        assert messages[0].protocol == "UDP"


async def test_nothing_is_traced_where_it_is_off() -> None:
    async with guarded_server(Reception(), trace_calls=0) as (server, at):
        async with dialled(at):
            pass
        assert server.trace.messages() == []


def in_a_namespace(test: Callable[[str], Coroutine[Any, Any, None]]) -> None:
    """Run `test`, which is given its name, in a network namespace and on a thread of its own."""
    with cable() as ends:
        failures: list[BaseException] = []

        def run() -> None:
            try:
                with inside(ends.server):
                    asyncio.run(test(ends.server))
            except BaseException as error:  # raised below, on the test's thread
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(60)
        if failures:
            raise failures[0]
        assert not thread.is_alive()


def test_addresses_that_come_and_go_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_server_module, "WATCH_INTERVAL_S", 0.2)
    in_a_namespace(follow)


async def follow(namespace: str) -> None:
    async with guarded_server(Reception(), host="0.0.0.0") as (server, (_, port)):
        assert await answers(HERE, port)
        another = "10.77.0.9"
        assert not await answers(another, port)
        ip("-n", namespace, "addr", "add", f"{another}/24", "dev", "eth")
        await until(lambda: another in listening(server))
        assert await answers(another, port)
        async with dialled((HERE, port), HERE):
            ip("-n", namespace, "addr", "del", f"{another}/24", "dev", "eth")
            await until(lambda: another not in listening(server))
            assert await answers(HERE, port)
        assert server.reached
        assert not server.troubles


def test_an_address_that_is_lost_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_server_module, "WATCH_INTERVAL_S", 0.2)
    in_a_namespace(lose)


async def lose(namespace: str) -> None:
    ours = "10.77.0.9"
    ip("-n", namespace, "addr", "add", f"{ours}/24", "dev", "eth")
    async with guarded_server(Reception(), host=ours) as (server, (_, port)):
        assert await answers(ours, port)
        assert server.reached
        ip("-n", namespace, "addr", "del", f"{ours}/24", "dev", "eth")
        await until(lambda: not server.reached)
        assert server.troubles == [f"sip.host '{ours}' is not an address of this machine."]
        ip("-n", namespace, "addr", "add", f"{ours}/24", "dev", "eth")
        await until(lambda: server.reached)
        assert await answers(ours, port)


def test_accounts_register_anew_from_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_server_module, "WATCH_INTERVAL_S", 0.2)
    in_a_namespace(register)


async def register(namespace: str) -> None:
    async with contacts() as registrar:
        accounts = {"provider": {"server": f"127.0.0.1:{registrar.port}", "user": "1001"}}
        async with guarded_server(Reception(), host="0.0.0.0", accounts=accounts):
            await soon(registrar.registered.get())
            for change in ("add", "del"):
                await asyncio.sleep(0.5)
                assert registrar.registered.empty()
                ip("-n", namespace, "addr", change, "10.77.0.9/24", "dev", "eth")
                await soon(registrar.registered.get())


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)


def listening(server: SipServer) -> set[str]:
    return {sock.getsockname()[0] for sock in server._sockets}


async def answers(address: str, port: int) -> bool:
    try:
        caller = Caller((address, port), HERE)
        caller.send_request("OPTIONS")
        return (await caller.final_answer(1)).status == 200
    except (TimeoutError, OSError):
        return False
    finally:
        caller.close()
