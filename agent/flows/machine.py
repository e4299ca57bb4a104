"""What a flow says and does next: the decisions, without I/O, clock or model.

A task's steps are walked from the first one at every turn, over what is known by then. `collect` stops where
a slot is empty and asks for it; `confirm` where what it reads back wasn't agreed to as it is now; `act` where
its tool wasn't called with these values. So a correction needs nothing of its own: a slot changes, and the
walk stops where it must. Once an act has changed something, the walk begins there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent.flows.state import (
    SKIPPED,
    Acted,
    Answer,
    Call,
    Command,
    Event,
    Intent,
    Reading,
    Result,
    Said,
    Say,
    State,
)
from agent.heard import words_heard, words_of
from agent.slots import as_json
from config.flow import END, END_CALL, HANG_UP, KEY, RESULT, TRANSFER, Flow, Outcome, Step, Task, fill, named

FAILED = "failed"
ASIDES = 2  # so many times as often as it isn't understood may a caller ask something without giving anything

Next = tuple[State, tuple[Command, ...]]


class FlowMachine:
    """One call's. `say` has the value of the slot of this name in words; `facts` are what else templates may
    name."""

    def __init__(
        self, flow: Flow, say: Callable[[str, Any], str], facts: Mapping[str, str] | None = None
    ) -> None:
        self.flow = flow
        self._say_value = say
        self._facts = facts or {}

    def begin(self) -> State:
        """How a call begins: its greeting has asked the first question, if a task starts with it."""
        return self._walk(State(task=self.flow.start))[0] if self.flow.start else State()

    def handle(self, state: State, event: Event) -> Next:
        """The state behind `event`, and what is to be done, in this order."""
        if isinstance(event, Acted):
            return self._acted(state, event.result)
        missed = words_heard(state.said.text, event.heard) < state.said.counts
        owed = state.said.owed if missed else ""
        if missed and state.waits == "yes":
            state = replace(state, waits="")  # a confirmation that was cut off is none
        state, commands = self._turn(state, event.reading)
        if owed and not any(isinstance(one, Say) and one.owed == owed for one in commands):
            commands = (Say(owed, len(words_of(owed)), owed), *commands)
        return self.spoken(state, commands)

    def lost(self, state: State) -> Next:
        """The model, which was to answer what was said in `state`, didn't."""
        return self.spoken(*self._again(state, self.flow.phrases.not_understood))

    def awaited(self, state: State) -> Call:
        """The act that a state waits for."""
        return self._call(state, state.step, self._task(state).steps[state.step])

    def readable(self, state: State) -> Sequence[str]:
        """The slots that may still be said, in the order in which they are asked for."""
        if not state.task:
            return ()
        steps = self._task(state).steps
        later = list(steps)[list(steps).index(state.base) + 1 if state.base else 0 :]
        return list(dict.fromkeys(slot for name in later for slot in steps[name].collect))

    # A turn of the caller's.

    def _turn(self, state: State, reading: Reading) -> Next:
        intents = reading.intents
        begins = bool(reading.task) and reading.task != state.task
        if Intent.PERSON in intents and (state.task or (self.flow.hand_over and not begins)):
            return self._hand_over(state, reading.whom)
        if begins:
            question = (Answer(),) if Intent.QUESTION in intents else ()
            state = replace(self._ended(state), task=reading.task, waits="")
            state, commands = self._walk(_taken(state, reading), reading.wrong)
            return state, (*question, *commands)
        if Intent.END in intents and Intent.YES not in intents:
            return self._ended(state), (Call(END_CALL),)
        if not state.task:
            return self._between(state, intents)
        if Intent.LEAVE in intents:
            return self._ended(state), (Say(self.flow.phrases.left),)
        if state.waits == "act" and Intent.YES not in intents:
            state = replace(state, confirmed={}, waits="")  # they spoke before it was begun
        return self._in_task(state, reading)

    def _between(self, state: State, intents: frozenset[Intent]) -> Next:
        """Where no task is under way, and none is asked for."""
        if state.waits == "more" and Intent.REPEAT in intents and state.said.text:
            return state, (Say(state.said.text, state.said.counts, state.said.owed),)
        if state.waits == "more" and intents == {Intent.YES}:
            return state, (Say(self.flow.phrases.what_else),)
        return replace(state, tries=0), (Answer(),)

    def _in_task(self, state: State, reading: Reading) -> Next:
        intents, before = reading.intents, state
        state = _taken(state, reading)
        plain_yes = Intent.YES in intents and intents <= {Intent.YES, Intent.QUESTION, Intent.END}
        agreed = state.waits == "yes" and plain_yes and not reading.wrong
        if agreed and state.slots == before.slots:
            state = replace(state, confirmed={**state.confirmed, state.step: self._read_back(state)})
        question = (Answer(),) if Intent.QUESTION in intents else ()
        if state != before:
            state, commands = self._walk(replace(state, tries=0, asides=0), reading.wrong)
            return state, (*question, *commands)
        if reading.wrong:
            return self._again(replace(state, partly=reading.partly), *reading.wrong.values())
        if question:
            state = replace(state, asides=state.asides + 1)
            if state.asides >= ASIDES * self.flow.tries:  # their answers may be misheard for questions
                return self._hand_over(state)
            return state, (*question, self._question(state))
        cut_off = not state.waits and state.step and self._task(state).steps[state.step].kind == "confirm"
        if cut_off and not intents and not reading.named:
            return self._again(replace(state, waits="yes"), self.flow.phrases.not_understood)
        if Intent.REPEAT in intents or state.waits in ("", "act"):
            return self._walk(state)
        if Intent.BACK in intents:
            known = [name for name in state.filled if name in self.readable(state)]
            return self._walk(_without(state, known[-1:]))
        if state.waits in ("yes", "change") and reading.named:
            return self._walk(_without(state, reading.named))
        if state.waits == "yes" and Intent.NO in intents:
            return replace(state, waits="change"), (Say(self.flow.phrases.what_to_change),)
        if state.waits == "change" and Intent.NO in intents:  # nothing, after all
            return self._walk(state)
        if state.waits == "slot" and intents & {Intent.UNKNOWN, Intent.NO}:
            slot = self.flow.slots[state.asked]
            if slot.optional:
                return self._walk(_with(replace(state, tries=0), {state.asked: SKIPPED}))
            if slot.hint and Intent.UNKNOWN in intents:
                return self._again(state, slot.hint)
        return self._again(state, self.flow.phrases.not_understood)

    def _again(self, state: State, *why: str) -> Next:
        state = replace(state, tries=state.tries + 1)
        if state.tries >= self.flow.tries:
            return self._hand_over(state)
        return state, (*(Say(text) for text in why), self._question(state))

    def _hand_over(self, state: State, whom: str = "") -> Next:
        state, to = self._ended(state), self.flow.hand_over
        if to is None:
            return state, (Say(self.flow.phrases.left),)
        whom = whom or to.to or ""
        arguments = {"to": whom} if whom and to.tool == TRANSFER else {}
        return state, (Say(self.flow.phrases.handing_over), Call(to.tool, arguments))

    # The walk.

    def _walk(self, state: State, wrong: Mapping[str, str] | None = None) -> Next:
        """Up to where something is missing. `wrong`: what is said first, of slots that are then asked for."""
        wrong = wrong or {}
        task, commands = self._task(state), list[Command](Say(text) for text in wrong.values())
        state = replace(state, partly="")
        name, status, again = state.base or next(iter(task.steps)), "", state.told
        while name not in (END, HANG_UP):
            step = task.steps[name]
            to = step.then or task.following(name)
            if step.kind == "collect":
                missing = [slot for slot in step.collect if slot not in state.slots]
                if missing:
                    asked = next((slot for slot in missing if slot in wrong), missing[0])
                    state = replace(state, step=name, waits="slot", asked=asked)
                    return state, (*commands, self._question(state))
            elif step.kind == "confirm":
                state = replace(state, step=name)
                if state.confirmed.get(name) != self._read_back(state):
                    state = replace(state, waits="yes", asked="")
                    return state, (*commands, self._question(state))
            elif step.kind == "branch":
                value = status if step.branch == RESULT else as_json(state.slots.get(step.branch or ""))
                to = step.cases.get(str(value), to)
            elif step.kind == "act":
                call, result = self._call(state, name, step), state.results.get(name)
                if result is None or (result.key != call.key and name != state.base):
                    return replace(state, step=name, waits="act", asked=""), (*commands, call)
                status, outcome = result.status, step.outcomes.get(result.status)
                if outcome is None and result.status == FAILED:
                    state, rest = self._hand_over(state)
                    return state, (*commands, Say(self.flow.phrases.failed), *rest)
                outcome = outcome or Outcome()
                forget = [slot for slot in outcome.forget if slot in state.slots]
                if outcome.say and (forget or result.key not in state.told):
                    tells = _told(outcome.say, self._values(state))
                    commands.append(Say(tells.text) if step.reads else tells)
                    state = replace(state, told=state.told | {result.key})
                if forget:
                    state = replace(state, refused=state.refused + (result.key in again))
                    if state.refused >= self.flow.tries:
                        state, rest = self._hand_over(state)
                        return state, (*commands, *rest)
                    state, to = _without(state, forget), state.base or next(iter(task.steps))
                else:
                    to = outcome.then or to
            elif step.kind == "hand_over":
                said = [Say(fill(step.say, self._values(state)))] if step.say else []
                assert step.hand_over is not None
                arguments = self._arguments(state, step)
                return self._ended(state), (*commands, *said, Call(step.hand_over, arguments))
            elif step.say and (text := fill(step.say, self._values(state))) not in state.told:
                commands.append(Say(text))
                state = replace(state, told=state.told | {text})
            name = to
        return self._ended(state), (*commands, *([Call(END_CALL)] if name == HANG_UP else []))

    def _acted(self, state: State, result: Result) -> Next:
        step = self._task(state).steps[state.step]
        outcome = step.outcomes.get(result.status)
        others = {name: one for name, one in state.results.items() if name != state.step}
        state = replace(state, results={**others, state.step: result}, waits="")
        if not (step.reads or result.status == FAILED or (outcome and outcome.forget)):
            act = self._identity(state, state.step, step)
            state = replace(state, base=state.step, done=(*_before(act, state), act))
        return self.spoken(*self._walk(state))

    def _call(self, state: State, name: str, step: Step) -> Call:
        act = self._identity(state, name, step)
        key = _digest([_before(act, state), act])
        assert step.act is not None
        secret = {name for name, slot in self.flow.slots.items() if slot.secret}
        hidden = frozenset(name for name, text in step.arguments.items() if secret & set(named([text])))
        return Call(step.act, self._arguments(state, step, key), key, hidden)

    def _identity(self, state: State, name: str, step: Step) -> str:
        """The same for the same act with the same values."""
        return _digest([self._facts, state.task, name, step.act, self._arguments(state, step)])

    def _arguments(self, state: State, step: Step, key: str = "") -> dict[str, str]:
        slots = {name: str(as_json(value)) for name, value in state.slots.items() if value is not SKIPPED}
        values = {**self._facts, **slots, **_of_results(state), KEY: key}
        filled = {name: fill(text, values) for name, text in step.arguments.items()}
        return {name: value for name, value in filled.items() if value}

    def _read_back(self, state: State) -> dict[str, Any]:
        """What the confirmation at `state.step` says, as values."""
        step = self._task(state).steps[state.step]
        assert step.confirm is not None
        return {name: state.slots[name] for name in named([step.confirm]) if name in state.slots}

    # What is said.

    def _question(self, state: State) -> Say:
        """What is waited for, in other words at each further try."""
        if state.waits == "slot":
            asks = self.flow.slots[state.asked].ask
            return Say(fill(asks[min(state.tries, len(asks) - 1)], self._values(state)), asks=True)
        if state.waits == "change":
            return Say(self.flow.phrases.what_to_change, asks=True)
        if not state.task:
            return Say(self.flow.phrases.what_else, asks=True)
        step = self._task(state).steps[state.step]
        return _read_back(step.confirm, self._values(state)) if step.confirm else Say("")

    def _values(self, state: State) -> dict[str, str]:
        """What templates may name, in words."""
        slots = {
            name: self._say_value(name, value) for name, value in state.slots.items() if value is not SKIPPED
        }
        return {**self._facts, **slots, **_of_results(state)}

    def spoken(self, state: State, commands: Sequence[Command]) -> Next:
        """The state, which remembers what is said."""
        text, counts, owed = "", 0, list[str]()
        for one in commands:
            if isinstance(one, Say) and one.text:
                counts = len(words_of(text)) + one.counts if one.counts else counts
                text = f"{text} {one.text}".lstrip()
                owed += [one.owed] if one.owed else []
        commands = tuple(one for one in commands if one != Say(""))
        return replace(state, said=Said(text, counts, " ".join(owed))), commands

    def _task(self, state: State) -> Task:
        return self.flow.tasks[state.task]

    def _ended(self, state: State) -> State:
        """Between tasks: what is still known."""
        kept = {name: value for name, value in state.slots.items() if self.flow.slots[name].keep}
        return State(slots=kept, filled=tuple(kept), done=state.done, waits="more")


def _read_back(template: str, values: Mapping[str, str]) -> Say:
    """All of its values must be heard."""
    told = template[: template.rfind("}") + 1]
    counts = words_of(fill(f"{told}]" if told.count("[") > told.count("]") else told, values))
    return Say(fill(template, values), len(counts))


def _told(template: str, values: Mapping[str, str]) -> Say:
    """What was done: its values must be heard, or its first sentence, and what follows needn't be."""
    text = fill(template, values)
    end = re.compile(r"[.!?](?=\s|\Z)").search(template, template.rfind("}") + 1)
    owed = fill(template[: end.end()], values) if end else text
    return Say(text, _read_back(template, values).counts or len(words_of(owed)), owed)


def _taken(state: State, reading: Reading) -> State:
    """With the values of a turn, and without those that it takes back for others that can't be."""
    return _with(_without(state, list(reading.wrong)), reading.values)


def _with(state: State, values: Mapping[str, Any]) -> State:
    changed = {
        name: value for name, value in values.items() if name not in state.slots or state.slots[name] != value
    }
    filled = [name for name in state.filled if name not in changed]
    return _changed(state, {**state.slots, **changed}, (*filled, *changed)) if changed else state


def _without(state: State, names: Sequence[str]) -> State:
    if not any(name in state.slots for name in names):
        return state
    slots = {name: value for name, value in state.slots.items() if name not in names}
    return _changed(state, slots, [name for name in state.filled if name not in names])


def _changed(state: State, slots: Mapping[str, Any], filled: Sequence[str]) -> State:
    """What was agreed to with other values isn't any more, even if they come back."""
    confirmed = {step: agreed for step, agreed in state.confirmed.items() if agreed.items() <= slots.items()}
    return replace(state, slots=slots, filled=tuple(filled), confirmed=confirmed)


def _before(act: str, state: State) -> Sequence[str]:
    """What was done before `act`, which may be the last that was: that it is done once.

    Behind another it is another: who cancels may book the same again, and what was looked up may be over.
    """
    return state.done[:-1] if state.done[-1:] == (act,) else state.done


def _digest(told: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:24]


def _of_results(state: State) -> dict[str, str]:
    return {f"{RESULT}.{name}": value for one in state.results.values() for name, value in one.values.items()}
