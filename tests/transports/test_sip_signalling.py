"""Calls come and go over SIP, as sipp and a scripted caller see it."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Container, Iterator

import pytest
from baresip.call import Call
from baresip.errors import BaresipError, CommandQueueFull

from config.sip import SipSettings
from tests.peers import Reception, free_port, sip_server, sipp
from tests.sip_caller import Caller, dialled
from tests.transports.sip_calls import phone, soon
from transports.call import CallGone, EndReason
from transports.sip import native, packet_filter
from transports.sip import server as sip_server_module
from transports.sip.errors import NoAddress, PortInUse, SipError
from transports.sip.native import Stack
from transports.sip.native_rtp import StackRtp
from transports.sip.server import SipServer

OPTIONS = (
    b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.2;branch=z9hG4bK1\r\nFrom: <sip:d@e>;tag=1\r\n"
    b"To: <sip:a@b>\r\nCall-ID: f\r\nCSeq: 7 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


@pytest.mark.peers
@pytest.mark.parametrize("transport", ["u1", "t1"])
async def test_sipp_calls_and_hangs_up(transport: str) -> None:
    reception = Reception()
    async with sip_server(reception) as server:
        await sipp("call", server, "-t", transport)
        assert await soon(reception.ended.get()) is EndReason.CALLER_HANGUP


@pytest.mark.peers
async def test_no_answered_call_puts_another_on_hold() -> None:
    reception = Reception()
    async with sip_server(reception) as server:
        await sipp("call", server, "-r", "3", calls=3)


@pytest.mark.peers
async def test_sipp_cancels() -> None:
    reception = Reception()
    reception.ring_s = 10
    async with sip_server(reception) as server:
        await sipp("cancel", server)
        assert await soon(reception.ended.get()) is EndReason.CALLER_CANCELLED


@pytest.mark.peers
async def test_sipp_asks_for_options() -> None:
    async with sip_server(Reception()) as server:
        await sipp("options", server)


@pytest.mark.peers
async def test_one_call_too_many_is_busy() -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server):
        reception.full = True
        await sipp("busy", server)


@pytest.mark.parametrize("full", [True, False])
async def test_a_call_that_the_handler_refuses_is_busy(full: bool) -> None:
    """And whoever chooses among several servers is told whether another may have a line."""
    reception = Reception()
    reception.full, reception.limited = full, not full
    async with sip_server(reception) as server:
        caller = Caller(server)
        answer = await caller.invite()
        caller.ack(answer)
        caller.close()
        assert answer.status == 486
        assert answer.header("Reason").startswith("Q.850;cause=34;") == full


async def test_it_is_ready_no_sooner_than_it_answers() -> None:
    settings = SipSettings(host="127.0.0.1", port=free_port())
    server = SipServer(settings, 5, Reception())
    starting = asyncio.create_task(server.start())
    while not server.listening:  # noqa: ASYNC110
        await asyncio.sleep(0)
    async with phone(("127.0.0.1", settings.port)) as caller:
        answer = await caller.ask("OPTIONS")
    await starting
    await server.close()
    assert answer.status == 200


async def test_a_call_is_sent_elsewhere_while_none_is_taken() -> None:
    reception = Reception()
    reception.stopped = True
    async with sip_server(reception) as server, phone(server) as caller:
        answer = await caller.invite()
        caller.ack(answer)
        assert answer.status == 503
        assert int(answer.header("Retry-After")) > 0


@pytest.mark.parametrize("why", ["full", "stopped"])
async def test_a_call_that_has_no_place_is_diverted(why: str) -> None:
    reception = Reception()
    setattr(reception, why, True)
    reception.divert_to = "sip:200@192.0.2.10"
    async with sip_server(reception) as server, phone(server) as caller:
        answer = await caller.invite()
        caller.ack(answer)
        assert answer.status == 302
        assert answer.header("Contact") == "<sip:200@192.0.2.10>"
        assert answer.text.count("Contact:") == 1


async def test_while_calls_are_seen_out_others_are_sent_elsewhere() -> None:
    reception = Reception()
    settings = SipSettings(host="127.0.0.1", port=free_port())
    server = SipServer(settings, 5, reception)
    await server.start()
    where = ("127.0.0.1", settings.port)
    try:
        async with dialled(where) as caller, phone(where) as late:
            await soon(reception.connected.get())
            assert (await late.ask("OPTIONS")).status == 200
            server.drain(30)
            for method, body in (("OPTIONS", ""), ("INVITE", late.sdp())):
                answer = await late.ask(method, body)
                assert (answer.status, answer.header("Retry-After")) == (503, "30")
            late.ack(answer)
            assert (await caller.ask("OPTIONS")).status == 200  # within the call
            assert (await caller.ask("UPDATE", caller.sdp())).status == 200
    finally:
        await server.close()


@pytest.mark.parametrize("status", [500, 486])
async def test_a_call_that_cannot_be_answered_is_declined(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise BaresipError("it can't be done")

    monkeypatch.setattr(Call, "answer", fails)
    if status == 486:  # what the stack says by itself
        monkeypatch.setattr(Stack, "reject", fails)
    reception = Reception()
    reception.ring_s = 10
    async with sip_server(reception) as server:
        caller = Caller(server)
        caller.send_request("INVITE", caller.sdp())
        call = await soon(reception.calls.get())
        with pytest.raises(CallGone) as gone:
            await call.answer()
        answer = await caller.final_answer()
        caller.ack(answer)
        caller.close()
        assert answer.status == status
        assert gone.value.reason is EndReason.TRANSPORT_FAILURE
        assert await soon(reception.ended.get()) is EndReason.TRANSPORT_FAILURE


async def test_a_call_that_fails_before_it_is_answered_finds_no_busy_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fails(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Call, "answer", fails)
    async with sip_server(Reception()) as server, phone(server) as caller:
        answer = await caller.invite()
        caller.ack(answer)
        assert answer.status == 480


async def test_a_call_that_cannot_be_taken_up_is_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise CommandQueueFull("queue full")

    monkeypatch.setattr(StackRtp, "negotiated", full)
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        caller.ack(await caller.invite())
        await soon(caller.serve())
        assert caller.requests == ["BYE"]
        assert await soon(reception.ended.get()) is EndReason.TRANSPORT_FAILURE


async def test_all_calls_are_hung_up_at_once_when_the_server_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    both, hangup = asyncio.Barrier(2), Call.hangup

    async def together(call: Call) -> None:
        await both.wait()
        await hangup(call)

    monkeypatch.setattr(Call, "hangup", together)
    reception = Reception()
    settings = SipSettings(host="127.0.0.1", port=free_port())
    server = SipServer(settings, 5, reception)
    await server.start()
    where = ("127.0.0.1", settings.port)
    async with phone(where) as one, phone(where) as other:
        for caller in (one, other):
            caller.ack(await caller.invite())
            await soon(reception.connected.get())
        await asyncio.wait_for(server.close(), 30)
    assert [reception.ended.get_nowait() for _ in range(2)] == [EndReason.AGENT_HANGUP] * 2


async def test_what_is_known_of_a_call() -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        info = (await soon(reception.connected.get())).info
        assert (info.transport, info.caller, info.called) == ("sip", "caller", "agent")
        assert (info.remote, info.codec, info.call_id) == ("127.0.0.1", "pcmu", caller.call_id)


async def test_we_hang_up() -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        call = await soon(reception.connected.get())
        await asyncio.gather(call.hangup(), soon(caller.serve()))
        assert caller.requests == ["BYE"]
        assert await soon(reception.ended.get()) is EndReason.AGENT_HANGUP
        await call.hangup()
        assert reception.ended.empty()


async def test_nothing_is_asked_of_the_caller_that_he_did_not_ask_for() -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        with pytest.raises(TimeoutError):
            await soon(caller.serve(), 1.0)
        assert caller.requests == []


async def test_a_caller_whose_packets_stop_is_gone() -> None:
    reception = Reception()
    async with sip_server(reception, rtp_timeout_s=2) as server, dialled(server) as caller:
        caller.silent = True
        await soon(caller.serve(), 6)
        assert await soon(reception.ended.get()) is EndReason.CALLER_GONE


async def test_a_caller_who_holds_may_be_silent() -> None:
    reception = Reception()
    async with sip_server(reception, rtp_timeout_s=2) as server, dialled(server) as caller:
        call = await soon(reception.connected.get())
        assert not call.on_hold
        caller.ack(await caller.invite("sendonly"))
        caller.silent = True
        with pytest.raises(TimeoutError):
            await soon(caller.serve(), 3.5)
        assert call.on_hold
        caller.ack(await caller.invite("sendrecv"))
        caller.silent = False
        assert reception.ended.empty()
        received = len(caller.received)
        call.playout.write(bytes(16000 * 2))
        async with asyncio.timeout(15):
            while call.on_hold or len(caller.received) < received + 20:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def test_options_tell_whether_calls_are_taken() -> None:
    port = free_port()
    server = SipServer(SipSettings(host="127.0.0.1", port=port), 5, Reception())
    await server.start()
    async with phone(("127.0.0.1", port)) as caller:
        for ready, status in ((True, 200), (False, 503), (True, 200)):
            server.tell_ready(ready)
            caller.send_request("OPTIONS")
            answer = await caller.final_answer()
            assert answer.status == status
            assert (answer.header("Retry-After") == "") is ready
    await server.close()


async def test_nobody_can_transfer_us() -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        await soon(reception.connected.get())
        caller.send_request("REFER", headers="Refer-To: <sip:someone@127.0.0.1>\r\n")
        answer = await caller.final_answer()
        assert answer.status == 603
        with pytest.raises(TimeoutError):
            await soon(caller.serve(), 0.5)
        assert caller.requests == []  # no NOTIFY of a transfer
        assert reception.ended.empty()
        caller.send_request("OPTIONS")
        assert "REFER" not in (await caller.final_answer()).header("Allow")


async def test_keys_are_heard() -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller:
        for event, digit in ((5, "5"), (11, "#")):
            caller.press(event)
            assert await soon(reception.digits.get()) == digit


async def test_users_that_are_not_listed_are_not_found() -> None:
    reception = Reception()
    async with sip_server(reception, users=("support",)) as server:
        caller = Caller(server, user="sales")
        answer = await caller.invite()
        caller.ack(answer)
        caller.close()
        assert answer.status == 404
        async with dialled(server, user="support"):
            await soon(reception.connected.get())


async def test_strangers_get_no_answer() -> None:
    reception = Reception()
    async with sip_server(reception, allow=("127.0.0.1/32",)) as server:
        stranger = Caller(server, "127.0.0.2")
        for method in ("OPTIONS", "INVITE", "REGISTER"):
            stranger.send_request(method, stranger.sdp() if method == "INVITE" else "")
            with pytest.raises(TimeoutError):
                await stranger.final_answer(0.5)
        stranger.close()
        with socket.socket() as tcp:
            tcp.bind(("127.0.0.2", 0))
            tcp.settimeout(0.5)
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(tcp.connect, server)
        async with dialled(server):
            await soon(reception.connected.get())
        assert reception.calls.qsize() == 1


async def test_strangers_get_no_answer_over_tcp_that_the_kernel_does_not_filter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As of Linux 6.18, where offhook isn't root."""

    def attach(sock: socket.socket, program: list[packet_filter.Instruction]) -> None:
        if sock.type == socket.SOCK_STREAM:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        put_on(sock, program)

    put_on = packet_filter.attach
    monkeypatch.setattr(packet_filter, "attach", attach)
    monkeypatch.setattr(sip_server_module, "WATCH_INTERVAL_S", 0.2)
    reception = Reception()
    async with sip_server(reception, allow=("127.0.0.1/32",)) as server:
        for request in (OPTIONS, b"OPTIONS sip:a@b SIP/2.0\r\n\r\n", b"junk\r\n\r\n", b""):
            with socket.socket() as tcp:
                tcp.bind(("127.0.0.2", 0))
                tcp.settimeout(5)
                await asyncio.to_thread(tcp.connect, server)
                tcp.sendall(request)
                assert await asyncio.to_thread(tcp.recv, 100) == b""
        with socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.2", 0))
            udp.settimeout(0.5)
            udp.sendto(OPTIONS, server)
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(udp.recv, 100)
        async with phone(server, tcp=True) as caller:
            caller.ack(await caller.invite())
            await soon(reception.connected.get())
        assert reception.calls.qsize() == 1


@pytest.mark.parametrize("found", [set(), {socket.SOCK_DGRAM}, {socket.SOCK_STREAM}])
async def test_no_socket_listens_unfiltered(
    found: set[socket.SocketKind], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()

    def find_some(address: str, ports: Container[int]) -> Iterator[socket.socket]:
        for sock in find_all(address, ports):
            if sock.type in found:
                yield sock
            else:
                sock.close()

    find_all = native._find_sockets
    monkeypatch.setattr(native, "_find_sockets", find_some)
    server = SipServer(SipSettings(host="127.0.0.1", port=port), 2, Reception())
    with pytest.raises(SipError, match=f"127.0.0.1:{port}"):
        await server.start()
    monkeypatch.undo()
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", port))
        udp.bind(("127.0.0.1", port))


async def test_every_address_of_the_machine_is_answered_as_itself() -> None:
    reception = Reception()
    async with sip_server(reception, host="0.0.0.0", allow=("0.0.0.0/0",)) as (_, port):
        for address in ["127.0.0.1", *other_addresses()]:
            caller = Caller((address, port), address)
            answer = await caller.call()
            assert f"c=IN IP4 {address}" in answer.text
            assert f"@{address}:{port}" in answer.header("Contact")
            await caller.bye()
            caller.close()


def other_addresses() -> list[str]:
    """What this machine calls itself to others, if it has a network; nothing is sent."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return []
        return [probe.getsockname()[0]]


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
async def test_a_port_in_use_is_said_so(kind: int) -> None:
    port = free_port()
    with socket.socket(type=kind) as other:
        other.bind(("127.0.0.1", port))
        if kind == socket.SOCK_STREAM:
            other.listen()
        server = SipServer(SipSettings(host="127.0.0.1", port=port), 2, Reception())
        with pytest.raises(PortInUse, match=f"127.0.0.1:{port}"):
            await server.start()
    server = SipServer(SipSettings(host="127.0.0.1", port=port), 2, Reception())
    await server.start()
    await server.close()


async def test_an_address_of_another_machine_is_said_so() -> None:
    server = SipServer(SipSettings(host="203.0.113.9", port=free_port()), 2, Reception())
    with pytest.raises(NoAddress, match=r"203\.0\.113\.9"):
        await server.start()
