"""What callers say in a flow, in each language that code knows."""

from __future__ import annotations

import functools

from agent.flows.languages.english import ENGLISH
from agent.flows.languages.french import FRENCH
from agent.flows.languages.italian import ITALIAN
from agent.flows.languages.portuguese import PORTUGUESE
from agent.flows.languages.spanish import SPANISH
from agent.flows.lexicon import NEVER, Lexicon
from agent.flows.state import Intent

NONE = Lexicon(
    begins={Intent.YES: NEVER, Intent.NO: NEVER},
    whole={},
    within={},
    asks=NEVER,
    wonders=NEVER,
    offers=NEVER,
    repeating=NEVER,
    politeness=NEVER,
    but=NEVER,
    waits=NEVER,
    harmless=NEVER,
    denies=NEVER,
    nothing=NEVER,
    farewell=NEVER,
    thanks=NEVER,
    courtesies=NEVER,
    small=NEVER,
)


@functools.cache
def lexicon(language: str) -> Lexicon:
    """For a BCP 47 tag; one that knows nothing for a language that code doesn't: the model then says."""
    known = {"en": ENGLISH, "fr": FRENCH, "es": SPANISH, "it": ITALIAN, "pt": PORTUGUESE}
    return known.get(language.partition("-")[0], NONE)
