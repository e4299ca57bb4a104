"""What a recognizer is told to expect, so that it writes a lone "Wednesday" and not "once he's there"."""

from __future__ import annotations

from collections.abc import Mapping

from agent.flows.state import State
from config.flow import Flow

# By language, how the kinds of slots sound. Of 80 lone days, times and numbers over telephone sound, in four
# voices, tiny.en wrote 53 so that code reads them, and 69 behind these.
_KINDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "date": "Monday, Tuesday, Wednesday, Thursday, Friday, the 3rd of December.",
        "time": "10 AM, half past 2, quarter to 3, noon.",
        "phone": "zero, one, two, three, four, five, six, seven, eight, nine, oh.",
    }
}
_CORRECTION = {"en": "Yes, please. No, on Monday or Thursday, at half past 2."}
_NOTHING_ELSE = {"en": "No, thanks. That's all."}


def hint(flow: Flow, state: State, language: str) -> str:
    """For the recognizer of what is said next; "" where it needs none. `language` is BCP 47.

    Who wasn't understood with one is heard without, and then with it again.
    """
    if state.tries % 2:
        return ""
    code = language.partition("-")[0]
    if state.waits == "slot":
        return _KINDS.get(code, {}).get(flow.slots[state.asked].kind, "")
    if state.task:
        kinds = {flow.slots[name].kind for name in state.slots}
        return _CORRECTION.get(code, "") if kinds & {"date", "time"} else ""
    if state.waits == "more":
        return _NOTHING_ELSE.get(code, "")
    return " ".join(task.examples[0] for task in flow.tasks.values() if task.examples)
