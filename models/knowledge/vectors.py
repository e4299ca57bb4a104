"""Where a passage's vector is kept, so that it is reckoned once and not at every start."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from loguru import logger

from models.knowledge.embedder import NAME, WIDTH, Embedder, Floats
from models.onnx_session import build

KEPT_S = 90 * 86400.0  # behind its last use
BUSY_S = 30.0  # another process writes
SEVERAL = 500  # that are worth telling that this takes a while
_COMMIT = 64


class Vectors:
    """A file of them; one that can't be written costs only the time. Blocks."""

    def __init__(self, path: Path) -> None:
        self._model = f"{NAME} {build()}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=BUSY_S)
            self._make()
        except (OSError, sqlite3.Error) as error:
            logger.warning(f"{path} can't be used: {error}. Pages are read anew at every start.")
            self._db = sqlite3.connect(":memory:")
            self._make()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._db.close()

    def of(self, texts: Sequence[str], embedder: Embedder) -> Floats:
        """Each text's, (texts, WIDTH)."""
        keys = [self._key(text) for text in texts]
        known = self._known(keys)
        missing = [(key, text) for key, text in zip(keys, texts, strict=True) if key not in known]
        if len(missing) > SEVERAL:
            logger.info(f"{len(missing)} passages of pages are read. Later starts won't wait for that.")
        for start in range(0, len(missing), _COMMIT):
            part = missing[start : start + _COMMIT]
            new = embedder.embed([text for _, text in part])
            known |= {key: vector.tobytes() for (key, _), vector in zip(part, new, strict=True)}
            self._keep([key for key, _ in part], known)
        self._keep(keys, known)
        vectors = np.frombuffer(b"".join(known[key] for key in keys), np.float32)
        return vectors.reshape(len(keys), WIDTH)

    def _make(self) -> None:
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS vectors"
            " (key BLOB PRIMARY KEY, vector BLOB NOT NULL, used REAL NOT NULL)"
        )

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(f"{self._model}\n{text}".encode()).digest()

    def _known(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found = {}
        for key in keys:
            row = self._db.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
            if row and len(row[0]) == WIDTH * 4:
                found[key] = row[0]
        return found

    def _keep(self, keys: Sequence[bytes], vectors: dict[bytes, bytes]) -> None:
        now = time.time()
        try:
            with self._db:
                self._db.executemany(
                    "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)",
                    [(key, vectors[key], now) for key in keys],
                )
                self._db.execute("DELETE FROM vectors WHERE used < ?", (now - KEPT_S,))
        except sqlite3.Error as error:
            logger.warning(f"What pages say can't be kept: {error}")
