"""Passages by what they mean, with the real model."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from config.pages import Page, Pages
from models.knowledge.embedder import WIDTH, Embedder
from models.knowledge.knowledge import Knowledge
from models.knowledge.recall import Recall
from models.lanes import Lane
from tests.weights import require_weights

pytestmark = pytest.mark.models

PAGES = Pages(
    Path(),
    (
        Page("parking", "# Getting here\nThere are eight parking bays behind the building."),
        Page("fees", "# Late fees\nWhat comes back late costs twenty pence a day."),
        Page("dogs", "# Animals\nGuide dogs are allowed; other animals stay outside."),
    ),
)


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    weights = require_weights("minilm-l6").embedding()
    assert weights is not None
    return Embedder(weights)


@pytest_asyncio.fixture
async def lane() -> AsyncIterator[Lane]:
    lane = Lane("knowledge")
    yield lane
    await lane.close()


def knowledge() -> Knowledge:
    return Knowledge(PAGES, "en-GB", found="Found:", perhaps="Perhaps:", nothing="Nothing.")


async def test_pages_without_a_passage_have_nothing(embedder: Embedder, lane: Lane, tmp_path: Path) -> None:
    empty = Pages(Path(), (Page("empty", "# Nothing yet\n"),))
    known = Knowledge(empty, "en", found="Found:", perhaps="Perhaps:", nothing="Nothing.")
    known.learn(embedder, lane, tmp_path / "vectors.sqlite")
    assert await known.search("And on Sundays?", before="When are you open?") == []


async def test_it_is_found_without_a_word_in_common(embedder: Embedder, lane: Lane, tmp_path: Path) -> None:
    known = knowledge()
    asked = "can i bring my cat"
    assert await known.search(asked) == []
    known.learn(embedder, lane, tmp_path / "vectors.sqlite")
    found = await known.search(asked)
    assert (found[0].passage.page, found[0].fits) == ("dogs", True)
    assert not any(one.fits for one in await known.search("who won the football match"))


async def test_what_may_be_about_something_else_is_told_as_that(
    embedder: Embedder, lane: Lane, tmp_path: Path
) -> None:
    known, recall = knowledge(), Recall("test")
    known.learn(embedder, lane, tmp_path / "vectors.sqlite")
    asked = [{"role": "user", "content": "and a bus, is there space for it"}]
    await recall.look_up(known, asked, tokens_s=None)
    assert recall.told(asked)[0]["content"].startswith("Perhaps:\n- Getting here")
    thanked = [{"role": "user", "content": "thank you very much"}]
    assert not any(one.may_fit for one in await known.search(thanked[0]["content"]))


async def test_few_words_go_on_with_the_turn_before(embedder: Embedder, lane: Lane, tmp_path: Path) -> None:
    known = knowledge()
    known.learn(embedder, lane, tmp_path / "vectors.sqlite")
    asked = "and a bus, is there space for it"
    assert not (await known.search(asked))[0].fits
    found = await known.search(asked, before="where can i leave my car at your building")
    assert (found[0].passage.page, found[0].fits) == ("parking", True)


async def test_a_lane_that_is_closed_leaves_the_words(embedder: Embedder, tmp_path: Path) -> None:
    known, closed = knowledge(), Lane("knowledge")
    known.learn(embedder, closed, tmp_path / "vectors.sqlite")
    await closed.close()
    assert (await known.search("guide dogs"))[0].passage.page == "dogs"


class Unasked(Embedder):
    def __init__(self) -> None: ...
    def embed(self, texts: Sequence[str]) -> Any:
        raise AssertionError(f"read again: {texts}")


async def test_passages_are_read_once(embedder: Embedder, lane: Lane, tmp_path: Path) -> None:
    kept = tmp_path / "cache" / "vectors.sqlite"
    knowledge().learn(embedder, lane, kept)
    known = knowledge()
    known.learn(Unasked(), lane, kept)
    assert known.by_meaning
    db = sqlite3.connect(kept)
    try:
        with db:
            db.execute("DELETE FROM vectors WHERE key = (SELECT min(key) FROM vectors)")
    finally:
        db.close()
    with pytest.raises(AssertionError, match=r"^read again: \['[^']*'\]$"):
        knowledge().learn(Unasked(), lane, kept)


async def test_a_file_that_cant_be_used_costs_the_time_alone(
    embedder: Embedder, lane: Lane, tmp_path: Path
) -> None:
    broken = tmp_path / "vectors.sqlite"
    broken.write_text("this is no database, as can be seen from its first bytes" * 100)
    known = knowledge()
    known.learn(embedder, lane, broken)
    assert (await known.search("where can i leave my car"))[0].passage.page == "parking"


def test_vectors_of_a_batch_are_those_of_each_alone(embedder: Embedder) -> None:
    texts = ["hello", "where can i leave my car", "x " * 500, "", "a question of some length, isn't it"]
    together = embedder.embed(texts)
    assert together.shape == (len(texts), WIDTH)
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    assert (together * alone).sum(1).min() > 0.97  # padding moves the numbers of an int8 model a little
