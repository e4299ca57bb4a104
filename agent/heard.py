"""How much of what was said the caller heard."""

from __future__ import annotations

import re
from difflib import SequenceMatcher


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


_ALIKE = 0.8  # of the words up to there: a word of its end may have been said before it, too


def words_heard(said: str, heard: str) -> int:
    """Up to which of the words `said` the caller came, who has `heard` these of the agent.

    These may hold more, which was said before or behind it, and may be written in another way here and there.
    """
    blocks = SequenceMatcher(None, words_of(said), words_of(heard), autojunk=False).get_matching_blocks()
    furthest = same = 0
    for block in blocks:
        same += block.size
        if block.size and same >= _ALIKE * (block.a + block.size):
            furthest = block.a + block.size
    return furthest
