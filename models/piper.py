"""Text to speech: Piper, one session a voice for all calls, with the place of every word in the sound.

The only module that imports piper-tts, which is under the GPL.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import soxr
from piper import PiperVoice
from piper.config import PiperConfig
from piper.const import BOS, EOS, PAD

from models.durations import with_durations
from models.errors import ModelError, WeightsError
from models.lanes import Lane
from models.word_times import Timed, spoken_words, word_ends

SAMPLE_RATE_HZ = 16_000
LONGEST_CHARACTERS = 2000
_LEVEL = 0.1  # -20 dBFS, the level of active speech on telephone lines
_AUDIBLE = 0.004  # of full scale: -48 dBFS
_LEAD_S = 0.005
_TRAIL_S = 0.2
_FADE_SAMPLES = SAMPLE_RATE_HZ * 3 // 1000
_CALIBRATION = "I can help you with that."
# Marks that espeak would read aloud or take for phonemes, and that no one means to be spoken.
_UNSPOKEN = re.compile(r"[*_`#~<>|\[\]{}\\]")

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it is written, with the samples at 16 kHz between which it is heard."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Speech:
    """s16le mono PCM at 16 kHz. Words follow each other without gaps; silence after the last is its own."""

    pcm: bytes
    words: tuple[Word, ...]


class Voice:
    """One voice. Not thread-safe; `Voices` runs it on a lane."""

    def __init__(self, name: str, model: Path, *, device: str = "auto", threads: int = 0) -> None:
        """Load `model`, whose settings are in the file of that name with `.json` added. Blocks.

        Raises WeightsError.
        """
        self.name = name
        providers = _providers(device)
        try:
            config = PiperConfig.from_dict(json.loads(model.with_name(f"{model.name}.json").read_bytes()))
            session = onnxruntime.InferenceSession(
                with_durations(model.read_bytes()), sess_options=_options(threads), providers=providers
            )
        except Exception as error:  # onnxruntime's errors have no common base
            raise WeightsError(f"{model} isn't a Piper voice that can be loaded: {error}") from error
        self.device = "cuda" if session.get_providers()[0].startswith("CUDA") else "cpu"
        self._piper = PiperVoice(session=session, config=config)
        self._gain = 1.0
        self._calibrate()

    def synthesize(self, text: str) -> Speech:
        """Speak `text`, on the calling thread."""
        if len(text) > LONGEST_CHARACTERS:
            raise ValueError(f"{len(text)} characters to speak; {LONGEST_CHARACTERS} is the most.")
        audio, phonemes = self._speak(_UNSPOKEN.sub(" ", text))
        if not len(audio):
            return Speech(b"", ())
        words = spoken_words(text)
        ends = word_ends(words, phonemes, self._phonemes_in)
        rate = self._piper.config.sample_rate
        loud = np.flatnonzero(np.abs(audio) > _AUDIBLE)
        if not len(loud):
            return Speech(b"", ())
        first = max(0, int(loud[0]) - round(_LEAD_S * rate))
        last = min(len(audio), int(loud[-1]) + round(_TRAIL_S * rate))
        pcm = _to_pcm(audio[first:last], rate)
        scale = SAMPLE_RATE_HZ / rate
        places = [min(len(pcm), max(0, round((end - first) * scale))) for end in ends]
        if places:
            places[-1] = len(pcm)
        starts = [0, *places[:-1]]
        return Speech(pcm.tobytes(), tuple(map(Word, words, starts, places)))

    def _speak(self, text: str) -> tuple[Floats, list[Timed]]:
        """Sound at the voice's own rate, and the phonemes with their durations in its samples."""
        pieces: list[Floats] = []
        timed: list[Timed] = []
        for sentence in self._piper.phonemize(text):
            if not any(phoneme.isalnum() for phoneme in sentence):
                continue
            if timed:
                timed.append((" ", 0))
            ids = self._piper.phonemes_to_ids(sentence)
            audio, durations = self._piper.phoneme_ids_to_audio(ids, include_alignments=True)
            pieces.append(np.atleast_1d(audio) * np.float32(self._gain))
            timed += self._timed(sentence, len(ids), durations, len(pieces[-1]))
        return (np.concatenate(pieces) if pieces else np.zeros(0, np.float32)), timed

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
        return sum(map(len, self._piper.phonemize(_UNSPOKEN.sub(" ", word)))) + 1

    def _calibrate(self) -> None:
        """Make every voice equally loud. Piper's own way, to scale each piece to its peak, makes short ones
        louder than long ones."""
        audio, _ = self._speak(_CALIBRATION)
        power = np.square(audio, dtype=np.float64)
        active = power[power > power.max() / 1000]
        if len(active):
            self._gain = float(_LEVEL / np.sqrt(active.mean()))


class Voices:
    """The voices that are loaded, and the lane on which they speak."""

    def __init__(self, voices: Mapping[str, Voice]) -> None:
        self._voices = dict(voices)
        self._known: dict[tuple[str, str], Speech] = {}
        self.lane = Lane("voices")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._voices)

    @property
    def device(self) -> str:
        return next(iter(self._voices.values())).device if self._voices else "cpu"

    async def synthesize(self, text: str, *, voice: str, call_id: str, speculative: bool = False) -> Speech:
        """Speak `text` (at most 2,000 characters). What has nothing to speak gives empty speech.

        Raises ValueError for longer text, ModelError for a voice that isn't loaded, ModelBusy, ModelFailed.
        """
        speaker = self._voices.get(voice)
        if speaker is None:
            raise ModelError(f"The voice {voice} isn't loaded; loaded are: {', '.join(self._voices)}.")
        if len(text) > LONGEST_CHARACTERS:
            raise ValueError(f"{len(text)} characters to speak; {LONGEST_CHARACTERS} is the most.")
        known = self._known.get((voice, text))
        if known is not None:
            return known
        return await self.lane.run(call_id, lambda: speaker.synthesize(text), speculative=speculative)

    async def remember(self, texts: Iterable[str], *, voice: str) -> None:
        """Synthesize what will be said again and again, so that it is there at once, whatever fails later."""
        for text in texts:
            self._known[voice, text] = await self.synthesize(text, voice=voice, call_id="remember")

    async def close(self) -> None:
        await self.lane.close()


def download(voice: str, folder: Path) -> Path:
    """Fetch a voice such as "fr_FR-siwis-medium" from Piper's hub into `folder`, whole or not at all."""
    from piper.download_voices import download_voice

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        download_voice(voice, Path(unfinished))
        for name in (f"{voice}.onnx.json", f"{voice}.onnx"):
            (Path(unfinished) / name).replace(folder / name)
    return folder / f"{voice}.onnx"


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or min(4, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    # Threads that spin between calls would take the cores from the other models.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _providers(device: str) -> list[str]:
    available = onnxruntime.get_available_providers()
    if device != "cpu" and "CUDAExecutionProvider" in available:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]
    if device == "cuda":
        raise ModelError("tts.device is cuda, but this onnxruntime has no CUDA; install offhook[gpu].")
    return ["CPUExecutionProvider"]


def _to_pcm(audio: Floats, rate: int) -> npt.NDArray[np.int16]:
    if rate != SAMPLE_RATE_HZ:
        audio = soxr.resample(audio, rate, SAMPLE_RATE_HZ)
    fade = np.linspace(0.0, 1.0, min(_FADE_SAMPLES, len(audio)), dtype=np.float32)
    audio[: len(fade)] *= fade
    audio[len(audio) - len(fade) :] *= fade[::-1]
    return (np.clip(audio, -1.0, 1.0) * 32767).astype(np.int16)
