"""What the endpointing policy was fitted on: of that, figures tell less than of anyone else."""

from __future__ import annotations

from dataclasses import dataclass

from bench.endpointing import table
from bench.sentences import plain


@dataclass(frozen=True, slots=True)
class Seen:
    """The voices by their names, the sentences by their words."""

    voices: frozenset[str]
    sentences: frozenset[tuple[str, ...]]

    @classmethod
    def by_the_fit(cls) -> Seen:
        """Those of the table of cuts."""
        cuts = table.read()
        voices = frozenset(cut.voice.partition("*")[0] for cut in cuts)  # joe*0.95 is a pitch of joe's
        return cls(voices, frozenset(plain(cut.said) for cut in cuts if cut.done))

    def knows(self, voice: str, text: str) -> bool:
        """Whether the voice or the sentence is one of them."""
        return not self.voices.isdisjoint({voice, *voice.split("-")}) or plain(text) in self.sentences
