"""How much of what was said the caller heard."""

from __future__ import annotations

import re
from difflib import SequenceMatcher


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def words_heard(said: str, heard: str) -> int:
    """Up to which of the words `said` the caller came, who has `heard` these of the agent.

    These may hold more, which was said before or behind it, and may be written in another way here and there.
    """
    blocks = SequenceMatcher(None, words_of(said), words_of(heard), autojunk=False).get_matching_blocks()
    return max((block.a + block.size for block in blocks if block.size), default=0)
