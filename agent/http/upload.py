"""An uploaded recording as PCM, and where in it someone speaks."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.http import decoder
from agent.http.decoder import SAMPLE_RATE_HZ

CHUNK_MS = 32  # what one probability of the voice activity model stands for
DECODE_S = 20.0  # once the whole body is there
_CPU_S = 10
_MEMORY_BYTES = 512 * 1024 * 1024  # of which 120 MB are the interpreter and FFmpeg
_CHUNK_BYTES = 256 * 1024

_VOICED = 0.5
_UNVOICED = 0.35
_GAP_MS = 480  # a pause this long ends a segment
_PAD_MS = 160
_MIN_MS = 96
_MAX_MS = 14_000  # fits the recognizer's 15 s window


class UploadError(Exception):
    """The recording can't be used; the message says why."""


class UnknownFormat(UploadError):
    """It isn't a recording, or none of the formats that are taken."""


@dataclass(frozen=True, slots=True)
class Upload:
    """s16le mono PCM at 16 kHz, and a sentence about what is missing of it."""

    pcm: bytes
    missing: str | None


async def decode(body: AsyncIterator[bytes], longest_s: int) -> Upload:
    """Decode a recording in a process of its own, to which the body goes as it comes.

    Raises UploadError, and whatever `body` raises.
    """
    most_bytes = longest_s * SAMPLE_RATE_HZ * 2
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(Path(decoder.__file__)),
        str(longest_s),
        str(_CPU_S + longest_s // 60),
        str(_MEMORY_BYTES + 4 * most_bytes),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if not name.startswith("OFFHOOK_")},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        await _send(body, process.stdin)
        async with asyncio.timeout(DECODE_S):
            said = await process.stdout.readline()
            pcm = await _read(process.stdout, most_bytes + SAMPLE_RATE_HZ * 2)
            await process.wait()
    except TimeoutError:
        said, pcm = b"", b""
    finally:
        # Kills it if it is still there. Nothing else ends a wait while its pipes aren't read to the end.
        transport: asyncio.SubprocessTransport = process._transport  # type: ignore[attr-defined]
        transport.close()
        await asyncio.shield(process.wait())
    if not said.endswith(b"\n") or process.returncode != 0:
        raise UploadError("Decoding this recording takes more than it may, or breaks the decoder.")
    about = json.loads(said)
    if error := about.get("error"):
        raise UnknownFormat(error) if about["unknown"] else UploadError(error)
    return Upload(pcm, about["missing"])


async def _send(body: AsyncIterator[bytes], stdin: asyncio.StreamWriter) -> None:
    """Pass the body on. A process that is gone already says why by its end. Raises TimeoutError."""
    gone = False
    async for chunk in body:
        if gone:
            continue
        try:
            stdin.write(chunk)
            async with asyncio.timeout(DECODE_S):
                await stdin.drain()
        except ConnectionError:
            gone = True
    stdin.close()


async def _read(stdout: asyncio.StreamReader, most_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size < most_bytes and (part := await stdout.read(_CHUNK_BYTES)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def spoken_ms(probabilities: Sequence[float]) -> list[tuple[int, int]]:
    """Where someone speaks: start and end in milliseconds, none longer than the recognizer hears at once.

    `probabilities` are the voice activity model's, one for each 32 ms.
    """
    found: list[tuple[int, int]] = []
    start: int | None = None
    last = 0
    for index, probability in enumerate(probabilities):
        at = index * CHUNK_MS
        if probability >= (_VOICED if start is None else _UNVOICED):
            start = at if start is None else start
            last = at + CHUNK_MS
        if start is not None and (at + CHUNK_MS - last >= _GAP_MS or last - start >= _MAX_MS - 2 * _PAD_MS):
            found.append((start, last))
            start = None
    if start is not None:
        found.append((start, last))
    end = len(probabilities) * CHUNK_MS
    long_enough = [(start, stop) for start, stop in found if stop - start >= _MIN_MS]
    return [(max(0, start - _PAD_MS), min(end, stop + _PAD_MS)) for start, stop in long_enough]
