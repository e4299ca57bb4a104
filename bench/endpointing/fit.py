"""Fits the endpointing model on `cuts.csv`, and writes `agent/turn/endpointing.json`.

    python -m bench.endpointing.fit             fit what was measured
    python -m bench.endpointing.fit --measure   make the speech and measure it (minutes; libespeak-ng, onnx)
    python -m bench.endpointing.fit --completeness   only ask for the completeness again (a minute)

One logistic model for each set of signals that may be there. The curve from probability to wait comes
from predictions for sentences that the model wasn't fitted on, at their ends and at the places where callers
hesitate (a cut at any word tells little: nobody pauses there). Many of those lie behind words that are a
sentence as they stand ("My flight was cancelled | and I need a new one"), so that no curve answers soon and
never cuts off. This one answers after the shortest wait what is surer than 97% of the hesitations; what is
less sure than 98% of the ends after 860 to 1600 ms, which a pause of 0.8 s, whose end takes 60 ms to be
noticed, doesn't reach; and what lies between after 715 ms: its answer, ready by then, is heard 35 ms later,
when who pauses for 0.8 s is about to go on, and who is done hasn't waited so long. Where the recognizer
guessed the last word, the policy has a rule of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.turn import words
from agent.turn.endpointing import GUESSED_LOGPROB, GUESSED_MS, Endpointer, Fit, Heard, features
from bench.endpointing.table import Cut, read

OUT = Path(__file__).parents[2] / "agent/turn/endpointing.json"
FOLDS = 5
RIDGE = 1.0
# Synthesized prosody tells smart-turn little (AUC 0.60 here, 0.71 on people), so that its weight
# where the completeness isn't known is set to what suits people, and so is the curve.
ACOUSTIC = {"bias": 0.3, "acoustic": 0.35}
PLAIN_CURVE = ((0.0, 1.0), (0.25, 0.65), (0.5, 0.3), (0.7, 0.1), (0.85, 0.0), (1.0, 0.0))
LATE = 0.02  # share of the ends that are less sure
SOON = 0.97  # share of the hesitations that are
WORDS = ("hangs", "leans", "asks", "stops", "opens", "short")
SETS = {
    "acoustic": ("acoustic",),
    "words": WORDS,
    "acoustic+words": ("acoustic", *WORDS),
    "completeness+words": ("completeness", *WORDS),
    "acoustic+completeness+words": ("acoustic", "completeness", *WORDS),
}
ALL = "acoustic+completeness+words"
IN_CALLS = "completeness+words"  # how it sounds is asked where the completeness isn't known
SHORTEST_MS, UNSURE_MS, LONGEST_MS = 200.0, 715.0, 1600.0
Floats = NDArray[np.float64]


def heard(cut: Cut, kind: str = ALL) -> Heard:
    """What the agent knows at a cut, as far as `kind` names it."""
    return Heard(
        silence_ms=SHORTEST_MS,
        speech_ms=cut.speech_ms,
        acoustic=cut.acoustic if "acoustic" in kind else None,
        completeness=cut.completeness if "completeness" in kind else None,
        transcript=cut.transcript if "words" in kind else None,
        word_logprob=cut.word_logprob if "words" in kind else 0.0,
    )


def made_out(cut: Cut) -> bool:
    """Whether the recognizer heard at least half of the words.

    It makes nonsense of some of espeak-ng's; what nonsense ends a sentence nobody can say.
    """
    said, transcript = words.split(cut.said), words.split(cut.transcript)
    return SequenceMatcher(None, said, transcript, autojunk=False).ratio() >= 0.5


def rows(table: Sequence[Cut], names: Sequence[str]) -> Floats:
    found = [features(heard(cut)) for cut in table]
    return np.array([[1.0, *(row.get(name, 0.0) for name in names)] for row in found])


def logistic(x: Floats, y: Floats) -> Floats:
    """Newton's method, with a ridge on all but the bias; ends and cuts weigh the same in all."""
    weight = np.where(y == 1, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    ridge = np.eye(x.shape[1]) * RIDGE
    ridge[0, 0] = 0
    beta = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ beta))
        slope = x.T @ (weight * (y - p)) - ridge @ beta
        curvature = (x * (weight * p * (1 - p))[:, None]).T @ x + ridge
        beta += np.linalg.solve(curvature, slope)
    return beta


def held_out(x: Floats, y: Floats, sentence: NDArray[np.int_]) -> Floats:
    """Each row's probability by a model that saw no cut of its sentence."""
    out = np.zeros(len(y))
    for fold in range(FOLDS):
        test = sentence % FOLDS == fold
        out[test] = 1 / (1 + np.exp(-x[test] @ logistic(x[~test], y[~test])))
    return out


def auc(score: Floats, y: Floats) -> float:
    """The probability that an end scores higher than a cut; ties count half."""
    ends, inside = score[y == 1][:, None], score[y == 0][None, :]
    return float(np.mean((ends > inside) + 0.5 * (ends == inside)))


def curve(probability: Floats, table: Sequence[Cut]) -> list[list[float]]:
    """(probability, share of the span of waits). Behind a guessed word another rule holds."""
    known = np.array([cut.word_logprob >= GUESSED_LOGPROB for cut in table])
    ends = known & np.array([bool(cut.done) for cut in table])
    hesitates = known & np.array([cut.place in ("hesitation", "lengthened") for cut in table])
    late = float(np.quantile(probability[ends], LATE))
    soon = float(np.quantile(probability[hesitates], SOON))
    waits_ms = [
        (0.0, LONGEST_MS),
        (late / 2, 1250),
        (late, GUESSED_MS),
        (late + 0.001, UNSURE_MS),
        (soon, UNSURE_MS),
        (soon + 0.001, SHORTEST_MS),
        (1.0, SHORTEST_MS),
    ]
    span = LONGEST_MS - SHORTEST_MS
    return [[round(p, 4), round((wait - SHORTEST_MS) / span, 3)] for p, wait in waits_ms]


def summary(table: Sequence[Cut], decide: Callable[[Cut], float]) -> dict[str, float]:
    """Rates over the table; `decide` gives a cut's wait in ms."""
    ends = np.array([decide(cut) for cut in table if cut.done])
    inside = np.array([decide(cut) for cut in table if not cut.done])
    return {
        "answered_at_once": round(float(np.mean(ends <= SHORTEST_MS)), 4),
        "p95_wait_ms": round(float(np.quantile(ends, 0.95)), 1),
        "cut_off_at_400_ms": round(float(np.mean(inside < 400)), 4),
        "cut_off_at_800_ms": round(float(np.mean(inside < 800)), 4),
    }


def main() -> None:
    if "--measure" in sys.argv:
        from bench.endpointing.measure import measure

        measure()
    elif "--completeness" in sys.argv:
        from bench.endpointing.measure import ask_again

        ask_again()
    everything = read()
    table = [cut for cut in everything if made_out(cut)]
    print(f"of {len(everything)} cuts, Whisper made out {len(table)}")
    y = np.array([float(cut.done) for cut in table])
    sentence = np.array([cut.sentence for cut in table])
    print(f"{len(table)} cuts of {len(set(sentence))} sentences, {int(y.sum())} of them ends")
    weights: dict[str, dict[str, float]] = {}
    predicted: dict[str, Floats] = {}
    for kind, names in SETS.items():
        x = rows(table, names)
        predicted[kind] = held_out(x, y, sentence)
        beta = logistic(x, y)
        weights[kind] = {n: round(float(b), 4) for n, b in zip(("bias", *names), beta, strict=True)}
        print(f"AUC {auc(predicted[kind], y):.3f}  {kind}")
    weights["acoustic"] = ACOUSTIC
    weights["words"]["bias"] = round(
        weights["words"]["bias"] + 0.5, 4
    )  # an end is likelier than a cut of ours: most pauses in calls are ends
    weights["acoustic+words"] = {**weights["words"], "acoustic": ACOUSTIC["acoustic"]}
    print(f"AUC {auc(rows(table, ('completeness',))[:, 1], y):.3f}  completeness alone")
    points = curve(predicted[IN_CALLS], table)
    held = dict(zip(map(id, table), predicted[IN_CALLS], strict=True))

    class Unseen(Endpointer):
        """Decides with the probability from the fold that didn't hold the sentence."""

        cut: Cut

        def probability(self, heard: Heard) -> float:
            return float(held[id(self.cut)])

    fit = Fit(weights, tuple((p, share) for p, share in points), PLAIN_CURVE)
    unseen = Unseen(min_silence_ms=SHORTEST_MS, max_silence_ms=LONGEST_MS, fit=fit)

    def wait(cut: Cut) -> float:
        unseen.cut = cut
        return unseen.decide(heard(cut, IN_CALLS)).wait_ms

    for place in ("hesitation", "lengthened", "word"):
        part = [cut for cut in table if cut.done or cut.place == place]
        print(f"{place:20s} {summary(part, wait)}")
    rates = summary(table, wait)
    for name, value in rates.items():
        print(f"{name:20s} {value:8.3f}")
    OUT.write_text(
        json.dumps(
            {
                "provenance": "bench/endpointing/fit.py on cuts.csv: Piper and espeak-ng over PCMU",
                "cuts": len(table),
                "auc": {kind: round(auc(p, y), 3) for kind, p in predicted.items()},
                "held_out": rates,
                "weights": weights,
                "curve": points,
                "plain_curve": PLAIN_CURVE,
            },
            indent=2,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
