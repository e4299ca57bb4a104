"""Synthesized callers: speech with the time at which each word ends, as a telephone wire carries it."""

from __future__ import annotations

import ctypes
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray
from piper import PiperVoice, SynthesisConfig

from bench.caller import g711
from config.settings import Settings
from models.catalog import Catalog
from models.kokoro_graph import FRAME_SAMPLES, halves
from models.kokoro_graph import RATE_HZ as KOKORO_HZ
from models.onnx_session import session
from models.piper import phonemize
from models.word_times import spoken_words, word_ends

Samples = NDArray[np.float32]
RATE_HZ = 16_000


@dataclass(frozen=True)
class Spoken:
    samples: Samples  # 16 kHz, -1..1
    ends: tuple[int, ...]  # one a word of the text; empty where the words couldn't be told apart


class Piper:
    """The bundled voice, patched to tell how long each phoneme lasts."""

    def __init__(self) -> None:
        path = Catalog(Settings().cache_dir).voice("en_US-joe-medium")
        self._voice = PiperVoice.load(str(path), include_alignments=True)

    def speak(self, text: str, pace: float, pitch: float) -> Spoken:
        """Pitch is shifted by resampling, which makes another speaker of it, roughly."""
        config = SynthesisConfig(length_scale=pitch / pace)
        parts: list[Samples] = []
        ends: list[int] = []
        at = 0
        whole = True
        for chunk in self._voice.synthesize(text, config, include_alignments=True):
            alignments = chunk.phoneme_alignments
            whole = whole and alignments is not None
            position = at
            for item in alignments or ():
                if item.phoneme == " ":
                    ends.append(position)
                position += item.num_samples
            audio = chunk.audio_float_array.astype(np.float32)
            at += len(audio)
            ends.append(at)
            parts.append(audio)
        rate = int(self._voice.config.sample_rate * pitch)
        samples = soxr.resample(np.concatenate(parts), rate, RATE_HZ)
        known = whole and len(ends) == len(text.split())
        return Spoken(samples, tuple(int(end) * RATE_HZ // rate for end in ends) if known else ())


# Of Kokoro: what English it was taught, in its own signs, and what espeak-ng writes for it.
_SIGNS = {
    "aɪ": "I", "aʊ": "W", "dʒ": "ʤ", "eɪ": "A", "oʊ": "O", "tʃ": "ʧ", "ɔɪ": "Y", "əʊ": "Q", "ts": "ʦ",
    "dz": "ʣ", "ɜːɹ": "ɜɹ", "tɕ": "ʨ", "dʑ": "ʥ", "ç": "ç",
}  # fmt: skip
_SIGN = re.compile("|".join(sorted(_SIGNS, key=len, reverse=True)))
_ENGLISH_ONLY = frozenset("IWAOYQ")
NEAR_S = 0.06  # a word ends at the quietest place so near to where its phonemes do


class Kokoro:
    """Kokoro-82M, with any style and at any speed, each word's end told by how long its phonemes last."""

    def __init__(self, styles: Path) -> None:
        """`styles` is a folder of Kokoro's voices, such as that of npm's kokoro-js 1.2.1."""
        weights = Catalog(Settings().cache_dir).kokoro()
        if weights is None:
            raise SystemExit("kokoro-82m is not installed: run `make install`.")
        parts = halves(weights.read_bytes())
        self._front = session(parts.front, device="cpu", threads=1)
        self._whole = session(parts.whole, device="cpu", threads=1)
        self._names = (parts.features, parts.source)
        symbols = files("models") / "data" / "kokoro" / "symbols.json"
        self._symbols: dict[str, int] = json.loads(symbols.read_text())
        self._styles = {path.stem: path for path in sorted(styles.glob("*.bin"))}

    def voices(self, languages: str) -> list[str]:
        """The names that begin with one of these letters: a and b for English, e, f, i, p."""
        return [name for name in self._styles if name[0] in languages]

    def speak(self, text: str, voice: str, pace: float, language: str = "en-us") -> Spoken:
        style = np.fromfile(self._styles[voice], "<f4").reshape(-1, 1, 256)
        signs = self._signs(text, language)
        tokens = [self._symbols[sign] for sign in signs]
        row = style[min(len(tokens), len(style)) - 1]
        inputs = {"tokens": np.array([[0, *tokens, 0]]), "style": row, "speed": np.array([pace], np.float32)}
        features, source, pairs = (np.asarray(made) for made in self._front.run(None, inputs))
        made = self._whole.run(None, {self._names[0]: features, self._names[1]: source, "style": row})
        sound = np.asarray(made[0], np.float32).reshape(-1)
        lead, *lasting, _ = (2 * FRAME_SAMPLES * int(pair) for pair in pairs.reshape(-1))
        loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max())
        begin = min(lead, int(loud[0]))  # the sound is ahead of its tokens
        words = spoken_words(text)
        ends = word_ends(
            words, list(zip(signs, lasting, strict=True)), lambda word: len(self._signs(word, language)) + 1
        )
        at = [(begin + end) * RATE_HZ // KOKORO_HZ for end in ends]
        samples = np.asarray(soxr.resample(sound[begin : int(loud[-1]) + 1], KOKORO_HZ, RATE_HZ), np.float32)
        at = [end - begin * RATE_HZ // KOKORO_HZ for end in at]
        known = len(words) == len(text.split())
        return Spoken(samples, tuple(quietest(samples, at)) if known else ())

    def _signs(self, text: str, language: str) -> str:
        signs = " ".join("".join(sentence) for sentence in phonemize(text, language))
        together = _SIGN.sub(
            lambda found: (
                _SIGNS[found[0]]
                if language.startswith("en") or _SIGNS[found[0]] not in _ENGLISH_ONLY
                else found[0]
            ),
            signs,
        )
        return "".join(sign for sign in together if sign in self._symbols).strip()


def quietest(samples: Samples, ends: Sequence[int]) -> list[int]:
    """Each of `ends` moved to the quietest place near it."""
    loudness = np.convolve(samples**2, np.ones(160) / 160, "same")
    near = int(NEAR_S * RATE_HZ)
    moved = []
    for end in ends:
        low, high = max(0, min(end, len(samples) - 1) - near), min(len(samples), end + near)
        moved.append(low + int(np.argmin(loudness[low:high])) if high > low else len(samples))
    return [*moved[:-1], len(samples)] if moved else []


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_WORD_EVENT, _LIST_END = 1, 0
_RATE, _PITCH = 1, 3
_SYNCHRONOUS, _UTF8 = 2, 1
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Espeak:
    """espeak-ng through its library, whose events say where each word begins."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        self._rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, None, 0)
        self._parts: list[NDArray[np.int16]] = []
        self._begins: list[tuple[int, int]] = []  # (position in the text, sample)
        self._callback = _CALLBACK(self._take)  # kept: the library holds no reference
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, voice: str, pace: float, pitch: int) -> Spoken:
        self._parts, self._begins = [], []
        self._library.espeak_SetVoiceByName(voice.encode())
        self._library.espeak_SetParameter(_RATE, int(165 * pace), 0)
        self._library.espeak_SetParameter(_PITCH, pitch, 0)
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        audio = np.concatenate(self._parts).astype(np.float32) / 32768
        samples = soxr.resample(audio, self._rate, RATE_HZ)
        begins = dict(self._begins)
        ends: list[int] = []
        position = 1
        for word in text.split()[:-1]:
            position += len(word) + 1
            if position not in begins:
                return Spoken(samples, ())
            ends.append(begins[position] * RATE_HZ // self._rate)
        return Spoken(samples, (*ends, len(samples)))

    def _take(self, wav: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]) -> int:
        at = 0
        while events[at].type != _LIST_END:
            if events[at].type == _WORD_EVENT:
                self._begins.append((events[at].text_position, events[at].sample))
            at += 1
        if wav and count > 0:
            self._parts.append(np.ctypeslib.as_array(wav, (count,)).copy())
        return 0


def trimmed(samples: Samples) -> Samples:
    """Without the silence behind the last sound."""
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    return samples[: int(loud[-1]) + 1] if len(loud) else samples


def telephone(samples: Samples, rng: np.random.Generator, *, peak_db: float, snr_db: float) -> Samples:
    """As heard through PCMU at 8 kHz, at a level, over noise."""
    narrow = soxr.resample(samples, RATE_HZ, 8000)
    narrow = narrow / max(float(np.abs(narrow).max()), 1e-6) * 10 ** (peak_db / 20)
    power = float(np.sqrt(np.mean(narrow[np.abs(narrow) > 0.05 * np.abs(narrow).max()] ** 2)))
    noise = rng.normal(0, power * 10 ** (-snr_db / 20), len(narrow))
    return np.asarray(soxr.resample(mulaw(np.asarray(narrow + noise, np.float32)), 8000, RATE_HZ), np.float32)


def integers(samples: Samples) -> NDArray[np.int16]:
    return np.asarray(np.clip(samples, -1, 1) * 32767, np.int16)


def mulaw(samples: Samples) -> Samples:
    """There and back through G.711."""
    return np.asarray(g711.decode(g711.encode(integers(samples), "pcmu"), "pcmu") / 32768, np.float32)
