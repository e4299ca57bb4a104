"""Text to speech: Piper, one session a voice for all calls, with the place of every word in the sound.

The only module that imports piper-tts, which is under the GPL.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from piper import PiperVoice
from piper.config import PhonemeType, PiperConfig
from piper.const import BOS, EOS, PAD

from models.errors import ModelError, WeightsError
from models.onnx_session import device_of, session
from models.piper_graph import halves, with_durations
from models.speech import MOST_FRAMES, Floats, Speech, gain, in_parts, readings, spans, spoken
from models.word_times import Timed

# Frames are 11.6 ms. How many on either side a frame's sound depends on: 10 in medium voices, 13 in
# high ones (leaving out the outermost is heard by nobody: -60 dB at 8 of 10).
_REACH_FRAMES = 13
_FIRST_FRAMES = 20
_CALIBRATION = "I can help you with that."


def phonemize(text: str, language: str) -> list[list[str]]:
    """The sentences' phonemes and marks, by the espeak-ng that comes with Piper. Thread-safe.

    `language` is one of espeak-ng's voices, such as pt-br. Accents are characters of their own (NFD).
    """
    no_session: Any = None
    config = PiperConfig(
        num_symbols=0,
        num_speakers=1,
        sample_rate=0,
        espeak_voice=language,
        phoneme_id_map={},
        phoneme_type=PhonemeType.ESPEAK,
    )
    return PiperVoice(session=no_session, config=config).phonemize(text)


class Voice:
    """One voice. Not thread-safe; `Voices` runs it on a lane."""

    engine = "Piper"
    precision = "float32"

    def __init__(self, name: str, model: Path, *, device: str = "cpu", threads: int = 0) -> None:
        """Load `model`, whose settings are in the file of that name with `.json` added. Blocks.

        Raises WeightsError.
        """
        self.name = name
        self.weights = model
        try:
            written = json.loads(model.with_name(f"{model.name}.json").read_bytes())
            config = PiperConfig.from_dict(written)
            # espeak-ng's names for accents (en-gb-x-rp) aren't those of countries.
            self._language = str(written.get("language", {}).get("code", config.espeak_voice)).replace(
                "_", "-"
            )
            network = model.read_bytes()
            parts = halves(network)
            encoder = session(
                parts.encoder if parts else with_durations(network), device=device, threads=threads
            )
            decoder = session(parts.decoder, device=device, threads=threads) if parts else None
            self._decoder = _Decoder(decoder, parts.frames, config) if parts and decoder else None
            self.device = device_of(encoder)
            self._piper = PiperVoice(session=encoder, config=config)
            self._gain = 1.0
            sentences, _ = self._encode(_CALIBRATION)
            self._gain = gain(np.concatenate([sound for sound, _ in self._sounds(sentences, MOST_FRAMES)]))
        except ModelError:
            raise
        except Exception as error:  # onnxruntime's errors have no common base
            raise WeightsError(
                f"{model} isn't a Piper voice that can be loaded onto {device}: {error}"
            ) from error

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
        read = readings(text, self._language, language, before)
        sentences, phonemes = self._encode(spoken(read))
        sounds, rate_hz = self._sounds(sentences, first_frames), self._piper.config.sample_rate
        yield from in_parts(read, phonemes, self._phonemes_in, sounds, rate_hz)

    def _encode(self, text: str) -> tuple[list[Floats], list[Timed]]:
        """Each sentence's frames, and the phonemes of all with their durations in samples."""
        sentences: list[Floats] = []
        timed: list[Timed] = []
        for sentence in self._piper.phonemize(text):
            if not any(phoneme.isalnum() for phoneme in sentence):
                continue
            if timed:
                timed.append((" ", 0))
            ids = self._piper.phonemes_to_ids(sentence)
            frames, durations = self._piper.phoneme_ids_to_audio(ids, include_alignments=True)
            sentences.append(np.atleast_1d(frames))
            timed += self._timed(sentence, len(ids), durations, self._samples(sentences[-1]))
        return sentences, timed

    def _samples(self, frames: Floats) -> int:
        return len(frames) if self._decoder is None else frames.shape[1] * self._decoder.hop

    def _sounds(self, sentences: Iterable[Floats], first_frames: int) -> Iterator[tuple[Floats, bool]]:
        """The sound at the voice's own rate, piece by piece, each with whether it is the last."""
        # A network that can't be divided has made the sound of a sentence already.
        pieces = (
            [(frames, 0, len(frames)) for frames in sentences]
            if self._decoder is None
            else [
                (frames, *span)
                for frames in sentences
                for span in spans(frames.shape[1], first_frames, _FIRST_FRAMES)
            ]
        )
        for number, (frames, at, until) in enumerate(pieces, 1):
            sound = frames if self._decoder is None else self._decoder.sound(frames, at, until)
            yield sound * np.float32(self._gain), number == len(pieces)

    def _timed(
        self, sentence: list[str], ids: int, durations: npt.NDArray[np.int64] | None, samples: int
    ) -> list[Timed]:
        """Every phoneme with its duration: the network's own, or, if it doesn't tell, an equal share."""
        id_map = self._piper.config.phoneme_id_map
        padding = len(id_map.get(PAD, ()))
        known = [phoneme for phoneme in sentence if phoneme in id_map]
        counts = [len(id_map[phoneme]) + padding for phoneme in known]
        lead = len(id_map.get(BOS, ())) + padding
        if durations is None or len(durations) != ids or lead + sum(counts) + len(id_map.get(EOS, ())) != ids:
            share = samples // max(1, len(sentence))
            return [(phoneme, share) for phoneme in sentence]
        timed: list[Timed] = []
        at = lead
        for phoneme, count in zip(known, counts, strict=True):
            timed.append((phoneme, int(durations[at : at + count].sum())))
            at += count
        # The first phoneme's share begins with the sentence, the last one's ends with it.
        before, after = int(durations[:lead].sum()), int(durations[at:].sum())
        timed[0] = (timed[0][0], timed[0][1] + before)
        timed[-1] = (timed[-1][0], timed[-1][1] + after)
        return timed

    def _phonemes_in(self, word: str) -> int:
        return sum(map(len, self._piper.phonemize(word))) + 1


class _Decoder:
    """Makes sound of frames, a few at a time: as of all at once, but sooner and in less memory."""

    def __init__(self, session: onnxruntime.InferenceSession, frames: str, config: PiperConfig) -> None:
        self.hop = config.hop_length
        self._session = session
        self._frames = frames
        speaker = np.array([config.default_speaker_id or 0], np.int64)
        self._others = {put.name: speaker for put in session.get_inputs() if put.name != frames}

    def sound(self, frames: Floats, at: int, until: int) -> Floats:
        """The sound of `frames` (channels, n) from `at` to `until`."""
        low, high = max(0, at - _REACH_FRAMES), min(frames.shape[1], until + _REACH_FRAMES)
        inputs = {self._frames: frames[np.newaxis, :, low:high], **self._others}
        sound = np.asarray(self._session.run(None, inputs)[0]).reshape(-1)
        return sound[(at - low) * self.hop : (until - low) * self.hop]
