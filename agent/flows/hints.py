"""What a recognizer is told to expect, so that it writes a lone "Wednesday" and not "once he's there"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.flows.state import State
from config.flow import Flow
from models.expected import NOTHING, Expected, Reads

# What can be told from other words by its form, so that hearings may be compared by what they come to.
COMPARED = ("date", "time", "phone", "count", "amount", "duration", "email")

# And what is told by what there is of it. Of 96 names in four synthesized voices, by telephone sound, tiny.en
# heard 55 so that they were found, 75 behind sixteen names with theirs, 78 behind eight and 82 behind four;
# of as many that weren't among those it heard none as one of them.
LIKELY, MOST_LIKELY = ("name",), 16

# By language, how the kinds of slots sound. In eight voices of Kokoro, three of flite and one of Piper, by
# telephone sound, tiny.en heard 288 of 290 days and corrected days rightly behind these two, and 282 behind
# the days in their order, with which it goes on ("On Tuesday." is "Monday, Tuesday."). The first is a mere
# list: behind sentences base makes words of noise. Behind nothing tiny.en heard 94 of 110 days and 103 of 132
# times, and 127 behind these.
_KINDS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "en": {
        "date": (
            "Wednesday, Friday, Tuesday, the 3rd of December, Thursday, Monday.",
            "On Tuesday, please, or Friday, no, wait, Wednesday, the 3rd of December, Monday or Thursday.",
        ),
        "time": ("10 AM, half past 2, quarter to 3, noon.",),
        "phone": ("six four six, three eight seven, two oh nine four.", "The telephone number is"),
    }
}
_CORRECTION = {"en": "Yes, please. No, on Monday or Thursday, at half past 2."}
_NOTHING_ELSE = {"en": "No, thanks. That's all."}


def expected(flow: Flow, state: State, language: str, reads: Reads, likely: Sequence[str] = ()) -> Expected:
    """What is said next, for the recognizer; `language` is BCP 47, `reads` what words mean in this state,
    `likely` some of what may be said for the slot that is asked for, the likeliest first."""
    code = language.partition("-")[0]
    if state.waits == "slot":
        kind = flow.slots[state.asked].kind
        if kind in LIKELY:
            return Expected(", ".join(reversed(likely[:MOST_LIKELY])))
        if kind not in COMPARED:
            return NOTHING
        hint, *others = _KINDS.get(code, {}).get(kind, ("",))
        return Expected(hint, tuple(others), reads)
    if state.task:
        kinds = {flow.slots[name].kind for name in state.slots}
        return Expected(_CORRECTION.get(code, "") if kinds & {"date", "time"} else "")
    if state.waits == "more":
        return Expected(_NOTHING_ELSE.get(code, ""))
    return Expected(" ".join(task.examples[0] for task in flow.tasks.values() if task.examples))
