"""Which tool, if any, a caller's last words ask for: the bundled model's choice, from what tools are for.

The model is shown callers' words as turns of a chat, at other places and then at this one, each answered with
what they ask for. What it answers the last with is "answer" or a tool's name; how probable "answer" is, is
the verdict. As a chat, since the models were taught in it: of 163 requests to tools that no example is about,
as one running list it had 115 right. Pure: the prompts and what their answers mean.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, zip_longest
from typing import Any

from models.llm import chatml
from models.llm.act_examples import GOODBYES, KINDS, LAST_PLACE, NO, PARTING, PLACES, TALK
from models.llm.foreign import neutral

Message = Mapping[str, Any]

ANSWER = "answer"
END_CALL = "end_call"
TOP_TOKENS = 30
# How probable a tool must be. Fewer false acts than missed ones: who is misunderstood says it again.
THRESHOLD = 0.8
FEW_WORDS = 4  # that answer what the agent asked
LONGEST = 7600  # characters of what stands before the question: 1,600 to 1,750 tokens of a slot's 2,048
TURNS = 3  # that the choice is made from
FILL_TURNS = 9
LONGEST_TURN = 300  # characters of a turn
INSTRUCTION = (
    "Telephone calls. Each place has a list of what its agent can do. Behind the caller's last words stands "
    "what they ask for: one of these, if they want it done now, otherwise answer. Questions, small talk and "
    "what is only told are answered."
)


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


def prefix(
    tools: Sequence[Tool], language: str, examples: Sequence[ActExample] = (), *, bare: bool = False
) -> str:
    """What stands before every question and is evaluated once: other places, the tools and the examples.
    `bare`, the tools and a greeting alone, as it is taught (bench/mind); with the rest it chooses better
    all the same (57 of 65 at 0.85, 49 without: evals/acts)."""
    names = {tool.name for tool in tools} | {None}
    given = [one for one in examples if one.tool in names]
    if bare:
        greeting = ActExample(TALK.get(language.partition("-")[0], TALK["en"])[0])
        own = dict.fromkeys((greeting, *given))
        told = chatml.turns([{"role": "system", "content": INSTRUCTION}])
    else:
        own = dict.fromkeys((*given, *_examples(tools, language)))
        told = _other_places(language.partition("-")[0])
    for number, turn in enumerate(_place("This place", tools, own)):
        if number == 0 or len(told) + len(turn) <= LONGEST:  # in the first stands what there is
            told += turn
    return told


@cache
def _other_places(code: str) -> str:
    """What was asked for elsewhere, the last of it in the language of this code."""
    places = (*PLACES, LAST_PLACE.get(code, LAST_PLACE["en"]))
    told = chatml.turns([{"role": "system", "content": INSTRUCTION}])
    for place, does, asked_for in places:
        examples = (ActExample(said, tool, agent) for agent, said, tool in asked_for)
        told += "".join(_place(place, [Tool(*one) for one in does.items()], examples))
    return told


def _place(place: str, tools: Sequence[Tool], examples: Iterable[ActExample]) -> Iterator[str]:
    """Each example as the caller's turn of a chat and the answer; before the first, what there is."""
    does = "".join(f"{tool.name}: {_line(tool.description)}\n" for tool in tools)
    head = f"{place}\n{does}{ANSWER}: Answer in words.\n\n"
    for one in examples:
        before = f"Agent: {_line(one.agent)} " if one.agent else ""
        said = {"role": "user", "content": f"{head}{before}Caller: {_line(one.caller)}"}
        yield chatml.turns([said, {"role": "assistant", "content": one.tool or ANSWER}])
        head = ""


def question(messages: Sequence[Message], *, turns: int = TURNS) -> str:
    """The call's last turns, up to where the caller's words end, on one line."""
    said = [one for one in messages if one["role"] in ("user", "assistant") and _text(one)]
    return " ".join(
        f"{'Agent' if one['role'] == 'assistant' else 'Caller'}: {_text(one)}" for one in said[-turns:]
    )


def last_said(messages: Sequence[Message]) -> str:
    """What a choice is made from: the caller's last words. Few of them are an answer, which means nothing
    without what was said before; behind more, that misleads (139 of 163 right with it, 144 without)."""
    answer = len(last_words(messages).split()) <= FEW_WORDS and len(caller_turns(messages)) > 1
    return question(messages, turns=TURNS if answer else 1)


def asking(line: str) -> str:
    """The question as far as it goes."""
    return chatml.OPEN_TURN + neutral(line)


def asked(line: str) -> str:
    """The question, where the choice follows."""
    return chatml.prompt([{"role": "user", "content": line}])


def grammar(tools: Sequence[Tool]) -> str:
    """GBNF: one of the tools' names."""
    return "root ::= " + " | ".join(json.dumps(tool.name) for tool in tools)


def wanted(completion: Mapping[str, Any]) -> float:
    """How probable the first token of a completion makes it that a tool is asked for."""
    top = completion["completion_probabilities"][0]["top_logprobs"]
    answers = (one for one in top if (token := one["token"].strip()) and ANSWER.startswith(token))
    return 1.0 - min(1.0, sum(math.exp(one["logprob"]) for one in answers))


def parting(words: str, language: str) -> bool:
    """Whether somebody may want to hang up who says this. The model alone takes many a complaint for a
    goodbye."""
    code = language.partition("-")[0]
    if code not in PARTING:
        return True
    said = re.findall(r"[\w']+", words.lower().replace("\u2019", "'"))
    if re.search(rf"\b(?:{'|'.join(PARTING[code])})", " ".join(said)):
        return True
    return bool(said) and said[0] in NO[code] and len(said) <= FEW_WORDS


def out_of_question(tools: Sequence[Tool], words: str, language: str) -> bool:
    """Whether it takes no model to see that no tool is asked for: the only one there is hangs up, and in so
    many words nobody asks for that. Most calls have no other, and the choice costs as much as the answer."""
    return all(tool.name == END_CALL for tool in tools) and not parting(words, language)


def chosen(tool: Tool | None, probability: float, words: str, language: str) -> Tool | None:
    """What the model's choice is worth: `tool` was named, a tool of any kind is so probable."""
    if tool is None or (tool.name == END_CALL and not parting(words, language)):
        return None
    return tool if probability >= THRESHOLD else None


def has_arguments(tool: Tool) -> bool:
    return bool(tool.parameters.get("properties"))


def fill(line: str, tool: Tool) -> str:
    """The line behind `FILLED`, to have the tool's arguments written."""
    return f"{line} -> {tool.name} "


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
    languages = tuple(dict.fromkeys((language.partition("-")[0], "en")))
    talk = [ActExample(caller) for one in languages for caller in TALK.get(one, ())]
    columns = [talk, *(_of_tool(tool, languages) for tool in tools)]
    rows: Iterable[tuple[ActExample | None, ...]] = zip_longest(*columns)
    return [one for row in rows for one in row if one is not None]


def _of_tool(tool: Tool, languages: Sequence[str]) -> list[ActExample]:
    if tool.name == END_CALL:
        return [ActExample(c, tool.name, agent) for one in languages for agent, c in GOODBYES.get(one, ())]
    kinds = (said for pattern, said in KINDS.items() if re.search(pattern, tool.name))
    kind: Mapping[str, Sequence[str]] = next(kinds, {})
    *others, english = ([ActExample(c, tool.name) for c in kind.get(one, ())] for one in languages)
    if does := _to_caller(tool.description):
        offer = re.sub(r"\bmy\b", "your", re.sub(r"\bme\b|\bI\b", "you", does))
        english = [
            ActExample(f"Could you {does}?", tool.name),
            *english,
            ActExample(f"Last week I asked somebody to {does}."),
            ActExample("Yes, please.", tool.name, f"Shall I {offer}?"),
        ]
    return [*chain(*others), *english]


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
