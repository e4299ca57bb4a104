from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.packages import require_one_onnxruntime


def test_one_onnxruntime_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnxruntime", "onnxruntime_gpu"):
        require_one_onnxruntime()
        metadata = tmp_path / f"{name}-1.0.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n")
        monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(
        ConfigError, match=r"both installed, .* pip uninstall -y onnxruntime onnxruntime-gpu, then"
    ):
        require_one_onnxruntime()
