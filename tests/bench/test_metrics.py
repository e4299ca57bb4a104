"""Figures from made-up packets: what happened when is stated in seconds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from bench.metrics import (
    CallLog,
    Distribution,
    FalseStart,
    Played,
    Times,
    disturbances,
    false_start,
    greeting_ms,
    heard_s,
    longest_silence_s,
    pacing,
    pauses,
    turns,
)

PTIME_S = 0.02
Span = tuple[float, float]


def call(
    caller: list[tuple[Span, str]], agent: list[Span], *, end: float = 20.0, lost_sequence: int | None = None
) -> CallLog:
    """A call of `end` seconds, acknowledged at 0, in which both sides speak in these spans."""
    ticks = np.arange(round(end / PTIME_S))
    times: Times = ticks.astype(float) * PTIME_S
    speech, play = np.full(len(ticks), -100.0), np.full(len(ticks), -1)
    for index, ((begin, finish), _) in enumerate(caller):
        inside = (times >= begin - 1e-9) & (times < finish - 1e-9)
        speech[inside], play[inside] = -20.0, index
    levels = np.full(len(ticks), -90.0)
    for begin, finish in agent:
        levels[(times >= begin - 1e-9) & (times < finish - 1e-9)] = -22.0
    keep = np.ones(len(ticks), bool)
    if lost_sequence is not None:
        keep[lost_sequence] = False
    return CallLog(
        acked_at=0.0,
        ended_at=end,
        played=tuple(Played(index, f"play {index}", kind) for index, (_, kind) in enumerate(caller)),
        sent_at=times,
        sent_lost=np.zeros(len(ticks), bool),
        sent_speech_dbfs=speech,
        sent_play=play,
        received_at=times[keep],
        received_dbfs=levels[keep],
        received_sequence=((ticks + 65000) & 0xFFFF)[keep],
    )


def test_voice_to_voice_is_from_last_speech_packet_to_first_audible_one() -> None:
    (turn,) = turns(call([((2.0, 4.0), "question")], [(0.2, 1.0), (4.4, 6.0)]))
    assert turn.voice_to_voice_ms == pytest.approx(420)
    assert not turn.talked_over
    assert not turn.interrupted_agent


def test_the_quiet_end_of_a_recording_is_not_speech() -> None:
    log = call([((2.0, 4.0), "question")], [(4.4, 6.0)])
    tail = (log.sent_at >= 3.5) & (log.sent_at < 4.0)
    log.sent_speech_dbfs[tail] = -55.0
    (turn,) = turns(log)
    assert turn.last_speech == pytest.approx(3.48)


def test_a_cough_sized_blip_of_the_agent_is_no_cut_off_but_words_are() -> None:
    (blip,) = turns(call([((2.0, 4.0), "hesitation")], [(3.0, 3.04), (4.4, 5.0)]))
    (words,) = turns(call([((2.0, 4.0), "hesitation")], [(3.0, 3.4), (4.4, 5.0)]))
    assert not blip.talked_over
    assert words.talked_over
    assert words.voice_to_voice_ms is None


def test_a_turn_without_an_answer() -> None:
    (turn,) = turns(call([((2.0, 4.0), "question")], [(0.2, 1.0)]))
    assert turn.answer_at is None
    assert not turn.talked_over


def test_an_answer_belongs_to_the_turn_before_the_next() -> None:
    first, second = turns(call([((2, 3), "question"), ((6, 7), "question")], [(3.5, 4.0), (7.3, 8.0)]))
    assert first.voice_to_voice_ms == pytest.approx(520)
    assert second.voice_to_voice_ms == pytest.approx(320)


def test_barge_in_stop_is_the_last_audible_packet_after_the_onset() -> None:
    (turn,) = turns(call([((3.0, 5.0), "barge-in")], [(0.2, 3.2), (5.4, 6.0)]))
    assert turn.interrupted_agent
    assert turn.barge_in_stop_ms == pytest.approx(180)
    assert turn.voice_to_voice_ms == pytest.approx(420)


def test_an_agent_that_comes_back_while_the_caller_speaks_has_not_stopped() -> None:
    (turn,) = turns(call([((3.0, 5.0), "barge-in")], [(0.2, 3.2), (4.0, 4.5)]))
    assert turn.barge_in_stop_ms == pytest.approx(1480)


def test_an_agent_that_never_stops_gives_no_answer() -> None:
    (turn,) = turns(call([((3.0, 5.0), "barge-in")], [(0.2, 9.0)]))
    assert turn.barge_in_stop_ms == pytest.approx(1980)
    assert turn.answer_at is None


def test_a_barge_in_that_meets_silence_has_no_stop() -> None:
    (turn,) = turns(call([((3.0, 5.0), "barge-in")], [(0.2, 2.9)]))
    assert turn.barge_in_stop_ms is None


def test_disturbances_by_the_silence_that_follows() -> None:
    sounds: list[tuple[Span, str]] = [((3, 3.5), "cough"), ((6, 6.5), "cough"), ((10, 10.5), "cough")]
    met = disturbances(call(sounds, [(0.2, 6.2), (7.6, 12.0)], end=12), ["cough"])
    assert [one.stopped for one in met] == [False, True, False]
    assert met[1].silence_s == pytest.approx(1.42, abs=0.03)


def test_a_sound_in_the_agents_silence_does_not_count() -> None:
    assert disturbances(call([((8, 8.5), "cough")], [(0.2, 5.0)]), ["cough"]) == []


def test_an_agent_that_stays_silent_was_stopped() -> None:
    (met,) = disturbances(call([((3, 3.5), "cough")], [(0.2, 3.2)]), ["cough"])
    assert met.stopped


def test_greeting_and_talking_time() -> None:
    log = call([], [(0.3, 2.3), (4.0, 5.0)])
    assert greeting_ms(log) == pytest.approx(300)
    assert heard_s(log) == pytest.approx(3.0)
    assert longest_silence_s(log) == pytest.approx(1.72)
    assert greeting_ms(call([], [])) is None


def test_pacing_counts_what_is_missing_apart_from_the_gaps() -> None:
    found = pacing(call([], [], lost_sequence=600))
    assert found is not None
    assert (found.packets, found.lost) == (999, 1)
    assert found.p99_ms == pytest.approx(20)
    assert found.worst_ms == pytest.approx(40)


def test_a_lost_packet_counts_from_when_it_was_due() -> None:
    sent = {"due": [1.0, 1.02], "sent": [1.001, None], "speech_dbfs": [-20.0, -20.0], "play": [0, 0]}
    log = CallLog.of(
        {
            "acked_at": 0.0,
            "ended_at": 3.0,
            "marks": [{"what": "play", "event": "begin", "step": 0, "label": "q", "kind": "question"}],
            "sent": sent,
            "received": {},
        }
    )
    (turn,) = turns(log)
    assert (turn.first_speech, turn.last_speech) == (1.001, 1.02)
    assert list(log.sent_lost) == [False, True]


def test_distribution() -> None:
    assert Distribution.of([1, 2, 3, 4, 100]).median == 3
    assert Distribution.of([]).count == 0


def hesitating(spans: list[Span], agent: list[Span]) -> CallLog:
    """A recording of these spans and of what is silent between them."""
    log = call([((spans[0][0], spans[-1][1]), "hesitation")], agent)
    for (_, begin), (end, _) in pairwise(spans):
        log.sent_speech_dbfs[(log.sent_at >= begin - 1e-9) & (log.sent_at < end - 1e-9)] = -100.0
    return log


def test_pauses_are_the_long_silences_between_speech_packets() -> None:
    log = hesitating([(2.0, 3.0), (3.8, 4.4), (4.6, 5.0), (6.2, 7.0)], [])
    first, second = pauses(log, log.played[0])
    assert first.begin == pytest.approx(2.98)
    assert first.end == pytest.approx(3.8)
    assert first.at_s == pytest.approx(0.98)
    assert first.until == pytest.approx(second.begin) == pytest.approx(4.98)
    assert second.length_s == pytest.approx(1.2)
    assert second.until == pytest.approx(6.98)


def test_a_recording_without_a_long_silence_has_no_pause() -> None:
    log = hesitating([(2.0, 3.0), (3.3, 4.0)], [])
    assert pauses(log, log.played[0]) == []


def test_a_false_start_is_heard_until_it_is_silent_again() -> None:
    log = hesitating([(2.0, 3.0), (3.8, 5.0)], [(3.6, 4.0), (5.4, 6.0)])
    (pause,) = pauses(log, log.played[0])
    found = false_start(log, pause)
    assert found is not None
    assert found.begun_ms == pytest.approx(620)
    assert found.heard_ms == pytest.approx(400)
    assert found.silent_ms == pytest.approx(180)


def test_a_false_start_that_ended_by_itself_is_silent_at_once() -> None:
    log = hesitating([(2.0, 3.0), (4.6, 6.0)], [(3.6, 4.0)])
    found = false_start(log, pauses(log, log.played[0])[0])
    assert found is not None
    assert found.heard_ms == pytest.approx(400)
    assert found.silent_ms == 0


def test_an_agent_that_begins_as_the_caller_has_gone_on_started_falsely_too() -> None:
    log = hesitating([(2.0, 3.0), (3.8, 5.0)], [(3.9, 4.1)])
    found = false_start(log, pauses(log, log.played[0])[0])
    assert found is not None
    assert found.begun_ms == pytest.approx(920)
    assert found.silent_ms == pytest.approx(280)


def test_an_agent_that_talks_the_caller_down_is_heard_to_its_end() -> None:
    log = hesitating([(2.0, 3.0), (3.8, 5.0)], [(3.6, 5.6), (7.0, 8.0)])
    found = false_start(log, pauses(log, log.played[0])[0])
    assert found is not None
    assert found.heard_ms == pytest.approx(2000)
    assert found.silent_ms == pytest.approx(1780)


def test_what_is_no_false_start() -> None:
    def found(agent: list[Span]) -> list[FalseStart | None]:
        log = hesitating([(2.0, 3.0), (3.8, 4.5), (5.1, 6.0)], agent)
        return [false_start(log, pause) for pause in pauses(log, log.played[0])]

    assert found([(6.3, 8.0)]) == [None, None], "the answer"
    assert found([(3.5, 3.54)]) == [None, None], "a blip"
    first, second = found([(3.5, 5.5)])
    assert first is not None
    assert first.heard_ms == pytest.approx(2000), "all of it is the first's"
    assert second is None, "one that goes on is no other"
