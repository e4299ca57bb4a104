"""All recordings: written beside the event loop, kept for as long as is wanted, and found again."""

from __future__ import annotations

import asyncio
import logging
import re
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import av
from sqlalchemy.exc import SQLAlchemyError

from agent.recordings.file import mend, peaks_path
from agent.recordings.recording import CallRecording
from agent.recordings.tap import Tap
from agent.recordings.writer import Writer
from agent.records.database import Database
from config.errors import ConfigError
from config.persona import Persona
from config.settings import Settings
from models.pool import ComponentHealth

WRITE_EVERY_S = 1.0
SWEEP_EVERY_S = 600.0
FINISH_S = 5.0  # how long a call's end waits for its recording
NOTE_S = 10.0
HANGS_S = 10.0
MOST_WAITING_BYTES = 64 * 1024 * 1024  # of all recordings, for a disk that takes nothing
_REMEDY = "Make room on its disk, or let offhook write there (recordings.folder)."
_ID = re.compile(r"[0-9a-f]{12}")

T = TypeVar("T")
logger = logging.getLogger("offhook.recordings")


class Recordings:
    """`record` may be called from `start` until `close`. All that touches the disk is the writer's."""

    def __init__(self, settings: Settings, database: Database, *, alone: bool = True) -> None:
        """One that isn't `alone` leaves what is old, or of a process that died, to another process."""
        self._alone = alone
        self._settings = settings.recordings
        self.folder = settings.recordings.folder or settings.state_dir / "recordings"
        self._database = database
        self._writer = Writer()
        self._open: list[CallRecording] = []
        self._task: asyncio.Task[None] | None = None
        self._error = ""
        self._lost = 0

    @property
    def may_listen(self) -> bool:
        return self._settings.listening

    def announcing(self, persona: Persona) -> Persona:
        """The same, who first tells callers what may be done. Raises ConfigError."""
        words = self._settings.announcement(persona.says)
        if not words:
            raise ConfigError(
                f"Calls are to be recorded, and the persona {persona.name} has no words for that in "
                f"{persona.language!r}: give it phrases.may_be_recorded and phrases.may_be_heard."
            )
        return persona.announcing(words)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="recordings")

    async def close(self) -> None:
        """Write what there is, if that can be done soon."""
        if self._task is None:
            self._writer.close()
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for recording in list(self._open):  # the writer takes those away that are written
            recording.end()
        try:
            async with asyncio.timeout(FINISH_S):
                await self._writer.run(self._write)
        except TimeoutError:
            logger.error("%d recordings weren't written in time", len(self._open))  # noqa: TRY400
        self._writer.close()

    def health(self) -> ComponentHealth:
        error = self._error
        if self._writer.busy_s > HANGS_S:
            error = f"{self.folder} hangs: its disk has taken nothing for {HANGS_S:.0f} s."
        remedy = _REMEDY if error else None
        if error:
            error += " Calls go on, and what isn't written of them is kept a while."
            if self._lost:
                error += f" {self._lost} recordings were cut short."
        state, where = "degraded" if error else "ready", str(self.folder)
        return ComponentHealth("recordings", state, "", where, error or None, len(self._open), remedy=remedy)

    # Of live calls.

    def record(self, call_id: str, tap: Tap, clock: Callable[[], float]) -> CallRecording | None:
        """What of a call is behind its announcement will be kept; `finish` it when the call is over.

        None where calls are only listened to.
        """
        if not self._settings.enabled:
            return None
        recording = CallRecording(self._path(call_id), tap, clock)
        self._open.append(recording)
        return recording

    async def finish(self, recording: CallRecording) -> None:
        """Returns when it is written, or can't be yet."""
        recording.end()
        try:
            async with asyncio.timeout(FINISH_S):
                await self._writer.run(self._write)
        except TimeoutError:
            logger.warning("a recording isn't written yet")

    # Of calls that are over.

    async def path(self, call_id: str) -> Path | None:
        """The file, if there is one."""
        if not _ID.fullmatch(call_id):
            return None
        path = self._path(call_id)
        return path if await self._writer.run(path.is_file) else None

    def live(self, call_id: str) -> bool:
        """Whether it is still being written."""
        return any(one.path == self._path(call_id) for one in self._open)

    async def delete(self, call_ids: Iterable[str]) -> int:
        """Those of calls that are over; returns how many there were. Raises OSError."""
        gone = {id: path for id in call_ids if (path := await self.path(id)) and not self.live(id)}
        for path in gone.values():
            await self._writer.run(partial(_delete, path))
        await self._note(dict.fromkeys(gone))
        return len(gone)

    def _path(self, call_id: str) -> Path:
        return self.folder / f"{call_id}.flac"

    # The writer.

    async def _run(self) -> None:
        swept = -SWEEP_EVERY_S
        if self._alone:
            await self._note(await self._try(self._mend) or {})
        while True:
            await self._writer.run(self._write)
            if self._alone and time.monotonic() - swept > SWEEP_EVERY_S:
                swept = time.monotonic()
                await self._note(await self._try(self._sweep) or {})
            await asyncio.sleep(WRITE_EVERY_S)

    async def _note(self, recordings: Mapping[str, tuple[int, float] | None]) -> None:
        """Bytes and seconds by call; None for what is gone."""
        try:
            async with asyncio.timeout(NOTE_S):  # what is recorded now doesn't wait for a database that hangs
                await self._database.note_recordings(recordings)
        except (SQLAlchemyError, OSError) as error:
            logger.warning("records don't know what became of %d recordings: %s", len(recordings), error)

    async def _try(self, work: Callable[[], T]) -> T | None:
        try:
            return await self._writer.run(work)
        except OSError as error:
            self._fail(error)
        except Exception:  # whatever is found in the folder: recordings go on
            logger.exception("recordings can't be looked through")
        return None

    def _write(self) -> None:
        """A turn for each recording; those that are over and written are left out."""
        failed: OSError | None = None
        written = False
        for recording in list(self._open):
            try:
                over = recording.write()
                written |= recording.recorded is not None
            except OSError as error:
                failed, over = error, False
            except Exception:  # one recording may fail, the others not
                logger.exception("a recording failed")
                recording.give_up()
                self._lost += 1
                over = True
            if over:
                self._open.remove(recording)
        if failed:
            self._fail(failed)
            self._give_up_oldest()
        elif self._error and written:
            logger.info("recordings can be written again")
            self._error = ""

    def _fail(self, error: OSError) -> None:
        if not self._error:
            logger.error("recordings can't be written: %s", error.strerror or error)
        self._error = f"{self.folder} can't be written: {error.strerror or error}."

    def _give_up_oldest(self) -> None:
        while self._open and sum(one.waiting_bytes for one in self._open) > MOST_WAITING_BYTES:
            self._open.pop(0).give_up()
            self._lost += 1

    def _sweep(self) -> dict[str, tuple[int, float] | None]:
        """Delete what is older than it may be, and the oldest of what is too much."""
        live = {one.path for one in self._open}
        found = [(path.stat(), path) for path in self.folder.glob("*.flac") if path not in live]
        found.sort(key=lambda one: one[0].st_mtime)
        oldest = time.time() - self._settings.keep_days * 24 * 3600
        total = sum(stat.st_size for stat, _ in found)
        gone: dict[str, tuple[int, float] | None] = {}
        for stat, path in found:
            if stat.st_mtime < oldest or total > self._settings.most_mb * 1_000_000:
                _delete(path)
                gone[path.stem] = None
                total -= stat.st_size
        if gone:
            logger.info("deleted %d recordings that were too old or too many", len(gone))
        return gone

    def _mend(self) -> dict[str, tuple[int, float] | None]:
        """What a process that died was recording gets its end."""
        found: dict[str, tuple[int, float] | None] = {}
        for path in self.folder.glob("*.flac"):
            try:
                mended = mend(path)
            except (struct.error, ValueError, av.FFmpegError):  # it died before anything was in it
                mended = 0, 0.0
            if mended is None:
                continue
            found[path.stem] = mended if mended[1] else None
            if mended[1]:
                logger.info("the recording %s had no end, and has one now", path.name)
            else:
                _delete(path)
        return found


def _delete(path: Path) -> None:
    for one in (path, peaks_path(path)):
        one.unlink(missing_ok=True)
