"""Writes the lessons from which train.py learns: `python -m bench.mind MODEL.gguf LESSONS.jsonl`."""

from __future__ import annotations

import argparse
import importlib
from functools import cache
from pathlib import Path
from typing import Any

import httpx2

from bench.mind.conversations import FOLDER, conversations
from bench.mind.lessons import Tokenize, lessons, turns


def tokenizer(weights: Path) -> tuple[Any, Tokenize]:
    """llama.cpp's server, which has to be kept, and what turns a prompt into token ids."""
    xllamacpp: Any = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_ctx, params.n_gpu_layers, params.warmup, params.verbosity = 512, 0, False, 0
    server = xllamacpp.Server(params)
    http = httpx2.Client(base_url=server.listening_address, trust_env=False)

    @cache
    def tokenize(text: str) -> tuple[int, ...]:
        answer = http.post("/tokenize", json={"content": text, "parse_special": True})
        answer.raise_for_status()
        return tuple(answer.json()["tokens"])

    return server, lambda text: list(tokenize(text))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("lessons", type=Path)
    parser.add_argument(
        "--judge",
        action="store_true",
        help="where callers' turns end as well, and no tools; in English alone",
    )
    parser.add_argument("--conversations", type=Path, default=FOLDER)
    told = parser.parse_args()
    server, tokenize = tokenizer(told.model)
    given = list(conversations(told.conversations))
    if told.judge:
        given = [one for one in given if one.language == "en"]
        made = [*turns(given, tokenize), *(one for one in lessons(given, tokenize) if one.kind != "choice")]
    else:
        made = list(lessons(given, tokenize))
    with told.lessons.open("w") as file:
        file.writelines(one.to_line() for one in made)
    kinds = {one.kind: sum(other.length for other in made if other.kind == one.kind) for one in made}
    print(f"{len(made)} lessons; tokens: {kinds}")
    del server


if __name__ == "__main__":
    main()
