"""Arrays that take long to compute and always come out the same, kept in files."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from loguru import logger

from models.files import write_whole
from models.speech import Floats

_DIGEST_BYTES = 32


class Kept:
    """Files in `folder`, or none where it is None. `made_by` is what decides how all of them come out."""

    def __init__(self, folder: Path | None, made_by: bytes) -> None:
        self._folder = folder
        self._made_by = made_by

    def get(self, name: str, made_of: bytes, make: Callable[[], list[Floats]]) -> list[Floats]:
        """What `make` returns, from the file `name` where that is whole and was made of the same."""
        if self._folder is None:
            return make()
        path = self._folder / name
        with suppress(OSError):
            written = path.read_bytes()
            digest, body = written[:_DIGEST_BYTES], written[_DIGEST_BYTES:]
            if digest == self._digest(made_of, body):
                return list(np.load(io.BytesIO(body)).values())
        made = make()
        buffer = io.BytesIO()
        np.savez(buffer, *made)
        body = buffer.getvalue()
        try:
            write_whole(path, self._digest(made_of, body) + body)
        except OSError as error:  # it is made again at the next start
            logger.debug(f"{path} couldn't be written: {error}")
        return made

    def _digest(self, made_of: bytes, body: bytes) -> bytes:
        return hashlib.sha256(b"\0".join((self._made_by, made_of, body))).digest()
