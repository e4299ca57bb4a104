"""Callers who pause: the sentences that are made, and the figures, from made recordings and records."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from bench.callers import Call, CallerTurn
from bench.hesitating import by_voice, false_start_metrics, half_metrics, one_turn, records
from bench.material import Sound
from bench.results import PauseRecord
from bench.seen import Seen
from bench.sentences import RATE_HZ, Sentence, Word, boundaries, paused, plain, split
from bench.strangers import Hesitation, PutIn
from tests.bench.test_metrics import Span, hesitating

TEXT = "I would like a table"


def sentence(*spans: Span, voice: str = "anna") -> Sentence:
    """One word in each span of seconds, silence between them."""
    audio = np.zeros(round(spans[-1][1] * RATE_HZ), np.float32)
    for begin, end in spans:
        audio[round(begin * RATE_HZ) : round(end * RATE_HZ)] = 3000.0
    words = (Word(text, *span) for text, span in zip(TEXT.split(), spans, strict=False))
    return Sentence(audio, tuple(words), voice)


def test_the_longest_gap_is_the_first_of_the_boundaries() -> None:
    longest, other = boundaries(sentence((0.0, 0.5), (0.55, 1.0), (1.2, 1.6)))
    assert (longest.words, other.words) == (2, 1)
    assert longest.gap_s == pytest.approx(0.2)
    assert longest.begin <= longest.at < longest.end


def test_words_without_a_gap_have_a_boundary_all_the_same() -> None:
    (only,) = boundaries(sentence((0.0, 0.5), (0.5, 1.0)))
    assert only.gap_s == 0
    assert only.at / RATE_HZ == pytest.approx(0.5, abs=0.07)


@pytest.mark.parametrize(
    ("spans", "pause_s"), [(((0.0, 0.5), (0.7, 1.2)), 0.8), (((0.0, 0.5), (0.5, 1.2)), 1.2)]
)
def test_a_pause_is_as_long_as_it_was_drawn_with_the_gap_that_was_there(
    spans: tuple[Span, ...], pause_s: float
) -> None:
    whole = sentence(*spans)
    (where,) = boundaries(whole)
    made = paused(whole, where, pause_s)
    assert len(made) / RATE_HZ == pytest.approx(1.2 + pause_s - where.gap_s)
    silent = np.flatnonzero(made == 0)
    assert (silent[-1] - silent[0]) / RATE_HZ == pytest.approx(pause_s, abs=0.02)


def test_a_pause_within_speech_is_faded_into() -> None:
    whole = sentence((0.0, 0.5), (0.5, 1.2))
    (where,) = boundaries(whole)
    made = paused(whole, where, 0.8)
    assert np.abs(np.diff(made)).max() < 100


def test_recordings_are_split_at_stops_with_a_gap_behind() -> None:
    said = [Word("Hello.", 0, 0.4), Word("Mr.", 0.6, 0.8), Word("Smith", 0.85, 1.2), Word("Here?", 1.2, 1.6)]
    assert [" ".join(word.text for word in part) for part in split(said)] == ["Hello.", "Mr. Smith Here?"]


def test_the_fit_knows_voices_and_sentences() -> None:
    seen = Seen(frozenset({"joe"}), frozenset({plain("What time is it?")}))
    assert seen.knows("en_US-joe-medium", "Anything.")
    assert seen.knows("anna", "what time is it")
    assert not seen.knows("anna", "What time is it now?")


def test_what_the_fit_has_seen_is_in_its_table() -> None:
    seen = Seen.by_the_fit()
    assert seen.knows("en_US-joe-medium", "")
    assert seen.knows("anna", "What's the weather like in Hamburg?")
    assert not seen.knows("slt", "I would like to book a table for four people on Friday evening.")


def hesitation(put_in: PutIn | None = None, label: str = "one", voice: str = "anna") -> Hesitation:
    said = sentence((0.0, 0.2), (0.2, 0.4), (0.4, 1.0), (1.0, 1.1), (1.1, 2.2), voice=voice)
    return Hesitation(Sound(Path(), label, "hesitation", TEXT, stranger=True), said, put_in)


def test_a_call_is_one_voices() -> None:
    asked = [hesitation(label=str(number), voice="anna" if number % 3 else "ben") for number in range(9)]
    calls = by_voice(asked, 4)
    assert sorted(len(call) for call in calls) == [2, 3, 4]
    assert all(len({one.sentence.voice for one in call}) == 1 for call in calls)
    assert sorted(one.sound.label for call in calls for one in call) == [str(number) for number in range(9)]


def test_what_became_of_a_pause() -> None:
    log = hesitating([(2.0, 3.0), (3.8, 5.0)], [(3.6, 4.0), (5.4, 6.0)])
    asked = [hesitation(PutIn(0.8, 1.0, "gap", 3, 0.8))]
    parts = [CallerTurn(3.55, "I would like"), CallerTurn(5.3, "a table")]
    (parted,) = records(Call(log, [], caller_turns=parts), asked)
    assert (parted.place, parted.around_s, parted.length_s) == ("gap", 0.8, 0.8)
    assert parted.false_start
    assert parted.heard_ms == pytest.approx(400)
    assert parted.silent_ms == pytest.approx(180)
    assert parted.one_turn is False

    whole = [CallerTurn(0.5, "Before."), CallerTurn(5.3, "I would like the table")]
    (joined,) = records(Call(log, [], caller_turns=whole), asked)
    assert joined.one_turn is True
    (untold,) = records(Call(log, []), asked)
    assert untold.one_turn is None, "who has no transcript to show"


def test_a_pause_that_nobody_put_in_is_the_speakers_own() -> None:
    log = hesitating([(2.0, 2.4), (3.0, 3.4), (4.2, 5.0)], [])
    made, own = (hesitation(PutIn(0.8, 1.4, "word", 3, 0.6)), hesitation())
    assert [one.place for one in records(Call(log, []), [made])] == ["own", "word"]
    assert [one.place for one in records(Call(log, []), [own])] == ["own", "own"]
    assert made.words_before(0.4) == 2
    assert made.words_before(1.9) == 4, "the pause that was put in made it later"


@pytest.mark.parametrize(
    ("said", "one"),
    [
        (["I would like a table."], True),
        (["would like table"], True),
        (["I would", "like a table"], False),
        (["like a table"], False),
        (["I would like"], False),
        ([], False),
    ],
)
def test_both_halves_are_one_turn(said: list[str], one: bool) -> None:
    assert one_turn([CallerTurn(0, text) for text in said], TEXT, 2) is one


def pause(false_start: bool, **other: object) -> PauseRecord:
    made = PauseRecord("x", 0.8, 0.8, "gap", True, false_start)
    if false_start:
        made = dataclasses.replace(made, begun_ms=700.0, heard_ms=200.0, silent_ms=100.0)
    return dataclasses.replace(made, **other)  # type: ignore[arg-type]


def test_false_starts_are_told_by_length_place_and_whom_the_fit_has_seen() -> None:
    told = [
        pause(True, heard_ms=100.0, silent_ms=0.0, one_turn=True),
        pause(True, heard_ms=300.0, silent_ms=400.0, one_turn=False),
        *[pause(False)] * 6,
        pause(True, around_s=1.2, one_turn=None),
        pause(False, place="word"),
        pause(True, place="own", around_s=None),
        pause(True, stranger=False),
        pause(False, stranger=False),
    ]
    found = {metric.key: (metric.value, metric.count) for metric in false_start_metrics(told)}
    assert found["false_0.8_gap"] == (25.0, 8)
    assert found["false_1.2_gap"] == (100.0, 1)
    assert found["false_0.8_word"] == (0.0, 1)
    assert found["false_0.5_gap"] == (None, 0)
    assert found["false_own"] == (100.0, 1)
    assert found["false_known"] == (50.0, 2)
    assert found["heard_median"] == (200.0, 5)
    assert found["silent_p95"][0] == pytest.approx(340)
    assert found["parted"] == (50.0, 2)


def test_no_false_start_has_no_figures() -> None:
    found = {metric.key: metric for metric in false_start_metrics([pause(False)])}
    silent = found["silent_median"]
    assert (silent.value, silent.met, silent.count) == (None, None, 0)
    assert found["parted"].value is None


@pytest.mark.parametrize(
    ("first", "second", "left", "met"),
    [
        ([True, True, False, False], [True, False, False, False], 50.0, True),
        ([True, False], [True, True], 200.0, False),
        ([False, False], [True, False], 100.0, False),
        ([False], [False], 0.0, True),
        ([], [True], None, None),
    ],
)
def test_the_second_half_of_a_call_against_the_first(
    first: list[bool], second: list[bool], left: float | None, met: bool | None
) -> None:
    *_, metric = half_metrics([pause(one) for one in first], [pause(one) for one in second])
    assert (metric.value, metric.met, metric.count) == (left, met, len(first) + len(second))
