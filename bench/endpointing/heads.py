"""Fits what tells how finished a voice sounds, from the states of Whisper's encoder.

    python -m bench.endpointing.heads CACHE

CACHE is what `bench.endpointing.measure` keeps. Writes `models/data/finality.npz`, and `cuts.csv`, in which
each end and each pause is scored by weights that were fitted without its voice and without its sentence.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.endpointing.callers import LANGUAGES
from bench.endpointing.logistic import Floats, auc, found_at, head, probability
from bench.endpointing.measure import FROM, Measured, measure
from bench.endpointing.table import Row, write
from models.finality import WINDOWS

OUT = Path(__file__).parents[2] / "models/data/finality.npz"
MODELS = {"tiny.en": {"en": 1}, "base": {"en": 4, "fr": 1, "es": 1, "it": 1, "pt": 1}}  # one of so many
HEARS = {language: "tiny.en" if language == "en" else "base" for language in LANGUAGES}
FOLDS = 5
RIDGE = 1000.0
PEOPLE = 2.0  # as much does a cut of a person count as one of a synthesized voice


def pooled(measured: Sequence[Measured]) -> Floats:
    """The means of the states over the windows, as `models.finality.pooled` takes them."""
    states = np.stack([one.states for one in measured])
    means = [states[:, low - FROM : high - FROM].mean(axis=1, dtype=np.float64) for low, high in WINDOWS]
    return np.concatenate(means, axis=1)


def fold(text: str) -> int:
    return hashlib.sha256(text.encode()).digest()[0] % FOLDS


def fitted(x: Floats, rows: Sequence[Row]) -> Floats:
    """The bias and the weights, for states as they are."""
    done = np.array([float(row.done) for row in rows])
    counts = np.array([PEOPLE if row.source == "person" else 1.0 for row in rows])
    return head(x, done, ridge=RIDGE, counts=counts)


def held_out(x: Floats, rows: Sequence[Row]) -> Floats:
    """Each cut's probability by weights that saw neither its voice nor its sentence."""
    voice = np.array([fold(row.voice) for row in rows])
    sentence = np.array([fold(f"{row.source} {row.language} {row.sentence}") for row in rows])
    scores = np.zeros(len(rows))
    for one in range(FOLDS):
        for other in range(FOLDS):
            test = (voice == one) & (sentence == other)
            if test.any():
                train = (voice != one) & (sentence != other)
                beta = fitted(x[train], [row for row, kept in zip(rows, train, strict=True) if kept])
                scores[test] = probability(x[test], beta)
    return scores


def report(name: str, rows: Sequence[Row], scores: Floats) -> None:
    for source in ("person", "synthesized"):
        for where, places in (
            ("anywhere", None),
            ("where callers pause", ("end", "pause", "gap", "hesitation")),
        ):
            chosen = np.array([r.source == source and (places is None or r.place in places) for r in rows])
            done = np.array([row.done for row in rows])[chosen]
            if done.any() and not done.all():
                print(
                    f"{name:8} {source:12} {where:20} {int(done.sum()):4} ends {int((~done).sum()):5} others"
                    f"  AUC {auc(scores[chosen], done):.3f}"
                    f"  found at 10% {found_at(0.1, scores[chosen], done):.2f}"
                    f"  at 20% {found_at(0.2, scores[chosen], done):.2f}"
                )


def main(cache: Path) -> None:
    weights: dict[str, NDArray[np.float32]] = {}
    table: list[Row] = []
    for model, languages in MODELS.items():
        measured = [
            one
            for language, every in languages.items()
            for one in measure(language, cache, model, every=every)
        ]
        x, rows = pooled(measured), [one.row for one in measured]
        scores = held_out(x, rows)
        for language in languages:
            chosen = np.array([row.language == language for row in rows])
            report(f"{model} {language}", [row for row in rows if row.language == language], scores[chosen])
        weights[model] = fitted(x, rows).astype(np.float32)
        table += [
            replace(row, finished=round(float(score), 4))
            for row, score in zip(rows, scores, strict=True)
            if HEARS[row.language] == model and (row.done or row.pauses)
        ]
    np.savez(OUT, allow_pickle=False, **weights)
    write(table)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
