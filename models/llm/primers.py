"""A llama.cpp server's places for conversations, and how each comes to know a prompt's beginning."""

from __future__ import annotations

import hashlib
import os
from importlib.metadata import version
from pathlib import Path

import httpx2
from loguru import logger

from models.llm.child import LlamaChild

MOST_STATES = 32  # some 20 MB each with the largest model
PRIME_DEADLINE_S = 120.0  # for a long primer on a slow machine


class Slots:
    """Places for conversations, each with its own prompt cache."""

    def __init__(self, count: int) -> None:
        self._free = list(range(count))

    def take(self) -> int | None:
        """None when all are taken: the server's last one then serves, as it does whoever has none."""
        return self._free.pop(0) if self._free else None

    def give_back(self, slot: int) -> None:
        self._free.append(slot)


class Primers:
    """Has slots know primers, the texts with which prompts begin, before the first question comes.

    A primer is read once, at some 60 tokens a second; what the model then knows is kept in a file, from which
    every slot gets it in some 5 ms, at later starts too.
    """

    def __init__(self, child: LlamaChild) -> None:
        self.child = child
        self._build = f"{version('xllamacpp')} {_stamp(child.weights)} {_sum(child.adapter)}"

    async def prime(self, slot: int, primer: str) -> None:
        """Have `slot` know `primer`. Only speed is lost where that fails: the first answer then reads it."""
        name = self._name(primer)
        state = self.child.states / name
        try:
            if not state.is_file():
                await self._read(slot, primer, state)
            elif not await self._did(slot, "restore", name):
                state.unlink(missing_ok=True)  # of a run that was killed in mid-writing
                await self._read(slot, primer, state)
            else:
                os.utime(state)
        except (httpx2.HTTPError, OSError) as error:
            logger.debug(f"A prompt wasn't read ahead: {type(error).__name__}")

    async def _read(self, slot: int, primer: str, state: Path) -> None:
        logger.info("The language model reads what every call begins with. Later starts won't wait for that.")
        request = {"prompt": primer, "n_predict": 0, "cache_prompt": True, "id_slot": slot}
        answer = await self.child.http.post(
            f"{self.child.url}/completion", json=request, timeout=PRIME_DEADLINE_S
        )
        answer.raise_for_status()
        part = state.with_name(f"{state.name}.{os.getpid()}")
        try:
            if await self._did(slot, "save", part.name):
                part.replace(state)
                _forget_oldest(state.parent)
        finally:
            part.unlink(missing_ok=True)  # what fitted onto a full disk

    async def _did(self, slot: int, action: str, name: str) -> bool:
        answer = await self.child.http.post(
            f"{self.child.url}/slots/{slot}?action={action}", json={"filename": name}
        )
        return answer.status_code == 200

    def _name(self, primer: str) -> str:
        return hashlib.sha256(f"{self._build}\n{primer}".encode()).hexdigest()[:32]


def _stamp(weights: Path) -> str:
    """Changes with the file; a sum would read a gigabyte."""
    try:
        about = weights.stat()
    except OSError:
        return str(weights)
    return f"{weights} {about.st_size} {about.st_mtime_ns}"


def _sum(adapter: Path | None) -> str:
    return "" if adapter is None else hashlib.sha256(adapter.read_bytes()).hexdigest()


def _forget_oldest(folder: Path) -> None:
    for state in sorted(folder.iterdir(), key=lambda state: state.stat().st_mtime, reverse=True)[
        MOST_STATES:
    ]:
        state.unlink(missing_ok=True)
