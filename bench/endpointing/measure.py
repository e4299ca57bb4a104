"""Makes the table that the endpointing model is fitted on: one row a cut, with what each signal said of it.

Each sentence is spoken by a synthesized caller, and cut at its end, at the places where callers hesitate
and at a word in between. Each cut gets what the agent would have at that point: smart-turn's probability,
Whisper's words, and the language model's probability that these words end a sentence.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3

from bench.endpointing.table import Cut, read, write
from bench.endpointing.voices import RATE_HZ, Espeak, Piper, Samples, Spoken, integers, telephone, trimmed
from config.persona import load_persona
from config.settings import Settings
from models.catalog import Catalog
from models.llm.chatml import render
from models.llm.completeness import TOP_TOKENS, clean, ends
from models.pool import speech_model
from models.whisper import Recognizer

HERE = Path(__file__).parent
SENTENCES = HERE / "sentences.txt"
SILENCE_S = 0.15  # what lies behind a cut when its signals are taken
ESPEAK_VOICES = ("en-us", "en-gb", "en-us+f3", "en-gb+m3", "en-gb-scotland+f2")


def sentences() -> Iterator[tuple[str, list[list[str]]]]:
    """(kind, words between hesitations) of each sentence."""
    for line in SENTENCES.read_text().splitlines():
        if line and not line.startswith("#"):
            kind, text = line.split("\t")
            yield kind, [part.split() for part in text.split("|")]


class Completeness:
    """The probability that the next token ends the sentence, asked as `models.llm.completeness` asks it."""

    def __init__(self, gguf: str) -> None:
        xllamacpp: Any = importlib.import_module("xllamacpp")  # its names come from a compiled module
        params = xllamacpp.CommonParams()
        params.model.path = gguf
        params.n_ctx = 1024
        params.cpuparams.n_threads = 1
        params.n_parallel = 1
        self._server = xllamacpp.Server(params)
        persona = load_persona("en")
        # As in a call: behind the persona's prompt and what the agent has just said.
        self._before = render(
            [
                {"role": "system", "content": persona.prompt},
                {"role": "assistant", "content": persona.greeting},
            ]
        )

    def end_probability(self, text: str) -> float:
        said = clean(text)
        if not said:
            return 0.0
        answer = self._server.handle_completions(
            {
                "prompt": self._before + said,
                "n_predict": 1,
                "n_probs": TOP_TOKENS,
                "temperature": 0,
                "cache_prompt": True,
            }
        )
        content = answer["choices"][0]["logprobs"]["content"]
        return ends({"completion_probabilities": content})


def ask_again() -> None:
    """Measure the completeness of the table's transcripts anew, and nothing else."""
    completeness = Completeness(str(bundled_llm()))
    write([replace(c, completeness=round(completeness.end_probability(c.transcript), 5)) for c in read()])


def bundled_llm() -> Path:
    path = Catalog(Settings().cache_dir).language_model("smollm2-135m")
    if path is None:
        raise SystemExit("smollm2-135m is not installed: run `make install`.")
    return path


Speak = Callable[[str], Spoken]


def readings(
    rng: np.random.Generator, piper: Piper, espeak: Espeak, number: int
) -> Iterator[tuple[str, Speak]]:
    """One or two voices for a sentence. Whisper makes little of espeak-ng's, so that most are Piper's."""
    pace, pitch = float(rng.uniform(0.85, 1.2)), float(rng.uniform(0.92, 1.15))
    yield "joe", lambda text: piper.speak(text, pace, 1.0)
    if number % 4 == 1:
        yield f"joe*{pitch:.2f}", lambda text: piper.speak(text, pace, pitch)
    elif number % 4 == 3:
        voice = ESPEAK_VOICES[(number // 4) % len(ESPEAK_VOICES)]
        yield voice, lambda text: espeak.speak(text, voice, pace, int(40 * pitch))


def cuts(
    groups: list[list[str]], speak: Speak, rng: np.random.Generator
) -> Iterator[tuple[str, str, Samples]]:
    """(place, words, sound) of each cut of a sentence."""
    flat = [word for group in groups for word in group]
    whole = speak(" ".join(flat))
    yield "end", " ".join(flat), trimmed(whole.samples)
    marks = list(np.cumsum([len(group) for group in groups])[:-1])
    if marks:
        mark = int(rng.choice(marks))
        prefix = " ".join(flat[:mark])
        yield "lengthened", prefix, trimmed(speak(prefix.rstrip(",.?!") + ",").samples)
    if not whole.ends:
        return
    for mark in marks:
        yield "hesitation", " ".join(flat[:mark]), faded(whole.samples[: whole.ends[int(mark) - 1]])
    others = [at for at in range(2, len(flat)) if at not in marks]
    if others:
        at = int(rng.choice(others))
        yield "word", " ".join(flat[:at]), faded(whole.samples[: whole.ends[at - 1]])


def faded(samples: Samples) -> Samples:
    samples = samples.copy()
    samples[-320:] *= np.linspace(1, 0, 320, dtype=np.float32)[-len(samples) :]
    return samples


def measure(limit: int | None = None) -> list[Cut]:
    rng = np.random.default_rng(7)
    piper, espeak = Piper(), Espeak()
    settings = Settings()
    catalog = Catalog(settings.cache_dir)
    name = speech_model(settings, ["en"], catalog)
    recognizer = Recognizer.load(catalog.whisper(name), name=name)
    turn = LocalSmartTurnAnalyzerV3()
    completeness = Completeness(str(bundled_llm()))
    table: list[Cut] = []
    todo = list(enumerate(sentences()))[:limit]
    for number, (kind, groups) in todo:
        for voice, speak in readings(rng, piper, espeak, number):
            for place, said, sound in cuts(groups, speak, rng):
                silence = np.zeros(int(SILENCE_S * RATE_HZ), np.float32)
                heard = telephone(
                    np.concatenate((sound, silence)),
                    rng,
                    peak_db=float(rng.choice([-4, -12, -24])),
                    snr_db=float(rng.choice([20, 30, 45])),
                )
                transcript = recognizer.transcribe_now(integers(heard), "en")
                table.append(
                    Cut(
                        number,
                        voice,
                        kind,
                        place,
                        int(place == "end"),
                        len(sound) * 1000 // RATE_HZ,
                        said,
                        transcript.text,
                        round(turn._predict_endpoint(heard)["probability"], 5),
                        round(completeness.end_probability(transcript.text), 5),
                        round(transcript.word_logprob, 2),
                    )
                )
        write(table)
        print(f"\r{number + 1} of {len(todo)} sentences", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return table
