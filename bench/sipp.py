"""Callers that cost little: sipp's, with a line of silence, of which only the answer's time is known."""

from __future__ import annotations

import asyncio
import csv
import os
import resource
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers import free_port

_SCENARIO = Path(__file__).with_suffix(".xml")
_SILENCE = b"\xff" * 8000  # a second of PCMU
_MEDIA_PORT = 30_000  # the first; above the server's
_SPARE_S = 60  # for calls that are answered late


@dataclass(frozen=True, slots=True)
class Rang:
    setups_ms: Sequence[float]  # of those who were answered, from INVITE to 200
    cpu_s: float  # sipp's own


async def ring(server: tuple[str, int], calls: int, *, a_second: float, talk_s: float) -> Rang:
    """So many calls, a few a second, each hung up after `talk_s`. Raises RuntimeError where sipp can't."""
    if (program := shutil.which("sipp")) is None:
        raise RuntimeError("sipp isn't installed (Debian's sip-tester)")
    with tempfile.TemporaryDirectory(prefix="offhook-sipp-") as folder:
        (Path(folder) / "silence.raw").write_bytes(_SILENCE)
        command = (
            *(program, f"{server[0]}:{server[1]}", "-sf", _SCENARIO, "-nostdin"),
            *("-r", str(round(1000 * a_second)), "-rp", "1000000", "-m", str(calls)),
            *("-d", str(round(1000 * talk_s)), "-timeout", str(round(calls / a_second + talk_s + _SPARE_S))),
            *("-i", server[0], "-p", str(free_port()), "-mi", server[0], "-mp", str(_MEDIA_PORT)),
            *("-trace_rtt", "-rtt_freq", "1"),
        )
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=os.environ | {"TERM": "dumb"},
        )
        output, _ = await process.communicate()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times = _times(Path(folder))
    if not times:
        raise RuntimeError(output.decode(errors="replace")[-1000:])
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Rang(times, spent_s)


def _times(folder: Path) -> list[float]:
    found = []
    for file in folder.glob("*_rtt.csv"):
        with file.open() as lines:
            found += [float(row["response_time_ms"]) for row in csv.DictReader(lines, delimiter=";")]
    return found
