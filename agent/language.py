"""Which of a few languages a caller speaks: decided from what the recognizer makes of their turns.

Measured with Whisper base on 146 telephone-band turns of 0.4 to 15 s in five languages: what is short or
unclear, it takes for English, seven times too readily, so that is taken off; and of a single word it knows
little ("¿Hola?" is as English to it as "Hello?"), so a turn counts by its length. Then every turn adds up,
for the language that holds no further than a limit: in the first turn a little evidence decides for
another, later it takes a sentence beyond doubt ("En français, s'il vous plaît") or two that point there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

# Natural logarithms of odds.
SWITCH = 1.0  # from which another language holds
LEAD = 2.0  # the most that the one that holds has ahead of another
BIAS = {"en": 2.0}  # what Whisper gives a language beyond its due
WHOLE_S = 1.5  # of audible speech; less counts for less
FLOOR = 1e-9


class LanguagePolicy:
    """`candidates` are ISO 639 codes as Whisper has them; the first greets."""

    def __init__(self, candidates: Sequence[str]) -> None:
        self.holds = candidates[0]
        self._scores = dict.fromkeys(candidates, 0.0)  # of each against the one that holds

    def weigh(self, probabilities: Mapping[str, float], audible_s: float) -> str:
        """The language of a turn so far, by the recognizer's probabilities; the policy stays as it is."""
        scores = self._with(probabilities, audible_s)
        best = max(scores, key=scores.__getitem__)
        return best if scores[best] >= SWITCH else self.holds

    def turn_over(self, probabilities: Mapping[str, float], audible_s: float) -> None:
        """The turn is said: its language holds, and it counts in those to come."""
        scores = self._with(probabilities, audible_s)
        self.holds = self.weigh(probabilities, audible_s)
        self._scores = {code: max(score - scores[self.holds], -LEAD) for code, score in scores.items()}

    def _with(self, probabilities: Mapping[str, float], audible_s: float) -> dict[str, float]:
        """The scores with this turn's."""
        weight = min(1.0, audible_s / WHOLE_S)
        turn = {
            code: weight * (math.log(max(probabilities.get(code, 0.0), FLOOR)) - BIAS.get(code, 0.0))
            for code in self._scores
        }
        return {code: score + turn[code] - turn[self.holds] for code, score in self._scores.items()}
