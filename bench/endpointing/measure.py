"""Has callers speak, and keeps what the agent would have of each at the places where they may pause.

    python -m bench.endpointing.measure CACHE [LANGUAGE ...]

KOKORO_STYLES is the folder of Kokoro's voices (`voices/` of npm's kokoro-js 1.2.1), SPEECH_RECORDINGS one of
recordings of people: WAV, mono, 16 bit, 16 kHz. CACHE keeps what was made, so that it can be broken off. On
two cores a sentence takes a second to synthesize and a cut 0.2 s to measure; English has some 3,000.
"""

from __future__ import annotations

import importlib
import os
import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from numpy.typing import NDArray

from bench.endpointing.callers import LANGUAGES, Cut, Recording, cuts, listen, recorded, synthesized
from bench.endpointing.table import Row
from config.persona import load_persona
from config.settings import Settings
from models.catalog import Catalog
from models.finality import WINDOWS, speech_end
from models.llm.chatml import render
from models.llm.completeness import TOP_TOKENS, clean, ends
from models.pool import speech_model
from models.whisper import Recognizer, Samples

RENDERINGS = 3  # of a recording of a person, at other levels, in other noise
FROM, UNTIL = min(begin for begin, _ in WINDOWS), max(until for _, until in WINDOWS)


@dataclass(frozen=True)
class Measured:
    row: Row  # without `finished`, which takes a fit
    states: NDArray[np.float16]  # of the encoder, from `FROM` to `UNTIL` positions about the end of speech


class Completeness:
    """The probability that the next token ends the sentence, asked as `models.llm.completeness` asks it."""

    def __init__(self) -> None:
        xllamacpp: Any = importlib.import_module("xllamacpp")  # its names come from a compiled module
        params = xllamacpp.CommonParams()
        params.model.path = str(Catalog(Settings().cache_dir).language_model("smollm2-135m"))
        params.n_ctx = 1024
        params.cpuparams.n_threads = 1
        params.n_parallel = 1
        self._server = xllamacpp.Server(params)

    def end_probability(self, text: str, agent: str) -> float:
        """As in a call: behind what the agent has just said."""
        said = clean(text)
        if not said:
            return 0.0
        answer = self._server.handle_completions(
            {
                "prompt": render([{"role": "assistant", "content": agent}]) + said,
                "n_predict": 1,
                "n_probs": TOP_TOKENS,
                "temperature": 0,
                "cache_prompt": True,
            }
        )
        logprobs = answer["choices"][0]["logprobs"]
        if logprobs is None:  # the turn ends here: there is no token to tell of
            return 1.0
        return ends({"completion_probabilities": logprobs["content"]})


class Ear(Recognizer):
    """One that keeps what it last encoded."""

    states: NDArray[np.float32]

    def encode(self, samples: Samples) -> ctranslate2.StorageView:
        encoded = super().encode(samples)
        self.states = np.asarray(encoded)[0].copy()
        return encoded


def recordings(language: str, cache: Path) -> Iterator[tuple[str, Recording]]:
    """(source, recording) of what is spoken in `language`."""
    catalog = Catalog(Settings().cache_dir)
    people = Path(os.environ["SPEECH_RECORDINGS"])
    kept = cache / "heard.pickle"
    if not kept.is_file():
        kept.write_bytes(pickle.dumps(listen(people, catalog.whisper("base"))))
    for one in recorded(people, pickle.loads(kept.read_bytes())):
        if one.sentence.language == language:
            for rendering in range(RENDERINGS):
                yield "person", replace(one, reading=rendering)
    made = cache / "spoken"
    made.mkdir(exist_ok=True)
    for one in synthesized(language, Path(os.environ["KOKORO_STYLES"]), made):
        yield "synthesized", one


def measure(language: str, cache: Path, model: str | None = None, *, every: int = 1) -> list[Measured]:
    """Every cut of `language`, by the Whisper that hears it unless `model` names another.

    Of the synthesized sentences only one of `every` so many.
    """
    settings = Settings()
    catalog = Catalog(settings.cache_dir)
    name = model or speech_model(settings, [language], catalog)
    recognizer = Ear.load(catalog.whisper(name), name=name)
    completeness = Completeness()
    greeting = load_persona(language).greeting
    folder = cache / name
    folder.mkdir(exist_ok=True)
    found: list[Measured] = []
    for number, (source, recording) in enumerate(recordings(language, cache), 1):
        sentence = recording.sentence
        if source == "synthesized" and sentence.number % every:
            continue
        kept = folder / f"{language}-{source}-{sentence.number}-{recording.reading}.pickle"
        if not kept.is_file():
            measured = [
                _measured(cut, source, recognizer, completeness, greeting)
                for cut in cuts(recording, everywhere=source == "person" and recording.reading == 0)
            ]
            kept.write_bytes(pickle.dumps(measured))
        found += pickle.loads(kept.read_bytes())
        print(f"\r{language}: {number} recordings, {len(found)} cuts", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found


def _measured(cut: Cut, source: str, recognizer: Ear, completeness: Completeness, greeting: str) -> Measured:
    sentence = cut.recording.sentence
    heard = recognizer.transcribe_now(cut.samples, sentence.language)
    states = recognizer.states
    about_end = np.clip(speech_end(cut.samples) + np.arange(FROM, UNTIL), 0, len(states) - 1)
    row = Row(
        language=sentence.language,
        source=source,
        sentence=sentence.number,
        voice=cut.recording.voice,
        kind=sentence.kind,
        place=cut.place,
        said=cut.said,
        agent=sentence.agent,
        transcript=heard.text,
        word_logprob=round(heard.word_logprob, 2),
        completeness=round(completeness.end_probability(heard.text, sentence.agent or greeting), 5),
        finished=0.5,
    )
    return Measured(row, states[about_end].astype(np.float16))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for language in sys.argv[2:] or LANGUAGES:
        measure(language, folder)
