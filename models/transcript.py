"""What was heard of an utterance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Languages:
    """How probable each language is, by its code, of so many seconds that are louder than the pauses."""

    probabilities: Mapping[str, float]
    audible_s: float


LanguageChoice = Callable[[Languages], str]
"""Says in which language to write down what was heard."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was heard; `text` is empty for silence and noise.

    The log probabilities are those of all tokens, on average, and of the last word; the former is None where
    a server doesn't tell it. `languages` is
    what `language` was chosen by; None where it was given. `finished` is the probability that who sounds
    like this has said it all, `sings` that they sing; None where no weights were fitted for the model.
    `network_ms` is what a server's answer took besides its work, where it tells that.
    """

    text: str
    language: str
    avg_logprob: float | None
    no_speech_prob: float
    decode_ms: float
    word_logprob: float = 0.0
    languages: Languages | None = None
    finished: float | None = None
    sings: float | None = None
    network_ms: float = 0.0


def joined(parts: Sequence[Transcript]) -> Transcript:
    """One of an utterance that was heard in parts."""
    said = [part for part in parts if part.text] or parts[:1]
    return replace(
        said[0],
        text=" ".join(part.text for part in said),
        avg_logprob=min((part.avg_logprob for part in said if part.avg_logprob is not None), default=None),
        no_speech_prob=min(part.no_speech_prob for part in said),
        word_logprob=said[-1].word_logprob,
        finished=said[-1].finished,
        sings=min((part.sings for part in said if part.sings is not None), default=None),
    )


def likeliest(languages: Languages) -> str:
    return max(languages.probabilities, key=languages.probabilities.__getitem__)
