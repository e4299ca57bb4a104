"""Fits what tells a singer from who speaks, from the states of Whisper's encoder.

    pip install pyworld
    python -m bench.endpointing.singing CACHE

CACHE is what `bench.endpointing.measure` keeps of synthesized callers; a part of them sings here, a part
speaks, and some of both have music behind them. Writes `models/data/singing.npz`, and says how well callers
are told whose voices and sentences no weight has seen.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.turn.transcriber import SINGS
from bench.endpointing.callers import LANGUAGES, Recording, recorded, synthesized
from bench.endpointing.heads import HEARS, fold
from bench.endpointing.logistic import auc, found_at, head, probability
from bench.endpointing.measure import Ear
from bench.endpointing.sung import Voder, band
from bench.endpointing.voices import RATE_HZ, Samples, integers, telephone
from config.settings import Settings
from models.catalog import Catalog
from models.singing import pooled

OUT = Path(__file__).parents[2] / "models/data/singing.npz"
FOLDS = 5
EVERY = 3  # one sentence of so many
RIDGE = 100.0
LONGEST_S, SHORTEST_S = 8.0, 0.8
SUNG, SPOKEN = ("alone", "with a band"), ("plain", "through the vocoder", "over music")


@dataclass(frozen=True)
class Heard:
    voice: str
    sentence: str
    kind: str
    states: dict[str, NDArray[np.float32]]  # by Whisper: what `pooled` makes of them


def performances(cache: Path) -> Iterator[tuple[str, Recording, int]]:
    """What is to be heard: (kind, recording, number)."""
    number = 0
    for language in LANGUAGES:
        for one in synthesized(language, Path(os.environ["KOKORO_STYLES"]), cache / "spoken"):
            if one.spoken.ends and number % EVERY == 0:
                for kind in (SUNG[number // EVERY % 2], SPOKEN[number // EVERY % 3]):
                    yield kind, one, number
            number += 1
    kept = cache / "heard.pickle"
    for one in recorded(Path(os.environ["SPEECH_RECORDINGS"]), pickle.loads(kept.read_bytes())):
        for kind in ("plain", "over music"):
            yield kind, one, number
        number += 1


def perform(kind: str, one: Recording, voder: Voder, rng: np.random.Generator) -> Samples:
    if kind in SUNG:
        sound = voder.sing(one.spoken, rng)
    else:
        sound = voder.say(one.spoken) if kind == "through the vocoder" else one.spoken.samples
    longest = int(rng.uniform(SHORTEST_S, LONGEST_S) * RATE_HZ)
    begin = int(rng.integers(0, max(1, len(sound) - longest)))
    sound = sound[begin : begin + longest]
    behind = {"with a band": rng.uniform(-14, 0), "over music": rng.uniform(-24, -8)}.get(kind)
    if behind is not None:
        loudest = float(np.abs(sound).max())
        sound = sound + band(len(sound), rng) * np.float32(loudest * 10 ** (behind / 20))
    return telephone(sound, rng, peak_db=rng.uniform(-28, -4), snr_db=rng.uniform(20, 45))


def heard(cache: Path) -> list[Heard]:
    """Every performance, as each Whisper that may listen hears it."""
    catalog, voder = Catalog(Settings().cache_dir), Voder()
    names = sorted(set(HEARS.values()))
    ears = {name: Ear.load(catalog.whisper(name), name=name) for name in names}
    folder = cache / "singing"
    folder.mkdir(exist_ok=True)
    found: list[Heard] = []
    for kind, one, number in performances(cache):
        kept = folder / f"{number}-{kind.replace(' ', '-')}.pickle"
        if not kept.is_file():
            rng = np.random.default_rng([number, len(kind)])
            samples = integers(perform(kind, one, voder, rng))
            states = {}
            for name, ear in ears.items():
                ear.encode(samples)
                states[name] = pooled(ear.states, len(samples))
            sentence = f"{one.sentence.language} {one.sentence.number}"
            kept.write_bytes(pickle.dumps(Heard(one.voice, sentence, kind, states)))
        found.append(pickle.loads(kept.read_bytes()))
        print(f"\r{len(found)} heard", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found


def main(cache: Path) -> None:
    everything = heard(cache)
    sung = np.array([one.kind in SUNG for one in everything])
    voice = np.array([fold(one.voice) for one in everything])
    sentence = np.array([fold(one.sentence) for one in everything])
    weights = {}
    for name in sorted(set(HEARS.values())):
        x = np.stack([one.states[name] for one in everything]).astype(np.float64)
        scores = np.zeros(len(x))
        for out in range(FOLDS):
            for other in range(FOLDS):
                test = (voice == out) & (sentence == other)
                if test.any():
                    train = (voice != out) & (sentence != other)
                    scores[test] = probability(
                        x[test], head(x[train], sung[train].astype(float), ridge=RIDGE)
                    )
        found = found_at(0.01, scores, sung)
        print(f"{name:8} AUC {auc(scores, sung):.3f}, {found:.0%} found at 1% false alarms")
        for kind in (*SUNG, *SPOKEN):
            chosen = np.array([one.kind == kind for one in everything])
            taken = np.mean(scores[chosen] > SINGS)
            print(f"    {kind:20} {int(chosen.sum()):5}, taken for singing {taken:.1%}")
        weights[name] = head(x, sung.astype(float), ridge=RIDGE).astype(np.float32)
    np.savez(OUT, **weights)  # type: ignore[arg-type]  # numpy's stub has no place for arrays by name


if __name__ == "__main__":
    main(Path(sys.argv[1]))
