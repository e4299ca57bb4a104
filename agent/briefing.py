"""What the language model is told of who answers, and of the call."""

from __future__ import annotations

import re

from agent.flows.understanding import LESSON
from agent.tools.toolbox import Toolbox
from config.persona import Persona
from config.primer import lessons
from models.knowledge.knowledge import Knowledge, knowledge_of
from models.llm.acts import ActExample
from models.llm.brief import Brief
from models.llm.discretion import Instructions, instructions_of
from models.llm.foreign import name as plain_name
from transports.call import CallInfo


def brief(persona: Persona, toolbox: Toolbox | None = None) -> Brief:
    """What the language model is told of a persona, and of those tools that it has."""
    examples = [
        ActExample(one.caller, one.tool) for one in persona.examples if one.unless not in persona.tools
    ]
    if persona.flow:
        asked_for = ((name, said) for name, task in persona.flow.tasks.items() for said in task.examples)
        examples = [*(ActExample(said, name) for name, said in asked_for), *examples]
    own = (toolbox or Toolbox()).of(persona)
    tools = [{"type": "function", "function": tool.schema.to_default_dict()} for tool in own.tools]
    return Brief(
        persona.primer,
        persona.language,
        examples,
        persona.again,
        tools,
        knowledge(persona),
        _instructions(persona),
        persona.says.not_told,
        [LESSON] if persona.flow else [],
        own.now,
    )


def _instructions(persona: Persona) -> Instructions | None:
    """What of its prompt nobody is told; None where there is nothing to be said instead."""
    if not persona.says.not_told:
        return None
    taught = lessons(persona.language_code)
    said = (text for _, text in persona.says)
    shown = (one.agent for one in (*persona.examples, *taught.examples) if one.agent)
    return instructions_of(
        persona.prompt,
        language=persona.language,
        name=persona.name,
        always=(taught.unknown, taught.pages, taught.perhaps, taught.nothing),
        public=(*persona.facts, *persona.opening, persona.goodbye, persona.apology, *said, *shown),
    )


def knowledge(persona: Persona) -> Knowledge | None:
    """What its pages say; takes a second or two, once, for a large folder."""
    if persona.knowledge is None:
        return None
    told = lessons(persona.language_code)
    return knowledge_of(persona.knowledge, persona.language, told.found, told.perhaps, told.nothing)


def about_call(persona: Persona, info: CallInfo) -> str:
    """What the model is told of the call, where the persona wants that or made the call."""
    if info.direction == "outbound":
        return "You have called them; they didn't call you."
    known = {
        "caller": info.caller,
        "caller_name": info.caller_name,
        "called": info.called,
        "diverted_from": info.diverted_from[0] if info.diverted_from else "",
    }
    plain = {key: plain_name(value) for key, value in known.items()}
    return re.sub(r"\{(\w+)\}", lambda one: plain.get(one[1], one[0]) or "unknown", persona.caller or "")
