"""The guard against made voices: harmonics that change pitch, through a delay and down by 15 dB."""

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.sound.echo import RATE_HZ, TAIL_S, EchoGuard
from agent.turn.barge_in import ECHO
from transports.playout import Playout

FRAME = RATE_HZ // 50
Samples = NDArray[np.float64]


def voice(seconds: float, seed: int) -> Samples:
    """Syllables of harmonics and hiss, 4 a second."""
    rng = np.random.default_rng(seed)
    parts: list[Samples] = []
    while sum(map(len, parts)) < seconds * RATE_HZ:
        t = np.arange(int(rng.uniform(0.1, 0.25) * RATE_HZ)) / RATE_HZ
        pitch = rng.uniform(90, 220) * (1 + rng.uniform(-0.5, 0.5) * t)
        phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
        tone = sum(rng.uniform(0.2, 1) * np.sin(n * phase) / n for n in range(1, 14))
        parts.append((tone + rng.normal(0, 0.1, len(t))) * np.hanning(len(t)))
        parts.append(np.zeros(int(rng.uniform(0.02, 0.1) * RATE_HZ)))
    whole = np.concatenate(parts)[: int(seconds * RATE_HZ)]
    return np.asarray(whole / np.abs(whole).max() * 12_000)


def echo(played: Samples, delay_ms: int, db: float = -15) -> Samples:
    late = delay_ms * RATE_HZ // 1000
    return np.concatenate((np.zeros(late), played))[: len(played)] * 10 ** (db / 20)


def pcm(samples: Samples) -> bytes:
    noise = np.random.default_rng(0).normal(0, 6, len(samples))
    return bytes((samples + noise).astype(np.int16).tobytes())


class Call:
    """An agent that speaks, and a line on which something comes back, 20 ms at a time."""

    def __init__(self, agent: Samples) -> None:
        self.guard = EchoGuard()
        self.playout = Playout()
        self.playout.write(bytes(agent.astype(np.int16).tobytes()))
        self.now = 100.0
        self.probabilities: list[float] = []

    def hear(self, line: Samples, *, bunch: int = 1) -> Samples:
        """What the guard makes of the line, of which so many frames come at a time."""
        data, out = pcm(line), []
        for at in range(0, len(data), FRAME * 2):
            if at // (FRAME * 2) % bunch == 0:
                self.playout.pull(FRAME * bunch)
            out.append(self.guard.process(data[at : at + FRAME * 2], self.playout.sent, self.now))
            self.probabilities.append(self.guard.probability)
            self.now += 0.02
        return np.frombuffer(b"".join(out), np.int16).astype(np.float64)


def rms_db(samples: Samples) -> float:
    return 20 * float(np.log10(np.sqrt(np.mean(samples**2)) + 1e-9))


@pytest.mark.parametrize("delay_ms", [50, 100, 200, 300, 400])
def test_an_echo_is_taken_out(delay_ms: int) -> None:
    agent = voice(4, seed=1)
    back = echo(agent, delay_ms)
    clean = Call(agent).hear(back)
    later = slice(RATE_HZ, None)
    assert len(clean) == len(back)
    assert rms_db(clean[later]) < rms_db(back[later]) - 18


def test_a_machine_that_is_late_changes_no_delay() -> None:
    agent = voice(6, seed=1)
    back = echo(agent, 100)
    call, half = Call(agent), 3 * RATE_HZ
    call.hear(back[:half])
    clean = call.hear(back[half:], bunch=6)
    assert rms_db(clean) < rms_db(back[half:]) - 18


def test_lost_packets_are_followed() -> None:
    agent = voice(8, seed=1)
    back = echo(agent, 300)
    call, lost = Call(agent), slice(3 * RATE_HZ, 3 * RATE_HZ + 15 * FRAME)
    call.hear(back[: lost.start])
    call.playout.pull(15 * FRAME)
    clean = call.hear(back[lost.stop :])
    later = slice(3 * RATE_HZ, None)
    assert rms_db(clean[later]) < rms_db(back[lost.stop :][later]) - 18


@pytest.mark.parametrize("delay_ms", [50, 200, 400])
def test_a_caller_over_the_echo_is_left_and_not_taken_for_it(delay_ms: int) -> None:
    agent, caller = voice(4, seed=1), np.zeros(4 * RATE_HZ)
    at = 2 * RATE_HZ
    caller[at:] = voice(2, seed=2) * 0.6
    call = Call(agent)
    clean = call.hear(echo(agent, delay_ms) + caller)
    soon = slice(at, at + RATE_HZ // 2)
    assert rms_db(clean[soon]) > rms_db(caller[soon]) - 6
    during = call.probabilities[len(call.probabilities) // 2 :]
    assert np.mean(np.array(during) >= ECHO) < 0.05


def test_an_echo_that_the_canceller_lost_is_known_by_what_was_played() -> None:
    agent = voice(5, seed=3)
    line = echo(agent, 100)
    jump = 3 * RATE_HZ
    line[jump:] = echo(agent, 360)[jump:]
    call = Call(agent)
    clean = call.hear(line)
    left = slice(jump + RATE_HZ // 4, jump + RATE_HZ * 3 // 4)
    assert rms_db(clean[left]) > 40, "the canceller followed the jump at once: the test shows nothing"
    after = call.probabilities[(jump + RATE_HZ * 3 // 10) // FRAME :][:10]
    assert max(after) >= ECHO


def test_a_silent_line_is_no_echo() -> None:
    call = Call(voice(2, seed=1))
    call.hear(np.zeros(2 * RATE_HZ))
    assert max(call.probabilities) < 0.01


def test_the_tail_ends_after_the_agent_fell_silent() -> None:
    call = Call(voice(1, seed=1))
    assert not call.guard.tail(call.now)
    call.hear(np.zeros(RATE_HZ))
    assert call.guard.tail(call.now)
    call.hear(np.zeros(int((TAIL_S - 0.12) * RATE_HZ)))
    assert call.guard.tail(call.now)
    assert not call.guard.tail(call.now + 0.2)


def test_a_second_speech_starts_from_where_the_wire_is_now() -> None:
    agent = voice(3, seed=1)
    call = Call(agent)
    call.hear(echo(agent, 200))
    for _ in range(500):  # ten seconds in which the agent is silent, and the guard isn't asked
        call.playout.pull(FRAME)
        call.guard.skip(bytes(2 * FRAME))
    call.now += 10
    again = voice(3, seed=4)
    call.playout.write(bytes(again.astype(np.int16).tobytes()))
    back = echo(again, 200)
    later = slice(RATE_HZ, None)
    assert rms_db(call.hear(back)[later]) < rms_db(back[later]) - 18


def test_a_caller_over_the_agents_first_words_is_left_on_a_line_of_which_nothing_is_known() -> None:
    left = []
    for at in (RATE_HZ * 3 // 10, RATE_HZ * 6 // 10, RATE_HZ * 9 // 10, RATE_HZ * 12 // 10):
        for seed in (7, 8, 9):
            caller = np.zeros(3 * RATE_HZ)
            caller[at : at + RATE_HZ] = voice(1, seed) / 3
            heard = Call(voice(3, 1)).hear(caller)
            known = slice(at + RATE_HZ // 5, at + RATE_HZ)
            left.append(abs(rms_db(heard[known]) - rms_db(caller[known])) < 2)
    assert sum(left) >= 11  # of 12: made voices match each other now and then


def test_an_echo_on_a_line_that_returned_nothing_is_taken_out_after_all() -> None:
    agent = voice(6, seed=1)
    line = echo(agent, 200)
    line[: 2 * RATE_HZ] = 0
    call = Call(agent)
    call.hear(line[: 2 * RATE_HZ])
    assert call.guard.returns_nothing
    clean = call.hear(line[2 * RATE_HZ :])
    assert not call.guard.returns_nothing
    later = slice(3 * RATE_HZ // 2, None)
    assert rms_db(clean[later]) < rms_db(line[2 * RATE_HZ :][later]) - 18
