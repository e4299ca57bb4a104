"""Who may send how much, who is banned for what, and what the kernel is told."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterable
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transports.sip import guard, limits, packet_filter
from transports.sip.guard import Guard
from transports.sip.kernel_filter import KernelFilter
from transports.sip.limits import Source, SourceLimits, name_of, network_of, source_of
from transports.sip.tap import Traced

RATE = 20
A, B = source_of("192.0.2.1"), source_of("192.0.2.2")
SCAN = b"OPTIONS sip:100@192.0.2.20 SIP/2.0\r\nUser-Agent: friendly-scanner\r\n\r\n"


def invite(call_id: str = "c", name: str = "Call-ID") -> bytes:
    return f"INVITE sip:a@192.0.2.20 SIP/2.0\r\nTo: <sip:a@b>\r\n{name} : {call_id}\r\n\r\n".encode()


def test_a_stranger_may_send_a_burst_and_then_so_many_a_second() -> None:
    policy = SourceLimits(RATE, 600)
    burst = sum(policy.admit(A, 100.0) for _ in range(1000))
    later = sum(policy.admit(A, 102.0) for _ in range(1000))
    assert (burst, later) == (RATE * limits.BURST_S, RATE * 2)
    assert policy.admit(B, 102.0)


def test_who_has_had_a_call_may_send_ten_times_as_much() -> None:
    policy = SourceLimits(RATE, 600)
    policy.had_call(A, 100.0)
    assert sum(policy.admit(A, 100.0) for _ in range(9999)) == RATE * limits.BURST_S * limits.KNOWN_FACTOR
    tomorrow = 100.0 + limits.KNOWN_S
    assert not policy.known(A, tomorrow)


def test_strangers_together_have_a_limit_that_leaves_who_is_known_alone() -> None:
    policy = SourceLimits(RATE, 600)
    policy.had_call(A, 100.0)
    forged = (struct.pack("!I", n) for n in range(3000))
    admitted = sum(policy.admit(source, 100.0) for source in forged)
    assert admitted == RATE * limits.BURST_S * limits.STRANGERS_FACTOR
    assert policy.admit(A, 100.0)


def test_strikes_ban_unless_they_are_few() -> None:
    policy = SourceLimits(RATE, 600)
    for nth in range(100):  # a registration every half minute that is refused
        assert not policy.strike(A, "refused", 30.0 * nth)
    struck = [policy.strike(B, "refused", 100.0) for _ in range(limits.STRIKES + 5)]
    assert struck == [False] * limits.STRIKES + [True] + [False] * 4
    assert list(policy.bans) == [B]
    assert policy.expire(699.0) == []
    assert policy.expire(700.0) == [B]
    assert not policy.bans
    assert not policy.strike(B, "refused", 700.0)


def test_who_has_had_a_call_is_not_banned_by_what_may_be_forged() -> None:
    policy = SourceLimits(RATE, 600)
    policy.had_call(A, 100.0)
    assert not any(policy.strike(A, "refused", 100.0) for _ in range(1000))
    assert not policy.ban(A, "it is a scanner", 100.0)
    assert not policy.bans


def test_nobody_is_banned_where_bans_are_off() -> None:
    policy = SourceLimits(RATE, 0)
    assert not any(policy.strike(A, "refused", 100.0) for _ in range(1000))
    assert not policy.bans


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 6000), st.sampled_from(["admit", "strike", "call", "ban"]))))
def test_what_is_remembered_is_bounded(events: list[tuple[int, str]]) -> None:
    policy = SourceLimits(RATE, 600)
    policy.had_call(A, 0.0)
    for nth, (number, kind) in enumerate(events):
        source, now = struct.pack("!I", number), nth * 0.01
        if kind == "admit":
            policy.admit(source, now)
        elif kind == "strike":
            policy.strike(source, "refused", now)
        elif kind == "call":
            policy.had_call(source, now)
        else:
            policy.ban(source, "it is a scanner", now)
    for number in range(limits.SOURCES * 2):
        policy.admit(struct.pack("!I", 10000 + number), 1000.0)
        policy.ban(struct.pack("!I", 10000 + number), "it is a scanner", 1000.0)
    assert len(policy) == limits.SOURCES
    assert len(policy.bans) == limits.BANS
    assert policy.known(A, 1000.0)  # however many addresses are forged


@given(st.lists(st.floats(0, 5, allow_nan=False), max_size=300))
def test_no_more_passes_than_the_bucket_and_the_rate_allow(gaps: list[float]) -> None:
    policy, now, passed = SourceLimits(RATE, 600), 0.0, 0
    for gap in gaps:
        now += gap
        passed += policy.admit(A, now)
    assert passed <= RATE * limits.BURST_S + RATE * now
    assert passed >= min(len(gaps), RATE * limits.BURST_S)


def test_forged_addresses_push_nobody_out_who_is_banned() -> None:
    policy = SourceLimits(RATE, 600)
    assert policy.ban(A, "it is a scanner", 100.0)
    for number in range(2 * limits.BANS):
        policy.ban(struct.pack("!I", number), "it is a scanner", 101.0)
    assert A in policy.bans
    assert policy.ban(B, "it sends too much", 102.0, proved=True)  # over TCP, where nothing is forged
    for number in range(2 * limits.BANS):
        policy.ban(struct.pack("!I", 5000 + number), "it is a scanner", 103.0, proved=True)
    assert B in policy.bans
    assert len(policy.bans) == limits.BANS
    assert policy.ban(struct.pack("!I", 9000), "it is a scanner", 800.0)  # the others are over


class Warden:
    """A guard, and whom it banned."""

    def __init__(self, exempt: tuple[str, ...] = (), live: tuple[str, ...] = ()) -> None:
        self.banned: list[Source] = []
        self.guard = Guard(SourceLimits(RATE, 600), exempt, live, self.banned.append)

    def sees(self, sent: bool, source: Source, message: bytes) -> None:
        """Over TCP."""
        self.guard.traced(Traced(sent, "TCP", ("192.0.2.20", 5060), ("192.0.2.1", 5060), source, message))

    def drops(self, datagram: bytes, times: int = 1) -> int:
        return sum(self.guard.received(A, datagram) for _ in range(times))


@pytest.mark.parametrize(
    "line",
    [
        b"User-Agent: friendly-scanner",
        b"user-agent :\tSIPVicious 0.3",
        b'From: "sipvicious"<sip:100@1.1.1.1>;tag=1',
        b"f: \"sipvicious\"<sip:100@1.1.1.1>;tag=1",
        b"User-Agent: sipcli/v1.8",
        b"User-Agent: pplsip",
    ],
)  # fmt: skip
def test_a_scanner_is_dropped_and_banned_at_once(line: bytes) -> None:
    warden = Warden()
    assert warden.drops(b"INVITE sip:1@b SIP/2.0\r\nTo: <sip:1@b>\r\n" + line + b"\r\n\r\n")
    assert warden.banned == [A]
    assert warden.drops(invite())


def test_who_only_speaks_of_a_scanner_is_none() -> None:
    warden = Warden()
    assert not warden.drops(invite() + b"Subject: friendly-scanner\r\n")
    assert not warden.drops(b"MESSAGE sip:1@b SIP/2.0\r\nUser-Agent: Linphone\r\n\r\nsipvicious")
    assert warden.banned == []


def test_junk_is_dropped_and_banned() -> None:
    warden = Warden()
    assert warden.drops(b"GET / HTTP/1.1\r\n\r\n", limits.STRIKES + 1) == limits.STRIKES + 1
    assert warden.banned == [A]


@pytest.mark.parametrize("keep_alive", [b"\r\n\r\n", b"\r\n", b"\0", b"\0\1\0\0" + bytes(16)])
def test_what_keeps_a_binding_alive_is_not_junk(keep_alive: bytes) -> None:
    warden = Warden()
    assert warden.drops(keep_alive, 100) == 0


@pytest.mark.parametrize("name", ["Call-ID", "call-id", "i", "I"])
def test_a_live_call_is_heard_through_a_flood(name: str) -> None:
    warden = Warden(live=("live@peer",))
    warden.guard.had_call(A)
    assert warden.drops(invite(), 5000) > 3000
    assert warden.drops(invite("live@peer", name), 100) == 0
    assert warden.banned == []


def test_a_live_call_is_no_way_in_for_a_flood() -> None:
    warden = Warden(live=("live@peer", "other@peer"))
    warden.guard.had_call(A)
    warden.drops(invite(), 5000)
    assert 5000 - warden.drops(invite("live@peer"), 5000) <= RATE * limits.BURST_S + RATE
    assert warden.drops(invite("other@peer"), 100) == 0


def test_what_is_long_counts_as_several() -> None:
    warden = Warden()
    passed = 50 - warden.drops(invite() + bytes(60_000), 50)
    assert passed <= RATE * limits.BURST_S / 14 + 1
    assert limits.SourceLimits(1, 0).admit(A, 0.0, 60_000)


def test_floods_of_strangers_are_banned() -> None:
    warden = Warden()
    passed = 200 - warden.drops(invite(), 200)
    assert RATE * limits.BURST_S <= passed <= RATE * limits.BURST_S + 2
    assert warden.banned == [A]


def test_who_is_refused_all_the_time_is_banned() -> None:
    warden = Warden()
    for _ in range(limits.STRIKES + 1):
        warden.sees(True, A, b"SIP/2.0 404 Not Found\r\n\r\n")
    assert warden.banned == [A]
    for _ in range(limits.STRIKES + 1):
        for status in (b"100", b"200", b"486", b"487", b"488", b"503"):
            warden.sees(True, B, b"SIP/2.0 " + status + b" x\r\n\r\n")
    assert warden.banned == [A]


def test_a_scanner_over_tcp_is_banned() -> None:
    warden = Warden()
    warden.sees(False, A, SCAN)
    assert warden.banned == [A]
    assert warden.guard.bans()[A].why == "it is a scanner"


@pytest.mark.parametrize("exempt", ["192.0.2.1/32", "192.0.0.0/16"])
def test_who_is_exempt_may_send_what_it_likes(exempt: str) -> None:
    warden = Warden(exempt=("::1/128", exempt))
    assert warden.drops(SCAN, 1000) == 0
    assert warden.banned == []


def test_networks_that_change_while_one_is_judged_hold_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    warden = Warden()

    def any_and_a_change(found: Iterable[bool]) -> bool:
        outcome = any(found)
        warden.guard.exempt(["192.0.2.1/32"])  # as another thread may
        return outcome

    monkeypatch.setattr(guard, "any", any_and_a_change, raising=False)
    assert warden.drops(SCAN) == 1
    monkeypatch.undo()
    assert warden.drops(SCAN, 100) == 0


async def test_no_socket_is_closed_while_the_kernel_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account's server may be found on the SIP thread just when the machine loses an address."""
    with socket.socket(type=socket.SOCK_DGRAM) as first, socket.socket(type=socket.SOCK_DGRAM) as second:
        for sock, host in ((first, "127.0.0.1"), (second, "127.0.0.2")):
            sock.bind((host, 0))
        sockets, put_on = [first, second], packet_filter.attach
        one = KernelFilter(sockets, (), 600, Warden().guard, allowed=lambda: ())
        closing = threading.Thread(target=one.close_sockets, args=({"127.0.0.1"},))

        def attach(sock: socket.socket, program: list[packet_filter.Instruction]) -> None:
            if sock is first and not closing.ident:
                closing.start()
                closing.join(0.2)
            put_on(sock, program)

        monkeypatch.setattr(packet_filter, "attach", attach)
        one.put()
        closing.join(15)
        assert sockets == [second]
        assert first.fileno() == -1


def test_sources_have_names() -> None:
    assert name_of(source_of("192.0.2.1")) == "192.0.2.1"
    assert name_of(source_of("2001:db8::5")) == "2001:db8::/64"
    assert source_of("2001:db8::5") == source_of("2001:db8::6") != source_of("2001:db8:1::5")
    assert source_of("fe80::1%eth0") == source_of("fe80::2")


def passes(program: list[packet_filter.Instruction], address: str) -> bool:
    """What the kernel would do with a packet from there."""
    packed = ip_address(address).packed
    header = bytes(12) + packed if len(packed) == 4 else bytes(8) + packed
    at, word = 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x20:
            offset = operand - 0xFFF00000
            word = int.from_bytes(header[offset : offset + 4], "big")
        elif code == 0x54:
            word &= operand
        elif code == 0x05:
            at += operand
        elif code == 0x15:
            at += if_true if word == operand else if_false
        else:
            return operand != 0


@given(
    st.lists(st.ip_addresses(v=4), max_size=20),
    st.ip_addresses(v=4, network="10.0.0.0/29"),
    st.lists(st.ip_addresses(v=4, network="10.0.0.0/29"), max_size=4),
)
def test_the_kernel_drops_the_banned_and_strangers(
    others: list[object], sender: object, denied: list[object]
) -> None:
    networks = [network_of(source_of(str(address))) for address in [*others, *denied]]
    program = packet_filter.compile_filter(["10.0.0.0/30", "2001:db8::/32"], socket.AF_INET, networks)
    allowed = ip_address(str(sender)) in ip_network("10.0.0.0/30")
    assert passes(program, str(sender)) == (allowed and sender not in denied and sender not in others)


@given(st.ip_addresses(v=6, network="2001:db8::/62"), st.ip_addresses(v=6, network="2001:db8::/62"))
def test_the_kernel_drops_whole_networks_of_the_banned(sender: object, denied: object) -> None:
    network = network_of(source_of(str(denied)))
    program = packet_filter.compile_filter(["2001:db8::/32"], socket.AF_INET6, [network])
    assert passes(program, str(sender)) == (ip_address(str(sender)) not in network)


def test_the_kernel_takes_as_many_bans_as_there_can_be() -> None:
    networks = [network_of(struct.pack("!I", n)) for n in range(limits.BANS)]
    program = packet_filter.compile_filter(["0.0.0.0/0"], socket.AF_INET, networks)
    assert not passes(program, "0.0.0.0")
    assert not passes(program, "0.0.1.255")
    assert passes(program, "0.0.2.0")
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        packet_filter.attach(sock, program)
    wide = packet_filter.compile_filter(["0.0.0.0/0"], socket.AF_INET, networks * 9)
    assert len(wide) <= 4096
