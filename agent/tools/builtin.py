"""What the model may do with the call itself."""

from __future__ import annotations

from functools import partial

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema

from agent.tools.tool import Arguments, CallFacts, Done, Tool, ToolFailed
from config.persona import Persona

END_CALL = FunctionSchema(
    name="end_call",
    description="Hang up. Use it when the caller says goodbye or asks to end the call.",
    properties={},
    required=[],
)
HOLD_S, LONGEST_HOLD_S = 30, 300


DEADLINE_S = 60.0  # keys may be many; all else goes on by itself


def builtin_tools(persona: Persona) -> list[Tool]:
    """Those that every call has, and those of the persona. A model begins a task of its flow like a tool."""
    schemas = [END_CALL, *(_MADE[name](persona) for name in persona.tools if name in _MADE)]
    tasks = persona.flow.tasks if persona.flow else {}
    schemas += [FunctionSchema(name, task.about, {}, []) for name, task in tasks.items()]
    return [_tool(schema) for schema in schemas]


def _tool(schema: FunctionSchema) -> Tool:
    # What it does to the call goes on by itself, and whoever carries it out checks what it is given.
    return Tool(schema, partial(_act, str(schema.name)), timeout_s=DEADLINE_S, on_interruption="cancel")


async def _act(name: str, arguments: Arguments, call: CallFacts) -> Done:
    if call.act is None:
        raise ToolFailed("There is no call to do that with.")
    return await call.act(name, arguments)


def _transfer_call(persona: Persona) -> FunctionSchema:
    names = list(persona.transfer_to)
    if len(names) == 1:  # nothing to be chosen, and nothing to be asked for
        return FunctionSchema("transfer_call", f"Put the caller through to {names[0]}.", {}, [])
    whom = {"type": "string", "enum": names, "description": "Who is wanted."}
    about = f"Put the caller through to a person or department: {', '.join(names)}."
    return FunctionSchema("transfer_call", about, {"to": whom}, ["to"])


def _ask_for_keys(persona: Persona) -> FunctionSchema:
    names = [asks.name for asks in persona.keypad]
    about = f"Have the caller enter something on the keypad: {', '.join(names)}."
    if len(names) == 1:
        return FunctionSchema("ask_for_keys", about, {}, [])
    what = {"type": "string", "enum": names, "description": "What is to be entered."}
    return FunctionSchema("ask_for_keys", about, {"what": what}, ["what"])


def _send_keys(_: Persona) -> FunctionSchema:
    keys = {"type": "string", "pattern": "^[0-9A-D*#]{1,32}$", "description": "The keys, as in 12#."}
    about = "Press keys, where the other side is a machine that asks for them."
    return FunctionSchema("send_keys", about, {"keys": keys}, ["keys"])


def _take_message(_: Persona) -> FunctionSchema:
    about = "Record a message that the caller wants to leave for somebody here."
    return FunctionSchema("take_message", about, {}, [])


def _hold_call(_: Persona) -> FunctionSchema:
    seconds = {"type": "integer", "minimum": 5, "maximum": LONGEST_HOLD_S, "description": "How long."}
    about = "Have the caller wait on hold, with music, when they ask for a while to themselves."
    return FunctionSchema("hold_call", about, {"seconds": seconds}, [])


_MADE = {
    "transfer_call": _transfer_call,
    "ask_for_keys": _ask_for_keys,
    "send_keys": _send_keys,
    "take_message": _take_message,
    "hold_call": _hold_call,
}
BUILTIN = frozenset({END_CALL.name, *_MADE})
