import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.onnx_session import multiplies_bytes


@pytest.mark.parametrize(
    ("flags", "has"), [("avx512f avx512_vnni", True), ("avx2 avx_vnni", True), ("avx2 fma avx512bw", False)]
)
def test_what_the_processor_can_do(tmp_path: Path, flags: str, has: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"model name\t: x\nflags\t\t: fpu {flags} sse\n")
    assert multiplies_bytes(cpuinfo) is has


def test_where_the_system_does_not_say(tmp_path: Path) -> None:
    assert not multiplies_bytes(tmp_path / "none")


@pytest.mark.parametrize("package", ["agent", "bench", "models"])
def test_microsoft_is_told_nothing(package: str, tmp_path: Path) -> None:
    """Of itself it keeps a number of the machine's, and what it is about to send, where caches are."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    code = f"import {package}, pipecat.audio.vad.silero, models.silero; models.silero.SileroModel()"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
    assert not list(tmp_path.rglob("*onnxruntime*"))
