"""Recordings are written whatever the disk does, kept as long as is wanted, and readable when killed."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from agent.recordings import recordings as module
from agent.recordings.file import RecordingFile, mend, peaks
from agent.recordings.recording import CallRecording
from agent.recordings.recordings import Recordings
from agent.recordings.tap import CALLER, Sound
from agent.records.database import Database
from config.errors import ConfigError
from config.persona import load_persona, persona_names
from config.settings import Settings
from tests.waiting import until

RATE_HZ = 16_000
ID = "9f2c51d07a3e"


class Wire:
    """A tap that tells what it is told to, on a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.taken: list[object] = []
        self._came = 0

    def add(self, take: object) -> None:
        self.taken.append(take)

    def remove(self, take: object) -> None:
        self.taken.remove(take)

    def clock(self) -> float:
        return self.now

    def hear(self, seconds: float, value: int = 1000) -> None:
        """The caller, 20 ms at a time."""
        for _ in range(round(seconds * 50)):
            self.now += 0.02
            for take in self.taken:
                take(Sound(CALLER, self._came, np.full(320, value, np.int16), self.now))  # type: ignore[operator]
            self._came += 320


def record(recordings: Recordings, wire: Wire, id: str = ID) -> CallRecording:
    recording = recordings.record(id, wire, wire.clock)  # type: ignore[arg-type]
    assert recording
    return recording


def left(path: Path) -> list[int]:
    """What the caller said, the first sample of each 20 ms."""
    pcm, _ = soundfile.read(path, dtype="int16")
    return [int(value) for value in pcm[::320, 0]]


async def test_nothing_before_the_announcement_is_kept(recordings: Recordings) -> None:
    wire = Wire()
    recording = record(recordings, wire)
    wire.hear(1.0, 1)
    recording.begin()
    wire.hear(1.0, 2)
    await recordings.finish(recording)
    path = await recordings.path(ID)
    assert path
    assert left(path) == [2] * 50
    assert path.stat().st_mode & 0o777 == 0o600
    assert recording.recorded
    assert recording.recorded.seconds == pytest.approx(1.0)


async def test_of_a_call_without_one_there_is_no_file(recordings: Recordings) -> None:
    wire = Wire()
    recording = record(recordings, wire)
    wire.hear(1.0)
    await recordings.finish(recording)
    assert await recordings.path(ID) is None
    assert recording.recorded is None


async def test_a_pause_is_silent_and_as_long_as_it_was(recordings: Recordings) -> None:
    wire = Wire()
    recording = record(recordings, wire)
    recording.begin()
    wire.hear(0.5, 1000)
    recording.paused = True
    wire.hear(0.5, 2000)
    recording.paused = False
    wire.hear(0.5, 3000)
    await recordings.finish(recording)
    path = await recordings.path(ID)
    assert path
    assert left(path) == [1000] * 25 + [0] * 25 + [3000] * 25
    caller, agent = peaks(path, 3)
    assert caller[0] > 0 == caller[1]
    assert agent == [0, 0, 0]


async def test_it_waits_for_a_disk_that_is_full(
    recordings: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, full = os.pwrite, False

    def pwrite(file: int, data: bytes, at: int) -> int:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data[:100], at)  # in parts, too

    monkeypatch.setattr(os, "pwrite", pwrite)
    wire = Wire()
    recording = record(recordings, wire)
    recording.begin()
    wire.hear(4.0, 1)
    full = True
    wire.hear(4.0, 2)
    await until(lambda: recordings.health().state == "degraded")
    assert "No space left on device" in (recordings.health().last_error or "")
    wire.hear(1.0, 3)
    full = False
    await until(lambda: recordings.health().state == "ready")
    await recordings.finish(recording)
    path = await recordings.path(ID)
    assert path
    assert left(path) == [1] * 200 + [2] * 200 + [3] * 50


async def test_what_waits_is_bounded(recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING_BYTES", 200)
    recordings.folder.write_text("in its place")  # no folder can be made there
    wire = Wire()
    recording = record(recordings, wire)
    recording.begin()
    rng = np.random.default_rng(0)
    for value in rng.integers(-2000, 2000, 500):
        wire.hear(0.02, int(value))
    await until(lambda: "1 recordings were cut short" in (recordings.health().last_error or ""))
    assert not wire.taken
    assert recording.waiting_bytes == 0


HANGS = """
import asyncio, threading
from agent.recordings.writer import Writer
async def main():
    try:
        async with asyncio.timeout(0.1):
            await Writer().run(threading.Event().wait)
    except TimeoutError:
        pass
asyncio.run(main())
"""


def test_a_disk_that_hangs_keeps_no_process_from_its_exit() -> None:
    assert subprocess.run([sys.executable, "-c", HANGS], timeout=60).returncode == 0


async def test_a_disk_that_hangs_is_told(recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr(module, "HANGS_S", 0.1)
    monkeypatch.setattr(Path, "is_file", lambda _: goes_on.wait())
    asking = asyncio.create_task(recordings.path(ID))
    await until(lambda: "hangs" in (recordings.health().last_error or ""))
    goes_on.set()
    await until(lambda: recordings.health().state == "ready")
    await asking


async def test_a_database_that_hangs_keeps_nothing_from_being_written(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging(Database):
        async def note_recordings(self, _: object) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(module, "NOTE_S", 0.1)
    recordings = Recordings(settings, Hanging(settings))
    recordings.start()
    wire = Wire()
    recording = record(recordings, wire)
    recording.begin()
    wire.hear(4.0)
    await until(lambda: recording.recorded is not None and recording.recorded.seconds > 0)
    await recordings.close()


async def test_what_is_too_old_or_too_much_goes(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"state_dir": tmp_path, "recordings": {"enabled": True, "keep_days": 7, "most_mb": 10}}
    )
    recordings = Recordings(settings, Database(settings))
    recordings.folder.mkdir()
    for days, id in enumerate(("000000000001", "000000000002", "000000000003", "000000000004")):
        for kind in ("flac", "peaks"):
            path = recordings.folder / f"{id}.{kind}"
            path.write_bytes(bytes(4_000_000 if kind == "flac" else 10))
            then = time.time() - days * 24 * 3600 - (30 * 24 * 3600 if id.endswith("1") else 0)
            os.utime(path, (then, then))
    assert sorted(recordings._sweep()) == ["000000000001", "000000000004"]
    assert sorted(path.name for path in recordings.folder.iterdir()) == [
        "000000000002.flac",
        "000000000002.peaks",
        "000000000003.flac",
        "000000000003.peaks",
    ]


async def test_who_may_not_be_named_isnt_found(recordings: Recordings) -> None:
    (recordings.folder.parent / "secret.flac").write_text("no")
    assert await recordings.path("../secret") is None


def test_each_language_has_words_for_it(tmp_path: Path) -> None:
    for listening in (False, True):
        settings = Settings.model_validate(
            {"state_dir": tmp_path, "recordings": {"enabled": True, "listening": listening}}
        )
        recordings = Recordings(settings, Database(settings))
        said = {recordings.announcing(load_persona(name)).notice for name in persona_names()}
        assert len(said) == 6  # the restaurant's is English, too
        assert None not in said
    speechless = load_persona("en").model_copy(update={"language": "fi"})
    with pytest.raises(ConfigError, match=r"no words for that in 'fi': give it phrases\.may_be_recorded"):
        recordings.announcing(speechless)


WRITES = """
import os, signal, sys
from pathlib import Path
import numpy as np
from agent.recordings.file import RecordingFile
file = RecordingFile(Path(sys.argv[1]))
rng = np.random.default_rng(0)
for _ in range(int(sys.argv[2])):
    file.write(rng.integers(-3000, 3000, (16_000, 2)).astype(np.int16))
    file.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def write_and_die(path: Path, seconds: int) -> None:
    killed = subprocess.run([sys.executable, "-c", WRITES, path, str(seconds)], timeout=60)
    assert killed.returncode == -signal.SIGKILL


@pytest.mark.parametrize("torn", [0, 1, 3000])
def test_a_killed_process_leaves_what_can_be_read(tmp_path: Path, torn: int) -> None:
    path = tmp_path / f"{ID}.flac"
    write_and_die(path, 5)
    os.truncate(path, path.stat().st_size - torn)
    mended = mend(path)
    assert mended
    said = np.random.default_rng(0)
    whole = np.concatenate([said.integers(-3000, 3000, (16_000, 2)).astype(np.int16) for _ in range(5)])
    pcm, _ = soundfile.read(path, dtype="int16")
    assert mended == (path.stat().st_size, len(pcm) / RATE_HZ)
    assert 4.2 < mended[1] < 5
    assert (pcm == whole[: len(pcm)]).all()
    assert mend(path) is None
    assert len(peaks(path, 1000)[0]) == 100


async def test_what_a_killed_process_left_gets_its_end_at_the_start(settings: Settings) -> None:
    recordings = Recordings(settings, Database(settings))
    path = recordings.folder / f"{ID}.flac"
    recordings.folder.mkdir()
    await asyncio.to_thread(write_and_die, path, 2)
    (recordings.folder / "000000000001.flac").write_bytes(b"fLaC")  # killed before anything was in it
    recordings.start()
    await until(lambda: not (recordings.folder / "000000000001.flac").exists())
    await recordings.close()
    assert mend(path) is None


def test_peaks_of_a_short_one(tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "a.flac")
    file.write(np.full((100, 2), [32767, -32768], np.int16))
    file.finish()
    file.flush()
    file.close()
    assert peaks(tmp_path / "a.flac", 10) == ([1.0], [1.0])
