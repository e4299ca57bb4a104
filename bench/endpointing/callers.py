"""Sentences as callers speak them: synthesized whole, and recorded from people, with the end of each word."""

from __future__ import annotations

import wave
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.endpointing.voices import RATE_HZ, Kokoro, Samples, Spoken, integers, quietest, telephone, trimmed
from bench.sentences import Aligner, Word, split
from config.settings import Settings
from models.catalog import Catalog
from models.piper import Voice

Integers = NDArray[np.int16]
HERE = Path(__file__).parent
LANGUAGES = {"en": "en-us", "fr": "fr", "es": "es", "it": "it", "pt": "pt-br"}  # by espeak-ng's names
FILLERS = {"en": ("um", "uh"), "fr": ("euh",), "es": ("eh",), "it": ("ehm",), "pt": ("hum",)}
FILLED = 0.25  # of the sentences that are spoken with a break have a filler before it
READINGS = 2  # by voices of Kokoro
PIPER = "en_US-joe-medium"
PAUSE_S = 0.15  # within a sentence: more than a plosive makes
QUIET = 0.08  # of the voice's level
PREROLL_S = 0.3
SILENCE_S = (0.04, 0.3)  # behind a cut when it is judged
LONGEST_S = 8.0
SHORTEST_S = 0.25
BY_PIPER = 5  # every so many sentences once more


@dataclass(frozen=True)
class Sentence:
    number: int
    language: str
    kind: str
    groups: tuple[str, ...]  # of words, between the places where callers hesitate
    agent: str  # what is answered; "" for the greeting


Heard = tuple[str, list[Word]]  # the language, and what was said


@dataclass(frozen=True)
class Recording:
    sentence: Sentence
    voice: str
    words: tuple[str, ...]
    spoken: Spoken
    breaks: frozenset[int]  # the words behind which a caller hesitates: 1 is behind the first
    reading: int  # the same sentence was spoken before so many times


def sentences(language: str) -> Iterator[Sentence]:
    """Those of `sentences.txt`, or of `sentences.fr.txt` and the like."""
    name = "sentences.txt" if language == "en" else f"sentences.{language}.txt"
    lines = (HERE / name).read_text().splitlines()
    for number, line in enumerate(line for line in lines if line and not line.startswith("#")):
        kind, text, *agent = line.split("\t")
        groups = tuple(" ".join(group.split()) for group in text.split("|"))
        yield Sentence(number, language, kind, groups, *agent or ("",))


def synthesized(language: str, styles: Path, folder: Path) -> Iterator[Recording]:
    """Each sentence by voices of Kokoro, whose `styles` are npm's kokoro-js's, and some by Piper's.

    The second time a comma, or a filler and a comma, stands at one of the places where callers hesitate.
    What is made is kept in `folder`.
    """
    rng = np.random.default_rng(7)
    kokoro = Kokoro(styles)
    own = kokoro.voices({"en": "ab"}.get(language, language[0]))
    voices = own if language == "en" else own * 3 + kokoro.voices("ab")  # English ones have an accent
    piper = Voice(PIPER, Catalog(Settings().cache_dir).voice(PIPER), threads=1)
    for sentence in sentences(language):
        chosen = rng.permutation(voices)[:READINGS]
        by_piper = language == "en" and sentence.number % BY_PIPER == 0
        for reading in range(READINGS + by_piper):
            groups = _broken(sentence, rng) if reading == 1 else list(sentence.groups)
            voice = PIPER if reading == READINGS else str(chosen[reading])
            pace = float(rng.uniform(0.85, 1.2))
            kept = folder / f"{language}-{sentence.number}-{reading}.npz"
            if kept.is_file():
                with np.load(kept) as file:
                    spoken = Spoken(file["samples"], tuple(int(end) for end in file["ends"]))
            else:
                text = " ".join(groups)
                if voice == PIPER:
                    spoken = _by_piper(piper, text)
                else:
                    spoken = kokoro.speak(text, voice, pace, LANGUAGES[language])
                np.savez(kept, samples=spoken.samples, ends=np.array(spoken.ends, np.int64))
            counts = np.cumsum([len(group.split()) for group in groups])
            breaks = frozenset(int(count) for count in counts[:-1])
            words = tuple(" ".join(groups).split())
            yield Recording(sentence, voice, words, spoken, breaks, reading)


def _by_piper(voice: Voice, text: str) -> Spoken:
    speech = voice.synthesize(text)
    samples = trimmed(_floats(speech.pcm))
    ends = [min(word.end, len(samples)) for word in speech.words]
    known = [word.text for word in speech.words] == text.split()
    return Spoken(samples, tuple(ends) if known else ())


def _broken(sentence: Sentence, rng: np.random.Generator) -> list[str]:
    groups = list(sentence.groups)
    if len(groups) < 2:
        return groups
    at = int(rng.integers(0, len(groups) - 1))
    filled = rng.random() < FILLED
    if filled:
        groups[at] += f" {rng.choice(FILLERS[sentence.language])}"
    groups[at] = groups[at].rstrip(",") + ","
    return groups


def recorded(folder: Path, heard: Mapping[str, Heard]) -> Iterator[Recording]:
    """Each sentence of the recordings of people in `folder`, by the words that Whisper `heard` in them."""
    number = 0
    for path in sorted(folder.glob("*.wav")):
        if path.stem not in heard:
            continue
        language, words = heard[path.stem]
        samples = wav(path)
        at = 0
        for part in split(words, fewest=2):  # "Hello?" is part of what follows
            last = int(part[-1].end_s * RATE_HZ)
            after = at + len(part)
            following = words[after].start_s if after < len(words) else len(samples) / RATE_HZ
            begin = max(0, int((part[0].start_s - 0.1) * RATE_HZ))
            sound = trimmed(samples[begin : min(int(following * RATE_HZ), last + RATE_HZ // 2)])
            ends = quietest(sound, [int(word.end_s * RATE_HZ) - begin for word in part])
            texts = tuple(word.text for word in part)
            sentence = Sentence(number, language, "person", (" ".join(texts),), "")
            yield Recording(sentence, path.stem, texts, Spoken(sound, tuple(ends)), frozenset(), 0)
            number += 1
            at = after


def listen(folder: Path, whisper: Path) -> dict[str, Heard]:
    """The language and the words of each recording, by the weights in `whisper`."""
    aligner = Aligner(whisper)
    return {path.stem: aligner.words(32768 * wav(path)) for path in sorted(folder.glob("*.wav"))}


def wav(path: Path) -> Samples:
    """Mono, 16 bit, at 16 kHz; -1..1."""
    with wave.open(str(path)) as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, RATE_HZ):
            raise ValueError(f"{path} isn't mono, 16 bit, 16 kHz.")
        return _floats(file.readframes(file.getnframes()))


def _floats(pcm: bytes) -> Samples:
    return np.asarray(np.frombuffer(pcm, "<i2") / 32768, np.float32)


@dataclass(frozen=True)
class Cut:
    """A caller who has paused: `samples` end in silence, and `done` says whether it was all."""

    recording: Recording
    place: str
    words: int  # so many were said
    samples: Integers

    @property
    def done(self) -> bool:
        return self.place == "end"

    @property
    def said(self) -> str:
        return " ".join(self.recording.words[: self.words])


def cuts(recording: Recording, *, everywhere: bool = False) -> Iterator[Cut]:
    """The end, the places where callers hesitate, and another word or, `everywhere`, all others.

    "pause" is a place where this one did pause, "gap" the longest of a sentence without, "hesitation" one
    where callers do.
    """
    rng = np.random.default_rng([recording.sentence.number, recording.reading])
    spoken = recording.spoken
    last = len(recording.words)
    yield Cut(recording, "end", last, on_the_telephone(spoken.samples, rng))
    gaps = [_gap_s(spoken.samples, end) for end in spoken.ends[:-1]]
    longest = int(np.argmax(gaps)) + 1 if gaps else 0
    others = [at for at in range(2, last) if at not in recording.breaks and at != longest]
    some = set(others if everywhere else rng.permutation(others)[:1].tolist())
    for at, end in enumerate(spoken.ends[:-1], 1):
        if gaps[at - 1] >= PAUSE_S:
            place = "pause"
        elif at == longest:
            place = "gap"
        elif at in recording.breaks:
            place = "hesitation"
        elif at in some:
            place = "word"
        else:
            continue
        sound = trimmed(spoken.samples[:end]) if gaps[at - 1] >= PAUSE_S else faded(spoken.samples[:end])
        if len(sound) >= SHORTEST_S * RATE_HZ:
            yield Cut(recording, place, at, on_the_telephone(sound, rng))


def _gap_s(samples: Samples, end: int) -> float:
    """How long it is silent about a place."""
    levels = np.sqrt(np.convolve(samples**2, np.ones(160) / 160, "same"))[::80]
    quiet = levels < QUIET * np.quantile(levels, 0.95)
    at = min(end // 80, len(quiet) - 1)
    near = range(max(0, at - 12), min(len(quiet), at + 12))
    at = min((one for one in near if quiet[one]), key=lambda one: abs(one - at), default=-1)
    if at < 0:
        return 0.0
    low = high = at
    while low > 0 and quiet[low - 1]:
        low -= 1
    while high < len(quiet) and quiet[high]:
        high += 1
    return (high - low) * 80 / RATE_HZ


def on_the_telephone(sound: Samples, rng: np.random.Generator) -> Integers:
    """A caller's last words as the agent has them: preroll, words, and what silence is there by then."""
    before = np.zeros(int(PREROLL_S * RATE_HZ), np.float32)
    after = np.zeros(int(rng.uniform(*SILENCE_S) * RATE_HZ), np.float32)
    line = np.concatenate((before, sound[-int(LONGEST_S * RATE_HZ) :], after))
    level = {"peak_db": float(rng.choice([-4, -12, -24])), "snr_db": float(rng.choice([20, 30, 45]))}
    return integers(telephone(line, rng, **level))


def faded(samples: Samples) -> Samples:
    samples = samples.copy()
    samples[-320:] *= np.linspace(1, 0, 320, dtype=np.float32)[-len(samples) :]
    return samples
