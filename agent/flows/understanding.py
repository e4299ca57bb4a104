"""What a turn means where code can't tell: the model chooses, and copies words that code then reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agent.flows.slots import Slots, Wrong
from agent.flows.state import Intent, Reading, State
from models.llm.acts import caller_turns, question
from models.llm.slots import said as is_said

if TYPE_CHECKING:
    from agent.flows.engine import Asks

ANSWERS = "answers"
# What a turn may be, to the model and to the flow.
KINDS: Mapping[str, tuple[str, Intent | None]] = {
    ANSWERS: ("They say what they were asked for.", None),
    "asks": ("They want to know something from the agent.", Intent.QUESTION),
    "agrees": ("They say yes.", Intent.YES),
    "disagrees": ("They say that it is wrong.", Intent.NO),
    "repeats": ("They want to hear it again.", Intent.REPEAT),
    "goes back": ("They want to change something from before.", Intent.BACK),
    "doesn't know": ("They can't say it.", Intent.UNKNOWN),
    "stops": ("They don't want it any more.", Intent.LEAVE),
    "wants a person": ("They want a human.", Intent.PERSON),
    "else": ("It has nothing to do with it.", None),
}
# Agent's words, caller's words, and what they are: of nobody's flow. Tasks aren't among them, since the small
# models then take every other turn for one.
EXAMPLES = (
    ("What is your shoe size?", "Well, I usually take a forty-two.", ANSWERS),
    ("Which colour do you want?", "And do you have them in leather too?", "asks"),
    ("What is your shoe size?", "My sister knows that better than me.", "doesn't know"),
    ("Brown shoes in forty-two, is that right?", "That's exactly what I need.", "agrees"),
    ("Which colour do you want?", "My wife would like them as dark as can be, so black.", ANSWERS),
    ("What is your shoe size?", "Wait, the dog is barking.", "else"),
    ("Brown shoes in forty-two, is that right?", "I'm afraid you mixed something up.", "disagrees"),
    ("Where shall we send them?", "It should go to my office.", ANSWERS),
    ("Which colour do you want?", "The line is bad, you were saying?", "repeats"),
    ("Where shall we send them?", "I got the size wrong, let me change that.", "goes back"),
    ("Which colour do you want?", "This is too complicated, let's drop it.", "stops"),
    ("Brown shoes in forty-two, is that right?", "How much are they?", "asks"),
    ("Where shall we send them?", "Isn't there anyone alive in that shop?", "wants a person"),
    ("Where do you want to go?", "We'd like to get to the airport.", ANSWERS),
    ("Where do you want to go?", "How long does it take to get there?", "asks"),
    ("A taxi to the airport at six, shall I send it?", "Great, please do that.", "agrees"),
    ("A taxi to the airport at six, shall I send it?", "That isn't what I said.", "disagrees"),
    ("A taxi to the airport at six, shall I send it?", "Could you go through it again?", "repeats"),
    ("When do you want to leave?", "I'd say in an hour or thereabouts.", ANSWERS),
    ("When do you want to leave?", "I have to ask my boss about that.", "doesn't know"),
    ("When do you want to leave?", "No, the airport was the wrong place.", "goes back"),
    ("When do you want to leave?", "Oh, there's my neighbour at the window.", "else"),
    ("Whose name shall I write down?", "Make it out to the Bakers.", ANSWERS),
    ("Whose name shall I write down?", "Do you need that?", "asks"),
    ("Whose name shall I write down?", "I'd rather speak with the driver.", "wants a person"),
    ("Whose name shall I write down?", "Ah well, I'll walk instead.", "stops"),
)
LESSON = "".join(
    (
        "# Telephone calls, and what the caller does with their last words:\n",
        *(f"# {name}: {about}\n" for name, (about, _) in KINDS.items()),
        "\n",
        *(f"Agent: {agent} Caller: {caller} -> {what}\n" for agent, caller, what in EXAMPLES),
    )
)


class Understanding:
    """One persona's."""

    def __init__(self, slots: Slots, asks: Asks, *, agrees: bool) -> None:
        """`agrees`: whether the model may find a yes, since code doesn't know the language."""
        self._agrees = agrees
        self._slots = slots
        self._asks = asks

    async def read(
        self, state: State, readable: Sequence[str], messages: Sequence[Mapping[str, Any]], now: datetime
    ) -> Reading:
        """What the last turn means in `state`; nothing where the model doesn't know or isn't there."""
        kind = await self._asks.choose(LESSON, question(messages, turns=2), list(KINDS))
        if kind == ANSWERS:
            return await self._values(state, readable, messages, now)
        intent = KINDS[kind][1] if kind else None
        if intent is Intent.YES and not self._agrees:
            return Reading()  # it is asked for again: to act on it is more than a guess is good for
        return Reading(frozenset({intent} if intent else ()))

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
