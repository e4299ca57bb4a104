"""Fits the endpointing model on `cuts.csv`, and writes `agent/turn/endpointing.json`.

    python -m bench.endpointing.fit

One logistic model for each set of signals that may be there. From predictions for voices and sentences that a
model wasn't fitted on come the probabilities between which the waits lie, for the places where callers
pause (a cut at any word tells little: nobody pauses there). What is surer than `SOON` of these is answered at
once, what is less sure than `LATE` of the ends hangs. Then it is played out: how many pauses are talked into,
how long callers wait, beside a policy of the same waits that goes by the words alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from agent.turn.endpointing import Endpointer, Fit, Heard, expects, features
from agent.turn.lexicon import lexicon
from bench.endpointing.heads import fold
from bench.endpointing.logistic import Bools, Floats, auc, found_at, logistic, probability
from bench.endpointing.table import Row, read
from config.persona import load_persona
from config.turn import TurnSettings

OUT = Path(__file__).parents[2] / "agent/turn/endpointing.json"
FOLDS = 5
RIDGE = 3.0
PEOPLE = 3.0  # as much does a cut of a person count as one of a synthesized voice
WORDS = ("hangs", "leans", "asks", "stops", "opens", "short")
SETS = {
    "finished": ("finished",),
    "words": WORDS,
    "completeness+words": ("completeness", *WORDS),
    "finished+words": ("finished", *WORDS),
    "finished+completeness+words": ("finished", "completeness", *WORDS),
}
ALL = "finished+completeness+words"
SOON, LATE = 0.97, 0.01
AUDIBLE_MS = 30  # from the decision to the answer's first sound, where the answer is ready


def heard(row: Row, kind: str = ALL) -> Heard:
    """What the agent knows at a cut, as far as `kind` names it."""
    agent = row.agent or load_persona(row.language).greeting
    return Heard(
        silence_ms=0,
        finished=row.finished if "finished" in kind else None,
        completeness=row.completeness if "completeness" in kind else None,
        transcript=row.transcript if "words" in kind else None,
        word_logprob=row.word_logprob if "words" in kind else 0.0,
        language=row.language,
        expects=expects(agent, row.language),
    )


def rows(table: Sequence[Row], names: Sequence[str], kind: str) -> Floats:
    found = [features(heard(row, kind)) for row in table]
    return np.array([[row.get(name, 0.0) for name in names] for row in found])


def fitted(x: Floats, table: Sequence[Row]) -> Floats:
    done = np.array([float(row.done) for row in table])
    counts = np.array([PEOPLE if row.source == "person" else 1.0 for row in table])
    return logistic(x, done, ridge=RIDGE, counts=counts)


def held_out(x: Floats, table: Sequence[Row]) -> Floats:
    """Each row's probability by a model that saw neither its voice nor its sentence."""
    voice = np.array([fold(row.voice) for row in table])
    sentence = np.array([fold(f"{row.source} {row.language} {row.sentence}") for row in table])
    out = np.zeros(len(table))
    for one in range(FOLDS):
        for other in range(FOLDS):
            test = (voice == one) & (sentence == other)
            train = (voice != one) & (sentence != other)
            if test.any():
                kept = [row for row, used in zip(table, train, strict=True) if used]
                out[test] = probability(x[test], fitted(x[train], kept))
    return out


def between(scores: Floats, table: Sequence[Row]) -> tuple[float, float]:
    """The probabilities from which on words are surely whole, and below which they surely aren't."""
    done = np.array([row.done for row in table])
    pauses = np.array([row.pauses for row in table])
    weight = np.array([PEOPLE if row.source == "person" else 1.0 for row in table])
    sure = quantile(scores[pauses], weight[pauses], SOON)
    return round(sure, 4), round(min(sure, quantile(scores[done], weight[done], LATE)), 4)


def quantile(values: Floats, weight: Floats, share: float) -> float:
    order = np.argsort(values)
    at = int(np.searchsorted(np.cumsum(weight[order]), share * weight.sum()))
    return float(values[order][min(at, len(values) - 1)])


class Unseen(Endpointer):
    """Decides with the probability from the fold that held neither the voice nor the sentence."""

    def __init__(self, turn: TurnSettings, fit: Fit, scores: dict[Heard, float]) -> None:
        super().__init__(turn, fit=fit)
        self._scores = scores

    def probability(self, heard: Heard, patience: object = None) -> float:
        return self._scores[heard]


def played(table: Sequence[Row], wait_ms: Callable[[Row], float]) -> dict[str, float]:
    """What callers would meet: shares of pauses that are talked into, and waits at ends."""
    rng = np.random.default_rng(5)
    waits = np.array([wait_ms(row) for row in table])
    done = np.array([row.done for row in table])
    pausing = np.array([row.place in ("pause", "gap", "hesitation") for row in table])
    found: dict[str, float] = {}
    for low, high in ((400, 600), (700, 900), (1100, 1300), (1500, 1700)):
        pause = rng.uniform(low, high, (20, int(pausing.sum())))
        found[f"talked into {low}-{high} ms"] = float(np.mean(waits[pausing] + AUDIBLE_MS < pause))
    to_sound = waits[done] + AUDIBLE_MS
    for name, share in (("median", 0.5), ("p90", 0.9), ("p95", 0.95)):
        found[f"{name} wait"] = float(np.quantile(to_sound, share))
    return found


def main() -> None:
    everything = [row for row in read() if row.transcript]
    turn = TurnSettings()
    weights: dict[str, dict[str, float]] = {}
    sure: dict[str, float] = {}
    hanging: dict[str, float] = {}
    for kind, names in SETS.items():
        asked = "completeness" in names
        table = [row for row in everything if lexicon(row.language).completes or not asked]
        x = rows(table, names, kind)
        beta, scores = fitted(x, table), held_out(x, table)
        weights[kind] = {n: round(float(b), 4) for n, b in zip(("bias", *names), beta, strict=True)}
        sure[kind], hanging[kind] = between(scores, table)
        known = {heard(row, kind): float(score) for row, score in zip(table, scores, strict=True)}
        policy = Unseen(turn, Fit(weights, sure, hanging), known)
        waits = {row: policy.decide(heard(row, kind)).wait_ms for row in table}
        for group in sorted({(row.source, row.language) for row in table}):
            some = np.array([(r.source, r.language) == group and (r.pauses or r.done) for r in table])
            report(
                f"{kind:28} {' '.join(group):15}",
                [r for r, s in zip(table, some, strict=True) if s],
                scores[some],
                waits,
            )
    OUT.write_text(json.dumps({"weights": weights, "sure": sure, "hanging": hanging}, indent=2) + "\n")


def report(name: str, table: Sequence[Row], scores: Floats, waits: Mapping[Row, float]) -> None:
    ends: Bools = np.array([row.done for row in table])
    found = played(table, waits.__getitem__)
    print(
        f"{name} {int(ends.sum()):4} ends {int((~ends).sum()):4} pauses  AUC {auc(scores, ends):.3f}"
        f"  found at 10% {found_at(0.1, scores, ends):.2f}  at 20% {found_at(0.2, scores, ends):.2f}  |"
        + "".join(
            f"  {name} {value:.2f}" if value < 1 else f"  {name} {value:.0f}" for name, value in found.items()
        )
    )


if __name__ == "__main__":
    main()
