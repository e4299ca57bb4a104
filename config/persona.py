"""Who answers: the words, the language and the voice of the agent, in one YAML file."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError, model_validator

from config.errors import ConfigError
from config.files import read_yaml
from config.flow import TRANSFER, Flow, FlowPhrases, HandOver, load_flow, parse_flow
from config.keypad import Keypad
from config.pages import Knowledge
from config.phrases import Phrases
from config.primer import GENERAL_EXAMPLES, Example, Text, lessons
from config.section import Section
from config.turn import TurnSettings

FOLDER = Path(__file__).parent / "personas"

# Each is read before the first call and takes room in the model's context from then on.
MAX_FACTS = 40
MAX_FACT_CHARACTERS = 300
MAX_EXAMPLES = 20


def _with_colon(fact: Any) -> Any:
    """YAML takes `Address: 3 Pier Street` for a key and its value."""
    if isinstance(fact, dict) and len(fact) == 1:
        return ": ".join(str(part) for part in next(iter(fact.items())))
    return fact


ToolName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]

Fact = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_FACT_CHARACTERS),
    BeforeValidator(_with_colon),
]


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class PersonaTurn(Section):
    """What this persona does otherwise than the `turn` settings say; None leaves it to them."""

    sure_silence_ms: int | None = Field(None, ge=80, le=3000)
    unsure_silence_ms: int | None = Field(None, ge=80, le=4000)
    hanging_silence_ms: int | None = Field(None, ge=80, le=6000)
    barge_in: bool | None = None
    barge_in_min_ms: int | None = Field(None, ge=0, le=3000)
    barge_in_min_words: int | None = Field(None, ge=1, le=10)
    filler: str | None = None
    filler_after_ms: int | None = Field(None, ge=300, le=10000)

    def over(self, settings: TurnSettings) -> TurnSettings:
        """Raises ValueError where both don't go together."""
        return TurnSettings.model_validate(settings.model_dump() | self.model_dump(exclude_none=True))


class Persona(Section):
    name: Text
    language: str = Field("en", pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", description="BCP 47: en, fr-CA.")
    voice: Annotated[tuple[Text, ...], BeforeValidator(_listed)] = Field(
        min_length=1,
        description="One of Piper (fr_FR-siwis-medium), the path of its .onnx file, or one of Kokoro "
        "(ff_siwis); of several the first that is here.",
    )
    notice: Text | None = Field(
        None, description="Said before the greeting and never interrupted: 'This call is recorded.'"
    )
    greeting: Text = Field(description="Short, since the caller waits to speak.")
    greeting_interruptible: bool = Field(True, description="False for a greeting that must be heard out.")
    prompt: Text = Field(description="Instructs the model.")
    caller: Text | None = Field(
        None,
        description="Told to the model of each call, with what is known of it in the place of {caller}, "
        "{caller_name}, {called} and {diverted_from}: 'You are talking to {caller_name}.'",
    )
    facts: tuple[Fact, ...] = Field(
        (), max_length=MAX_FACTS, description="Sentences: all that answers may state about the place."
    )
    knowledge: Knowledge | None = Field(
        None,
        description="A folder of Markdown and text files, beside this file or by its whole path: what of "
        "them fits a question, the model is told with it.",
    )
    examples: tuple[Example, ...] = Field(
        (), max_length=MAX_EXAMPLES, description="Exchanges in the persona's manner; general ones by default."
    )
    goodbye: Text = Field(description="Said before the agent hangs up.")
    goodbye_words: tuple[Text, ...] = Field(
        (), description="The caller saying just one of these ends the call."
    )
    consents: tuple[Text, ...] = Field(
        (),
        description="The caller saying just these agrees to what a tool asks before; the language's own by "
        "default.",
    )
    idle_prompts: tuple[Text, ...] = Field(min_length=1, description="Said in turn to a silent caller.")
    apology: Text = Field(description="Said before the call ends because a model failed.")
    turn: PersonaTurn = PersonaTurn()
    tools: tuple[ToolName, ...] = Field(
        (),
        description="What the model may do besides talking and hanging up: transfer_call; ask_for_keys, for "
        "one of `keypad`; send_keys, as a menu at the other end wants them; take_message, which records one; "
        "hold_call, which has the caller wait with music for a while; and those that `tools` in the settings "
        "has, by their names.",
    )
    transfer_to: tuple[Text, ...] = Field(
        (), description="Names in `transfer.to` to which it may; empty is all of them."
    )
    message_only: bool = Field(
        False, description="Record a message behind the greeting, and hang up: an answering machine."
    )
    keypad: tuple[Keypad, ...] = Field((), max_length=20, description="What a caller may be asked to key in.")
    phrases: Phrases = Phrases()
    flow: Flow | None = Field(
        None, description="What callers may want done, step by step; or the path of a file with that."
    )

    @model_validator(mode="after")
    def _flow_can_be_said(self) -> Self:
        if self.flow is None:
            return self
        if silent := [name for name, said in self.flow_phrases if not said]:
            raise ValueError(
                f"has a flow without phrases.{silent[0]}, for which {self.language} has no words"
            )
        if missing := self.flow.handed_to - set(self.tools):
            raise ValueError(f"has a flow that hands over by {min(missing)}, which isn't among its tools")
        if twice := (self.flow.tasks.keys() | self.flow.acts) & set(self.tools):
            raise ValueError(f"has {min(twice)} both in its flow and among its tools")
        return self

    @property
    def flow_phrases(self) -> FlowPhrases:
        """What its flow says in any task, in its own words or the language's."""
        own = self.flow.phrases if self.flow else FlowPhrases()
        return own.over(lessons(self.language_code).flow)

    @property
    def uninterruptible(self) -> int:
        """How many of its first turns are said to their end, whatever the caller does."""
        return bool(self.notice) + (not self.greeting_interruptible)

    @property
    def opening(self) -> tuple[str, ...]:
        """What a caller hears first, each part a turn of its own."""
        return (self.notice, self.greeting) if self.notice else (self.greeting,)

    def without_transfer(self) -> Persona | None:
        """The same, whose flow does something else in the place of a transfer; None where it has nothing."""
        hand_over = self.flow.hand_over if self.flow else None
        if self.flow is None or hand_over is None or hand_over.otherwise is None:
            return None
        flow = self.flow.model_copy(update={"hand_over": HandOver(tool=hand_over.otherwise)})
        tools = tuple(name for name in self.tools if name != TRANSFER)
        return None if flow.handed_to - set(tools) else self.model_copy(update={"flow": flow, "tools": tools})

    def announcing(self, what: str) -> Persona:
        """The same, who says `what` before all else, and to its end."""
        return self.model_copy(update={"notice": " ".join(filter(None, (what, self.notice)))})

    @property
    def again(self) -> str:
        """Said where an answer was lost, so that the caller repeats what they asked."""
        return lessons(self.language_code).again or self.idle_prompts[0]

    @property
    def filler(self) -> str:
        """Said while an answer is awaited, unless `turn.filler` says otherwise; empty in some languages."""
        return lessons(self.language_code).filler

    @property
    def longer(self) -> str:
        """Said when it still is; empty in some languages."""
        return lessons(self.language_code).longer

    @property
    def agreeing(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What callers agree with, and what they may say with that."""
        taught = lessons(self.language_code)
        return self.consents or taught.consents, taught.courtesies

    @property
    def says(self) -> Phrases:
        """What it says without the model, in its own words or the language's."""
        return self.phrases.over(lessons(self.language_code).phrases)

    @property
    def language_code(self) -> str:
        """The ISO 639 part, as Whisper takes it."""
        return self.language.partition("-")[0]

    @property
    def primer(self) -> tuple[Mapping[str, str], ...]:
        """What the model reads before a conversation: the system message, then exchanges as if they had been.

        A small model learns little from instructions and much from examples. So whoever gives no examples
        gets the language's own, and whoever has facts some about these.
        """
        taught = lessons(self.language_code)
        system = self.prompt.strip()
        examples = self.examples or taught.examples
        if self.knowledge:
            system = f"{system}\n\n{taught.pages}"
            examples = (self.examples or taught.examples[:GENERAL_EXAMPLES]) + taught.unknown_examples
        if self.facts:
            facts = "\n".join(f"- {fact}" for fact in self.facts)
            system = f"{system}\n\n{taught.facts}\n{facts}\n{taught.unknown}"
            examples = (self.examples or taught.examples[:GENERAL_EXAMPLES]) + taught.about(self.facts)
        shown = (turn for one in examples if one.unless not in self.tools for turn in one.turns)
        return ({"role": "system", "content": system}, *(self._named(turn) for turn in shown))

    def _named(self, turn: Mapping[str, str]) -> Mapping[str, str]:
        return {**turn, "content": turn["content"].replace("{name}", self.name)}

    def idle_prompt(self, asked: int) -> str:
        """The prompt for a caller who was asked `asked` times already; the last one repeats."""
        return self.idle_prompts[min(asked, len(self.idle_prompts) - 1)]


def load_persona(name_or_path: str) -> Persona:
    """A shipped persona by its name, or one from a YAML file. Raises ConfigError."""
    path = Path(name_or_path).expanduser()
    if path.suffix not in (".yaml", ".yml") and path.name == name_or_path:
        path = FOLDER / f"{name_or_path}.yaml"
        if not path.is_file():
            raise ConfigError(f"There is no persona '{name_or_path}'; {_choice(name_or_path)}")
    content = read_yaml(path, "The persona file")
    if isinstance(flow := content.get("flow"), str):
        content["flow"] = load_flow(path.parent / Path(flow).expanduser())
    elif flow is not None:
        content["flow"] = parse_flow(flow, f"the flow of the persona file {path}")
    try:
        return Persona.model_validate(content, context={"folder": path.parent})
    except ValidationError as error:
        raise ConfigError(_sentence(error, path)) from None


def persona_names() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def _choice(name: str) -> str:
    near = difflib.get_close_matches(name, persona_names(), n=1)
    if near:
        return f"did you mean {near[0]}?"
    *others, last = persona_names()
    return f"shipped are {', '.join(others)} and {last}, and the path of a YAML file is taken too."


def _sentence(error: ValidationError, path: Path) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    here = f"{key} in the persona file {path}"
    match first["type"]:
        case "missing":
            return f"{key} is missing in the persona file {path}; it must be given."
        case "extra_forbidden":
            model = _model(key)
            known = ", ".join(model.model_fields)
            near = difflib.get_close_matches(key.rpartition(".")[2], model.model_fields, n=1)
            return f"{here} is not a key; {f'did you mean {near[0]}?' if near else f'it may have {known}.'}"
        case "string_pattern_mismatch":
            return f"{here} is '{first['input']}'; it must be a language code such as en, fr or fr-CA."
        case "tuple_type":
            what = "exchanges, each with a caller and an agent" if key == "examples" else "texts"
            return f"{here} must be a list of {what}."
        case "string_type":
            return f"{here} must be a text."
        case "model_type":
            return f"{here} must be an exchange, with a caller and an agent."
        case "too_long":
            given, most = first["ctx"]["actual_length"], first["ctx"]["max_length"]
            return f"{here} has {given} entries; at most {most} fit."
        case "string_too_long":
            return f"{here} has more than {first['ctx']['max_length']} characters; make it several."
        case "value_error":
            said = first["ctx"]["error"]
            return f"{here} {said}." if key else f"The persona file {path} {said}."
        case _:
            return f"{here} can't be used: {first['msg'][0].lower()}{first['msg'][1:]}."


def _model(key: str) -> type[Section]:
    """What the key is in."""
    section, _, rest = key.partition(".")
    if not rest:
        return Persona
    sections: dict[str, type[Section]] = {
        "examples": Example,
        "keypad": Keypad,
        "phrases": Phrases,
        "turn": PersonaTurn,
    }
    return sections[section]
