"""Callers who pause: people and synthesized voices, who say a sentence in one go, with a silence put in."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soxr

from bench import texts
from bench.material import (
    MaterialError,
    Sound,
    Speaker,
    leveled,
    loud,
    read_wav,
    recordings_folder,
    telephone_band,
    write_wav,
)
from bench.seen import Seen
from bench.sentences import RATE_HZ, Aligner, Audio, Sentence, Word, boundaries, paused, split
from models.errors import WeightsError

ALIGNING = "base"  # tells which language a recording is in, as tiny.en doesn't
ALIGNED_HZ = 16_000
LENGTHS_S = (0.5, 0.8, 1.2, 1.6)
SPREAD_S = 0.1  # by which a pause may be longer or shorter
NEAR_S = 0.3  # a pause that begins so near to where one was put in is that one
FEWEST_WORDS = 4
LONGEST_S = 12.0

Place = Literal["gap", "word"]
"""The longest gap of its sentence, or the end of another word."""


@dataclass(frozen=True, slots=True)
class PutIn:
    """A pause of about `around_s`, `at_s` into the recording, behind so many words.

    `longer_s` is by how much it made the recording longer.
    """

    around_s: float
    at_s: float
    place: Place
    words: int
    longer_s: float


@dataclass(frozen=True, slots=True)
class Hesitation:
    """`put_in` is None where the sentence is as it was said."""

    sound: Sound
    sentence: Sentence
    put_in: PutIn | None = None

    def is_put_in(self, at_s: float) -> bool:
        """Whether a pause that begins there is the one that was put in."""
        return self.put_in is not None and abs(at_s - self.put_in.at_s) < NEAR_S

    def words_before(self, at_s: float) -> int:
        """How many words are said before a pause that begins there."""
        if self.put_in is not None:
            if self.is_put_in(at_s):
                return self.put_in.words
            if at_s > self.put_in.at_s:
                at_s -= self.put_in.longer_s
        return sum((word.start_s + word.end_s) / 2 < at_s for word in self.sentence.words)


class Strangers:
    """Makes them in `folder`, the same ones for everybody. What is drawn repeats from `seed`."""

    def __init__(self, folder: Path, speaker: Speaker, seen: Seen, seed: int) -> None:
        self.seed = seed
        self._folder = folder
        self._speaker = speaker
        self._seen = seen
        self._aligner: Aligner | None = None
        self._made: dict[tuple[int, ...], list[Hesitation]] = {}
        self._written = 0

    async def hesitations(self, count: int) -> list[Hesitation]:
        """For each length of a pause `count`, every second one at the longest gap; and `count` without.

        Raises MaterialError without the weights that find the ends of words, as `one_caller` does.
        """
        if (count,) not in self._made:
            rng = np.random.default_rng(self.seed)
            voices = itertools.cycle(self._speaker.voices)
            spoken = [
                await self._synthesized(text, voice)
                for text, voice in zip(texts.HESITANT, voices, strict=False)
            ]
            sentences = [one for one in [*await self._recorded(), *spoken] if len(boundaries(one)) > 1]
            turns = itertools.cycle([sentences[place] for place in rng.permutation(len(sentences))])
            found = [
                Hesitation(self._sound(one, one.audio, f"{one.voice}: {one.text}"), one)
                for one in itertools.islice(turns, count)
            ]
            for around_s in LENGTHS_S:
                places: Iterable[Place] = itertools.islice(itertools.cycle(("gap", "word")), count)
                found += [self._paused(next(turns), around_s, place, rng) for place in places]
            self._made[count,] = [found[place] for place in rng.permutation(len(found))]
        return self._made[count,]

    async def one_caller(self, caller: int, count: int, around_s: float) -> list[Hesitation]:
        """What the `caller`-th says, each time with a pause at the longest gap."""
        if (caller, count) not in self._made:
            rng = np.random.default_rng((self.seed, caller))
            voice = self._speaker.voices[caller % len(self._speaker.voices)]
            said = [str(text) for text in rng.permutation(texts.HESITANT)[:count]]
            sentences = [await self._synthesized(text, voice) for text in said]
            self._made[caller, count] = [
                self._paused(one, around_s, "gap", rng) for one in sentences if boundaries(one)
            ]
        return self._made[caller, count]

    def _paused(
        self, sentence: Sentence, around_s: float, place: Place, rng: np.random.Generator
    ) -> Hesitation:
        longest, *others = boundaries(sentence)
        where = longest if place == "gap" else others[rng.integers(len(others))]
        length_s = float(rng.uniform(around_s - SPREAD_S, around_s + SPREAD_S))
        audio = paused(sentence, where, length_s)
        longer_s = (len(audio) - len(sentence.audio)) / RATE_HZ
        written = sentence.text.split()
        label = f"{' '.join(written[: where.words])} | {' '.join(written[where.words :])}"
        put_in = PutIn(around_s, where.begin / RATE_HZ, place, where.words, longer_s)
        sound = self._sound(sentence, audio, f"{length_s:.2f} s · {sentence.voice}: {label}")
        return Hesitation(sound, sentence, put_in)

    def _sound(self, sentence: Sentence, audio: Audio, label: str) -> Sound:
        path = self._folder / f"stranger-{self._written:04d}.wav"
        self._written += 1
        write_wav(path, audio)
        stranger = not self._seen.knows(sentence.voice, sentence.text)
        return Sound(path, label, "hesitation", sentence.text, stranger)

    async def _synthesized(self, text: str, voice: str) -> Sentence:
        audio = await self._speaker.say(text, voice)
        wide = np.asarray(soxr.resample(audio, RATE_HZ, ALIGNED_HZ), np.float32)
        _, heard = await self._aligned(wide, "en")
        written = text.split()
        if len(written) == len(heard):  # else some are misheard, and who knows which
            heard = [Word(word, one.start_s, one.end_s) for word, one in zip(written, heard, strict=True)]
        return Sentence(audio, tuple(heard), voice)

    async def _recorded(self) -> list[Sentence]:
        """The English sentences of the recordings of people, if there are any."""
        folder = recordings_folder()
        found: list[Sentence] = []
        for path in sorted(folder.glob("*.wav")) if folder else ():
            audio, rate_hz = read_wav(path)
            wide = np.asarray(soxr.resample(audio, rate_hz, ALIGNED_HZ), np.float32)
            language, words = await self._aligned(wide)
            if language == "en":
                found += list(_excerpts(wide, words, path.stem))
        return found

    async def _aligned(self, audio: Audio, language: str | None = None) -> tuple[str, list[Word]]:
        if self._aligner is None:
            try:
                weights = self._speaker.catalog.whisper(ALIGNING)
            except WeightsError as error:
                raise MaterialError(f"The ends of words can't be found: {error}") from error
            self._aligner = await asyncio.to_thread(Aligner, weights)
        return await asyncio.to_thread(self._aligner.words, audio, language)


def _excerpts(audio: Audio, words: list[Word], voice: str) -> Iterator[Sentence]:
    """The sentences of a recording at 16 kHz that are neither a few words nor a speech."""
    at = 0
    for part in split(words):
        at += len(part)
        following_s = words[at].start_s if at < len(words) else len(audio) / ALIGNED_HZ
        begin = max(0, int((part[0].start_s - 0.1) * ALIGNED_HZ))
        end = int(min(following_s, part[-1].end_s + 0.5) * ALIGNED_HZ)
        narrow = telephone_band(audio[begin:end], ALIGNED_HZ)
        inside = loud(narrow)
        offset_s = begin / ALIGNED_HZ + inside.start / RATE_HZ
        sound = leveled(narrow[inside])
        if len(part) >= FEWEST_WORDS and len(sound) <= LONGEST_S * RATE_HZ:
            moved = (Word(one.text, one.start_s - offset_s, one.end_s - offset_s) for one in part)
            yield Sentence(sound, tuple(moved), voice)
