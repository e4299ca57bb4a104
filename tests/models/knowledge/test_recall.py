"""What the model is told before which turn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from config.pages import Page, Pages
from models.knowledge.knowledge import Knowledge
from models.knowledge.recall import Recall

PAGES = {
    "cellar": "The cellar is open on Mondays.",
    "garden": "The garden has a fountain and roses.",
    "garden-2": "In the garden there are bees.",
}


def knowledge() -> Knowledge:
    pages = Pages(Path(), tuple(Page(name, text) for name, text in PAGES.items()))
    return Knowledge(pages, "en", found="Pages say:", perhaps="Pages may say:", nothing="Pages say nothing.")


def said(*texts: str) -> list[dict[str, Any]]:
    """The caller's and the agent's turns, alternately, the caller's first."""
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]


def contents(messages: Sequence[Any]) -> list[str]:
    return [message["content"] for message in messages]


CELLAR = "Pages say:\n- The cellar is open on Mondays."


async def test_what_fits_stands_before_the_turn_and_stays_there() -> None:
    recall, known = Recall("test"), knowledge()
    first = said("when is the cellar open")
    assert await recall.look_up(known, first, tokens_s=None) == ("cellar: Cellar",)
    told = contents(recall.told(first))
    assert told == [CELLAR, "when is the cellar open"]
    then = said("when is the cellar open", "On Mondays.", "hello")
    assert await recall.look_up(known, then, tokens_s=None) == ()
    assert contents(recall.told(then))[: len(told)] == told


async def test_where_nothing_fits_the_model_is_told_that_unless_nothing_was_asked() -> None:
    recall, known = Recall("test"), knowledge()
    asked = said("do you repair glasses")
    assert await recall.look_up(known, asked, tokens_s=None) == ()
    assert contents(recall.told(asked)) == ["Pages say nothing.", "do you repair glasses"]
    recall = Recall("test")
    greeted = said("hello there")
    await recall.look_up(known, greeted, tokens_s=None)
    assert recall.told(greeted) == greeted


async def test_it_is_found_while_the_caller_speaks_and_not_changed_by_what_they_add() -> None:
    recall, known = Recall("test"), knowledge()
    await recall.look_up(known, [], "when", tokens_s=None)
    assert recall.told([], goes_on=True) == []
    await recall.look_up(known, [], "when is the cellar", tokens_s=None)
    ahead = contents(recall.told([], goes_on=True))
    whole = said("when is the cellar open please")
    assert await recall.look_up(known, whole, tokens_s=None) == ("cellar: Cellar",)
    assert contents(recall.told(whole)) == [*ahead, "when is the cellar open please"]


async def test_what_they_come_to_ask_instead_replaces_it() -> None:
    recall, known = Recall("test"), knowledge()
    await recall.look_up(known, [], "the cellar", tokens_s=None)
    whole = said("the cellar no the fountain the fountain with the roses")
    assert await recall.look_up(known, whole, tokens_s=None) == ("garden: Garden",)


async def test_what_was_told_a_moment_ago_isnt_told_again_but_is_a_source() -> None:
    recall, known = Recall("test"), knowledge()
    first = said("when is the cellar open")
    await recall.look_up(known, first, tokens_s=None)
    then = said("when is the cellar open", "On Mondays.", "is the cellar open today")
    assert await recall.look_up(known, then, tokens_s=None) == ("cellar: Cellar",)
    assert contents(recall.told(then)).count(CELLAR) == 1


async def test_a_slow_model_is_told_the_best_alone() -> None:
    known = knowledge()
    asked = said("garden")
    for tokens_s, told in ((None, 2), (5.0, 1), (1000.0, 2)):
        recall = Recall("test")
        assert len(await recall.look_up(known, asked, tokens_s=tokens_s)) == told


LOFT = (
    "The loft has a floor of oak. It can be rented for weddings and other feasts. "
    "Its bar serves cider. The stairs are steep."
)


def of_one_page(text: str) -> Knowledge:
    pages = Pages(Path(), (Page("loft", text),))
    return Knowledge(pages, "en", found="Pages say:", perhaps="Pages may say:", nothing="Pages say nothing.")


async def test_a_slow_model_is_told_the_nearest_sentences_and_further_ones_when_they_are_asked_for() -> None:
    recall, known = Recall("test"), of_one_page(LOFT)
    first = said("is the loft rented for weddings")
    await recall.look_up(known, first, tokens_s=10.0)
    nearest = "Pages say:\n- Loft: It can be rented for weddings and other feasts."
    assert contents(recall.told(first)) == ["is the loft rented for weddings", nearest]
    then = said("is the loft rented for weddings", "It is.", "what does the bar of the loft serve")
    assert await recall.look_up(known, then, tokens_s=10.0) == ("loft: Loft",)
    further = "Pages say:\n- Loft: Its bar serves cider."
    assert contents(recall.told(then))[1] == nearest
    assert contents(recall.told(then))[3:] == ["what does the bar of the loft serve", further]
    again = said("is the loft rented for weddings")
    fast = Recall("test")
    await fast.look_up(known, again, tokens_s=1000.0)
    assert contents(fast.told(again))[-1] == f"Pages say:\n- {LOFT}"


async def test_a_turn_that_was_taken_back_is_looked_up_anew() -> None:
    recall, known = Recall("test"), knowledge()
    await recall.look_up(known, said("do you repair it"), tokens_s=None)
    again = said("do you repair it and is the cellar open on mondays")
    await recall.look_up(known, again, tokens_s=None)
    assert contents(recall.told(again))[0] == CELLAR


async def test_a_slow_model_is_told_ahead_what_stands_out_and_more_of_it_once() -> None:
    recall, known = Recall("test"), of_one_page(LOFT)
    await recall.look_up(known, [], "can the loft be rented for weddings", tokens_s=40.0)
    found = "Pages say:\n- Loft: It can be rented for weddings and other feasts."
    assert contents(recall.told([], goes_on=True)) == [found]
    await recall.look_up(known, [], "can the loft be rented for weddings and", tokens_s=40.0)
    (more,) = contents(recall.told([], goes_on=True))
    assert more.startswith(found)
    assert len(more) > len(found)
    whole = said("can the loft be rented for weddings and for feasts")
    await recall.look_up(known, whole, tokens_s=40.0)
    assert contents(recall.told(whole)) == [more, *contents(whole)]


async def test_what_doesnt_stand_out_waits_for_the_last_words_of_a_slow_model_s_caller() -> None:
    recall, known = Recall("test"), knowledge()
    await recall.look_up(known, [], "the garden", tokens_s=20.0)  # of which two passages tell
    assert recall.told([], goes_on=True) == []
    await recall.look_up(known, [], "the garden with the roses", over=True, tokens_s=20.0)
    whole = said("the garden with the roses")
    assert contents(recall.told(whole))[1].endswith("The garden has a fountain and roses.")
    # They go on: what stood behind the words is found again for all of them.
    await recall.look_up(known, [], "the garden with the roses no the cellar", tokens_s=20.0)
    assert recall.told(whole) == whole
    await recall.look_up(known, [], "no the cellar is it open on mondays", over=True, tokens_s=20.0)
    whole = said("no the cellar is it open on mondays")
    assert contents(recall.told(whole)) == [*contents(whole), CELLAR]


async def test_what_was_told_ahead_stays_before_the_words_and_what_they_ask_instead_is_behind() -> None:
    recall, known = Recall("test"), knowledge()
    await recall.look_up(known, [], "is the cellar open on mondays", tokens_s=20.0)
    whole = said("no what about the fountain and the roses of the garden")
    await recall.look_up(known, whole, tokens_s=20.0)
    before, _, behind = contents(recall.told(whole))
    assert before == CELLAR
    assert behind.endswith("The garden has a fountain and roses.")
