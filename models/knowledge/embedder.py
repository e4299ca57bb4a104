"""Texts as vectors: a question's is close to those of what answers it. all-MiniLM-L6-v2, for English."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

from models.onnx_session import session

Floats = npt.NDArray[np.float32]

NAME = "minilm-l6"
LANGUAGES = ("en",)
WIDTH = 384
LONGEST = 192  # tokens; a passage has some 90
_BATCH = 16


class Embedder:
    """For one thread at a time."""

    def __init__(self, weights: Path) -> None:
        self._session = session(weights.read_bytes(), device="cpu", threads=1)  # two are no faster
        self._tokenizer = _tokenizer()

    def embed(self, texts: Sequence[str]) -> Floats:
        """Vectors of length 1, (texts, WIDTH)."""
        # Of about the same length together: they are padded to the longest.
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        vectors = np.empty((len(texts), WIDTH), np.float32)
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            vectors[batch] = self._embed(self._tokenizer.encode_batch([texts[number] for number in batch]))
        return vectors

    def _embed(self, encoded: Sequence[Encoding]) -> Floats:
        ids = np.array([one.ids for one in encoded], np.int64)
        there = np.array([one.attention_mask for one in encoded], np.int64)
        inputs = {"input_ids": ids, "attention_mask": there, "token_type_ids": np.zeros_like(ids)}
        states = np.asarray(self._session.run(None, inputs)[0])
        mean = (states * there[:, :, None]).sum(1) / there.sum(1, keepdims=True)
        normed: Floats = (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)
        return normed


def _tokenizer() -> Tokenizer:
    """BERT's, for lower case."""
    words = (files("models") / "data" / "bert" / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
    known = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(WordPiece(known, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", known["[SEP]"]), ("[CLS]", known["[CLS]"]))
    tokenizer.enable_truncation(LONGEST)
    tokenizer.enable_padding()
    return tokenizer
