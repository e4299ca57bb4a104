"""Which process a SIP message goes to: the tests state the time."""

from __future__ import annotations

import pytest

from transports.sip.steering import FIRST, LINGER_S, MOST_CALLS, PENDING_S, Steering


def request(method: str, call_id: str, *, to_tag: str = "", header: str = "Call-ID", more: str = "") -> bytes:
    tag = f";tag={to_tag}" if to_tag else ""
    return (
        f"{method} sip:agent@192.0.2.1 SIP/2.0\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:agent@c>{tag}\r\n"
        f"{header}: {call_id}\r\n{more}CSeq: 1 {method}\r\n\r\n"
    ).encode()


def response(call_id: str) -> bytes:
    return f"SIP/2.0 200 OK\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\r\n".encode()


def three() -> Steering:
    steering = Steering()
    for process in (1, 2):
        steering.join(process)
        steering.take_calls(process, True)
    return steering


def test_calls_go_to_whoever_has_the_fewest() -> None:
    steering = three()
    steering.report(FIRST, ["x"], 0)
    steering.report(1, ["y", "z"], 0)
    assert [steering.steer(request("INVITE", str(n)), 0) for n in range(5)] == [2, 2, 0, 1, 2]


@pytest.mark.parametrize("method", ["INVITE", "ACK", "CANCEL", "BYE", "INFO", "PRACK", "UPDATE", "NOTIFY"])
@pytest.mark.parametrize("header", ["Call-ID", "i", "CALL-ID"])
def test_all_of_a_call_goes_where_it_began(method: str, header: str) -> None:
    steering = three()
    assert steering.steer(request("INVITE", "a@b"), 0) == 1
    steering.report(1, ["a@b"], 0.1)
    assert steering.steer(request("INVITE", "c"), 0.2) == 2
    assert steering.steer(request(method, "a@b", header=header), 100) == 1
    assert steering.steer(request(method, "a@b", to_tag="9", header=header), 200) == 1
    assert steering.steer(response("a@b"), 300) == 1


def test_an_invite_that_is_repeated_goes_where_the_first_one_went() -> None:
    steering = three()
    assert [steering.steer(request("INVITE", "a"), at) for at in (0, 0.5, 1.5, 3.5)] == [1, 1, 1, 1]


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "BYE", "SUBSCRIBE", "MESSAGE"])
def test_what_belongs_to_no_call_goes_to_the_first(method: str) -> None:
    assert three().steer(request(method, "a"), 0) == FIRST


def test_a_dialog_that_nobody_knows_goes_to_the_first() -> None:
    assert three().steer(request("INVITE", "a", to_tag="9"), 0) == FIRST
    assert three().steer(response("a"), 0) == FIRST
    assert three().steer(b"\r\n\r\n", 0) == FIRST


def test_a_call_that_replaces_another_goes_to_the_others_process() -> None:
    steering = three()
    steering.report(1, ["a", "b", "c"], 0)
    replaces = "Replaces: b;to-tag=1;from-tag=2\r\n"
    assert steering.steer(request("INVITE", "d", more=replaces), 0) == 1
    assert steering.steer(request("INVITE", "e", more="Replaces: no;to-tag=1;from-tag=2\r\n"), 0) == FIRST


def test_a_call_that_a_process_makes_is_its_own() -> None:
    steering = three()
    steering.began(2, "out", 0)
    assert steering.steer(response("out"), 0) == 2
    assert steering.steer(request("BYE", "out", to_tag="1"), PENDING_S + 1) == 2


def test_a_call_that_is_over_is_remembered_while_its_peer_may_repeat_something() -> None:
    steering = three()
    steering.report(1, ["a"], 0)
    steering.report(1, [], 10)
    assert steering.live(1) == 0
    assert steering.steer(request("BYE", "a", to_tag="1"), 10 + LINGER_S - 1) == 1
    assert steering.steer(request("BYE", "a", to_tag="1"), 10 + LINGER_S) == FIRST


def test_a_call_that_no_process_tells_of_counts_only_shortly() -> None:
    steering = three()
    steering.report(FIRST, ["x"], 0)
    assert [steering.steer(request("INVITE", f"refused{n}"), 0) for n in range(4)] == [1, 2, 1, 2]
    steering.report(2, ["y", "z"], 1)
    assert steering.steer(request("INVITE", "b"), PENDING_S) == 1


def test_who_is_asked_for_a_password_takes_no_room() -> None:
    """Or strangers would have all lines taken for whom nobody knows."""
    steering = three()
    assert [steering.steer(request("INVITE", one), 0) for one in "ab"] == [1, 2]
    assert steering.pending == 2
    steering.refused("a", 0.01)
    steering.refused("never seen", 0.01)
    assert steering.pending == 1
    assert steering.steer(request("ACK", "a", to_tag="9"), 0.02) == 1
    assert steering.steer(request("INVITE", "a"), 0.03) == 1
    assert steering.pending == 2


def test_who_comes_again_with_a_password_is_refused_where_there_is_no_room_any_more() -> None:
    steering = three()
    assert steering.steer(request("INVITE", "a"), 0) == 1
    assert steering.steer(request("INVITE", "a"), 0.5, room=False) == 1  # repeated
    steering.refused("a", 1)
    assert steering.steer(request("INVITE", "a"), 2, room=False) == FIRST


def test_a_call_whose_process_is_slow_to_tell_of_it_stays_there_where_there_is_no_room() -> None:
    steering = three()
    assert steering.steer(request("INVITE", "a"), 0) == 1
    assert steering.steer(request("INVITE", "a"), PENDING_S + 1, room=False) == 1


def test_who_takes_no_calls_gets_none_and_keeps_its_own() -> None:
    steering = three()
    steering.report(1, ["a"], 0)
    steering.take_calls(1, False)
    steering.take_calls(2, False)
    assert [steering.steer(request("INVITE", str(n)), 0) for n in range(3)] == [FIRST] * 3
    assert steering.steer(request("BYE", "a", to_tag="1"), 0) == 1


def test_a_process_that_has_joined_takes_no_calls_before_it_says_so() -> None:
    steering = Steering()
    steering.join(1)
    assert steering.steer(request("INVITE", "a"), 0) == FIRST
    steering.take_calls(1, True)
    assert steering.steer(request("INVITE", "b"), 0) == 1


def test_where_all_are_full_the_first_has_to_refuse() -> None:
    steering = Steering()
    steering.join(1)
    steering.take_calls(1, True)
    steering.report(FIRST, map(str, range(MOST_CALLS)), 0)
    steering.report(1, map(str, range(MOST_CALLS, 2 * MOST_CALLS)), 0)
    assert steering.steer(request("INVITE", "a"), 0) == FIRST


def test_what_a_process_that_died_had_goes_to_the_first() -> None:
    steering = three()
    steering.report(1, ["a"], 0)
    assert "a" in steering
    steering.leave(1)
    assert "a" not in steering
    assert steering.steer(request("BYE", "a", to_tag="1"), 0) == FIRST
    assert steering.steer(request("INVITE", "b"), 0) == 2


def test_floods_are_forgotten() -> None:
    steering = three()
    for n in range(30_000):
        steering.steer(request("INVITE", str(n)), 0)
        steering.refused(str(n), 0)
    steering.steer(request("OPTIONS", "o"), 0)
    assert len(steering._owners) <= 20_001
    steering.steer(request("OPTIONS", "o"), LINGER_S)
    assert not steering._owners
    assert not steering._refused
