"""Is the caller done? How long to wait in silence before answering.

Three signals, each of which may be late or absent: how the voice sounds (smart-turn), how complete the
words are (the probability, under a small language model, that the sentence ends here), and which words
stand last. A logistic model, fitted on `bench/endpointing`, makes one probability of those that are
there; a curve makes a wait of it. Rules stand only where the data can't: dictated numbers, a caller who
asks for time, one-word answers, a last word that the recognizer guessed.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import Enum
from importlib.resources import files
from itertools import pairwise

from agent.turn import words
from agent.turn.lexicon import Lexicon, lexicon

MORE_TIME_MS = 6000  # after "hold on": long enough to find a card, short enough not to seem dead
DICTATION_DIGITS = 9  # shorter than a telephone number: more is to come
COMMA_MS = 400  # "yes, please": a voice rests this long at a comma
# Where a sentence breaks off, Whisper makes up an end for it. A third of the last words that it so gets wrong
# are less sure than this, and one in forty of those that it gets right at an end (bench/endpointing).
GUESSED_LOGPROB = -0.8
GUESSED_MS = 860  # a pause of 0.8 s, and the time in which its end is noticed
HEAR_AGAIN_MS = 400  # a word that was heard as it faded is surer with the silence behind it
INTERRUPTING_MS = 500  # "no, ...", "sorry, ...": who takes the floor has more to say than that
GUESSED = "guessed word"
_LOGIT_LIMIT = 8.0


Curve = tuple[tuple[float, float], ...]


class Expects(Enum):
    """What the agent's last sentence asks for."""

    ANYTHING = "anything"
    YES_NO = "yes_no"
    DICTATION = "dictation"  # a number, a code, a spelling


@dataclass(frozen=True)
class Heard:
    """What is known of the caller's turn at this point of a silence.

    `acoustic` and `completeness` are probabilities that the turn is over; None where not known (yet).
    `transcript` is None until the words are known, "" where the recognizer heard none.
    """

    silence_ms: float
    speech_ms: float = 1000.0
    acoustic: float | None = None
    completeness: float | None = None
    transcript: str | None = None
    word_logprob: float = 0.0  # how sure the recognizer is of the last word
    language: str = "en"
    expects: Expects = Expects.ANYTHING
    interrupts: bool = False  # it was begun over the agent


@dataclass(frozen=True)
class Verdict:
    wait_ms: float  # silence in all, from the end of speech, after which to answer
    remaining_ms: float  # of it, from now; 0 is "now"
    probability: float  # that the caller is done
    reason: str
    hear_again_ms: float | None = None  # in that much silence the words are surer: ask again with them

    @property
    def now(self) -> bool:
        return self.remaining_ms <= 0


@dataclass(frozen=True)
class Fit:
    """Logistic weights by the signals they need, and the curves from probability to wait.

    A curve's points are (probability, share of the span from the shortest to the longest wait).
    """

    weights: dict[str, dict[str, float]]
    curve: Curve
    plain_curve: Curve  # where the words' completeness isn't known

    @staticmethod
    def load() -> Fit:
        """The fit that `bench/endpointing/fit.py` wrote."""
        raw = json.loads(files("agent.turn").joinpath("endpointing.json").read_text())
        curve, plain = (
            tuple((float(p), float(share)) for p, share in raw[name]) for name in ("curve", "plain_curve")
        )
        return Fit(raw["weights"], curve, plain)


def features(heard: Heard) -> dict[str, float]:
    """The signals that are there, as the logistic model takes them."""
    found: dict[str, float] = {}
    if heard.acoustic is not None:
        found["acoustic"] = _logit(heard.acoustic)
    if heard.transcript:
        lex = lexicon(heard.language)
        said = words.split(heard.transcript)
        if heard.completeness is not None and lex.completes:
            found["completeness"] = _logit(heard.completeness)
        ending = heard.transcript.rstrip()
        found["hangs"] = float(words.hangs(said, lex) or ending.endswith(("-", "—", "...", "…")))
        found["leans"] = float(words.leans(said, lex))
        found["asks"] = float(ending.endswith("?"))
        found["stops"] = float(ending.endswith((".", "!")) and not ending.endswith("..."))
        found["opens"] = float(bool(said) and said[0] in lex.openers and "," not in ending.rstrip(","))
        found["short"] = float(len(said) <= 2)
    return found


class Endpointer:
    """Decides how long to wait; holds nothing but its fit and its limits."""

    def __init__(self, *, min_silence_ms: float, max_silence_ms: float, fit: Fit | None = None) -> None:
        self._shortest = min_silence_ms
        self._longest = max(min_silence_ms, max_silence_ms)
        self._fit = fit or Fit.load()

    def decide(self, heard: Heard) -> Verdict:
        """How long to wait, with what is known now; ask again when more is."""
        probability = self.probability(heard)
        wait, reason = self._wait(heard, probability)
        if heard.interrupts and heard.expects is Expects.ANYTHING:
            wait = max(wait, self._at_least(INTERRUPTING_MS))
        again = HEAR_AGAIN_MS if reason == GUESSED and heard.silence_ms < HEAR_AGAIN_MS else None
        return Verdict(wait, max(0.0, wait - heard.silence_ms), probability, reason, again)

    def probability(self, heard: Heard) -> float:
        """That the caller is done, from the signals that are there; 0.5 where there are none."""
        found = features(heard)
        weights = self._fit.weights.get(_known(found))
        if weights is None:
            return 0.5
        return _sigmoid(
            weights["bias"] + sum(weights.get(name, 0.0) * value for name, value in found.items())
        )

    def _wait(self, heard: Heard, probability: float) -> tuple[float, str]:
        lex = lexicon(heard.language)
        said = words.split(heard.transcript or "")
        if words.asks_for_time(said, lex):
            return max(MORE_TIME_MS, self._longest), "asks for time"
        if words.hangs(said, lex):
            return self._longest, "mid-sentence"
        dictation = self._dictation(heard, lex)
        if dictation is not None:
            return dictation, "dictates"
        if words.is_answer(said, lex):
            return self._at_least(COMMA_MS if len(said) == 1 else 0), "short answer"
        curve = self._fit.curve if "completeness" in features(heard) else self._fit.plain_curve
        wait = self._on_curve(curve, probability)
        if heard.word_logprob < GUESSED_LOGPROB:
            return max(wait, self._at_least(GUESSED_MS)), GUESSED
        return wait, "model"

    def _at_least(self, wait_ms: float) -> float:
        return min(max(wait_ms, self._shortest), self._longest)

    def _dictation(self, heard: Heard, lex: Lexicon) -> float | None:
        """The wait inside a number or a spelling; None where there is none."""
        announced = heard.expects is Expects.DICTATION
        count = words.dictated(heard.transcript or "", lex, announced=announced)
        if not count:
            return None
        if count < DICTATION_DIGITS:
            return self._longest
        return (self._shortest + self._longest) / 2

    def _on_curve(self, curve: Curve, probability: float) -> float:
        share = curve[-1][1]
        for (low, low_share), (high, high_share) in pairwise(curve):
            if probability <= high:
                within = (probability - low) / (high - low) if high > low else 1.0
                share = low_share + (high_share - low_share) * max(0.0, within)
                break
        return self._shortest + share * (self._longest - self._shortest)


def expects(agent_said: str, language: str) -> Expects:
    """What the agent's last sentence asks for."""
    sentences = [part for part in agent_said.replace("!", ".").split(".") if part.strip()]
    last = sentences[-1].strip() if sentences else ""
    if not last.endswith("?"):
        return Expects.ANYTHING
    lex = lexicon(language)
    said = words.split(last.rsplit("?", 2)[-2])
    if any(word in lex.dictates for word in said):
        return Expects.DICTATION
    if said and said[0] in lex.yes_no_openers:
        return Expects.YES_NO
    return Expects.ANYTHING


def _known(found: dict[str, float]) -> str:
    """Which of the fits applies: the one that needs just the signals that are there."""
    parts: list[str] = [name for name in ("acoustic", "completeness") if name in found]
    if "hangs" in found:
        parts.append("words")
    return "+".join(parts)


def _logit(probability: float) -> float:
    floor = 1 / (1 + math.exp(_LOGIT_LIMIT))
    held = min(max(probability, floor), 1 - floor)
    return math.log(held / (1 - held))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
