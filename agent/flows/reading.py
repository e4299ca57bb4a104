"""What a turn of the caller's means in a flow, as far as code can tell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from agent.flows.lexicon import Lexicon
from agent.flows.slots import Slots, Wrong
from agent.flows.state import Intent, Reading, State
from config.flow import Flow

# What else stands in a turn that gives one of these isn't it, whereas a name is what isn't anything else.
SELF_EVIDENT = ("date", "time", "count", "phone", "email", "amount", "duration", "choice")


class TurnReader:
    """One persona's."""

    def __init__(self, flow: Flow, slots: Slots, lexicon: Lexicon) -> None:
        self._flow = flow
        self._slots = slots
        self._lexicon = lexicon

    def read(
        self, state: State, readable: Sequence[str], words: str, now: datetime, *, task: str = ""
    ) -> Reading:
        """`readable` are the slots of the task that is under way; those of one that begins are read as well.

        `task` is known to begin.
        """
        asked = self._flow.slots[state.asked] if state.asked else None
        free = asked is not None and asked.kind == "text"
        intents = self._lexicon.intents(words, whole_only=free) if state.task else frozenset()
        task = task or ("" if free else self._task(state, words))
        values, wrong, partly = dict[str, Any](), dict[str, str](), ""
        for name in self._sought(state, self._flow.tasks[task].slots if task else readable):
            found = self._slots.find(name, words, now)
            if isinstance(found, Wrong):
                if not found.goes_on:
                    wrong[name] = found.says
            elif found is not None:
                values[name] = found
        question = not free and self._lexicon.is_question(words)
        if asked and not task and state.asked not in values:
            if intents and asked.kind not in SELF_EVIDENT:
                said = self._lexicon.behind_answer(words)
                others = intents - {Intent.YES, Intent.NO} or self._lexicon.intents(said)
                unknown = bool(others) or not said
            else:
                said, unknown = words, asked.kind not in SELF_EVIDENT and bool(values or wrong or question)
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
        named = tuple(name for name in readable if self._names(name, words)) if state.task else ()
        known = bool(intents or values or wrong or task or (named and state.waits in ("yes", "change")))
        return Reading(intents, values, wrong, partly, named, task, sure=known or not state.task)

    def _sought(self, state: State, names: Sequence[str]) -> Sequence[str]:
        """The slots that may be said in passing; where one is asked for, no other of its kind."""
        slots = self._flow.slots
        kind = slots[state.asked].kind if state.asked in names else None
        return [
            name
            for name in names
            if name == state.asked or not (slots[name].only_asked or slots[name].kind == kind)
        ]

    def _asked(self, state: State, words: str, now: datetime) -> tuple[Any | Wrong | None, str]:
        """What is read of the slot that was asked for, and from which words: these, or with those before."""
        value = self._slots.read(state.asked, words, now)
        if state.partly and (value is None or isinstance(value, Wrong)):
            both = f"{state.partly} {words}"
            whole = self._slots.read(state.asked, both, now)
            if whole is not None:
                return whole, both
        return value, words

    def _task(self, state: State, words: str) -> str:
        """The task that is asked for in so many words, of several the one with the longest."""
        plain = " ".join(re.findall(r"[\w']+", words.lower()))
        said = {
            phrase: name
            for name, task in self._flow.tasks.items()
            for phrase in task.words
            if re.search(rf"\b{re.escape(phrase)}\b", plain)
        }
        task = said[max(said, key=len)] if said else ""
        return "" if task == state.task else task

    def _names(self, name: str, words: str) -> bool:
        called = (name.replace("_", " "), *self._flow.slots[name].words)
        return any(re.search(rf"\b{re.escape(one)}\b", words.lower()) for one in called)
