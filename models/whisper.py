"""Speech to text: Whisper on CTranslate2, one copy for all calls, made quick for short utterances.

Whisper is trained on 30 s windows, and its encoder's cost is the window's. A window cut to the
utterance is many times cheaper, but then the decoder, which finds no silence after the words, says
them over and over. So only the utterance is encoded, and the silence that should follow is appended
from a window that was encoded once, at the same positions. Measured on 26 telephone-band utterances,
base, int8, 2 cores: the words of the 30 s window, in an eighth of its time.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import ctranslate2
import numpy as np
import numpy.typing as npt
import tokenizers

from models.ctranslate import whisper
from models.errors import ModelBusy, ModelError, WeightsError
from models.expected import NOTHING, Ballot, Expected
from models.finality import Finality
from models.lanes import Lane, Priority, Speculative
from models.loudness import audible_s, halves
from models.mel import FRAMES_PER_SECOND, HOP_SAMPLES, SAMPLE_RATE_HZ, log_mel
from models.noise import is_noise
from models.repetition import once_only, repeats
from models.singing import Singing
from models.transcript import LanguageChoice, Languages, Transcript, joined, likeliest

LONGEST_S = 30
_FULL_FRAMES = LONGEST_S * FRAMES_PER_SECOND
_SHORTEST_FRAMES = 150
_PADDING_FRAMES = 50  # own silence after the words, which the last of them need to end well
_TAIL_POSITIONS = 200  # silence appended at the least; a position is 20 ms
_FEWEST_POSITIONS = 500  # with fewer the decoder repeats itself
_HINT_TOKENS = 100
_HYPOTHESES = 5  # of the decoder, where what it writes first isn't understood
_LONG_S = 6  # more than one sentence, perhaps
_UNSPACED = frozenset({"ja", "km", "lo", "my", "th", "yue", "zh"})  # languages that have no spaces
_LONGEST_PASS_S = 15  # of more, the decoder now and then writes the first half alone
# What an utterance, and each second of it, is worth in tokens; beyond that nothing is listened to once more.
_WORTH, _WORTH_PER_S = 100, 8
_FULL_WINDOW = 80  # tokens take as long as encoding it
_SILENCE_PEAK = 33  # -60 dBFS

Samples = npt.NDArray[np.int16]
_Steps = Generator[None, None, Transcript]


@dataclass(frozen=True, slots=True)
class _Decoding:
    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    word_logprob: float
    cut_off: bool


@dataclass
class _Effort:
    """What one utterance is still worth, in tokens. Song would be listened to in ever smaller parts."""

    left: int


class Recognizer:
    """Whisper, shared by all calls. Make one with `load`, off the event loop."""

    def __init__(
        self, model: ctranslate2.models.Whisper, tokenizer: tokenizers.Tokenizer, *, name: str, lane: Lane
    ) -> None:
        self.name = name
        self.lane = lane
        self._model = model
        self._tokenizer = tokenizer
        self._mels = int(model.n_mels)
        self._finality = Finality.load(name)
        self._singing = Singing.load(name)
        self._tail: npt.NDArray[np.float32] | None = None
        # A window of as many frames as the model is wide looks like encoder output to CTranslate2.
        self._width = 0

    @classmethod
    def load(
        cls, folder: Path, *, name: str, device: str = "cpu", compute_type: str = "auto", threads: int = 0
    ) -> Self:
        """Load the CTranslate2 weights in `folder` onto cpu or cuda, and prepare. Blocks for about 1 s.

        `threads` 0 uses one: a second gains nothing in the encoder and costs the decoder, whose steps are
        short, more than it gives. Raises WeightsError if the folder doesn't hold such weights, and
        ModelError if the GPU fails.
        """
        try:
            tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
            model = whisper(folder, device=device, compute_type=compute_type, threads=threads)
        except Exception as error:  # both libraries raise bare Exception and RuntimeError
            raise WeightsError(
                f"{folder} doesn't hold Whisper weights that can be loaded onto {device}: {error}"
            ) from error
        recognizer = cls(model, tokenizer, name=name, lane=Lane("recognizer"))
        try:
            recognizer._prepare()
        except RuntimeError as error:  # CTranslate2's, of a GPU that has no memory left or no kernels for it
            raise ModelError(f"Whisper doesn't run on {device}: {error}") from error
        return recognizer

    @property
    def device(self) -> str:
        return str(self._model.device)

    @property
    def compute_type(self) -> str:
        return str(self._model.compute_type)

    def hears(self, language: str) -> bool:
        """Whether the model knows `language` ("fr" or "fr-CA")."""
        code = _primary(language)
        return self._language_token(code) is not None if self._model.is_multilingual else code == "en"

    async def transcribe(
        self,
        pcm: bytes,
        *,
        call_id: str,
        language: str | LanguageChoice | None,
        speculative: Speculative = False,
        expected: Expected = NOTHING,
        priority: Priority = Priority.CALL,
    ) -> Transcript:
        """Transcribe one utterance of s16le mono PCM at 16 kHz, at most 30 s long.

        `language` None takes the likeliest; a choice is asked on the recognizer's thread, between hearing
        and writing. An English-only model always hears English. Raises ValueError for longer audio, ModelBusy
        (where `speculative`, also if a second listening were needed, which takes half a second), ModelFailed.
        Where `priority` is BULK, more urgent work comes in between its steps.
        """
        samples = np.frombuffer(pcm, np.int16)
        if len(samples) > LONGEST_S * SAMPLE_RATE_HZ:
            raise ValueError(f"{len(samples) / SAMPLE_RATE_HZ:.1f} s of audio; {LONGEST_S} s is the most.")
        if priority is Priority.BULK:
            listening = _Listening(self._steps(samples, language, expected, once=False))
            while (heard := await self.lane.run(call_id, listening.step, priority=priority)) is None:
                pass
            return heard
        return await self.lane.run(
            call_id,
            lambda: self.transcribe_now(samples, language, expected, once=bool(speculative)),
            speculative=speculative,
            priority=priority,
        )

    async def close(self) -> None:
        await self.lane.close()

    def transcribe_now(
        self,
        samples: Samples,
        language: str | LanguageChoice | None,
        expected: Expected = NOTHING,
        *,
        once: bool = False,
    ) -> Transcript:
        """`transcribe`, on the calling thread; `once`: raise ModelBusy rather than listen a second time."""
        listening = _Listening(self._steps(samples, language, expected, once=once))
        while (heard := listening.step()) is None:
            pass
        return heard

    def _steps(
        self, samples: Samples, language: str | LanguageChoice | None, expected: Expected, *, once: bool
    ) -> _Steps:
        wanted = _primary(language) if isinstance(language, str) else language or likeliest
        if not len(samples) or int(np.abs(samples.astype(np.int32)).max()) < _SILENCE_PEAK:
            return Transcript("", wanted if isinstance(wanted, str) else "en", 0.0, 1.0, 0.0)
        effort = _Effort(_WORTH + _WORTH_PER_S * len(samples) // SAMPLE_RATE_HZ)
        return (yield from self._hear(samples, wanted, expected, once, effort))

    def _hear(
        self, samples: Samples, wanted: str | LanguageChoice, expected: Expected, once: bool, effort: _Effort
    ) -> _Steps:
        hint = expected.hint
        if len(samples) > _LONGEST_PASS_S * SAMPLE_RATE_HZ:
            return (yield from self._hear_halves(samples, wanted, expected, once, effort))
        encoded = self.encode(samples)
        finished, sings = self._sound(encoded, samples)
        yield
        code, languages = self._resolve(wanted, encoded, samples)
        decoding = self._decode(encoded, len(samples), code, hint)
        effort.left -= len(decoding.tokens)
        text = self._written(decoding.tokens)
        if decoding.cut_off or repeats(text):
            if once:
                raise ModelBusy("This is only heard well by listening twice.")
            if effort.left > 0:
                yield
                encoded = self._encode(samples, _FULL_FRAMES)
                yield
                decoding = self._decode(encoded, len(samples), code, hint)
                effort.left -= _FULL_WINDOW + len(decoding.tokens)
            text = once_only(self._written(decoding.tokens))
        few = len(samples) > _LONG_S * SAMPLE_RATE_HZ and _words(text, code) < audible_s(samples)
        if few and effort.left > 0:
            if once:
                raise ModelBusy("This is only heard well by listening twice.")
            # Between sentences the decoder may take the sound to be over: one at a time it hears them all.
            yield
            both = yield from self._hear_halves(samples, code, expected, once, effort)
            return replace(both, languages=languages)
        logprob, no_speech = decoding.avg_logprob, decoding.no_speech_prob
        noise = is_noise(text, logprob, no_speech)
        heard = [text]
        if hint and text and not noise:  # behind one it makes words of noise, and is sure of them
            plain = self._decode(encoded, len(samples), code, "")
            noise = is_noise(self._written(plain.tokens), plain.avg_logprob, plain.no_speech_prob)
            heard.append(self._written(plain.tokens))
        if noise:
            text = ""
        elif text and expected.reads:
            yield
            text = self._compared(heard, encoded, len(samples), code, expected, once)
        return Transcript(
            text, code, logprob, no_speech, 0.0, decoding.word_logprob, languages, finished, sings
        )

    def _compared(
        self,
        heard: Sequence[str],
        encoded: ctranslate2.StorageView,
        samples: int,
        code: str,
        expected: Expected,
        once: bool,
    ) -> str:
        """Of all that may have been said, what most of it means; `heard` is what was written by now."""
        assert expected.reads is not None
        ballot = Ballot(expected.reads)
        for text in heard:
            ballot.add(text)
        for other in expected.others:
            ballot.add(self._written(self._decode(encoded, samples, code, other).tokens))
        if ballot.unanimous:
            return heard[0]
        if once:
            raise ModelBusy("This is only heard well by listening twice.")
        for hint in (expected.hint, *expected.others):
            prompt = self._prompt(code, hint)
            result = self._model.generate(
                encoded,
                [prompt],
                beam_size=_HYPOTHESES,
                num_hypotheses=_HYPOTHESES,
                sampling_temperature=0.0,
                max_length=_length(samples, prompt),
            )[0]
            for tokens in result.sequences_ids:
                ballot.add(self._written(tokens))
        return ballot.winner

    def _hear_halves(
        self, samples: Samples, wanted: str | LanguageChoice, expected: Expected, once: bool, effort: _Effort
    ) -> _Steps:
        """Both in the language of the first, if that says anything."""
        expected = replace(expected, reads=None)  # which waits for all of it
        before, after = halves(samples)
        first = yield from self._hear(before, wanted, expected, once, effort)
        yield
        second = yield from self._hear(
            after, first.language if first.text else wanted, expected, once, effort
        )
        return joined([first, second])

    def _prepare(self) -> None:
        speech = np.frombuffer((files("models") / "data" / "question.pcm").read_bytes(), np.int16)
        encoded = self._encode(speech, _FULL_FRAMES)
        self._width = encoded.shape[2]
        if self.device != "cpu":
            # There the full window costs less than moving the encoding about. The first use loads libraries.
            self.transcribe_now(speech, "en")
            return
        # Silence that follows speech: after nothing, the encoder treats it otherwise.
        self._tail = np.array(encoded)

    def encode(self, samples: Samples) -> ctranslate2.StorageView:
        """What the decoder writes from: the utterance, and silence behind it where the window is cut."""
        frames = self._window(samples)
        if self._tail is None or frames == _FULL_FRAMES:
            return self._encode(samples, _FULL_FRAMES)
        speech = np.array(self._encode(samples, frames))
        positions = speech.shape[1]
        until = max(_FEWEST_POSITIONS, positions + _TAIL_POSITIONS)
        joined = np.concatenate((speech, self._tail[:, positions:until]), axis=1)
        return ctranslate2.StorageView.from_array(joined)

    def _window(self, samples: Samples) -> int:
        """Cut to the utterance, where that is much shorter than the full one; in frames."""
        frames = max(_SHORTEST_FRAMES, -(-len(samples) // HOP_SAMPLES) + _PADDING_FRAMES)
        frames += frames % 2
        if frames == self._width:
            frames += 2
        return frames if frames + 2 * _TAIL_POSITIONS < _FULL_FRAMES else _FULL_FRAMES

    def _sound(self, encoded: ctranslate2.StorageView, samples: Samples) -> tuple[float | None, float | None]:
        """How finished who is heard sounds, and how probable it is that they sing."""
        if self._finality is None and self._singing is None:
            return None, None
        frames = self._window(samples)
        if self._tail is None and frames < _FULL_FRAMES:
            # The weights were fitted on cut windows: by a full one, 3 of 60 spoken sentences are sung.
            encoded = self._encode(samples, frames)
        view = encoded.to(ctranslate2.DataType.float32).to_device(ctranslate2.Device.cpu)
        states = np.asarray(view)[0]
        finished = self._finality.probability(states, samples) if self._finality else None
        return finished, self._singing.probability(states, len(samples)) if self._singing else None

    def _encode(self, samples: Samples, frames: int) -> ctranslate2.StorageView:
        features = log_mel(samples, frames, self._mels)
        return self._model.encode(ctranslate2.StorageView.from_array(features[np.newaxis]))

    def _resolve(
        self, wanted: str | LanguageChoice, encoded: ctranslate2.StorageView, samples: Samples
    ) -> tuple[str, Languages | None]:
        """The language to write in, and what it was chosen by, which takes a step of the decoder."""
        if not self._model.is_multilingual:
            return "en", None
        if isinstance(wanted, str) and self._language_token(wanted) is not None:
            return wanted, None
        found = self._model.detect_language(encoded)[0]
        probabilities = {str(token).strip("<|>"): float(probability) for token, probability in found}
        languages = Languages(probabilities, audible_s(samples))
        return likeliest(languages) if isinstance(wanted, str) else wanted(languages), languages

    def _decode(self, encoded: ctranslate2.StorageView, samples: int, code: str, hint: str) -> _Decoding:
        prompt = self._prompt(code, hint)
        room = _room(samples)
        result: Any = self._model.generate(
            encoded,
            [prompt],
            beam_size=1,
            sampling_temperature=0.0,
            max_length=_length(samples, prompt),
            return_scores=True,
            return_no_speech_prob=True,
            return_logits_vocab=True,
        )[0]
        tokens = tuple(result.sequences_ids[0])
        return _Decoding(
            tokens=tokens,
            avg_logprob=result.scores[0] * len(tokens) / (len(tokens) + 1),  # the end counts too
            no_speech_prob=result.no_speech_prob,
            word_logprob=self._word_logprob(tokens, result.logits[0]),
            cut_off=len(tokens) >= room,
        )

    def _word_logprob(self, tokens: Sequence[int], logits: Sequence[ctranslate2.StorageView]) -> float:
        """Of the last word's tokens, without what punctuation follows it. 0 where there is no word."""
        total = 0.0
        for token, view in zip(reversed(tokens), reversed(logits[: len(tokens)]), strict=False):
            piece = str(self._tokenizer.id_to_token(token))
            if piece.startswith("<|") or not any(map(str.isalnum, piece)):
                continue
            scores = np.asarray(view.to_device(ctranslate2.Device.cpu), np.float32).ravel()
            total += float(scores[token] - scores.max() - np.log(np.exp(scores - scores.max()).sum()))
            if piece.startswith("Ġ"):  # a space, in this tokenizer's spelling
                break
        return total

    def _prompt(self, code: str, hint: str) -> list[int]:
        prompt = []
        if hint.strip():
            ids = self._tokenizer.encode(" " + hint.strip(), add_special_tokens=False).ids
            prompt = [self._special("startofprev"), *ids[-_HINT_TOKENS:]]
        prompt.append(self._special("startoftranscript"))
        if self._model.is_multilingual:
            prompt += [self._special(code), self._special("transcribe")]
        return [*prompt, self._special("notimestamps")]

    def _written(self, tokens: Sequence[int]) -> str:
        end = self._special("endoftext")
        return str(self._tokenizer.decode([token for token in tokens if token < end])).strip()

    def _special(self, name: str) -> int:
        token = self._tokenizer.token_to_id(f"<|{name}|>")
        if token is None:
            raise ModelError(f"The tokenizer of {self.name} has no <|{name}|>.")
        return int(token)

    def _language_token(self, code: str) -> int | None:
        token: int | None = self._tokenizer.token_to_id(f"<|{code}|>")
        return token


class _Listening:
    """One utterance's way to its transcript, in steps that take a second at most."""

    def __init__(self, steps: _Steps) -> None:
        self._steps = steps
        self._took_s = 0.0

    def step(self) -> Transcript | None:
        """Go on a step, on the calling thread; the transcript comes with the last one."""
        began, heard = time.perf_counter(), None
        try:
            next(self._steps)
        except StopIteration as end:
            heard = end.value
        self._took_s += time.perf_counter() - began
        return heard and replace(heard, decode_ms=self._took_s * 1000)


def _room(samples: int) -> int:
    """Tokens. People say at most some 8 a second; a decoder that goes on has lost its way."""
    return min(224, 16 + 10 * samples // SAMPLE_RATE_HZ)


def _length(samples: int, prompt: Sequence[int]) -> int:
    """With which CTranslate2 writes that many tokens: half of it, as OpenAI does, and no more than the prompt
    leaves of it."""
    room = _room(samples)
    return room + max(room, len(prompt))


def _words(text: str, code: str) -> int:
    """About how many there are."""
    return len(text) // 2 if code in _UNSPACED else len(text.split())


def _primary(language: str) -> str:
    return language.replace("_", "-").split("-")[0].lower()
