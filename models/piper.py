"""Text to speech: Piper, one session a voice for all calls, with the place of every word in the sound.

The only module that imports piper-tts, which is under the GPL.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import soxr
from piper import PiperVoice
from piper.config import PiperConfig
from piper.const import BOS, EOS, PAD

from config.packages import ONNXRUNTIME_FOR_CUDA
from models.errors import ModelError, WeightsError
from models.lanes import Lane, Speculative
from models.piper_graph import halves, with_durations
from models.word_times import Timed, spoken_words, word_ends

SAMPLE_RATE_HZ = 16_000
LONGEST_CHARACTERS = 2000
_LEVEL = 0.1  # -20 dBFS, the level of active speech on telephone lines
_AUDIBLE = 0.004  # of full scale: -48 dBFS
_LEAD_S = 0.005
_TRAIL_S = 0.2
_FADE_SAMPLES = SAMPLE_RATE_HZ * 3 // 1000
_BYTES_PER_SAMPLE = 2
# Frames are 11.6 ms. How many on either side a frame's sound depends on: 10 in medium voices, 13 in
# high ones (leaving out the outermost is heard by nobody: -60 dB at 8 of 10).
_REACH_FRAMES = 13
_FIRST_FRAMES = 20
_MOST_FRAMES = 160
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
    """s16le mono PCM at 16 kHz, and the words that end in it.

    Words follow each other without gaps; silence after the last is its own. A part of a speech may end
    within a word, which is then the next part's.
    """

    pcm: bytes
    words: tuple[Word, ...]

    @staticmethod
    def joined(parts: Iterable[Speech]) -> Speech:
        """The parts as one."""
        pcm, words = bytearray(), list[Word]()
        for part in parts:
            offset = len(pcm) // _BYTES_PER_SAMPLE
            for word in part.words:
                start = words[-1].end if words else 0
                words.append(Word(word.text, start, word.end + offset))
            pcm += part.pcm
        return Speech(bytes(pcm), tuple(words))


class Voice:
    """One voice. Not thread-safe; `Voices` runs it on a lane."""

    def __init__(self, name: str, model: Path, *, device: str = "auto", threads: int = 0) -> None:
        """Load `model`, whose settings are in the file of that name with `.json` added. Blocks.

        Raises WeightsError.
        """
        self.name = name
        providers = _providers(device)

        def session(graph: bytes) -> onnxruntime.InferenceSession:
            return onnxruntime.InferenceSession(graph, sess_options=_options(threads), providers=providers)

        try:
            config = PiperConfig.from_dict(json.loads(model.with_name(f"{model.name}.json").read_bytes()))
            network = model.read_bytes()
            parts = halves(network)
            encoder = session(parts.encoder if parts else with_durations(network))
            self._decoder = _Decoder(session(parts.decoder), parts.frames, config) if parts else None
        except Exception as error:  # onnxruntime's errors have no common base
            raise WeightsError(f"{model} isn't a Piper voice that can be loaded: {error}") from error
        self.device = "cuda" if encoder.get_providers()[0].startswith("CUDA") else "cpu"
        self._piper = PiperVoice(session=encoder, config=config)
        self._gain = 1.0
        self._calibrate()

    def synthesize(self, text: str) -> Speech:
        """Speak `text`, on the calling thread."""
        return Speech.joined(self.parts(text, first_frames=_MOST_FRAMES))

    def parts(self, text: str, *, first_frames: int = _FIRST_FRAMES) -> Iterator[Speech]:
        """Speak `text` part by part, on the calling thread. The first is short, so that it is there soon."""
        if len(text) > LONGEST_CHARACTERS:
            raise ValueError(f"{len(text)} characters to speak; {LONGEST_CHARACTERS} is the most.")
        sentences, phonemes = self._encode(_UNSPOKEN.sub(" ", text))
        words = spoken_words(text)
        ends = word_ends(words, phonemes, self._phonemes_in)
        rate = self._piper.config.sample_rate
        resampler = soxr.ResampleStream(rate, SAMPLE_RATE_HZ, 1, dtype="float32")
        began: int | None = None
        told = said = 0  # words, and samples at 16 kHz
        for at, sound, last in self._trimmed(self._sounds(sentences, first_frames)):
            began = at if began is None else began
            pcm = _to_pcm(resampler.resample_chunk(sound, last=last), begins=said == 0, ends=last)
            places = [round((end - began) * SAMPLE_RATE_HZ / rate) - said for end in ends[told:]]
            if last:
                places = [*(min(place, len(pcm)) for place in places[:-1]), *(len(pcm) for _ in places[-1:])]
            places = [max(0, place) for place in places if place <= len(pcm)]
            starts = [0, *places[:-1]]
            yield Speech(pcm.tobytes(), tuple(map(Word, words[told:], starts, places)))
            told, said = told + len(places), said + len(pcm)

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
            else [(frames, *span) for frames in sentences for span in _spans(frames.shape[1], first_frames)]
        )
        for number, (frames, at, until) in enumerate(pieces, 1):
            sound = frames if self._decoder is None else self._decoder.sound(frames, at, until)
            yield sound * np.float32(self._gain), number == len(pieces)

    def _trimmed(self, sounds: Iterable[tuple[Floats, bool]]) -> Iterator[tuple[int, Floats, bool]]:
        """(place, sound, whether it is the last) without the silence before, and most of that behind."""
        rate = self._piper.config.sample_rate
        at, begun = 0, False
        for sound, last in sounds:
            loud = np.flatnonzero(np.abs(sound) > _AUDIBLE)
            first = max(0, int(loud[0]) - round(_LEAD_S * rate)) if len(loud) and not begun else 0
            end = (int(loud[-1]) if len(loud) else 0) + round(_TRAIL_S * rate) if last else len(sound)
            begun = begun or len(loud) > 0
            if begun:
                yield at + first, sound[first:end], last
            at += len(sound)

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
        sentences, _ = self._encode(_CALIBRATION)
        power = np.square(
            np.concatenate([sound for sound, _ in self._sounds(sentences, _MOST_FRAMES)]), dtype=np.float64
        )
        active = power[power > power.max() / 1000]
        if len(active):
            self._gain = float(_LEVEL / np.sqrt(active.mean()))


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


def _spans(count: int, first: int) -> Iterator[tuple[int, int]]:
    """The pieces in which so many frames are made into sound: `first` of them, then ever more at a time."""
    at, size = 0, first
    while at < count:
        until = count if count - at - size < _FIRST_FRAMES else at + size
        yield at, until
        at, size = until, min(2 * size, _MOST_FRAMES)


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

    async def synthesize(
        self, text: str, *, voice: str, call_id: str, speculative: Speculative = False
    ) -> Speech:
        """Speak `text` (at most 2,000 characters). What has nothing to speak gives empty speech.

        Raises ValueError for longer text, ModelError for a voice that isn't loaded, ModelBusy, ModelFailed.
        """
        speaker = self._speaker(text, voice)
        known = self._known.get((voice, text))
        if known is not None:
            return known
        return await self.lane.run(call_id, lambda: speaker.synthesize(text), speculative=speculative)

    async def stream(
        self, text: str, *, voice: str, call_id: str, speculative: Speculative = False
    ) -> AsyncGenerator[Speech, None]:
        """The same, part by part; other calls' work comes in between. Raises what `synthesize` raises."""
        speaker = self._speaker(text, voice)
        known = self._known.get((voice, text))
        if known is not None:
            yield known
            return
        parts = speaker.parts(text)
        while part := await self.lane.run(call_id, lambda: next(parts, None), speculative=speculative):
            yield part

    def _speaker(self, text: str, voice: str) -> Voice:
        speaker = self._voices.get(voice)
        if speaker is None:
            raise ModelError(f"The voice {voice} isn't loaded; loaded are: {', '.join(self._voices)}.")
        if len(text) > LONGEST_CHARACTERS:
            raise ValueError(f"{len(text)} characters to speak; {LONGEST_CHARACTERS} is the most.")
        return speaker

    async def remember(self, texts: Iterable[str], *, voice: str) -> None:
        """Synthesize what will be said again and again, so that it is there at once, whatever fails later."""
        for text in texts:
            self._known[voice, text] = await self.synthesize(text, voice=voice, call_id="remember")

    async def close(self) -> None:
        await self.lane.close()


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or min(4, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    # It plans memory for each shape that comes, and texts are of every length: 70 MB after 200 of them.
    options.enable_mem_pattern = False
    # Threads that spin between calls would take the cores from the other models.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _providers(device: str) -> list[str]:
    available = onnxruntime.get_available_providers()
    if device != "cpu" and "CUDAExecutionProvider" in available:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]
    if device == "cuda":
        raise ModelError(
            "tts.device is cuda, but this onnxruntime has no CUDA; put the one that has in its place: "
            f"{ONNXRUNTIME_FOR_CUDA}."
        )
    return ["CPUExecutionProvider"]


def _to_pcm(sound: Floats, *, begins: bool, ends: bool) -> npt.NDArray[np.int16]:
    fade = np.linspace(0.0, 1.0, min(_FADE_SAMPLES, len(sound)), dtype=np.float32)
    if begins:
        sound[: len(fade)] *= fade
    if ends:
        sound[len(sound) - len(fade) :] *= fade[::-1]
    return (np.clip(sound, -1.0, 1.0) * 32767).astype(np.int16)
