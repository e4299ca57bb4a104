"""The policy against the measured cuts of `bench/endpointing`, which it was fitted on."""

import pytest

from agent.turn.endpointing import Endpointer
from bench.endpointing.fit import ALL, SHORTEST_MS, heard, made_out, summary
from bench.endpointing.table import Cut, read

LONGEST_MS = 1600.0


@pytest.fixture(scope="module")
def table() -> list[Cut]:
    return [cut for cut in read() if made_out(cut)]


def rates(table: list[Cut], kind: str) -> dict[str, float]:
    policy = Endpointer(min_silence_ms=SHORTEST_MS, max_silence_ms=LONGEST_MS)
    return summary(table, lambda cut: policy.decide(heard(cut, kind)).wait_ms)


def test_the_table_is_large_enough_to_mean_something(table: list[Cut]) -> None:
    assert len({cut.sentence for cut in table}) >= 150
    assert sum(cut.done for cut in table) >= 200


@pytest.mark.parametrize("kind", [ALL, "completeness+words"])
def test_most_ends_are_answered_at_once_and_most_pauses_waited_out(table: list[Cut], kind: str) -> None:
    found = rates(table, kind)
    assert found["answered_at_once"] >= 0.44  # in calls, where what came before tells, 0.85
    assert found["p95_wait_ms"] <= 870
    assert found["cut_off_at_400_ms"] <= 0.06
    assert found["cut_off_at_800_ms"] <= 0.46  # a third of them lie behind what is a sentence as it stands


def test_pauses_right_behind_a_hanging_word_are_waited_out(table: list[Cut]) -> None:
    hanging = {"and", "but", "because", "the", "a", "my", "your", "that", "to", "for", "of", "with", "from"}
    cut = [
        row for row in table if not row.done and row.transcript.lower().rstrip(".?,!").split()[-1] in hanging
    ]
    assert len(cut) >= 30
    policy = Endpointer(min_silence_ms=SHORTEST_MS, max_silence_ms=LONGEST_MS)
    waits = [policy.decide(heard(row)).wait_ms for row in cut]
    assert sum(wait < 800 for wait in waits) / len(waits) <= 0.05  # "Who should I talk to"
