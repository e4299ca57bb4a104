"""A node without weights, and the process that has them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import jiwer
import pytest

from tests.e2e.served import OFFHOOK, QUESTIONS, Served, plain, served, until
from tests.e2e.test_serve import ask, watched
from tests.weights import require_weights

pytestmark = pytest.mark.models

KEY = "0123456789abcdef"
SMALL = "smollm2-135m"


def test_a_node_without_weights_calls_by_those_of_another(questions: list[Path], tmp_path: Path) -> None:
    require_weights(SMALL)
    (folder := tmp_path / "models").mkdir()
    (node_folder := tmp_path / "node").mkdir()
    theirs = {"OFFHOOK_LLM__BUNDLED": SMALL, "OFFHOOK_HTTP__API_KEY": KEY}
    models = Served(folder, theirs, [*OFFHOOK, "models"])
    try:
        assert until(models.ready, 240), models.log.read_text()
        ours = {"OFFHOOK_CACHE_DIR": str(tmp_path / "no weights"), "OFFHOOK_LLM__MODEL": SMALL}
        for part in ("LLM", "STT", "TTS"):
            ours |= {f"OFFHOOK_{part}__URL": f"{models.url}/v1", f"OFFHOOK_{part}__API_KEY": KEY}
        with served(node_folder, **ours) as node:
            result, transcript = asyncio.run(watched(node, ask(questions[0]), tmp_path))
            understood = [turn for turn in transcript if turn["speaker"] == "caller"]
            assert result["outcome"] == "answered"
            assert jiwer.wer(plain(QUESTIONS[0]), plain(understood[0]["text"])) <= 0.4
            assert not [mark for mark in result["marks"] if mark["event"] == "timeout"]  # it was answered
            models.kill()
            assert until(lambda: not node.ready(), 60)
            assert models.url in node.get("/health")["reason"]
    finally:
        models.kill()
