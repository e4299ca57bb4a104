"""How well the echo guard tells the agent's own voice from a caller's: prints a table.

Echoes are made as a call makes them: the agent's voice through PCMU, a loudspeaker that distorts a
little, a room, a delay, noise, and PCMU back.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from agent.sound.activity import Change, SpeechActivity
from agent.sound.echo import RATE_HZ, EchoGuard
from agent.turn.barge_in import ECHO
from bench.endpointing.voices import Espeak, Piper, Samples, integers, mulaw
from models.silero import CHUNK_SAMPLES, SileroModel
from transports.sent import Sent

FRAME = RATE_HZ // 50
SECONDS = 6.0
AGENT_AT_S, CALLER_AT_S = 0.3, 2.5
AGENT = (
    "Good morning, this is the Harbour Hotel. How can I help you today? We have several rooms available "
    "this weekend, and breakfast is included.",
    "Let me explain how it works. First you choose a room, then you tell me your name, and finally I will "
    "send you a confirmation by email.",
)
CALLER = ("Wait, I only need one night.", "Excuse me, that is too expensive for me.", "Stop, please.")


@dataclass(frozen=True)
class Scene:
    played: NDArray[np.int16]
    heard: NDArray[np.int16]


@dataclass(frozen=True)
class Outcome:
    starts_s: list[float]  # when a voice would have held the agent
    held_s: float  # how long the guard then took it for a caller's
    core: float  # share of a core
    voiced_raw: int  # chunks that Silero takes for speech without the guard


def pcmu(samples: Samples) -> Samples:
    return np.asarray(soxr.resample(mulaw(soxr.resample(samples, RATE_HZ, 8000)), 8000, RATE_HZ), np.float32)


def echo(played: Samples, rng: np.random.Generator, delay_ms: float, echo_db: float) -> Samples:
    heard = pcmu(played)
    taps = int(rng.uniform(20, 80) * RATE_HZ / 1000)
    room = rng.normal(0, 1, taps) * np.exp(-np.arange(taps) / (taps / 4))
    room[0] += 3
    back = np.tanh(np.convolve(heard, room / np.sqrt(room @ room))[: len(heard)] * 1.5)
    back *= 10 ** (echo_db / 20) * np.sqrt(np.mean(heard**2) / np.mean(back**2))
    late = int(delay_ms * RATE_HZ / 1000)
    return np.concatenate((np.zeros(late), back))[: len(heard)].astype(np.float32)


def at_peak(samples: Samples, peak_db: float) -> Samples:
    return np.asarray(samples / np.abs(samples).max() * 10 ** (peak_db / 20), np.float32)


def from_onset(samples: Samples) -> Samples:
    loud = np.flatnonzero(np.abs(samples) > 0.03 * np.abs(samples).max())
    return samples[loud[0] :]


def scene(
    agent: Samples,
    rng: np.random.Generator,
    *,
    delay_ms: float,
    echo_db: float = -15,
    jump_ms: float = 0,
    caller: Samples | None = None,
) -> Scene:
    played = np.zeros(int(SECONDS * RATE_HZ), np.float32)
    start = int(AGENT_AT_S * RATE_HZ)
    voice = at_peak(agent, -6)[: len(played) - start]
    played[start : start + len(voice)] = voice
    state = rng.bit_generator.state
    heard = echo(played, rng, delay_ms, echo_db)
    at = int(CALLER_AT_S * RATE_HZ)
    if jump_ms:
        rng.bit_generator.state = state
        heard[at:] = echo(played, rng, delay_ms + jump_ms, echo_db)[at:]
    if caller is not None:
        near = from_onset(at_peak(caller, -12))[: len(heard) - at]
        heard[at : at + len(near)] += near
    heard = pcmu(heard + rng.normal(0, 10 ** (-65 / 20), len(heard)).astype(np.float32))
    return Scene(integers(played), integers(heard)[: len(played)])


def run(silero: SileroModel, call: Scene, *, bunch: int = 1) -> Outcome:
    """Play a scene through the guard. `bunch` frames arrive at a time."""
    guard, activity, sent = EchoGuard(), SpeechActivity(), Sent()
    spent = 0.0
    starts: list[float] = []
    held = 0.0
    open_since: float | None = None
    voice_activity = silero.voice_activity()
    frames = len(call.heard) // FRAME
    for number in range(frames):
        sent.append(call.played[sent.end : (number // bunch + 1) * bunch * FRAME])
        now = (number + 1) * FRAME / RATE_HZ
        frame = call.heard[number * FRAME : (number + 1) * FRAME].tobytes()
        begun = time.process_time()
        clean = guard.process(frame, sent, now)
        spent += time.process_time() - begun
        for probability in voice_activity.process(clean):
            event = activity.process(probability, now)
            if event and event.change is Change.PAUSED:
                activity.reset()
        voice = activity.onset is not None and guard.probability < ECHO
        if voice and open_since is None:
            open_since = now
            starts.append(now)
        elif not voice and open_since is not None:
            held += now - open_since
            open_since = None
    if open_since is not None:
        held += frames * FRAME / RATE_HZ - open_since
    return Outcome(starts, held, spent / (frames * FRAME / RATE_HZ), raw_voice(silero, call.heard))


def raw_voice(silero: SileroModel, heard: NDArray[np.int16]) -> int:
    return sum(score >= 0.5 for score in silero.voice_activity().process(heard.tobytes()))


def main() -> None:
    rng = np.random.default_rng(11)
    piper, espeak = Piper(), Espeak()
    agents = [piper.speak(text, 1.0, 1.0).samples for text in AGENT]
    callers = [piper.speak(text, 1.0, 1.12).samples for text in CALLER]
    callers += [espeak.speak(text, "en-gb+f3", 1.0, 60).samples for text in CALLER]
    silero = SileroModel()
    cores: list[float] = []

    print("echo alone          scenes  voice without guard  false holds  longest hold")
    for echo_db in (-15, -8):
        for delay_ms in (50, 100, 200, 300, 400):
            outcomes = [
                run(silero, scene(agent, rng, delay_ms=delay_ms, echo_db=echo_db), bunch=bunch)
                for agent in agents
                for bunch in (1, 3)
            ]
            _print(f"{echo_db} dB {delay_ms} ms", outcomes)
            cores += [outcome.core for outcome in outcomes]
    for jump_ms in (40, 80, -40, -60, 200):
        outcomes = [run(silero, scene(agent, rng, delay_ms=120, jump_ms=jump_ms)) for agent in agents]
        _print(f"jumps {jump_ms:+d} ms", outcomes)

    delays: list[float] = []
    missed = early = 0
    for caller in callers:
        for delay_ms in (50, 150, 250, 400):
            for agent in agents:
                outcome = run(silero, scene(agent, rng, delay_ms=delay_ms, caller=caller))
                early += sum(start < CALLER_AT_S for start in outcome.starts_s)
                after = [start for start in outcome.starts_s if start >= CALLER_AT_S]
                if after:
                    delays.append((after[0] - CALLER_AT_S) * 1000)
                missed += not after
    median, p90, p95 = np.percentile(delays, [50, 90, 95])
    print(f"a caller over it: {len(delays)} noticed, {missed} missed, {early} false holds before,")
    print(f"  after {median:.0f} ms (median), {p90:.0f} ms (p90), {p95:.0f} ms (p95)")
    print(f"cost: {np.mean(cores):.2%} of a core while the agent speaks")


def _print(what: str, outcomes: list[Outcome]) -> None:
    raw = sum(outcome.voiced_raw for outcome in outcomes) * CHUNK_SAMPLES / RATE_HZ
    holds = sum(len(outcome.starts_s) for outcome in outcomes)
    longest = max(outcome.held_s for outcome in outcomes)
    print(f"{what:18s}  {len(outcomes):6d}  {raw:17.1f} s  {holds:11d}  {longest:10.2f} s")


if __name__ == "__main__":
    main()
