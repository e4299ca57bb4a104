"""Is the caller done? How long to wait in silence before answering.

Three signals, each of which may be late or absent: how finished the voice sounds (the recognizer's encoder
tells), how complete the words are (the probability, under a language model, that the turn ends here),
and which words stand last. A logistic model, fitted on `bench/endpointing`, makes one probability of those
that are there, and what this caller's pauses have taught moves it (`patience`). It is one of three waits:
`turn.sure_silence_ms` after what is surely whole, `turn.hanging_silence_ms` after what surely isn't,
`turn.unsure_silence_ms` after anything between. Rules stand only where the data can't: dictated numbers, a
caller who asks for time, one-word answers, goodbyes, a last word that the recognizer guessed, who
interrupts, a line that sounds on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.resources import files

from agent.turn import words
from agent.turn.lexicon import lexicon
from agent.turn.patience import Patience, Stretched
from config.turn import TurnSettings

MORE_TIME_MS = 6000  # after "hold on": long enough to find a card, short enough not to seem dead
DICTATION_DIGITS = 9  # shorter than a telephone number: more is to come
GOES_ON = 0.25  # "thank you and ...": by how the voice sounds
COMMA_MS = 400  # "yes, please": a voice rests this long at a comma
# Where a sentence breaks off, Whisper makes up an end for it. A third of the last words that it so gets wrong
# are less sure than this, and one in forty of those that it gets right at an end (bench/endpointing).
GUESSED_LOGPROB = -0.8
# The first look at a pause may have been taken as the voice fell, and lack a last consonant. With the silence
# behind it the end is there: words are surer, and who was done sounds so.
HEAR_AGAIN_MS = 200
INTERRUPTING_MS = 500  # "no, ...", "sorry, ...": who takes the floor has more to say than that
GOODBYE_MS = 700  # there is no way back from it, and "how ..." may sound like "bye"
_LOGIT_LIMIT = 8.0


class Expects(Enum):
    """What the agent's last sentence asks for."""

    ANYTHING = "anything"
    YES_NO = "yes_no"
    DICTATION = "dictation"  # a number, a code, a spelling


@dataclass(frozen=True)
class Heard:
    """What is known of the caller's turn at this point of a silence.

    `finished` and `completeness` are probabilities that the turn is over; None where not known (yet).
    `transcript` is None until the words are known, "" where the recognizer heard none.
    """

    silence_ms: float
    finished: float | None = None  # by how the voice sounds: `Transcript.finished`
    completeness: float | None = None  # by the words
    transcript: str | None = None
    word_logprob: float = 0.0  # how sure the recognizer is of the last word
    language: str = "en"
    expects: Expects = Expects.ANYTHING
    interrupts: bool = False  # it was begun over the agent


@dataclass(frozen=True)
class Verdict:
    """How long to wait, and why: `reason` names the rule or the class, `patience` what changed that wait."""

    wait_ms: float  # silence in all, from the end of speech, after which to answer
    remaining_ms: float  # of it, from now; 0 is "now"
    probability: float  # that the caller is done
    reason: str
    sure: bool  # no longer than after what is surely whole: the answer may be begun while they still speak
    loud_ms: float  # the wait where the line sounds on, though with no voice
    patience: str = ""

    @property
    def told(self) -> dict[str, float | str]:
        """For whoever wonders why the wait was so long."""
        patience = {"patience": self.patience} if self.patience else {}
        rounded = {"wait_ms": round(self.wait_ms), "probability": round(self.probability, 3)}
        return {**rounded, "reason": self.reason, **patience}

    @property
    def hear_again_ms(self) -> float | None:
        """With so much silence behind them the words are to be heard again; None where that is needless."""
        return None if self.sure else HEAR_AGAIN_MS

    @property
    def now(self) -> bool:
        return self.remaining_ms <= 0

    def over(self, silence_ms: float, *, sounds: bool) -> bool:
        """Whether the turn is over after so much silence; `sounds`: the line isn't quiet."""
        return silence_ms >= (max(self.wait_ms, self.loud_ms) if sounds else self.wait_ms)


@dataclass(frozen=True)
class Fit:
    """Logistic weights by the signals they need, and the probabilities between which the waits lie.

    From `sure` on what was said is surely whole, below `hanging` surely not.
    """

    weights: dict[str, dict[str, float]]
    sure: dict[str, float]
    hanging: dict[str, float]

    @staticmethod
    @cache
    def load() -> Fit:
        """The fit that `bench/endpointing/fit.py` wrote."""
        raw = json.loads(files("agent.turn").joinpath("endpointing.json").read_text())
        return Fit(raw["weights"], raw["sure"], raw["hanging"])


def features(heard: Heard) -> dict[str, float]:
    """The signals that are there, as the logistic model takes them."""
    found: dict[str, float] = {}
    if heard.finished is not None:
        found["finished"] = _logit(heard.finished)
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
    """Decides how long to wait; holds nothing but its fit and its settings.

    Made anew for a persona that answers from now on: `turn` is what holds for it, and each of `goodbyes`,
    its `goodbye_words`, ends the call.
    """

    def __init__(self, turn: TurnSettings, *, goodbyes: Collection[str] = (), fit: Fit | None = None) -> None:
        self._turn = turn
        self._goodbyes = tuple(goodbyes)
        self._fit = fit or Fit.load()

    @property
    def longest_ms(self) -> float:
        """The wait for who is in the middle of a sentence. Who comes back later had asked for time."""
        return self._turn.hanging_silence_ms

    def says_goodbye(self, text: str) -> bool:
        return words.is_one_of(text, self._goodbyes)

    def decide(self, heard: Heard, patience: Patience | None = None) -> Verdict:
        """How long to wait, with what is known now; ask again when more is."""
        probability = self.probability(heard, patience)
        wait, reason = self._wait(heard, probability)
        stretched = patience.stretch(wait, self._turn.sure_silence_ms) if patience else Stretched(wait, "")
        wait = stretched.wait_ms
        if heard.interrupts and heard.expects is Expects.ANYTHING:
            wait = max(wait, INTERRUPTING_MS)
        if self.says_goodbye(heard.transcript or ""):
            wait = max(wait, GOODBYE_MS)
        return Verdict(
            wait_ms=wait,
            remaining_ms=max(0.0, wait - heard.silence_ms),
            probability=probability,
            reason=reason,
            sure=wait <= self._turn.sure_silence_ms,
            loud_ms=self.longest_ms,
            patience=stretched.reason,
        )

    def probability(self, heard: Heard, patience: Patience | None = None) -> float:
        """That the caller is done, from the signals that are there; 0.5 where there are none."""
        found = features(heard)
        weights = self._fit.weights.get(_known(found))
        if weights is None:
            return 0.5
        score = weights["bias"] + sum(weights.get(name, 0.0) * value for name, value in found.items())
        return _sigmoid(score - (patience.doubt if patience else 0.0))

    def _wait(self, heard: Heard, probability: float) -> tuple[float, str]:
        turn, lex = self._turn, lexicon(heard.language)
        said = words.split(heard.transcript or "")
        if words.asks_for_time(said, lex):
            return max(MORE_TIME_MS, turn.hanging_silence_ms), "asks for time"
        if words.hangs(said, lex):
            return turn.hanging_silence_ms, "mid-sentence"
        count = words.dictated(heard.transcript or "", lex, announced=heard.expects is Expects.DICTATION)
        if count:
            short = count < DICTATION_DIGITS
            return turn.hanging_silence_ms if short else turn.unsure_silence_ms, "dictates"
        if words.is_answer(said, lex):
            asked = heard.expects is Expects.YES_NO
            if heard.finished is not None and heard.finished < GOES_ON and not asked:
                return turn.unsure_silence_ms, "unsure"
            return max(turn.sure_silence_ms, COMMA_MS if len(said) == 1 else 0), "short answer"
        known = _known(features(heard))
        guessed = heard.word_logprob < GUESSED_LOGPROB
        if probability >= self._fit.sure.get(known, 1.0) and not (guessed and heard.finished is None):
            return turn.sure_silence_ms, "sure"
        if guessed:
            return turn.unsure_silence_ms, "guessed word"
        if probability < self._fit.hanging.get(known, 0.0):
            return turn.hanging_silence_ms, "hanging"
        return turn.unsure_silence_ms, "unsure"


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
    parts: list[str] = [name for name in ("finished", "completeness") if name in found]
    if "hangs" in found:
        parts.append("words")
    return "+".join(parts)


def _logit(probability: float) -> float:
    floor = 1 / (1 + math.exp(_LOGIT_LIMIT))
    held = min(max(probability, floor), 1 - floor)
    return math.log(held / (1 - held))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
