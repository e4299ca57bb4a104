"""What slots know, kept for later starts: where it can't be kept, only speed is lost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx2

from models.llm.child import LlamaChild
from models.llm.primers import Primers
from tests.models.llama import answered_by


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_full_disk_keeps_nothing_of_a_state_that_doesnt_fit(tmp_path: Path) -> None:
    def full(request: httpx2.Request) -> httpx2.Response:
        """As llama.cpp does then."""
        if request.url.params.get("action") != "save":
            return httpx2.Response(200, json={})
        (tmp_path / json.loads(request.content)["filename"]).write_bytes(b"half of it")
        return httpx2.Response(500, json={"error": {"message": "Unable to save slot"}})

    async with answered_by(full) as child:
        child.states = tmp_path
        await Primers(child).prime(0, "You are kind.")
        assert names(tmp_path) == []


async def test_a_folder_that_cant_be_made_is_replaced_for_the_time_being(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    child = LlamaChild(tmp_path / "none.gguf", states=tmp_path / "file" / "prompts")
    await child.start()
    states = child.states
    assert states.is_dir()
    await child.close()
    assert not states.exists()


def test_a_state_is_only_of_the_weights_that_made_it(tmp_path: Path) -> None:
    weights = tmp_path / "some.gguf"
    weights.write_bytes(b"one")
    before = Primers(LlamaChild(weights, states=tmp_path))._name("You are kind.")
    weights.write_bytes(b"other")
    assert Primers(LlamaChild(weights, states=tmp_path))._name("You are kind.") != before


async def test_a_line_too_long_to_be_read_ends_no_reading(tmp_path: Path) -> None:
    child, stderr = LlamaChild(tmp_path / "none.gguf", states=tmp_path), asyncio.StreamReader(limit=16)
    stderr.feed_data(100 * b"x" + b"\nlast\n")
    stderr.feed_eof()
    await child._drain(stderr)
    assert child._last_line == "last"
