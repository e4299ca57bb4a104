"""A recording's files, which are readable at every moment, also of a process that was killed."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import av
import numpy as np
import soundfile

from agent.recordings.tap import Samples
from transports.playout import SAMPLE_RATE_HZ

PEAK_SAMPLES = SAMPLE_RATE_HZ // 20  # 50 ms have one
_STREAMINFO = struct.Struct(">Q")  # RFC 9639, 8.2: rate, channels, bits a sample, and 36 bits of samples
_STREAMINFO_AT = 18
_SAMPLES_MASK = (1 << 36) - 1
_COMPRESSION = 0.5  # of 0 to 1: a thousandth of a core


class Pieces:
    """A file that is written when the disk takes it. Until then what is written stays in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0  # what it has, or will have
        self._at = 0
        self._waiting: list[tuple[int, bytes]] = []
        self._file: int | None = None

    @property
    def waiting_bytes(self) -> int:
        return sum(len(piece) for _, piece in self._waiting)

    def flush(self) -> None:
        """Bring what waits to the disk. Raises OSError, and goes on there the next time."""
        if self._waiting and self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        while self._waiting:
            assert self._file is not None
            at, piece = self._waiting[0]
            written = os.pwrite(self._file, piece, at)
            if written == len(piece):
                del self._waiting[0]
            else:
                self._waiting[0] = at + written, piece[written:]

    def close(self) -> None:
        """What waits is forgotten."""
        self._waiting.clear()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    # What libsndfile asks of a file that it writes.

    def write(self, data: bytes) -> int:
        piece = bytes(data)
        self._waiting.append((self._at, piece))
        self._at += len(piece)
        self.bytes = max(self.bytes, self._at)
        return len(piece)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.bytes}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        raise OSError("It is only written.")


class RecordingFile:
    """FLAC, stereo, 16 kHz; and its peaks beside it. `write` never touches the disk, `flush` does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.samples = 0
        self._sound, self._peaks = Pieces(path), Pieces(peaks_path(path))
        self._flac = soundfile.SoundFile(
            self._sound,
            "w",
            SAMPLE_RATE_HZ,
            2,
            "PCM_16",
            format="FLAC",
            compression_level=_COMPRESSION,
        )
        self._rest: Samples = np.zeros((0, 2), np.int16)

    @property
    def bytes(self) -> int:
        return self._sound.bytes

    @property
    def waiting_bytes(self) -> int:
        return self._sound.waiting_bytes + self._peaks.waiting_bytes

    def write(self, samples: Samples) -> None:
        """Shape (samples, 2)."""
        self._flac.write(samples)
        self.samples += len(samples)
        self._rest = np.concatenate((self._rest, samples))
        whole = len(self._rest) - len(self._rest) % PEAK_SAMPLES
        self._note_peaks(self._rest[:whole])
        self._rest = self._rest[whole:]

    def flush(self) -> None:
        """Raises OSError where the disk doesn't take it."""
        self._sound.flush()
        self._peaks.flush()

    def finish(self) -> None:
        """Nothing more will be written; it is to be flushed yet. Safe to call twice."""
        if self._flac.closed:
            return
        if len(self._rest):
            missing = np.zeros((PEAK_SAMPLES - len(self._rest), 2), np.int16)
            self._note_peaks(np.concatenate((self._rest, missing)))
        self._flac.close()

    def close(self) -> None:
        self._sound.close()
        self._peaks.close()

    def _note_peaks(self, samples: Samples) -> None:
        if len(samples):
            loudest = np.abs(samples.reshape(-1, PEAK_SAMPLES, 2).astype(np.int32)).max(axis=1)
            self._peaks.write((loudest >> 7).clip(0, 255).astype(np.uint8).tobytes())


def peaks_path(path: Path) -> Path:
    return path.with_suffix(".peaks")


def peaks(path: Path, points: int) -> tuple[list[float], list[float]]:
    """The caller's and the agent's loudest samples, 0 to 1, in `points` equal parts or as many as there are.

    Raises OSError.
    """
    data = peaks_path(path).read_bytes()
    each = np.frombuffer(data[: len(data) // 2 * 2], np.uint8).reshape(-1, 2)
    if len(each) > points:
        each = np.maximum.reduceat(each, np.arange(points) * len(each) // points)
    left, right = np.round(each.T / 255, 3).tolist()
    return left, right


def mend(path: Path) -> tuple[int, float] | None:
    """Give a recording its end, if the process died before it had one. Its last quarter of a second goes:
    the disk may have taken half of that.

    Returns its bytes and seconds, None where it has its end. Raises OSError and av.FFmpegError.
    """
    with path.open("rb") as file:
        file.seek(_STREAMINFO_AT)
        (known,) = _STREAMINFO.unpack(file.read(_STREAMINFO.size))
    if known & _SAMPLES_MASK:
        return None
    samples, end = 0, 0
    with av.open(str(path)) as container:
        for packet in container.demux(audio=0):
            if packet.pos is not None and packet.pts is not None:  # the last one's beginning is the end
                samples, end = round(packet.pts * packet.time_base * SAMPLE_RATE_HZ), packet.pos
    with path.open("r+b") as file:
        file.truncate(end)
        file.seek(_STREAMINFO_AT)
        file.write(_STREAMINFO.pack(known | samples))
    return end, samples / SAMPLE_RATE_HZ
