"""When each word of a text is spoken, from when each phoneme is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

from models.reading.reader import Reading

Timed = tuple[str, int]  # a phoneme and how long it lasts

_NEAR = 2  # phonemes between where a word should end and the break at which it does


def spoken_words(text: str) -> list[str]:
    """The words of what is said. What isn't spoken (a dash) goes with the word before it."""
    words: list[str] = []
    unspoken = ""
    for token in text.split():
        if any(character.isalnum() for character in token):
            words.append(f"{unspoken} {token}".strip())
            unspoken = ""
        elif words:
            words[-1] += f" {token}"
        else:
            unspoken = f"{unspoken} {token}".strip()
    return words or ([unspoken] if unspoken else [])


def reading_ends(
    readings: Sequence[Reading], phonemes: Sequence[Timed], phonemes_in: Callable[[str], int]
) -> list[int]:
    """Where what is said for each reading ends: an amount only with the last of its words."""
    words = [spoken_words(reading.spoken) for reading in readings]
    counts = accumulate(len(each) for each in words)
    ends = word_ends([word for each in words for word in each], phonemes, phonemes_in)
    return [ends[count - 1] if count else 0 for count in counts]


def word_ends(
    words: Sequence[str], phonemes: Sequence[Timed], phonemes_in: Callable[[str], int]
) -> list[int]:
    """Where each word ends, in the unit of the phonemes' durations.

    `phonemes` are in spoken order; " " separates their words. Short words are run together into one, and
    some are several: then `phonemes_in`, the number of phonemes that a word has by itself, tells where to
    look for its end.
    """
    if not words or not phonemes:
        return [0] * len(words)
    times = list(accumulate(duration for _, duration in phonemes))
    breaks = [i for i, (phoneme, _) in enumerate(phonemes) if phoneme == " " and _parts_words(phonemes, i)]
    if len(breaks) + 1 == len(words):
        inner = [times[i] for i in breaks]
    else:
        inner = _estimated(words, phonemes, times, breaks, phonemes_in)
    return [*inner, times[-1]]


def _estimated(
    words: Sequence[str],
    phonemes: Sequence[Timed],
    times: list[int],
    breaks: list[int],
    phonemes_in: Callable[[str], int],
) -> list[int]:
    """Ends of all words but the last: their share of the phonemes, moved to the break that is meant."""
    lengths = [max(1, phonemes_in(word)) for word in words]
    scale = len(phonemes) / sum(lengths)
    places = [min(len(phonemes) - 1, round(share * scale)) for share in accumulate(lengths)][:-1]
    for at in breaks:
        nearest = min(range(len(places)), key=lambda i: abs(places[i] - at), default=None)
        if nearest is not None and abs(places[nearest] - at) <= _NEAR:
            places[nearest] = at
    return list(accumulate((times[at] for at in places), max))


def _parts_words(phonemes: Sequence[Timed], at: int) -> bool:
    return 0 < at < len(phonemes) - 1 and phonemes[at - 1][0] != " "
