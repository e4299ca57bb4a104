"""Pages, cut into passages that are short enough to be read while a caller speaks. Pure."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from config.pages import Page
from models.llm.brevity import sentences

if TYPE_CHECKING:
    from markdown_it.token import Token

LONGEST = 400  # characters: some 90 tokens
_MARKDOWN = MarkdownIt("commonmark").enable("table")
_SAID = ("text", "code_inline", "image")  # of what stands in a line
_BREAKS = ("softbreak", "hardbreak")  # the rest is markup


@dataclass(frozen=True)
class Passage:
    """`page` is the name of the page that has it, `heading` that page's title and what stands above it."""

    page: str
    heading: str
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        return self.text_of(self.sentences)

    @property
    def source(self) -> str:
        """For people: where it stands."""
        return f"{self.page}: {self.heading}"

    @property
    def line(self) -> str:
        """As a model is told it."""
        return self.line_of(self.sentences)

    def line_of(self, sentences: Container[str]) -> str:
        """The same with these alone."""
        return f"{self.heading}: {self.text_of(sentences)}"

    def text_of(self, sentences: Container[str]) -> str:
        """These alone, in the page's order, without what stands above them."""
        return " ".join(one for one in self.sentences if one in sentences)


def passages_of(page: Page, language: str) -> list[Passage]:
    """The page's passages, in their order: each of one section, in whole sentences where these are short."""
    blocks = _blocks_of_markdown(page) if page.markdown else _blocks_of_text(page)
    passages: list[Passage] = []
    above, text = "", ""

    def close() -> None:
        passages.append(Passage(page.name, above, tuple(sentences(text, language=language))))

    for heading, block in blocks:
        for part in _parts(block, language):
            if text and (heading != above or len(text) + 1 + len(part) > LONGEST):
                close()
                text = ""
            above, text = heading, f"{_ended(text)} {part}".strip()
    if text:
        close()
    return passages


def _blocks_of_markdown(page: Page) -> Iterator[tuple[str, str]]:
    """Paragraphs, list items and rows of tables, each with what stands above it."""
    headings: list[tuple[int, str]] = []
    level = 0  # of the heading that is being read
    row: list[str] | None = None
    for token in _MARKDOWN.parse(page.text):
        match token.type:
            case "heading_open":
                level = int(token.tag[1:])
            case "heading_close":
                level = 0
            case "tr_open":
                row = []
            case "tr_close":
                yield _heading(page, headings), ", ".join(filter(None, row or ()))
                row = None
            case "fence" | "code_block":
                yield _heading(page, headings), _on_a_line(token.content)
            case "inline" if level:
                headings = [one for one in headings if one[0] < level] + [(level, _words(token))]
            case "inline" if row is not None:
                row.append(_words(token))
            case "inline":
                yield _heading(page, headings), _words(token)


def _blocks_of_text(page: Page) -> Iterator[tuple[str, str]]:
    for block in re.split(r"\n\s*\n", page.text):
        if said := _on_a_line(block):
            yield _named(page), said


def _heading(page: Page, headings: list[tuple[int, str]]) -> str:
    return ", ".join(text for _, text in headings) or _named(page)


def _named(page: Page) -> str:
    return page.name.rpartition("/")[2].replace("-", " ").replace("_", " ").capitalize()


def _words(inline: Token) -> str:
    """Without markup: of links and pictures their text."""
    parts = inline.children or ()
    said = (one.content if one.type in _SAID else " " if one.type in _BREAKS else "" for one in parts)
    return _on_a_line("".join(said))


def _ended(text: str) -> str:
    """A list's item needn't end in a full stop."""
    return f"{text}." if text[-1:].isalnum() else text


def _on_a_line(text: str) -> str:
    return " ".join(text.split())


def _parts(block: str, language: str) -> Iterator[str]:
    """Sentences, or pieces of those that are too long by themselves."""
    if len(block) <= LONGEST:
        if block:
            yield block
        return
    for sentence in sentences(block, language=language):
        while len(sentence) > LONGEST:
            cut = sentence.rfind(" ", 0, LONGEST + 1)
            end = cut if cut > 0 else LONGEST
            yield sentence[:end]
            sentence = sentence[end:].strip()
        if sentence:
            yield sentence
