"""What a turn means where code can't tell: the model chooses, and copies words that code then reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agent.flows.slots import Slots, Wrong
from agent.flows.state import Intent, Reading, State
from config.flow import Flow
from models.llm.acts import caller_turns, question
from models.llm.slots import said as is_said

if TYPE_CHECKING:
    from agent.flows.engine import Asks

VALUE, OTHER = "value", "other"
ABOUT = {
    VALUE: "They answer what they were asked.",
    "question": "They ask something themselves.",
    "yes": "They agree.",
    "no": "They don't agree.",
    "repeat": "They want it said again.",
    "back": "They want to change what they said before.",
    "unknown": "They don't know it, or don't want to say.",
    "leave": "They want nothing of it any more.",
    "person": "They want to talk to a human.",
    OTHER: "Anything else.",
}
# Agent's words, caller's words, and what they are. None is of anyone's flow.
EXAMPLES = (
    ("What is your shoe size?", "Well, I usually take a forty-two.", VALUE),
    ("What is your shoe size?", "And do you have them in brown?", "question"),
    ("What is your shoe size?", "My sister knows that better than me.", "unknown"),
    ("What is your shoe size?", "The dog is barking, one second.", OTHER),
    ("Which colour do you want?", "My wife would like them as dark as can be.", VALUE),
    ("Which colour do you want?", "This is getting too complicated, let's drop it.", "leave"),
    ("Which colour do you want?", "I got the size wrong before.", "back"),
    ("Which colour do you want?", "The line is bad, you were saying?", "repeat"),
    ("Brown shoes in forty-two, is that right?", "That's exactly what I need.", "yes"),
    ("Brown shoes in forty-two, is that right?", "I'm afraid you mixed something up.", "no"),
    ("Brown shoes in forty-two, is that right?", "Isn't there anyone alive in that shop?", "person"),
    ("Brown shoes in forty-two, is that right?", "How much are they?", "question"),
)


class Understanding:
    """One persona's."""

    def __init__(self, flow: Flow, slots: Slots, asks: Asks) -> None:
        self._flow = flow
        self._slots = slots
        self._asks = asks
        self._options = [*ABOUT, *flow.tasks]
        self.lesson = self._lesson()

    async def read(
        self, state: State, readable: Sequence[str], messages: Sequence[Mapping[str, Any]], now: datetime
    ) -> Reading:
        """What the last turn means in `state`; nothing where the model doesn't know or isn't there."""
        line = question(messages)
        chosen = await self._asks.choose(self.lesson, line, self._options)
        if chosen == VALUE:
            return await self._values(state, readable, messages, now)
        if chosen is None or chosen in (OTHER, state.task):
            return Reading()
        if chosen in self._flow.tasks:
            return Reading(task=chosen)
        return Reading(frozenset({Intent[chosen.upper()]}))

    async def _values(
        self, state: State, readable: Sequence[str], messages: Sequence[Mapping[str, Any]], now: datetime
    ) -> Reading:
        names = [state.asked] if state.asked else list(readable)
        copied = await self._asks.copy(question(messages), state.task, names)
        words = caller_turns(messages)[-1]
        values, wrong = dict[str, Any](), dict[str, str]()
        for name, text in copied.items():
            if name not in names or not is_said(text, words):
                continue
            value = self._slots.read(name, text, now)
            if isinstance(value, Wrong):
                wrong[name] = value.says
            elif value is not None:
                values[name] = value
        return Reading(values=values, wrong=wrong)

    def _lesson(self) -> str:
        head = "# Telephone calls, and what the caller's last words are:\n"
        about = ABOUT | {name: task.about for name, task in self._flow.tasks.items()}
        head += "".join(f"# {name}: {text}\n" for name, text in about.items())
        lines = [f"Agent: {agent} Caller: {caller} -> {what}\n" for agent, caller, what in EXAMPLES]
        lines += [
            f"Agent: Which colour do you want? Caller: {example} -> {name}\n"
            for name, task in self._flow.tasks.items()
            for example in task.examples[:2]
        ]
        return f"{head}\n{''.join(lines)}"
