import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.turn.patience import BRISK, LESS_SURE, LONGEST_MS, SURER, Patience

SURE_MS = 200.0


def wait(patience: Patience, wait_ms: float) -> float:
    return patience.stretch(wait_ms, SURE_MS).wait_ms


def test_nothing_is_known_of_a_new_caller() -> None:
    patience = Patience()
    assert patience.stretch(700, SURE_MS).reason == ""
    assert wait(patience, 700) == 700
    assert patience.pause_ms is None


def test_who_hesitates_for_900_ms_twice_is_not_answered_after_700_a_third_time() -> None:
    patience = Patience()
    patience.resumed(900, 0.5)
    patience.resumed(900, 0.5)
    assert wait(patience, 700) > 900
    assert patience.stretch(700, SURE_MS).reason == "hesitant"


def test_what_is_surely_whole_is_answered_soon_all_the_same() -> None:
    patience = Patience()
    patience.resumed(900, 0.5)
    assert wait(patience, SURE_MS) == SURE_MS


def test_but_less_is_sure_of_who_goes_on_where_they_sounded_finished() -> None:
    surprised, not_surprised = Patience(), Patience()
    surprised.resumed(900, 0.9)
    not_surprised.resumed(900, 0.1)
    assert surprised.doubt > 1 > not_surprised.doubt > 0


def test_who_answers_briskly_waits_less() -> None:
    patience = Patience()
    for _ in range(5):
        patience.answered(0.5)
    assert wait(patience, 1000) == BRISK * 1000
    assert patience.stretch(1000, SURE_MS).reason == "brisk"
    assert patience.doubt < 0
    patience.resumed(600, 0.5)
    assert wait(patience, 1000) == 1000


def test_it_forgets_slowly() -> None:
    patience = Patience()
    patience.resumed(900, 0.9)
    before = patience.doubt
    for _ in range(5):
        patience.answered(0.99)
    assert 0 < patience.doubt < before
    assert wait(patience, 700) > 900  # it is remembered for a dozen turns
    for _ in range(10):
        patience.answered(0.99)
    assert wait(patience, 700) <= 700


def test_a_gap_inside_a_phrase_teaches_nothing() -> None:
    patience = Patience()
    patience.resumed(120, 0.9)
    assert patience.pause_ms is None
    assert patience.doubt == 0


probability = st.floats(0, 1)
pause = st.tuples(st.just("resumed"), st.floats(0, 10_000), probability)
end = st.tuples(st.just("answered"), st.just(0.0), probability)


@given(st.lists(st.one_of(pause, end), max_size=60), st.floats(SURE_MS, 6000))
def test_it_has_bounds(events: list[tuple[str, float, float]], wait_ms: float) -> None:
    patience = Patience()
    for kind, pause_ms, sure in events:
        if kind == "resumed":
            patience.resumed(pause_ms, sure)
        else:
            patience.answered(sure)
        assert -SURER <= patience.doubt <= LESS_SURE
        assert max(SURE_MS, BRISK * wait_ms) <= wait(patience, wait_ms) <= max(wait_ms, LONGEST_MS)


@pytest.mark.parametrize("pauses", [[500, 700, 900], [1200, 400]])
def test_the_wait_reaches_beyond_the_usual_pause(pauses: list[float]) -> None:
    patience = Patience()
    for one in pauses:
        patience.resumed(one, 0.3)
    usual = patience.pause_ms
    assert usual is not None
    assert min(pauses) <= usual <= max(pauses)
    assert wait(patience, 300) > usual
