"""What a turn of the caller's means in a flow, as far as code can tell."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from agent.flows.lexicon import Lexicon, plain_words
from agent.flows.slots import Slots, Wrong
from agent.flows.state import Intent, Reading, State
from config.flow import GAP, Flow, Task

# What else stands in a turn that gives one of these isn't it, whereas a name is what isn't anything else.
SELF_EVIDENT = ("date", "time", "count", "phone", "email", "amount", "duration", "choice")
FIRST_WORDS = 5  # in which a value that they begin with ends
# So many words begin a task while another is under way; more, where they give that one what it asks for.
FEWEST_WORDS, MORE_WORDS = 2, 3
_IN_GAP = r"\b(?:\s+\S+){0,4}?\s+\b"


class TurnReader:
    """One persona's."""

    def __init__(self, flow: Flow, slots: Slots, lexicon: Lexicon, names: Sequence[str] = ()) -> None:
        """`names`: of those to whom callers may be put through."""
        self._flow = flow
        self._slots = slots
        self._lexicon = lexicon
        self._people = names

    def read(
        self, state: State, readable: Sequence[str], words: str, now: datetime, *, task: str = ""
    ) -> Reading:
        """`readable` are the slots of the task that is under way; those of one that begins are read as well.

        `task` is known to begin.
        """
        if chosen := self._of_offers(state, words):
            return Reading(values=chosen)
        asked = self._flow.slots[state.asked] if state.asked else None
        free = asked is not None and asked.kind == "text"
        intents = self._lexicon.intents(words, whole_only=free)
        told = words if free else self._lexicon.without_questions(words)
        corrects = state.waits in ("yes", "change") and Intent.YES not in intents
        values, wrong = self._in_passing(state, readable, told, now, halves=corrects)
        if not (task or free):
            fewest = 1 if not state.task else MORE_WORDS if values else FEWEST_WORDS
            task = self._task(state, told, fewest)
            if not task and (task := self._task(state, words, fewest)):
                told = words  # "When can I book a table?"
        if task:
            values, wrong = self._in_passing(state, self._flow.tasks[task].slots, told, now)
        if told != words and not intents - {Intent.YES, Intent.NO}:
            intents |= {Intent.QUESTION}
        partly = ""
        spells = bool(state.asked) and self._slots.spells(state.asked, told)  # "GRA, why?"
        question = not (free or spells) and self._lexicon.is_question(told)
        if asked and not task and state.asked not in values and told:
            if intents - {Intent.QUESTION} and asked.kind not in SELF_EVIDENT:
                said = self._lexicon.behind_answer(told)
                others = intents - {Intent.YES, Intent.NO} or self._lexicon.intents(said)
                unknown = bool(others) or not said
            else:
                said, unknown = told, asked.kind not in SELF_EVIDENT and bool(values or wrong or question)
            if not unknown:
                value, said = self._asked(state, said, now)
                if isinstance(value, Wrong):
                    wrong[state.asked] = value.says
                    partly = said if value.goes_on else ""
                elif value is not None:
                    wrong.pop(state.asked, None)
                    values[state.asked] = value
        if question and not (values or wrong or intents or task):
            intents |= {Intent.QUESTION}
        if values and not task:
            intents -= {Intent.REPEAT, Intent.UNKNOWN}
        if not free and self._ends(state, words):
            intents |= {Intent.END}
        named = tuple(name for name in readable if self._names(name, told)) if state.task else ()
        known = bool(intents or values or wrong or task or (named and state.waits in ("yes", "change")))
        whom = next((one for one in self._people if _stands(one, words)), "")
        return Reading(intents, values, wrong, partly, named, task, whom, sure=known or not state.task)

    def _of_offers(self, state: State, words: str) -> dict[str, Any]:
        """What is asked for, and what is asked for beside it, by the moment that the words take of those that
        the last act has offered: "the second one"."""
        offers = list(state.results.values())[-1].offers if state.results else ()
        if not offers or state.waits != "slot":
            return {}
        step = self._flow.tasks[state.task].steps[state.step]
        values = {name: self._slots.offered(name, words, offers) for name in step.collect}
        if values[state.asked] is None:
            return {}
        return {name: value for name, value in values.items() if value is not None}

    def _ends(self, state: State, words: str) -> bool:
        if state.task:
            return self._lexicon.parts(words)
        return self._lexicon.ends(words, asked=state.waits == "more")

    def _in_passing(
        self, state: State, names: Sequence[str], words: str, now: datetime, *, halves: bool = False
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """The values that the words give slots of these names, and what is wrong with others: `halves` of
        values are, where nothing is asked for of which they could become a part."""
        values, wrong = dict[str, Any](), dict[str, str]()
        dialling = bool(state.asked) and self._flow.slots[state.asked].kind == "phone"
        for name, said in self._passages(state, names, words, now).items():
            found = self._slots.find(name, said, now, dialling=dialling)
            if isinstance(found, Wrong):
                if halves or not found.goes_on:
                    wrong[name] = found.says
            elif found is not None:
                values[name] = found
        return values, wrong

    def _passages(self, state: State, names: Sequence[str], words: str, now: datetime) -> Mapping[str, str]:
        """The slots that may be said in passing, each with the words in which it may; where one is asked for,
        no other of its kind.

        Of two of a kind, one is what stands behind "to", and the other what stands before that.
        """
        slots = self._flow.slots
        kind = slots[state.asked].kind if state.asked in names else None
        names = [name for name in names if name == state.asked or slots[name].kind != kind]
        led = [name for name in names if slots[name].behind]
        kinds = {slots[name].kind for name in led}
        others = {name: words for name in names if name not in led}
        words_for = "|".join(re.escape(word) for name in led for word in slots[name].behind)
        for lead in reversed(
            list(re.finditer(rf"\b(?:{words_for})\s+", words, re.IGNORECASE) if led else ())
        ):
            before, rest = words[: lead.start()], words[lead.end() :]
            if any(self._begins_with(name, rest, now) for name in led):
                return {name: before if slots[name].kind in kinds else words for name in others} | (
                    dict.fromkeys(led, rest)
                )
        if any(name == state.asked or name in state.slots for name in led):  # it is what they talk of by now
            return {name: said for name, said in others.items() if slots[name].kind not in kinds} | (
                dict.fromkeys(led, words)
            )
        return others

    def _begins_with(self, name: str, words: str, now: datetime) -> bool:
        """Whether the first of the words belongs to a value of this slot."""
        first = self._lexicon.without_small(words).split()[:FIRST_WORDS]
        value = self._slots.find(name, " ".join(first), now)
        return value is not None and value != self._slots.find(name, " ".join(first[1:]), now)

    def _asked(self, state: State, words: str, now: datetime) -> tuple[Any | Wrong | None, str]:
        """What is read of the slot that was asked for, and from which words: these, or with those before."""
        value = self._slots.read(state.asked, words, now)
        if state.partly and (value is None or isinstance(value, Wrong)):
            both = f"{state.partly} {words}"
            whole = self._slots.read(state.asked, both, now)
            if whole is not None:
                return whole, both
        return value, words

    def _task(self, state: State, words: str, fewest: int) -> str:
        """The task that is asked for in so many words: of several the one that most of them are about, and
        none where two are equal, or are about it with fewer than `fewest`.
        """
        plain = plain_words(words)
        told = {name: self._told(task, plain) for name, task in self._flow.tasks.items()}
        most = max(told.values())
        found = [name for name, count in told.items() if count == most]
        return found[0] if most >= fewest and len(found) == 1 and found[0] != state.task else ""

    def _told(self, task: Task, plain: str) -> int:
        """How many of the words are about the task."""
        told = set[int]()
        for phrase in task.words:
            for match in re.finditer(_pattern(phrase), plain):
                if not self._lexicon.denied(plain[: match.start()]):
                    for group in range(1, len(match.groups()) + 1):
                        first = plain.count(" ", 0, match.start(group))
                        told.update(range(first, first + len(match[group].split())))
        return len(told)

    def _names(self, name: str, words: str) -> bool:
        return any(_stands(one, words) for one in (name.replace("_", " "), *self._flow.slots[name].words))


@functools.cache
def _pattern(phrase: str) -> str:
    """A regular expression for the phrase in plain words, with a group for each part between gaps."""
    parts = []
    for part in phrase.split(GAP):
        words = ("|".join(re.escape(plain_words(one)) for one in word.split("|")) for word in part.split())
        parts.append(f"({' '.join(f'(?:{word})' for word in words)})")
    return rf"\b{_IN_GAP.join(parts)}\b"


def _stands(phrase: str, words: str) -> bool:
    return re.search(rf"\b{re.escape(phrase.lower())}\b", words.lower()) is not None
