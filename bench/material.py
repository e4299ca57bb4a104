"""The sounds of the bench: recordings where they are found, speech made on the spot, noises.

Everything is written as 8 kHz WAV, in the telephone band, at one level. Nothing of it is kept.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import wave
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from bench import texts
from bench.caller.impair import clip
from bench.seen import Seen
from models.catalog import Catalog
from models.errors import WeightsError
from models.piper import Voice
from models.speech import SAMPLE_RATE_HZ
from models.voices import Voices

RATE_HZ = 8000
ACTIVE_DBFS = -20.0
PIPER_VOICE = "en_US-joe-medium"
# The recognizer makes out nine sentences in ten of each, as of Piper's; of espeak-ng's voices, a third.
FLITE_VOICES = ("slt", "rms", "awb")
REAL_QUESTIONS = {
    "whatstheweatherlike.wav": "What's the weather like?",
    "birch-canoe.wav": "The birch canoe slid on the smooth planks.",
    "wreck-a-nice-beach.wav": "Recognize speech.",
}

Audio = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sound:
    """`stranger`: neither its voice nor its words are what the endpointing policy was fitted on."""

    wav: Path
    label: str
    kind: str
    words: str = ""
    stranger: bool = False


class MaterialError(Exception):
    """No speech can be made. The message says what is missing."""


class Speaker:
    """Speaks sentences: with Piper where the bundled voice is, and with flite's voices where that is."""

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        """Raises MaterialError without any voice."""
        self.catalog = catalog
        self._folder = folder
        self._flite = shutil.which("flite")
        self._piper = _bundled_voice(catalog)
        piper = (PIPER_VOICE,) if self._piper else ()
        self.voices: tuple[str, ...] = piper + (FLITE_VOICES if self._flite else ())
        if not self.voices:
            raise MaterialError("The bench needs a voice: install offhook[bundled] or flite.")

    async def say(self, text: str, voice: str) -> Audio:
        """8 kHz, in the telephone band, without silence around it, at the bench's level."""
        if voice == PIPER_VOICE and self._piper is not None:
            speech = await self._piper.synthesize(text, voice=voice, call_id="bench")
            audio, rate = _floats(speech.pcm), SAMPLE_RATE_HZ
        else:
            audio, rate = await self._say_flite(text, voice)
        return _words_of(audio, rate)

    async def _say_flite(self, text: str, voice: str) -> tuple[Audio, int]:
        path = self._folder / "flite.wav"
        what = ("-p", texts.HUMS[text]) if text in texts.HUMS else ("-t", text)
        process = await asyncio.create_subprocess_exec(
            str(self._flite), "-voice", voice, *what, "-o", str(path)
        )
        if await process.wait():
            raise MaterialError(f"flite cannot speak with the voice {voice}")
        return read_wav(path)

    async def close(self) -> None:
        if self._piper is not None:
            await self._piper.close()


def _bundled_voice(catalog: Catalog) -> Voices | None:
    try:
        path = catalog.voice(PIPER_VOICE)
    except WeightsError:
        return None
    return Voices({PIPER_VOICE: Voice(PIPER_VOICE, path, device="cpu")})


def recordings_folder() -> Path | None:
    """Where recordings of real people are, if anywhere: $SPEECH_RECORDINGS or ../shared/speech."""
    named = os.environ.get("SPEECH_RECORDINGS")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "speech"
    return folder if folder.is_dir() else None


class Material:
    """Makes what a scenario asks for, in `folder`."""

    def __init__(self, folder: Path, speaker: Speaker, seen: Seen) -> None:
        self._folder = folder
        self._speaker = speaker
        self._seen = seen
        self._written = 0

    async def questions(self, count: int) -> list[Sound]:
        """Real recordings first, then each sentence in the voices' turn."""
        sounds = self._recorded()[:count]
        for index in range(count - len(sounds)):
            text = texts.QUESTIONS[index % len(texts.QUESTIONS)]
            voice = self._voice(index + index // len(texts.QUESTIONS))
            said = self._sound(await self._speaker.say(text, voice), f"{voice}: {text}", "question", text)
            sounds.append(replace(said, stranger=not self._seen.knows(voice, text)))
        return sounds

    async def interruptions(self, count: int) -> list[Sound]:
        sounds = []
        for index in range(count):
            text = texts.INTERRUPTIONS[index % len(texts.INTERRUPTIONS)]
            voice = self._voice(index + index // len(texts.INTERRUPTIONS))
            sounds.append(self._sound(await self._speaker.say(text, voice), text, "barge-in", text))
        return sounds

    async def nothings(self, count: int) -> list[Sound]:
        """Sounds that ask for nothing: half of them backchannels, the rest noises."""
        sounds = []
        for index in range(count):
            if index % 2 == 0:
                turn = index // 2
                word = texts.BACKCHANNELS[turn % len(texts.BACKCHANNELS)]
                audio = await self._speaker.say(word, self._voice(turn + turn // len(texts.BACKCHANNELS)))
                sounds.append(self._sound(audio, word, "backchannel", word))
            else:
                kind, audio = noise(index // 2)
                sounds.append(self._sound(leveled(audio, ACTIVE_DBFS - 4), kind, kind))
        return sounds

    def _recorded(self) -> list[Sound]:
        folder = recordings_folder()
        if folder is None:
            return []
        sounds = []
        for name, words in REAL_QUESTIONS.items():
            if (path := folder / name).is_file():
                audio = _words_of(*read_wav(path))
                sound = self._sound(audio, f"recording {path.stem}", "question", words)
                sounds.append(replace(sound, stranger=not self._seen.knows(path.stem, words)))
        return sounds

    def _voice(self, index: int) -> str:
        return self._speaker.voices[index % len(self._speaker.voices)]

    def _sound(self, audio: Audio, label: str, kind: str, words: str = "") -> Sound:
        path = self._folder / f"{self._written:04d}.wav"
        self._written += 1
        write_wav(path, audio)
        return Sound(path, label, kind, words)


def noise(index: int) -> tuple[str, Audio]:
    """The index-th of an endless, repeatable row of coughs, keyboards, tones, music and rumble."""
    random = np.random.default_rng(1000 + index)
    kinds = ("cough", "keyboard", "cough", "rumble", "keyboard", "tone", "cough", "music")
    kind = kinds[index % len(kinds)]
    make = {"cough": _cough, "keyboard": _keyboard, "rumble": _rumble, "tone": _tone, "music": _music}[kind]
    return kind, make(random)


def _cough(random: np.random.Generator) -> Audio:
    """One to three bursts of coloured noise: a hard onset, then 150-300 ms of decay."""
    bursts = []
    for _ in range(int(random.integers(1, 4))):
        length = int(RATE_HZ * random.uniform(0.15, 0.3))
        burst = _smooth(random.normal(size=length), 3) * np.exp(-np.linspace(0, 5, length))
        bursts += [burst, np.zeros(int(RATE_HZ * random.uniform(0.08, 0.2)))]
    return np.concatenate(bursts).astype(np.float32)


def _keyboard(random: np.random.Generator) -> Audio:
    """A second of keystrokes: 4 ms clicks, 80-180 ms apart."""
    audio = np.zeros(RATE_HZ, np.float32)
    position = 0
    while position < RATE_HZ - 64:
        audio[position : position + 32] += random.normal(size=32) * np.exp(-np.linspace(0, 4, 32))
        position += int(RATE_HZ * random.uniform(0.08, 0.18))
    return audio


def _rumble(random: np.random.Generator) -> Audio:
    """A lorry outside: low noise that swells and goes."""
    length = int(RATE_HZ * 1.2)
    return (_smooth(random.normal(size=length), 12) * np.hanning(length)).astype(np.float32)


def _tone(random: np.random.Generator) -> Audio:
    """A key pressed on the caller's phone, in band."""
    low, high = random.choice((697, 770, 852, 941)), random.choice((1209, 1336, 1477))
    time = np.arange(int(RATE_HZ * 0.25)) / RATE_HZ
    tone: NDArray[np.float64] = np.sin(2 * np.pi * low * time) + np.sin(2 * np.pi * high * time)
    return tone.astype(np.float32)


def _music(random: np.random.Generator) -> Audio:
    """Three chords, as from a radio in the room."""
    chords = []
    for _ in range(3):
        root = float(random.choice((262.0, 294.0, 330.0, 392.0)))
        time = np.arange(int(RATE_HZ * 0.4)) / RATE_HZ
        voices = [np.sin(2 * np.pi * root * step * time) for step in (1.0, 1.26, 1.498, 2.0)]
        chords.append(np.sum(voices, axis=0) * np.exp(-2 * time))
    return np.concatenate(chords).astype(np.float32)


def _smooth(audio: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    smooth: NDArray[np.float64] = np.convolve(audio, np.ones(width) / width, mode="same")
    return smooth


def telephone_band(audio: Audio, rate_hz: int) -> Audio:
    """8 kHz, 300-3400 Hz."""
    narrow = soxr.resample(audio, rate_hz, RATE_HZ) if rate_hz != RATE_HZ else audio
    spectrum = np.fft.rfft(narrow)
    frequency = np.fft.rfftfreq(len(narrow), 1 / RATE_HZ)
    spectrum *= np.clip((frequency - 200) / 100, 0, 1) * np.clip((3600 - frequency) / 200, 0, 1)
    return np.fft.irfft(spectrum, len(narrow)).astype(np.float32)


def _words_of(audio: Audio, rate_hz: int) -> Audio:
    narrow = telephone_band(audio, rate_hz)
    return leveled(narrow[loud(narrow)])


def loud(audio: Audio, range_db: float = 35.0) -> slice:
    """Where the words are: what is quieter than `range_db` under the loudest 20 ms comes before and after."""
    frames = len(audio) // 160
    rms = np.sqrt(np.mean(np.square(audio[: frames * 160].reshape(frames, 160)), axis=1))
    found = np.flatnonzero(rms > rms.max(initial=0.0) * 10 ** (-range_db / 20))
    return slice(found[0] * 160, (found[-1] + 1) * 160) if len(found) else slice(0, len(audio))


def leveled(audio: Audio, dbfs: float = ACTIVE_DBFS) -> Audio:
    """The loud half of its 20 ms frames at `dbfs`."""
    frames = max(1, len(audio) // 160)
    rms = np.sqrt(np.mean(np.square(audio[: frames * 160].reshape(frames, -1)), axis=1))
    active = float(np.sqrt(np.mean(np.square(rms[rms >= np.median(rms)]))))
    return audio * np.float32(32768 * 10 ** (dbfs / 20) / max(active, 1e-9))


def read_wav(path: Path) -> tuple[Audio, int]:
    with wave.open(str(path), "rb") as source:
        return _floats(source.readframes(source.getnframes())), source.getframerate()


def write_wav(path: Path, audio: Audio) -> None:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(clip(audio).tobytes())


def _floats(pcm: bytes) -> Audio:
    return np.frombuffer(pcm, np.int16).astype(np.float32)
