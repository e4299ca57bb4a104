"""A flow's questions in the model's words: said as they come in this very talk, and asking for the same."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agent.heard import words_of
from models.knowledge.index import idle_words
from models.llm.acts import caller_turns, question
from models.llm.discretion import runs

if TYPE_CHECKING:
    from agent.flows.engine import Asks

LATE_S = 1.2  # a caller waits for it
MORE_WORDS = 10  # than the template has
ECHO_WORDS = 4  # of the caller's in a row
_MARKUP = re.compile(r"[*_#`<>{}\[\]|\n]")
_NAMED = re.compile(r"(?<=[^\s.?!…] )[^\W\d_a-z]\w*")  # a capital letter that begins no sentence

logger = logging.getLogger("offhook.call")


class Rewording:
    """In one conversation. Once the model was late it isn't asked again: nobody waits twice for grace."""

    def __init__(self, asks: Asks, language: str) -> None:
        self._asks = asks
        self._language = language
        self._late = False

    async def reworded(self, template: str, messages: Sequence[Mapping[str, Any]]) -> str:
        """The question in other words; as it is where they are late, or ask for something else."""
        if self._late:
            return template
        try:
            async with asyncio.timeout(LATE_S):
                words = await self._asks.reword(question(messages, turns=2), template)
        except TimeoutError:
            self._late = True
            logger.info("no other words for a question within %s s: from now on they are the flow's", LATE_S)
            return template
        said = caller_turns(messages)[-1:]
        fits = asks_the_same(words, template, self._language) and not any(_echoes(words, one) for one in said)
        return words if fits else template


def asks_the_same(words: str, template: str, language: str) -> bool:
    """Whether `words` have the template's numbers and names and no others, a word of what it asks for, and
    its end; and aren't much longer."""
    said, meant = words_of(words), words_of(template)
    idle = idle_words(language)
    return (
        len(said) <= len(meant) + MORE_WORDS
        and words[-1:] == template[-1:]
        and not _MARKUP.search(words)
        and not (set(said) & set(meant)) <= idle
        and _numbers(words) == _numbers(template)
        and set(_NAMED.findall(words)) <= {*re.findall(r"\w+", template), "I"}
        and set(_NAMED.findall(template)) <= set(re.findall(r"\w+", words))
    )


def _echoes(words: str, caller: str) -> bool:
    """Whether they say again what the caller said, as small models do."""
    said, heard = (set(runs(words_of(text), ECHO_WORDS)) for text in (words, caller))
    return not said.isdisjoint(heard)


def _numbers(text: str) -> list[str]:
    return sorted(re.findall(r"\d+", text))
