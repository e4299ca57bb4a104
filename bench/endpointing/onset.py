"""How soon a voice and a pause are noticed on a telephone line: prints a table by level and noise."""

from __future__ import annotations

import numpy as np
import soxr

from agent.sound.activity import CHUNK_S, Change, Leveler, SpeechActivity
from bench.endpointing.voices import RATE_HZ, Espeak, Piper, Samples, mulaw
from models.silero import SileroModel

TEXTS = (
    "What's the weather like in Hamburg?",
    "I lost my card somewhere on the bus.",
    "Stop.",
    "Yes.",
    "No, wait a moment.",
    "Hello, this is Peter.",
    "Four people please.",
    "She said that it was fine.",
)
CHUNK = 512


def line(
    voice: Samples, rng: np.random.Generator, peak_db: float, snr_db: float
) -> tuple[bytes, float, float]:
    """(s16le, onset, end) of a voice between two seconds of noise, through PCMU."""
    loudness = np.sqrt(np.convolve(voice**2, np.ones(80) / 80, "same"))
    loud = np.flatnonzero(loudness > 0.03 * loudness.max())
    voice = voice[loud[0] : loud[-1]]
    lead = RATE_HZ + int(rng.integers(0, CHUNK))
    whole = np.concatenate((np.zeros(lead), voice, np.zeros(RATE_HZ))).astype(np.float32)
    narrow = soxr.resample(whole, RATE_HZ, 8000)
    narrow *= 10 ** (peak_db / 20) / np.abs(narrow).max()
    speech = narrow[np.abs(narrow) > 0.05 * np.abs(narrow).max()]
    noise = np.sqrt(np.mean(speech**2)) * 10 ** (-snr_db / 20)
    narrow = mulaw(narrow + rng.normal(0, noise, len(narrow)).astype(np.float32))
    wide = np.clip(soxr.resample(narrow, 8000, RATE_HZ), -1, 1) * 32767
    return wide.astype(np.int16).tobytes(), lead / RATE_HZ, (lead + len(voice)) / RATE_HZ


def follow(model: SileroModel, pcm: bytes, levelled: bool) -> list[tuple[float, Change, float]]:
    """(noticed, change, when it took place) of each event."""
    leveler, activity, voice = Leveler(), SpeechActivity(), model.voice_activity()
    events = []
    number = 0
    for at in range(0, len(pcm), 640):
        frame = leveler.process(pcm[at : at + 640])
        heard = voice.process(frame if levelled else pcm[at : at + 640], background=leveler.background)
        for probability in heard:
            number += 1
            event = activity.process(probability, number * CHUNK_S)
            if event:
                events.append((number * CHUNK_S, event.change, event.at))
                voice.in_speech = True
    return events


def main() -> None:
    rng = np.random.default_rng(1)
    piper, espeak = Piper(), Espeak()
    voices = [piper.speak(text, 1.0, 1.0).samples for text in TEXTS]
    voices += [espeak.speak(text, "en-gb+f3", 1.0, 55).samples for text in TEXTS]
    silero = SileroModel()
    print("levelled  peak dBFS  SNR dB  onset p50  p90  missed  pause p50  p90  end off by")
    for levelled in (False, True):
        for peak_db in (-4, -24, -38):
            for snr_db in (60, 20, 10):
                starts, traces, ends, missed = [], [], [], 0
                for voice in voices:
                    pcm, onset, end = line(voice, rng, peak_db, snr_db)
                    events = follow(silero, pcm, levelled)
                    begun = [at for at, change, _ in events if change is Change.STARTED]
                    ceased = [(at, when) for at, change, when in events if change is Change.PAUSING]
                    missed += not begun
                    starts += [(at - onset) * 1000 for at in begun]
                    traces += [(at - end) * 1000 for at, _ in ceased[-1:]]
                    ends += [(when - end) * 1000 for _, when in ceased[-1:]]
                print(
                    f"{levelled!s:8}  {peak_db:9d}  {snr_db:6d}  {np.median(starts):9.0f}"
                    f"  {np.percentile(starts, 90):3.0f}  {missed:6d}  {np.median(traces):9.0f}"
                    f"  {np.percentile(traces, 90):3.0f}  {np.median(ends):10.0f}"
                )


if __name__ == "__main__":
    main()
