"""Text to speech: Kokoro-82M, one network for all its voices, which are a style each.

The kokoro-onnx package makes the sound of a whole sentence in one call, tells no word's place, and brings an
espeak-ng of its own. Here sound comes piece by piece, of phonemes from the espeak-ng that Piper brings.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.resources import files
from itertools import chain
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession

from models.checksums import check, recorded
from models.errors import ModelError, WeightsError
from models.kept import Kept
from models.kokoro_graph import FRAME_SAMPLES, RATE_HZ, SOURCE_STEPS, Halves, halves
from models.onnx_session import build, device_of, session
from models.piper import phonemize
from models.speech import AUDIBLE, MOST_FRAMES, Floats, Speech, gain, in_parts, readings, spans, spoken
from models.word_times import Timed

_FOLDER = Path(str(files("models"))) / "data" / "kokoro"
NAMES = tuple(sorted(path.stem for path in _FOLDER.glob("*.bin")))

# Frames are 12.5 ms, durations are in pairs of them.
# How many on either side a frame's sound depends on: 8, but leaving out the outermost changes less than
# the rounding to 8 bits does.
_REACH_FRAMES = 5
_FIRST_FRAMES = 24
_LEAST_FRAMES = 20
# Of the 0.45 s of silence that are around every sentence, what isn't made into sound.
_LEAD_FRAMES, _TRAIL_FRAMES = 4, 24
_MOST_TOKENS = 400  # of 510: more at a time sounds hurried

_LANGUAGES = {"e": "es", "f": "fr", "h": "hi", "i": "it", "p": "pt-br"}  # by a voice's first letter
_TAGS = {"es": "es-ES", "fr": "fr-FR", "hi": "hi-IN", "it": "it-IT", "pt-br": "pt-BR"}
# Half a second and four: see `_Moments`.
_CALIBRATIONS = {
    "es": ("Gracias.", "Buenos días, puedo ayudarle con su reserva, y le llamo mañana por la mañana."),
    "fr": ("Merci.", "Bonjour, je peux vous aider avec votre réservation, et je vous rappelle demain."),
    "hi": ("धन्यवाद।", "नमस्ते, मैं आपकी बुकिंग में मदद कर सकती हूँ, और कल सुबह आपको फ़ोन करूँगी।"),
    "it": ("Grazie.", "Buongiorno, posso aiutarla con la prenotazione, e la richiamo domani mattina."),
    "pt-br": ("Obrigada.", "Bom dia, posso ajudar com a sua reserva, e ligo de volta amanhã de manhã."),
}
# Kokoro writes with one sign what espeak writes with two.
_ONE_SIGN = {"tʃ": "ʧ", "dʒ": "ʤ", "ts": "ʦ", "dz": "ʣ", "tɕ": "ʨ", "dʑ": "ʥ", "ç": "ç"}
_TOGETHER = re.compile("|".join(_ONE_SIGN))
_LEAST_VARIANCE = 0.25  # of the least that was measured
_FAINTEST = 0.01
_REINSTALL = "install offhook again."


@dataclass(frozen=True)
class _Clause:
    """What a sentence's sound is made of: `features` from frame `begin` to `end`, and all else `given`."""

    features: Floats
    source: Floats
    given: Mapping[str, Floats]
    begin: int
    end: int
    gain: np.float32


class Voice:
    """One voice. Not thread-safe; `Voices` runs it on a lane."""

    engine = "Kokoro-82M"
    precision = "int8"

    def __init__(self, name: str, weights: Path, network: _Network, measurements: _Measurements) -> None:
        """Raises WeightsError."""
        self.name = name
        self.weights = weights
        self.device = network.device
        self._network = network
        self._symbols: dict[str, int] = json.loads((_FOLDER / "symbols.json").read_text())
        self._style = _style(name)
        self._language = _LANGUAGES[name[0]]
        self._tag = _TAGS[self._language]
        self._calibrate(measurements)

    def synthesize(self, text: str, *, language: str | None = None, before: str = "") -> Speech:
        """Speak `text`, on the calling thread."""
        return Speech.joined(self.parts(text, language=language, before=before, first_frames=MOST_FRAMES))

    def parts(
        self,
        text: str,
        *,
        language: str | None = None,
        before: str = "",
        first_frames: int = _FIRST_FRAMES,
    ) -> Iterator[Speech]:
        """Speak `text` part by part, on the calling thread. The first is short, so that it is there soon."""
        read = readings(text, self._tag, language, before)
        clauses, phonemes = self._encode(spoken(read))
        sounds = self._sounds(clauses, first_frames)
        yield from in_parts(read, phonemes, self._phonemes_in, sounds, RATE_HZ)

    def _encode(self, text: str) -> tuple[list[_Clause], list[Timed]]:
        """Each sentence's frames, and the phonemes of all with their durations in samples."""
        clauses: list[_Clause] = []
        timed: list[Timed] = []
        for phonemes in self._said(text):
            if timed:
                timed.append((" ", 0))
            style = self._style[len(phonemes) - 1]
            tokens = [self._symbols[each] for each in phonemes]
            features, source, pairs = self._network.encode(tokens, style)
            count = features.shape[2]
            lead, *inner, trail = (2 * int(pair) for pair in pairs)
            begin = max(0, lead - self._ahead - _LEAD_FRAMES)
            end = count - max(0, trail - _TRAIL_FRAMES)
            # The first phoneme's share begins with the sentence, the last one's ends with it.
            inner[0] += lead - self._ahead - begin
            inner[-1] += end - (count - trail) + self._ahead
            timed += [(each, FRAME_SAMPLES * frames) for each, frames in zip(phonemes, inner, strict=True)]
            moments = zip(self._network.moments, self._moments.of(count), strict=True)
            given = {"style": style, **dict(moments)}
            clauses.append(_Clause(features, source, given, begin, end, self._gain(count)))
        return clauses, timed

    def _sounds(self, clauses: Iterable[_Clause], first_frames: int) -> Iterator[tuple[Floats, bool]]:
        """The sound piece by piece, each with whether it is the last."""
        pieces = [
            (clause, clause.begin + at, clause.begin + until)
            for clause in clauses
            for at, until in spans(clause.end - clause.begin, first_frames, _LEAST_FRAMES)
        ]
        for number, (clause, at, until) in enumerate(pieces, 1):
            yield self._network.sound(clause, at, until) * clause.gain, number == len(pieces)

    def _said(self, text: str) -> Iterator[str]:
        """The sentences in Kokoro's symbols; long ones in pieces."""
        for sentence in phonemize(text, self._language):
            together = _TOGETHER.sub(lambda signs: _ONE_SIGN[signs[0]], "".join(sentence))
            rest = "".join(each for each in together if each in self._symbols).strip()
            while len(rest) > _MOST_TOKENS:
                cut = rest.rfind(" ", 1, _MOST_TOKENS) + 1 or _MOST_TOKENS
                yield rest[:cut].strip()
                rest = rest[cut:].strip()
            if any(each.isalnum() for each in rest):
                yield rest

    def _phonemes_in(self, word: str) -> int:
        return sum(map(len, self._said(word))) + 1

    def _gain(self, count: int) -> np.float32:
        """Short clauses are spoken louder."""
        counts = sorted(self._gains, reverse=True)
        return np.float32(
            np.interp(1 / count, [1 / each for each in counts], [self._gains[each] for each in counts])
        )

    def _calibrate(self, measurements: _Measurements) -> None:
        measured: dict[int, list[Floats]] = {}
        gains: dict[int, float] = {}
        ahead = [0]
        for number, text in enumerate(_CALIBRATIONS[self._language]):
            (phonemes,) = self._said(text)
            tokens = [self._symbols[each] for each in phonemes]
            made = measurements.of(tokens, self._style[len(phonemes) - 1], name=f"{self.name}-{number}")
            pairs, sound, *moments = made
            sound = sound.reshape(-1)
            count = len(sound) // FRAME_SAMPLES
            measured[count] = moments
            if not np.isfinite(sound).all() or np.abs(sound).max() < _FAINTEST:
                raise WeightsError(f"The voice {self.name} doesn't speak; {_REINSTALL}")
            gains[count] = gain(sound)
            loud = np.flatnonzero(np.abs(sound) * gains[count] > AUDIBLE)
            ahead.append(2 * int(pairs[0]) - int(loud[0]) // FRAME_SAMPLES)
        self._moments = _Moments(measured)
        self._ahead = max(ahead)  # of the tokens is the sound, by 1 to 8 frames
        self._gains = gains


class _Network:
    """The network's halves. What it says of a voice comes from `style`, of which there is one a length."""

    def __init__(self, parts: Halves, *, device: str, threads: int) -> None:
        self._front = session(parts.front, device=device, threads=threads)
        self._generator = session(parts.generator, device=device, threads=threads)
        self.device = device_of(self._front)
        self.moments = tuple(chain(*parts.moments))
        self.features, self.source = parts.features, parts.source

    def encode(self, tokens: Sequence[int], style: Floats) -> tuple[Floats, Floats, Floats]:
        """Features, source, and how many pairs of frames each token lasts, with the silence around them."""
        inputs = {
            "tokens": np.array([[0, *tokens, 0]]),
            "style": style,
            "speed": np.ones(1, np.float32),
        }
        features, source, durations = (np.asarray(made) for made in self._front.run(None, inputs))
        return features, source, durations.reshape(-1)

    def sound(self, clause: _Clause, at: int, until: int) -> Floats:
        """The sound from frame `at` to `until`."""
        low, high = max(0, at - _REACH_FRAMES), min(clause.features.shape[2], until + _REACH_FRAMES)
        inputs = {
            self.features: clause.features[:, :, low:high],
            self.source: clause.source[:, :, SOURCE_STEPS * low : SOURCE_STEPS * high + 1],
            **clause.given,
        }
        sound = np.asarray(self._generator.run(None, inputs)[0]).reshape(-1)
        return sound[(at - low) * FRAME_SAMPLES : (until - low) * FRAME_SAMPLES]


class _Measurements:
    """What the network makes of whole clauses, by which voices are calibrated. A clause takes it up to two
    seconds, so what comes out is kept in `folder`."""

    def __init__(
        self, network: _Network, parts: Halves, folder: Path | None, *, device: str, threads: int
    ) -> None:
        self._network = network
        self._load = partial(session, parts.whole, device=device, threads=threads)
        made_by = hashlib.sha256(f"{build()} {network.device}".encode())
        made_by.update(parts.front)
        made_by.update(parts.whole)
        self._kept = Kept(folder, made_by.digest())

    def of(self, tokens: Sequence[int], style: Floats, *, name: str) -> list[Floats]:
        """The tokens' durations, as `encode` tells them, the sound, and the layers' moments: a mean and a
        variance in turn, (1, channels, 1)."""
        made_of = np.array(tokens).tobytes() + style.tobytes()
        return self._kept.get(name, made_of, lambda: self._measure(tokens, style))

    def _measure(self, tokens: Sequence[int], style: Floats) -> list[Floats]:
        features, source, durations = self._network.encode(tokens, style)
        inputs = {self._network.features: features, self._network.source: source, "style": style}
        return [durations, *(np.asarray(made) for made in self._whole.run(None, inputs))]

    @cached_property
    def _whole(self) -> InferenceSession:
        return self._load()


class _Moments:
    """The moments of clauses of any length, from those of two.

    They depend on how much of a clause is silence, of which all have about as much: the mean, and the mean
    square, are linear in one divided by the length.
    """

    def __init__(self, measured: Mapping[int, list[Floats]]) -> None:
        self._sizes = np.cumsum([mean.size for mean in next(iter(measured.values()))[::2]])[:-1]
        means, variances = (
            np.stack(
                [np.concatenate([each.reshape(-1) for each in made[first::2]]) for made in measured.values()]
            )
            for first in (0, 1)
        )
        lengths = np.array([[1, 1 / count] for count in measured])
        self._mean, self._square = (np.linalg.pinv(lengths) @ made for made in (means, variances + means**2))
        self._least = _LEAST_VARIANCE * variances.min(axis=0)

    def of(self, count: int) -> list[Floats]:
        mean, square = (made[0] + made[1] / count for made in (self._mean, self._square))
        variance = np.maximum(square - mean**2, self._least)
        each = [
            np.split(made.astype(np.float32).reshape(1, -1, 1), self._sizes, axis=1)
            for made in (mean, variance)
        ]
        return [made for pair in zip(*each, strict=True) for made in pair]


def load(
    model: Path,
    names: Collection[str],
    *,
    device: str = "cpu",
    threads: int = 0,
    measurements: Path | None = None,
) -> dict[str, Voice]:
    """The voices `names`, of `NAMES`, all of one network. Blocks. Raises WeightsError.

    `measurements` is the folder where what a voice is calibrated by is kept for later starts.
    """
    network, measured = _network(model, measurements, device=device, threads=threads)
    return {name: Voice(name, model, network, measured) for name in names}


def _network(
    model: Path, folder: Path | None, *, device: str, threads: int
) -> tuple[_Network, _Measurements]:
    try:
        parts = halves(model.read_bytes())
        network = _Network(parts, device=device, threads=threads)
    except ModelError:
        raise
    except Exception as error:  # onnxruntime's errors have no common base
        raise WeightsError(f"{model} isn't a Kokoro that can be loaded onto {device}: {error}") from error
    return network, _Measurements(network, parts, folder, device=device, threads=threads)


def _style(name: str) -> Floats:
    """(lengths, 1, 256). Raises WeightsError if the file isn't what it was."""
    path = _FOLDER / f"{name}.bin"
    check(path, path.stat().st_size, recorded(_FOLDER / "SHA256SUMS")[path], None, remedy=_REINSTALL)
    return np.fromfile(path, "<f4").reshape(-1, 1, 256)
