"""The queue between the pipeline and the wire. Time is the number of samples pulled."""

import numpy as np
import pytest

from transports.playout import FADE_MS, SAMPLE_RATE_HZ, Playout

PACKET = SAMPLE_RATE_HZ // 50  # 20 ms
LOUD = 8000


def speech(ms: int, level: int = LOUD) -> bytes:
    return np.full(SAMPLE_RATE_HZ * ms // 1000, level, np.int16).tobytes()


def pull(playout: Playout, samples: int = PACKET) -> np.ndarray:
    return np.frombuffer(playout.pull(samples), np.int16)


@pytest.fixture
def playout() -> Playout:
    return Playout()


def test_silence_when_there_is_nothing_to_say(playout: Playout) -> None:
    assert not pull(playout).any()
    assert playout.position == 0


def test_speech_comes_out_as_it_went_in(playout: Playout) -> None:
    ramp = np.arange(1, 801, dtype=np.int16)
    playout.write(ramp[:500].tobytes())
    playout.write(ramp[500:].tobytes())
    out = np.concatenate([pull(playout) for _ in range(3)])
    assert (out[:800] == ramp).all()
    assert not out[800:].any()
    assert playout.position == 800


def test_a_mark_is_reached_when_the_speech_before_it_was_pulled(playout: Playout) -> None:
    heard: list[str] = []
    playout.write(speech(20))
    playout.mark(lambda: heard.append("one"), word=True)
    playout.write(speech(20))
    playout.mark(lambda: heard.append("two"), word=True)
    assert heard == []
    pull(playout)
    assert heard == ["one"]
    pull(playout)
    assert heard == ["one", "two"]


def test_a_mark_behind_nothing_is_reached_at_once(playout: Playout) -> None:
    heard: list[int] = []
    playout.mark(lambda: heard.append(1))
    assert heard == [1]


def test_an_interruption_fades_and_forgets(playout: Playout) -> None:
    heard: list[int] = []
    playout.write(speech(100))
    playout.mark(lambda: heard.append(1), word=True)
    pull(playout)
    playout.interrupt()
    last = pull(playout)
    assert last[0] == LOUD
    assert np.abs(np.diff(last.astype(int))).max() < LOUD / 50  # no click: the step is a ramp's
    assert not last[SAMPLE_RATE_HZ * FADE_MS // 1000 :].any()
    assert not pull(playout).any()
    assert heard == []
    assert playout.queued_ms == 0


def test_an_interruption_reaches_the_marks_that_are_to_be_kept(playout: Playout) -> None:
    heard: list[str] = []
    playout.write(speech(100))
    playout.mark(lambda: heard.append("word"), word=True)
    playout.mark(lambda: heard.append("result"), kept=True)
    pull(playout)
    playout.interrupt()
    assert heard == ["result"]
    pull(playout)
    assert heard == ["result"]


def test_what_comes_after_an_interruption_is_whole(playout: Playout) -> None:
    playout.write(speech(100))
    pull(playout)
    playout.interrupt()
    pull(playout)
    playout.write(speech(20, 123))
    assert (pull(playout) == 123).all()


def test_hold_fades_and_resume_repeats_from_the_last_word(playout: Playout) -> None:
    heard: list[str] = []
    playout.write(speech(40, 1000))
    playout.mark(lambda: heard.append("one"), word=True)
    playout.write(speech(40, 2000))
    playout.mark(lambda: heard.append("two"), word=True)
    for _ in range(3):
        pull(playout)
    playout.hold()
    assert not playout.speaking
    pull(playout)
    assert not pull(playout).any()
    assert playout.held
    playout.resume()
    again = np.concatenate([pull(playout) for _ in range(3)])
    assert again[PACKET - 1] == 2000
    assert (again != 0).sum() == pytest.approx(2 * PACKET, abs=2)  # all of "two", and nothing of "one"
    assert heard == ["one", "two"]


def test_an_interruption_while_held_is_silent(playout: Playout) -> None:
    playout.write(speech(100))
    pull(playout)
    playout.hold()
    pull(playout)
    playout.interrupt()
    assert not pull(playout).any()
    assert not playout.held


def test_resume_never_goes_back_behind_an_interruption(playout: Playout) -> None:
    playout.write(speech(60, level=100))
    for _ in range(2):
        pull(playout)
    playout.interrupt()
    pull(playout)
    playout.write(speech(60, level=LOUD))
    pull(playout)
    playout.hold()
    pull(playout)
    playout.resume()
    again = np.concatenate([pull(playout) for _ in range(4)])
    assert set(again[again > 0][SAMPLE_RATE_HZ * FADE_MS // 1000 :]) == {LOUD}


def test_what_the_wire_gives_back_is_said_again(playout: Playout) -> None:
    ramp = np.arange(1, 1 + 3 * PACKET, dtype=np.int16)
    playout.write(ramp.tobytes())
    pull(playout)
    pull(playout)
    playout.unpull(PACKET)
    assert playout.position == PACKET
    assert (pull(playout) == ramp[PACKET : 2 * PACKET]).all()


def test_a_wire_that_buffers_takes_back_before_the_fade(playout: Playout) -> None:
    playout.on_cut = lambda: playout.unpull(PACKET)
    playout.write(np.arange(1, 1 + 4 * PACKET, dtype=np.int16).tobytes())
    pull(playout)
    pull(playout)
    playout.interrupt()
    assert pull(playout)[0] == PACKET + 1  # the fade begins where the wire really was


def test_the_hook_for_the_first_sound_fires_once_per_stretch(playout: Playout) -> None:
    sounded: list[int] = []
    playout.on_sounding = lambda: sounded.append(playout.position)
    for _ in range(2):
        playout.write(speech(40))
        for _ in range(3):
            pull(playout)
    assert sounded == [0, 2 * PACKET]


def test_what_was_sent_is_known_by_its_place(playout: Playout) -> None:
    playout.write(speech(20))
    pull(playout)
    pull(playout)
    assert playout.sent.end == 2 * PACKET
    sent = playout.sent.read(-PACKET, 4 * PACKET)
    assert (sent[:PACKET] == 0).all()
    assert (sent[PACKET : 2 * PACKET] == LOUD).all()
    assert (sent[2 * PACKET :] == 0).all()


def test_what_was_taken_back_was_not_sent_but_what_is_said_again_was(playout: Playout) -> None:
    playout.write(speech(80))
    pull(playout)
    pull(playout)
    playout.unpull(PACKET)
    assert (playout.sent.read(0, PACKET) == LOUD).all()
    assert not playout.sent.read(PACKET, PACKET).any()
    playout.hold()
    playout.resume()  # no word was heard whole: from the beginning
    assert (playout.sent.read(0, PACKET) == LOUD).all()


def test_a_wire_that_is_silent_by_itself_says_where_a_sound_is() -> None:
    playout = Playout(records=False)
    playout.write(speech(20))
    pull(playout)
    assert playout.sent.end == 0
    playout.sent.put(1000, np.full(10, LOUD, np.int16))
    playout.sent.append(np.full(10, LOUD, np.int16))
    assert np.flatnonzero(playout.sent.read(0, 2000)).tolist() == list(range(1000, 1020))
    playout.sent.put(50_000, np.full(10, LOUD, np.int16))  # a second is kept
    assert not playout.sent.read(1000, 20).any()


def test_a_mark_waits_for_a_wire_that_buffers(playout: Playout) -> None:
    heard: list[int] = []
    buffered = [PACKET]
    playout.unsent = lambda: buffered[0]
    playout.write(speech(20))
    playout.mark(lambda: heard.append(1), word=True)
    pull(playout)
    assert heard == []
    buffered[0] = 0
    playout.settle()
    assert heard == [1]


def test_a_closed_playout_keeps_nobody_waiting(playout: Playout) -> None:
    woken: list[int] = []
    playout.on_pulled = lambda: woken.append(1)
    playout.write(speech(100))
    playout.hold()
    playout.close()
    assert woken
    assert playout.queued_ms == 0
    playout.write(speech(100))
    assert playout.queued_ms == 0
