"""The policy against the measured cuts of `bench/endpointing`.

How they sound was judged by weights that knew neither voice nor sentence.
"""

import pytest

from agent.turn.endpointing import Endpointer, Fit
from bench.endpointing.fit import ALL, heard, played
from bench.endpointing.table import Row, read
from config.turn import TurnSettings


@pytest.fixture(scope="module")
def table() -> list[Row]:
    return [row for row in read() if row.transcript and row.language == "en" and (row.done or row.pauses)]


def rates(table: list[Row], kind: str = ALL) -> dict[str, float]:
    policy = Endpointer(TurnSettings())
    return played(table, lambda row: policy.decide(heard(row, kind)).wait_ms)


def test_the_table_is_large_enough_to_mean_something(table: list[Row]) -> None:
    assert len({row.sentence for row in table}) >= 400
    assert len({row.voice for row in table if row.source == "person"}) >= 15
    assert sum(row.done for row in table) >= 800


@pytest.mark.parametrize("source", ["person", "synthesized"])
def test_few_pauses_are_talked_into(table: list[Row], source: str) -> None:
    found = rates([row for row in table if row.source == source])
    assert found["talked into 700-900 ms"] <= 0.12
    assert found["talked into 1100-1300 ms"] <= 0.12


def test_most_ends_are_answered_at_once(table: list[Row]) -> None:
    found = rates(table)
    assert found["median wait"] <= 300
    assert found["p95 wait"] <= 1300


def test_words_alone_tell_less(table: list[Row]) -> None:
    assert (
        rates(table, "completeness+words")["talked into 700-900 ms"] > rates(table)["talked into 700-900 ms"]
    )


def test_each_set_of_signals_has_its_bounds() -> None:
    fit = Fit.load()
    for kind in fit.weights:
        assert 0 < fit.hanging[kind] < fit.sure[kind] < 1
