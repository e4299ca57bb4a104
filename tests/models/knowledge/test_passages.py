"""Pages in pieces."""

from __future__ import annotations

from config.pages import Page
from models.knowledge.passages import LONGEST, Passage, passages_of


def test_each_section_is_a_passage_with_what_stands_above_it() -> None:
    page = Page("loans", "# Loans\nFour weeks.\n\n## Renewing\nTwice, *by* [phone](tel:1).\n\n# Fees\nNone.")
    assert passages_of(page, "en") == [
        Passage("loans", "Loans", ("Four weeks.",)),
        Passage("loans", "Loans, Renewing", ("Twice, by phone.",)),
        Passage("loans", "Fees", ("None.",)),
    ]


def test_lists_tables_code_and_pictures_become_text_and_comments_dont() -> None:
    page = Page(
        "prices",
        "Prices:\n\n- tea <!-- cheap -->\n- cake\n\n| What | Price |\n|---|---|\n| soup | 3 |\n\n"
        "![our garden](a.jpg)\n\n<!-- not for callers -->\n\n    hello at example",
    )
    (passage,) = passages_of(page, "en")
    assert passage.heading == "Prices"
    assert passage.text == "Prices: tea. cake. What, Price. soup, 3. our garden. hello at example"


def test_plain_text_has_paragraphs_and_no_markup() -> None:
    page = Page("notes/opening-hours", "We open\nat nine.\n\n# 5 is our bus.", markdown=False)
    assert passages_of(page, "en") == [
        Passage("notes/opening-hours", "Opening hours", ("We open at nine.", "# 5 is our bus."))
    ]


def test_what_is_long_is_cut_between_sentences_and_else_between_words() -> None:
    sentence = "Every word of it counts, and Dr. Marlow says so."
    page = Page("long", f"# Long\n{' '.join([sentence] * 30)}\n\n{'word ' * 200}")
    passages = passages_of(page, "en")
    assert all(len(one.text) <= LONGEST for one in passages)
    assert " ".join(one.text for one in passages).split() == [*(sentence.split() * 30), *(["word"] * 200)]
    assert passages[0].text.endswith("says so.")


def test_an_empty_page_has_none() -> None:
    assert passages_of(Page("empty", "# Nothing\n\n<!-- yet -->"), "en") == []
