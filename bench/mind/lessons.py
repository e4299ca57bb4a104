"""What the model is taught: prompts as calls have them, token by token, and which of the tokens are answers.

Texts that begin alike share what they begin with: a lesson is a beginning, and branches that each go on from
it and don't see each other.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.mind.conversations import GENERAL, Conversation, Turn
from config.persona import Persona, load_persona
from config.primer import lessons as primer_lessons
from models.llm import acts, chatml
from models.llm.acts import Tool

Tokenize = Callable[[str], list[int]]
Message = dict[str, Any]
Part = tuple[str, bool]  # a text, and whether it is taught

END = "<|im_end|>"
BRANCHES = 2  # conversations of one persona in one lesson
# How else a place's owner may put it than the personas that are shipped.
PROMPTS = {
    "en": "You are {name}, on the telephone for {place}. Answer in one short sentence.\n"
    "Your words are read aloud: no lists, no markdown, no emojis, no web addresses.",
    "fr": "Tu es {name}, au téléphone pour {place}. Réponds en une phrase courte, en vouvoyant.",
    "es": "Eres {name}, al teléfono de {place}. Responde con una frase corta, tratando de usted.",
    "it": "Sei {name}, al telefono per {place}. Rispondi con una frase breve, dando del lei.",
    "pt": "Você é {name}, ao telefone por {place}. Responda com uma frase curta.",
}
GREETINGS = {
    "en": ("{place}, good day. How can I help?", "Hello, {name} speaking. What can I do for you?"),
    "fr": ("{place}, bonjour. Je vous écoute.", "Bonjour, ici {name}. Que puis-je faire pour vous ?"),
    "es": ("{place}, buenos días. ¿En qué puedo ayudarle?", "Hola, le habla {name}. ¿Qué desea?"),
    "it": ("{place}, buongiorno. Mi dica.", "Buongiorno, sono {name}. Come posso aiutarla?"),
    "pt": ("{place}, bom dia. Como posso ajudar?", "Olá, aqui é {name}. Em que posso ajudar?"),
}


@dataclass
class Lesson:
    """Token ids; `taught` says which of a branch's are to be learned."""

    kind: str
    language: str
    beginning: list[int]
    branches: list[list[int]]
    taught: list[list[bool]]

    def to_line(self) -> str:
        return json.dumps(self.__dict__) + "\n"

    @property
    def length(self) -> int:
        return len(self.beginning) + sum(map(len, self.branches))


def lessons(given: Sequence[Conversation], tokenize: Tokenize, seed: int = 0) -> Iterator[Lesson]:
    """Of all conversations: answers, and where there are tools, which of them is wanted."""
    chance = random.Random(seed)
    by_language: dict[str, list[Conversation]] = {}
    for one in given:
        if one.place == GENERAL:
            by_language.setdefault(one.language, []).append(one)
        else:
            persona = _persona(one, chance)
            yield _lesson("place", one.language, _primer(persona), [_talk(one, persona)], tokenize)
    for language, several in by_language.items():
        persona = load_persona(language)
        chance.shuffle(several)
        for at in range(0, len(several), BRANCHES):
            talks = [_talk(one, persona) for one in several[at : at + BRANCHES]]
            yield _lesson("general", language, _primer(persona), talks, tokenize)
    for one in given:
        if one.tools:
            yield _choice(one, tokenize, chance)


def turns(given: Sequence[Conversation], tokenize: Tokenize, seed: int = 0) -> Iterator[Lesson]:
    """Where callers' turns end, as `models.llm.completeness` asks for it."""
    chance = random.Random(seed)
    for one in given:
        branches: list[list[Part]] = []
        before = "Hello, how can I help?"
        for turn in one.turns:
            said = turn.caller
            if chance.random() < 0.4:
                said = re.sub(r"[.,;:!?\u2026\u2013-]+(?= |$)", "", said).lower()
            branches.append([(chatml.render(_said("assistant", before)), False), (said + END, True)])
            before = turn.agent or before
        yield _lesson("turn", one.language, "", branches, tokenize)


def _persona(one: Conversation, chance: random.Random) -> Persona:
    """Half of them by the prompt of the language's own persona, under the place's name."""
    own = load_persona(one.language)
    place = one.place.partition(",")[0]
    prompt = own.prompt.replace(own.name, one.name)
    greeting = own.greeting.replace(own.name, one.name)
    if one.language in PROMPTS and chance.random() < 0.5:
        prompt = PROMPTS[one.language].format(name=one.name, place=place)
        greeting = chance.choice(GREETINGS[one.language]).format(name=one.name, place=place)
    given: dict[str, Any] = {"name": one.name, "facts": tuple(one.facts), "prompt": prompt}
    given["greeting"] = greeting
    if any(turn.pages[0] for turn in one.turns):
        given["knowledge"] = Path()  # the prompt says that there is one
    return own.model_copy(update=given)


def _primer(persona: Persona) -> str:
    """Its system message. In calls the examples stand behind it, which would double what is read here."""
    return chatml.turns(persona.primer[:1])


def _talk(one: Conversation, persona: Persona) -> list[Part]:
    parts: list[Part] = [(chatml.turns(_said("assistant", persona.greeting)), False)]
    for number, turn in enumerate(one.turns):
        asked = [*_pages(turn, one.language), *_said("user", turn.caller)]
        if turn.pages[0] == "found" and number % 3 == 0:  # it was found for the last words alone
            asked.reverse()
        if turn.tool and not turn.agent:
            break
        if turn.tool:
            done = f"{turn.tool} {json.dumps(turn.arguments, ensure_ascii=False)}"
            asked += _said("system", f"{done} gave: {turn.result}. Tell the caller.")
        parts += [(chatml.prompt(asked), False), (turn.agent + END, True), ("\n", False)]
    return parts


def _pages(turn: Turn, language: str) -> list[Message]:
    """What the model is told with a question, as models/knowledge/recall.py does."""
    taught = primer_lessons(language)
    match turn.pages:
        case ("found", said):
            return _said("system", f"{taught.found}\n- {said}")
        case ("perhaps", said):
            return _said("system", f"{taught.perhaps}\n- {said}")
        case ("nothing", _):
            return _said("system", taught.nothing)
    return []


def _choice(one: Conversation, tokenize: Tokenize, chance: random.Random) -> Lesson:
    """Each turn as what it asks for: with all of the tools, or with most of them."""
    share = chance.choice((1.0, 0.75))
    names = [name for name in one.tools if chance.random() < share] or list(one.tools)
    chance.shuffle(names)
    tools = [Tool(name, one.tools[name][0]) for name in names]
    branches: list[list[Part]] = []
    messages: list[Message] = _said("assistant", "")
    for turn in one.turns:
        messages += _said("user", turn.caller)
        wanted = turn.tool if turn.tool in names else acts.ANSWER
        branches.append([(acts.asked(acts.last_said(messages)), False), (wanted + END, True)])
        messages += _said("assistant", turn.agent)
    beginning = acts.prefix(tools, one.language, bare=True)
    return _lesson("choice", one.language, beginning, branches, tokenize)


def _said(role: str, text: str) -> list[Message]:
    return [{"role": role, "content": text}]


def _lesson(
    kind: str, language: str, beginning: str, branches: Sequence[Sequence[Part]], tokenize: Tokenize
) -> Lesson:
    ids: list[list[int]] = []
    taught: list[list[bool]] = []
    for parts in branches:
        ids.append([])
        taught.append([])
        for text, learned in parts:
            new = tokenize(text)
            ids[-1] += new
            taught[-1] += [learned] * len(new)
    return Lesson(kind, language, tokenize(beginning), ids, taught)
