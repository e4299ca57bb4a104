"""The words with which callers say days, times and numbers, in each language that is read."""

from __future__ import annotations

from models.llm.spoken_words.english import ENGLISH
from models.llm.spoken_words.french import FRENCH
from models.llm.spoken_words.italian import ITALIAN
from models.llm.spoken_words.portuguese import PORTUGUESE
from models.llm.spoken_words.spanish import SPANISH

LANGUAGES = {"en": ENGLISH, "fr": FRENCH, "es": SPANISH, "it": ITALIAN, "pt": PORTUGUESE}
