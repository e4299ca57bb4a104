"""What is likely to be said, as a recognizer is told it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass

# Of 103 telephone numbers in eleven synthesized voices, over telephone sound, tiny.en heard 66 rightly and 6
# wrongly behind one hint, and 84 and 3 so. The rest is asked again.
FEWEST, SHARE = 2, 0.7

Reads = Callable[[str], Hashable | None]


@dataclass(frozen=True)
class Expected:
    """`hint` is text that makes its words and spelling likelier.

    With `reads`, which tells what words mean to whoever waits for them (None: nothing), what is heard behind
    each of `hint` and `others` is compared: the meaning that most of it has is what was said. It is called
    on the recognizer's thread, and must be quick. `wanted` tells whether words are what is waited for.
    """

    hint: str = ""
    others: tuple[str, ...] = ()
    reads: Reads | None = None
    wanted: Callable[[str], bool] | None = None


NOTHING = Expected()


class Ballot:
    """What several hearings of one utterance mean."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._votes = Counter[Hashable]()
        self._words: dict[Hashable, str] = {}  # the first that meant it, or nothing

    def add(self, text: str) -> None:
        meaning = self._reads(text)
        if text:  # nothing isn't what was said, though the decoder held it possible
            self._words.setdefault(meaning, text)
        self._votes[meaning] += 1

    @property
    def unanimous(self) -> bool:
        return len(self._votes) == 1 and None not in self._votes

    @property
    def winner(self) -> str:
        """The words for what nearly all mean that mean anything; where too few do, those that mean nothing,
        if there are any, so that the caller is asked again.
        """
        valid = {meaning: votes for meaning, votes in self._votes.items() if meaning is not None}
        most = max(valid, key=valid.__getitem__, default=None)
        if most is not None and valid[most] >= max(FEWEST, SHARE * sum(valid.values())):
            return self._words[most]
        return self._words[None] if None in self._words else next(iter(self._words.values()))
