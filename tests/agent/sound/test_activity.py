"""Silero's probabilities are given one a chunk; the n-th chunk ends at n * 32 ms."""

import numpy as np
import pytest

from agent.sound.activity import CHUNK_S, HANGOVER_S, CallerLevel, Change, Leveler, SpeechActivity


def follow(activity: SpeechActivity, probabilities: list[float]) -> list[tuple[int, Change, float]]:
    """(chunk, change, at) for each event."""
    found = []
    for number, probability in enumerate(probabilities, 1):
        event = activity.process(probability, number * CHUNK_S)
        if event:
            found.append((number, event.change, event.at))
    return found


def test_speech_is_noticed_in_its_first_sure_chunk_and_its_onset_lies_before() -> None:
    events = follow(SpeechActivity(), [0.02, 0.02, 0.2, 0.9, 0.99])
    assert [(n, change) for n, change, _ in events] == [(4, Change.STARTED)]
    assert events[0][2] == pytest.approx(2 * CHUNK_S)


def test_a_soft_beginning_is_noticed_in_its_second_chunk() -> None:
    events = follow(SpeechActivity(), [0.02, 0.35, 0.4, 0.45])
    assert [(n, change) for n, change, _ in events] == [(3, Change.STARTED)]
    assert events[0][2] == pytest.approx(CHUNK_S)


@pytest.mark.parametrize("noise", [[0.1] * 30, [0.02, 0.4, 0.02] * 10, [0.28] * 30])
def test_noise_is_not_speech(noise: list[float]) -> None:
    assert follow(SpeechActivity(), noise) == []


def test_a_pause_shows_in_its_first_chunk_and_is_sure_within_a_tenth_of_a_second() -> None:
    activity = SpeechActivity()
    events = follow(activity, [0.95, 0.99, 0.99, 0.4, 0.05, 0.02, 0.02, 0.02])
    end = 3 * CHUNK_S - HANGOVER_S
    assert [(n, change) for n, change, _ in events] == [
        (1, Change.STARTED),
        (4, Change.PAUSING),
        (6, Change.PAUSED),
    ]
    assert events[1][2] == events[2][2] == pytest.approx(end)
    assert activity.silence_s == pytest.approx(8 * CHUNK_S - end)


def test_a_dip_inside_a_word_is_taken_back_in_the_next_chunk() -> None:
    events = follow(SpeechActivity(), [0.95, 0.99, 0.7, 0.97, 0.99])
    assert [(n, change) for n, change, _ in events] == [
        (1, Change.STARTED),
        (3, Change.PAUSING),
        (4, Change.RESUMED),
    ]


def test_an_unsure_voice_does_not_flap() -> None:
    events = follow(SpeechActivity(), [0.5, 0.6, 0.55, 0.6, 0.52, 0.55, 0.6])
    assert [change for _, change, _ in events] == [Change.STARTED]


def test_a_caller_who_goes_on_after_a_pause_resumes_the_same_turn() -> None:
    activity = SpeechActivity()
    events = follow(activity, [0.99] * 3 + [0.02] * 20 + [0.9, 0.95])
    assert [change for _, change, _ in events][-1] is Change.RESUMED
    assert activity.onset == pytest.approx(0.0)
    assert activity.silence_s == 0


def test_after_a_reset_the_next_voice_starts_a_turn() -> None:
    activity = SpeechActivity()
    follow(activity, [0.99] * 3 + [0.02] * 10)
    activity.reset()
    assert activity.silence_s == 0
    assert activity.process(0.9, 20 * CHUNK_S) is not None
    assert activity.onset == pytest.approx(19 * CHUNK_S)


def tone(seconds: float, peak_db: float) -> bytes:
    t = np.arange(int(16_000 * seconds)) / 16_000
    return (np.sin(2 * np.pi * 300 * t) * 10 ** (peak_db / 20) * 32767).astype(np.int16).tobytes()


def level(leveler: Leveler, pcm: bytes) -> list[float]:
    """The peaks of the 20 ms frames that come out, in dB of full scale."""
    frames = (leveler.process(pcm[at : at + 640]) for at in range(0, len(pcm), 640))
    peaks = [float(np.abs(np.frombuffer(frame, np.int16).astype(np.float32)).max()) for frame in frames]
    return [20 * float(np.log10(max(peak, 1) / 32768)) for peak in peaks]


def test_a_quiet_caller_is_raised_and_a_loud_one_left_alone() -> None:
    silence = bytes(32_000)
    assert level(Leveler(), silence + tone(0.2, -38))[-1] == pytest.approx(-26, abs=3)
    assert level(Leveler(), silence + tone(0.2, -6))[-1] == pytest.approx(-6, abs=0.2)


def test_a_sudden_loud_word_is_not_clipped() -> None:
    assert max(level(Leveler(), tone(0.2, -30) + tone(0.2, -3))) < -2


def test_line_noise_is_not_raised_beyond_a_silent_line() -> None:
    noise = np.random.default_rng(1).normal(0, 80, 48_000).astype(np.int16)  # -52 dBFS
    out = level(Leveler(), noise.tobytes())
    before = [20 * np.log10(np.abs(noise[at : at + 320]).max() / 32768) for at in range(0, 48_000, 320)]
    assert np.mean(out[-50:]) - np.mean(before[-50:]) < 2


def test_a_voice_that_falls_silent_is_noticed_by_its_level() -> None:
    leveler = Leveler()
    level(leveler, tone(0.2, -20))
    assert leveler.hushed == 0
    level(leveler, tone(0.04, -45))
    assert leveler.hushed == 2
    level(leveler, tone(0.02, -22))
    assert leveler.hushed == 0


def is_far_below(level: CallerLevel, db: float, frames: int = 5) -> bool:
    return [level.is_far_below(tone(0.02, db)) for _ in range(frames)][-1]


def of_a_caller(db: float) -> CallerLevel:
    level = CallerLevel()
    assert not level.is_far_below(tone(0.02, -50))  # nobody has spoken yet
    for loudness in (*[db] * 40, -1):  # a click among it
        assert not level.is_far_below(tone(0.02, loudness))
    level.turn_over()
    level.begin()
    return level


def test_what_is_far_below_the_caller_isn_t_the_caller() -> None:
    level = of_a_caller(-10)
    assert is_far_below(level, -46)  # a television, 36 dB below
    assert is_far_below(level, -30)  # somebody else in the room
    assert is_far_below(level, -24, 2)  # a peak or two of theirs
    assert not is_far_below(level, -25)  # they turn away
    for _ in range(12):  # they hand the telephone to somebody quiet
        level.begin()
        is_far_below(level, -34)
        level.turn_over()
    assert not is_far_below(level, -46)


def test_who_is_somewhat_below_the_caller_for_long_may_be_the_caller() -> None:
    level = of_a_caller(-10)
    assert is_far_below(level, -30, 500)
    assert not is_far_below(level, -30)
    assert is_far_below(level, -46, 1000)  # a television stays one


def test_what_is_foreign_isn_t_turned_up() -> None:
    leveler = Leveler()
    level(leveler, tone(2, -10))
    faint = tone(5, -46)
    out = b"".join(leveler.process(faint[at : at + 640], foreign=True) for at in range(0, len(faint), 640))
    assert out == faint
    assert leveler.background
