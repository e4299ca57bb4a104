"""Which tool, if any, a caller's last words ask for: the bundled model's choice, from what tools are for.

The model goes on with a list of callers' words, each with what was done about them. What it puts behind the
last line is "answer" or a tool's name; how probable "answer" is, is the verdict. Pure: the prompts and what
their answers mean.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any

from models.llm.act_examples import GOODBYES, KINDS, NO, PARTING, TALK

Message = Mapping[str, Any]

ANSWER = "answer"
END_CALL = "end_call"
TOP_TOKENS = 30
# How probable a tool must be. Fewer false acts than missed ones: who is misunderstood says it again.
THRESHOLD = 0.6
PARTING_THRESHOLD = 0.5  # of hanging up, where the words are those of a goodbye
FEW_WORDS = 4
LONGEST = 3600  # characters of the examples, some 1,100 tokens
TURNS = 3  # that the choice is made from
FILL_TURNS = 9
LONGEST_TURN = 300  # characters of a turn


@dataclass(frozen=True)
class Tool:
    """A tool as OpenAI's chat completions describe it."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ActExample:
    """What is done about a caller's words: `tool` names it, None is an answer in words."""

    caller: str
    tool: str | None = None
    agent: str = ""  # said before


def tools_of(tools: Any) -> tuple[Tool, ...]:
    """The tools of a chat completion's parameters."""
    functions = [one["function"] for one in tools or () if one.get("type", "function") == "function"]
    return tuple(
        Tool(one["name"], one.get("description") or "", one.get("parameters") or {}) for one in functions
    )


def prefix(tools: Sequence[Tool], language: str, examples: Sequence[ActExample] = ()) -> str:
    """What stands before every question and is evaluated once: the tools and the examples."""
    head = "# Telephone calls, and what the agent does about the caller's last words:\n"
    head += "".join(f"# {tool.name}: {_line(tool.description)}\n" for tool in tools)
    head += f"# {ANSWER}: Answer in words. For questions, small talk and all else.\n\n"
    names = {tool.name for tool in tools} | {None}
    lines: list[str] = []
    for example in (*(one for one in examples if one.tool in names), *_examples(tools, language)):
        before = f"Agent: {_line(example.agent)} " if example.agent else ""
        line = f"{before}Caller: {_line(example.caller)} -> {example.tool or ANSWER}\n"
        if line not in lines and sum(map(len, lines)) + len(line) <= LONGEST:
            lines.append(line)
    return head + "".join(lines)


def question(messages: Sequence[Message], *, turns: int = TURNS) -> str:
    """The call's last turns, up to where the caller's words end, as a line behind the prefix."""
    said = [one for one in messages if one["role"] in ("user", "assistant") and _text(one)]
    return " ".join(
        f"{'Agent' if one['role'] == 'assistant' else 'Caller'}: {_text(one)}" for one in said[-turns:]
    )


def asked(line: str) -> str:
    """The question, where the choice follows."""
    return f"{line} ->"


def grammar(tools: Sequence[Tool]) -> str:
    """GBNF: one of the tools' names."""
    return "root ::= " + " | ".join(json.dumps(f" {tool.name}") for tool in tools)


def wanted(completion: Mapping[str, Any]) -> float:
    """How probable the first token of a completion makes it that a tool is asked for."""
    top = completion["completion_probabilities"][0]["top_logprobs"]
    answers = (one for one in top if (token := one["token"].strip()) and ANSWER.startswith(token))
    return 1.0 - min(1.0, sum(math.exp(one["logprob"]) for one in answers))


def parting(words: str, language: str) -> float | None:
    """How probable it must be that the caller wants to hang up, for these words to end the call; None where
    nobody says that with such words. The model alone takes many a complaint for a goodbye."""
    code = language.partition("-")[0]
    if code not in PARTING:
        return THRESHOLD
    said = re.findall(r"[\w']+", words.lower().replace("\u2019", "'"))
    if re.search(rf"\b(?:{'|'.join(PARTING[code])})", " ".join(said)):
        return PARTING_THRESHOLD
    return THRESHOLD if said and said[0] in NO[code] and len(said) <= FEW_WORDS else None


def out_of_question(tools: Sequence[Tool], words: str, language: str) -> bool:
    """Whether it takes no model to see that no tool is asked for: the only one there is hangs up, and in so
    many words nobody asks for that. Most calls have no other, and the choice costs as much as the answer."""
    return all(tool.name == END_CALL for tool in tools) and parting(words, language) is None


def chosen(tool: Tool | None, probability: float, words: str, language: str) -> Tool | None:
    """What the model's choice is worth: `tool` was named, a tool of any kind is so probable."""
    if tool is None:
        return None
    needed = parting(words, language) if tool.name == END_CALL else THRESHOLD
    return tool if needed is not None and probability >= needed else None


def has_arguments(tool: Tool) -> bool:
    return bool(tool.parameters.get("properties"))


def fill(tool: Tool) -> str:
    """What follows the question, to have the tool's arguments written."""
    return f" {tool.name} "


def caller_turns(messages: Sequence[Message]) -> list[str]:
    """What the caller has said, turn by turn."""
    return [_text(one) for one in messages if one["role"] == "user"]


def last_words(messages: Sequence[Message]) -> str:
    """The caller's last turn, empty where there is none."""
    return next(reversed(caller_turns(messages)), "")


def ask_for(tool: Tool, names: Sequence[str]) -> str:
    """Instructs the model to ask the caller for what a tool is missing."""
    properties = tool.parameters.get("properties", {})
    unknown = [str(properties.get(name, {}).get("description") or name.replace("_", " ")) for name in names]
    return (
        f"The caller wants this of you: {_line(tool.description)} To do it you must know: "
        f"{', '.join(unknown)}. Ask the caller for that, in one short sentence in the caller's language."
    )


def _examples(tools: Sequence[Tool], language: str) -> list[ActExample]:
    """Examples for tools that nobody has given any: from what their names and descriptions tell."""
    languages = tuple(dict.fromkeys(("en", language.partition("-")[0])))
    talk = [ActExample(caller) for one in languages for caller in TALK.get(one, ())]
    columns = [talk, *(_of_tool(tool, languages) for tool in tools)]
    rows: Iterable[tuple[ActExample | None, ...]] = zip_longest(*columns)
    return [one for row in rows for one in row if one is not None]


def _of_tool(tool: Tool, languages: Sequence[str]) -> list[ActExample]:
    if tool.name == END_CALL:
        return [ActExample(c, tool.name, agent) for one in languages for agent, c in GOODBYES.get(one, ())]
    kinds = (said for pattern, said in KINDS.items() if re.search(pattern, tool.name))
    kind: Mapping[str, Sequence[str]] = next(kinds, {})
    english, *others = ([ActExample(c, tool.name) for c in kind.get(one, ())] for one in languages)
    if does := _to_caller(tool.description):
        offer = re.sub(r"\bmy\b", "your", re.sub(r"\bme\b|\bI\b", "you", does))
        english = [
            ActExample(f"Could you {does}?", tool.name),
            *english,
            ActExample(f"Last week I asked somebody to {does}."),
            ActExample("Yes, please.", tool.name, f"Shall I {offer}?"),
        ]
    return [*english, *chain(*others)]


def _to_caller(description: str) -> str:
    """The first sentence of a description as the caller would say it: "put me through to the desk"."""
    first = re.split(r"[.;:(\n]", description.strip(), maxsplit=1)[0].strip()[:100]
    first = re.sub(r"\bthe (?:caller|user|customer)'s\b", "my", first)
    first = re.sub(r"\bthe (?:caller|user|customer) has\b", "I have", first)
    first = re.sub(r"\bthe (?:caller|user|customer)\b", "me", first)
    return first[:1].lower() + first[1:]


def _text(message: Message) -> str:
    content = message.get("content") or ""
    text = content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
    return _line(text)[-LONGEST_TURN:]


def _line(text: str) -> str:
    """On one line, and nothing in it that looks like the list's own marks."""
    return " ".join(text.replace("->", " ").split())
