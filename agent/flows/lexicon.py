"""What callers say in a flow besides values, in the languages that code knows it in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.flows.state import Intent

NEVER = r"\b\B"
LONGEST_PHRASE = 12  # words
_SENTENCE_END = re.compile(r"(?<=[.?!…])\s+")

# Regular expressions, one a line, over words in lower case without punctuation but apostrophes.
# `begins`: these words begin the turn. `whole`: they are all of it. `within`: they stand anywhere in it.
_Patterns = Mapping[Intent, str]


def any_of(patterns: str) -> str:
    """Any of these, a slash or the end of a line between."""
    return "|".join(line.strip() for line in patterns.replace("\n", "/").split("/") if line.strip())


@dataclass(frozen=True)
class Lexicon:
    """One language's."""

    begins: _Patterns
    whole: _Patterns
    within: _Patterns
    asks: str  # begins a question
    wonders: str  # begins one that a value in it doesn't answer: "are you open on Saturday"
    offers: str  # stands in one that a value in it does answer: "would Friday be possible"
    repeating: str  # may stand with a wish to hear it again, and says nothing else
    politeness: str  # may stand before anything
    but: str  # takes back a yes
    waits: str  # as does this, and it ends nothing: more is to come
    harmless: str  # what is denied without taking a yes back: "no problem"
    denies: str  # stands before what isn't wanted
    nothing: str  # nothing else is wanted
    farewell: str
    thanks: str
    courtesies: str  # may stand with those three
    small: str  # may stand between "to" and a value

    def intents(self, words: str, *, whole_only: bool = False) -> frozenset[Intent]:
        """What the words want. `whole_only`: they may be a message, in which anything may stand."""
        plain = _plain(words, self.politeness)
        found = {intent for intent, pattern in self.whole.items() if _found(rf"(?:{pattern})\Z", plain)}
        if whole_only:
            return frozenset(found)
        found |= {intent for intent, pattern in self.begins.items() if _found(pattern, plain)}
        found |= {
            intent for intent, pattern in self.within.items() if _found(rf"(?:.*\b)?(?:{pattern})", plain)
        }
        agrees = rf"{self.begins[Intent.YES]}|{self.whole.get(Intent.YES, NEVER)}"
        if _covers(rf"{agrees}|{self.thanks}|{self.courtesies}", plain.split()):  # "That's it, yes, thanks."
            found |= {Intent.YES} if _found(rf"(?:.*\b)?(?:{agrees})", plain) else set()
        taken_back = rf".*\b(?:{self.but}|{self.denies}|{self.waits})"
        if Intent.NO in found or _found(taken_back, re.sub(rf"\b(?:{self.harmless})\b", " ", plain)):
            found.discard(Intent.YES)  # "yes, but the time is wrong", "absolutely not", "sure, wait"
        if Intent.UNKNOWN in found:
            found -= {Intent.YES, Intent.NO}
        return frozenset(found)

    def asks_again(self, words: str) -> bool:
        """Whether the words, all of them, ask to hear again what was said last.

        A lone "sorry" does where it is a question.
        """
        plain, wish = _plain(words, self.politeness), self.within.get(Intent.REPEAT, NEVER)
        alone = rf"(?:{self.whole.get(Intent.REPEAT, NEVER)})\Z"
        if words.rstrip().endswith("?") and _found(alone, plain):
            return True
        covered = _covers(rf"{wish}|{self.repeating}|{self.politeness}", plain.split())
        return covered and bool(_found(rf"(?:.*\b)?(?:{wish})", plain))

    def behind_answer(self, words: str) -> str:
        """What follows a yes or no with which the words begin."""
        answer = rf"\A\W*(?:{self.begins[Intent.YES]}|{self.begins[Intent.NO]})(?![\w'])\W*"
        return re.sub(answer, "", words, count=1, flags=re.IGNORECASE)

    def is_question(self, words: str) -> bool:
        return words.rstrip().endswith("?") or bool(_found(self.asks, _plain(words, self.politeness)))

    def without_questions(self, words: str) -> str:
        """The sentences that don't ask about something."""
        return " ".join(one for one in _SENTENCE_END.split(words) if not self._wonders(one))

    def _wonders(self, sentence: str) -> bool:
        plain = _plain(sentence, self.politeness)
        return bool(_found(self.wonders, plain)) and not _found(rf".*\b(?:{self.offers})", plain)

    def ends(self, words: str, *, asked: bool) -> bool:
        """Whether the words, all of them, say that nothing else is wanted.

        `asked`: they answer whether it is, so that a no or thanks do.
        """
        if _found(rf"(?:.*\b)?(?:{self.waits})", plain_words(words)):
            return False
        plain = _plain(words, self.politeness)
        ends = rf"{self.nothing}|{self.farewell}"
        no, yes = self.begins[Intent.NO], self.begins[Intent.YES]
        if not _covers(
            rf"{ends}|{self.thanks}|{self.courtesies}|{no}|{yes}|{self.politeness}", plain.split()
        ):
            return False

        def says(pattern: str) -> bool:
            return bool(_found(rf"(?:.*?\b)?(?:{pattern})", plain))

        wants = bool(_found(yes, plain)) and not _found(self.courtesies, plain)
        return says(ends) or (asked and (says(no) or (says(self.thanks) and not wants)))

    def parts(self, words: str) -> bool:
        """Whether the words take leave."""
        return self.ends(words, asked=False) and bool(
            _found(rf".*\b(?:{self.farewell})", _plain(words, self.politeness))
        )

    def denied(self, before: str) -> bool:
        """Whether what follows the words `before` is what isn't wanted."""
        return re.search(rf"(?:\A|\s)(?:{self.denies})(?:\s+\S+){{0,3}}\s*\Z", before) is not None

    def without_small(self, words: str) -> str:
        """The words from the first one on that may be a value."""
        return re.sub(rf"\A\W*(?:(?:{self.small})\s+)+", "", words, flags=re.IGNORECASE)


def _found(pattern: str, plain: str) -> bool:
    return re.match(rf"(?:{pattern})(?![\w'])", plain) is not None


def _covers(pattern: str, words: Sequence[str]) -> bool:
    """Whether the words are nothing but what the pattern matches, one after the other."""
    reached = {0}
    for begin in range(len(words)):
        if begin in reached:
            reached |= {
                end
                for end in range(begin + 1, min(begin + LONGEST_PHRASE, len(words)) + 1)
                if re.fullmatch(pattern, " ".join(words[begin:end]))
            }
    return bool(words) and len(words) in reached


def plain_words(words: str) -> str:
    """In lower case, without punctuation but apostrophes."""
    return " ".join(re.findall(r"[\w']+", words.lower().replace("’", "'")))


def _plain(words: str, politeness: str) -> str:
    return re.sub(rf"^(?:(?:{politeness})\s+)+(?=\S)", "", plain_words(words))
