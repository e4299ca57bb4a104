from __future__ import annotations

from dataclasses import dataclass

import pytest

from agent.admission import CALM_S, FEWEST, Admission, Load, Refusal
from transports.call import CallInfo


@dataclass
class Line:
    info: CallInfo
    connected_at: float | None
    half_open: bool


def line(
    remote: str = "192.0.2.1", *, connected: bool = True, half_open: bool = False, account: str = ""
) -> Line:
    info = CallInfo("sip", "alice", "agent", remote=remote, account=account)
    return Line(info, 1.0 if connected and not half_open else None, half_open)


def test_calls_are_taken_until_all_lines_are_busy() -> None:
    admission = Admission(2)
    assert admission.refusal([line()]) is None
    full = Refusal("full", "All 2 lines are busy (call.max_calls).")
    assert admission.refusal([line(), line()]) == full
    assert admission.refusal([line(), line(half_open=True)]) is None


def test_one_source_leaves_lines_to_others() -> None:
    admission = Admission(5, max_per_source=2)
    held = [line(), line(half_open=True), line(account="provider")]
    assert admission.refusal(held, "192.0.2.1") is None
    half_open = [line("192.0.2.9", half_open=True) for _ in range(2)]
    assert admission.refusal(half_open, "192.0.2.9") is None  # those make room for others
    held.append(line())
    refused = admission.refusal(held, "192.0.2.1")
    assert refused == Refusal("limited", "2 calls from there are on (call.max_per_source).")
    assert admission.refusal(held, "192.0.2.2") is None
    assert admission.refusal(held, "provider") is None
    assert admission.refusal(held) is None


def test_who_never_acknowledges_leaves_half_of_the_lines_to_others() -> None:
    admission = Admission(4)
    held = [line("192.0.2.9", connected=False), line("192.0.2.9", connected=False)]
    refused = admission.refusal(held, "192.0.2.9")
    assert refused == Refusal("limited", "2 calls from there aren't acknowledged yet.")
    assert admission.refusal(held, "192.0.2.1") is None
    held.append(line("192.0.2.9"))
    assert admission.refusal(held, "192.0.2.9") is None  # it does now
    assert admission.refusal(held[:2], "192.0.2.9") is None
    admission = Admission(4)
    admission.acknowledged("192.0.2.9")  # a call that is over
    assert admission.refusal(held[:2], "192.0.2.9") is None


def test_whom_we_ring_may_call_meanwhile() -> None:
    ringing = Line(CallInfo("sip", "", "200", remote="192.0.2.9", direction="outbound"), None, False)
    assert Admission(2).refusal([ringing], "192.0.2.9") is None


def test_whoever_has_most_half_open_calls_makes_room() -> None:
    admission = Admission(3)
    theirs = [line("192.0.2.9", half_open=True), line("192.0.2.9", half_open=True)]
    ours = line("192.0.2.1", half_open=True)
    assert admission.in_the_way([ours, theirs[0]]) is None
    assert admission.in_the_way([ours, *theirs]) is theirs[0]
    assert admission.in_the_way([line(), line(), line()]) is None


def test_a_machine_is_given_as_many_as_it_bears_within_bounds() -> None:
    for borne, taken in ((0, FEWEST), (7, 7), (900, 50)):
        admission = Admission(50)
        admission.bears(borne, "2 cores")
        assert admission.max_calls == taken
        assert admission.capacity == f"{taken} calls at once (call.max_calls is auto: 2 cores)."


@pytest.mark.parametrize(
    ("strained", "uneasy", "calm", "why"),
    [
        (Load({"stt": 2.0}), Load({"stt": 0.6}), Load({"stt": 0.5}), "stt is 2.0 s behind"),
        (Load(mind_s=4.0), Load(mind_s=2.0), Load(), "the language model is 4.0 s behind"),
        (Load(loop_lag_s=0.1), Load(loop_lag_s=0.05), Load(loop_lag_s=0.0), "the event loop is 100 ms late"),
        (
            Load(memory_bytes=10**8),
            Load(memory_bytes=2 * 10**8),
            Load(memory_bytes=10**9),
            "100 MB of memory are left",
        ),
        (
            Load(gpu_memory_bytes=0),
            Load(gpu_memory_bytes=10**8),
            Load(gpu_memory_bytes=10**9),
            "0 MB of GPU memory are left",
        ),
    ],
)
def test_load_refuses_calls_until_it_has_been_calm_for_a_while(
    strained: Load, uneasy: Load, calm: Load, why: str
) -> None:
    admission = Admission(10)
    admission.weigh(uneasy, 0.0)
    assert admission.refusal([]) is None
    admission.weigh(strained, 1.0)
    assert admission.refusal([]) == Refusal("stopped", f"Too much to do: {why}.")
    admission.weigh(uneasy, 60.0)
    assert admission.strain
    admission.weigh(calm, 60.0 + CALM_S - 0.1)
    assert admission.strain
    admission.weigh(calm, 60.0 + CALM_S)
    assert admission.refusal([]) is None


def test_lines_that_are_busy_are_told_before_the_load() -> None:
    admission = Admission(1)
    admission.weigh(Load(loop_lag_s=1.0), 0.0)
    refused = admission.refusal([line()])
    assert refused
    assert refused.kind == "full"
