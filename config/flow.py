"""Conversations with a purpose: what is asked for, read back and then done, in one YAML file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError, model_validator

from config.errors import ConfigError
from config.files import read_yaml
from config.phrases import Overridable, Phrase
from config.section import Section

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=600)]
Word = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1, max_length=60)]
Wish = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^[^.|](?:.*[^.|])?$", max_length=200),
]
SlotKind = Literal[
    "phone", "date", "time", "duration", "email", "name", "amount", "count", "choice", "text"
]  # fmt: skip

MOST_DAYS = 36_500  # that a date may be ahead
GAP = "..."  # in the words of a task
END = "end"  # the task is done
HANG_UP = "hang_up"
END_CALL = "end_call"  # the tool that every call has
TRANSFER = "transfer_call"
RESULT = "result"  # in templates: what the last act brought
KEY = "key"  # in arguments: the same for the same act with the same values in the same call
FACTS = ("call", "caller", "caller_name", "called")  # in templates, of the call
_NAMED = re.compile(r"\{([^{}]*)\}")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Texts = Annotated[tuple[Text, ...], BeforeValidator(_listed)]
Words = Annotated[tuple[Word, ...], BeforeValidator(_listed)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_listed)]


def _days(text: str) -> int:
    if not 0 <= (days := int(text)) <= MOST_DAYS:
        raise ValueError
    return days


def _time_of_day(text: str) -> time:
    if (value := time.fromisoformat(text)).tzinfo:
        raise ValueError  # it can't be compared with what callers say
    return value


def _amount(text: str) -> Decimal:
    if not (value := Decimal(text)).is_finite():
        raise ValueError
    return value


_BOUNDS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "date": (_days, f"must be a number of days, {MOST_DAYS} at most"),
    "time": (_time_of_day, "must be a time of day such as 18:00"),
    "count": (int, "must be a whole number"),
    "amount": (_amount, "must be a number"),
}


class Slot(Section):
    """What is asked for. Its value is read by code, from whatever the caller says of it."""

    kind: SlotKind
    ask: Texts = Field(min_length=1, description="The question; each further one is asked if that failed.")
    hint: Text | None = Field(None, description="Said before asking again whoever doesn't know.")
    wrong: Text | None = Field(None, description="Said of a value that is out of bounds or can't be.")
    words: Words = Field((), description="What callers call it: 'the hour'. Its name is one of them.")
    choices: Mapping[Name, Words] = Field({}, description="For a choice: what there is, and how it is said.")
    minimum: str | None = Field(None, description="The least of a count or amount; the first time, as 18:00.")
    maximum: str | None = Field(
        None, description="The most; the last time; of a date, so many days from today."
    )
    optional: bool = Field(False, description="Whoever doesn't know it may leave it out.")
    behind: Words = Field(
        (),
        description="Of two slots of a kind, the one that is said behind one of these words, as in 'to'; "
        "unless it is asked for, it is taken from there alone.",
    )
    keep: bool = Field(False, description="It is still known in the call's next task: a name.")
    secret: bool = Field(False, description="Shown to its tool alone; the transcript has what was said.")

    @model_validator(mode="after")
    def _has_choices(self) -> Self:
        if (self.kind == "choice") != bool(self.choices):
            raise ValueError("must have choices if its kind is choice, and only then")
        return self

    @model_validator(mode="after")
    def _has_bounds(self) -> Self:
        known = _BOUNDS.get(self.kind)
        for name, bound in (("minimum", self.minimum), ("maximum", self.maximum)):
            if bound is None:
                continue
            if known is None or (self.kind == "date" and name == "minimum"):
                raise ValueError(f"has a {name}, which its kind, {self.kind}, can't have")
            read, allowed = known
            try:
                read(bound)
            except (ValueError, ArithmeticError):
                raise ValueError(f"has {bound} for its {name}, which {allowed}") from None
        return self


class Outcome(Section):
    """What follows from how an act ended."""

    say: Text | None = None
    forget: Names = Field((), description="Slots to be asked for again.")
    then: Name | None = Field(None, description="A later step, end or hang_up; the next one by default.")


StepKind = Literal["collect", "confirm", "branch", "act", "hand_over", "say"]


class Step(Section):
    """One thing that is done; which, its only key of that name tells."""

    collect: Names = Field((), description="Slots that must be known from here on.")
    confirm: Text | None = Field(None, description="Reads back {slots}; only a yes goes on.")
    branch: Name | None = Field(None, description="The slot, or `result`, that decides what comes next.")
    cases: Mapping[str, Name] = Field({}, description="For branch: its value, and the step then.")
    act: Name | None = Field(None, description="The tool that is called.")
    arguments: Mapping[Name, str] = Field({}, description="What it is given: texts with {slots}.")
    reads: bool = Field(
        False, description="It changes nothing: it needs no confirmation, and may be repeated."
    )
    outcomes: Mapping[str, Outcome] = Field(
        {}, description="By the `status` of its result; `failed` where it has none because it failed."
    )
    hand_over: Literal["transfer_call", "take_message"] | None = None
    say: Text | None = None
    then: Name | None = Field(None, description="A later step, end or hang_up; the next one by default.")

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        given = [name for name in ("collect", "confirm", "branch", "act", "hand_over") if getattr(self, name)]
        if len(given) > 1 or not (given or self.say):
            raise ValueError("must be one of collect, confirm, branch, act, hand_over and say")
        if self.say and given not in ([], ["hand_over"]):
            raise ValueError(f"has a say beside {given[0]}; it must be a step of its own")
        if self.cases and not self.branch:
            raise ValueError("has cases, but no branch")
        if (self.reads or self.outcomes) and not self.act:
            raise ValueError("has reads or outcomes, but no act")
        return self

    @property
    def kind(self) -> StepKind:
        kinds: tuple[StepKind, ...] = ("collect", "confirm", "branch", "act", "hand_over")
        return next((kind for kind in kinds if getattr(self, kind)), "say")

    @property
    def leads_to(self) -> Iterator[Name]:
        """The steps it names."""
        yield from (name for name in (self.then, *self.cases.values()) if name)
        yield from (one.then for one in self.outcomes.values() if one.then)

    @property
    def texts(self) -> Iterator[str]:
        yield from (text for text in (self.confirm, self.say) if text)
        yield from self.arguments.values()
        yield from (one.say for one in self.outcomes.values() if one.say)


class Task(Section):
    """One thing that a caller may want."""

    about: Text = Field(description="What it is, to the model: 'Book a table.'")
    words: Annotated[tuple[Wish, ...], BeforeValidator(_listed)] = Field(
        (),
        description="Whoever says one of these wants it, without asking the model; 'move|change ... booking' "
        "has one of several words, and up to four others in the place of '...'.",
    )
    examples: Annotated[tuple[Text, ...], BeforeValidator(_listed)] = Field(
        (), description="How callers ask for it, for the model."
    )
    steps: Mapping[Name, Step] = Field(min_length=1)

    @property
    def slots(self) -> tuple[Name, ...]:
        """Those that it collects, in order."""
        return tuple(dict.fromkeys(slot for step in self.steps.values() for slot in step.collect))

    def following(self, step: Name) -> Name:
        """The step behind it, END behind the last."""
        names = [*self.steps, END]
        return names[names.index(step) + 1]


class FlowPhrases(Overridable):
    """What is said in any task. An empty one is the language's own."""

    not_understood: Phrase = Field("", description="Before a question is asked again.")
    what_to_change: Phrase = Field("", description="To whoever says no to what was read back.")
    which: Phrase = Field("", description="Of a value that may be one of {choices}.")
    more: Phrase = Field("", description="Of a value that isn't complete.")
    cant_be: Phrase = Field("", description="Of one that can't be.")
    left: Phrase = Field("", description="To whoever wants none of it any more.")
    what_else: Phrase = Field(
        "", description="To whoever wants something else, or wasn't understood between tasks."
    )
    handing_over: Phrase = Field("", description="Before somebody else goes on.")
    failed: Phrase = Field("", description="When an act failed.")


class HandOver(Section):
    """Who goes on where the flow can't."""

    tool: Literal["transfer_call", "take_message"] = "take_message"
    to: str | None = Field(None, description="For transfer_call: who goes on unless somebody else is wanted.")
    otherwise: Literal["take_message"] | None = Field(
        None, description="For transfer_call: what is done instead where `transfer.to` has nobody."
    )

    @model_validator(mode="after")
    def _of_a_transfer(self) -> Self:
        if self.tool != TRANSFER and (self.to or self.otherwise):
            raise ValueError(f"has {'to' if self.to else 'otherwise'}, which only transfer_call can have")
        return self


class Flow(Section):
    """The tasks of a persona, and the slots that they share."""

    slots: Mapping[Name, Slot] = {}
    tasks: Mapping[Name, Task] = Field(min_length=1)
    start: Name | None = Field(None, description="The task that the greeting has begun already.")
    tries: int = Field(3, ge=1, le=9, description="So often the same is asked, then somebody else goes on.")
    hand_over: HandOver | None = Field(None, description="Without one, the task is left then.")
    reword: bool = Field(False, description="The model puts questions in its own words, if it is quick.")
    phrases: FlowPhrases = FlowPhrases()

    def __hash__(self) -> int:
        return hash(self.model_dump_json())  # mappings have none

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.start is not None and self.start not in self.tasks:
            raise ValueError(f"start names {self.start}, which is no task")
        if taken := self.slots.keys() & {KEY, RESULT, *FACTS}:
            raise ValueError(f"slots has {min(taken)}, a name that templates have for something else")
        if taken := self.tasks.keys() & (self.acts | self.handed_to | {END_CALL}):
            raise ValueError(f"tasks has {min(taken)}, which is a tool's name")
        for name, task in self.tasks.items():
            for problem in self._problems(task):
                raise ValueError(f"tasks.{name}.steps.{problem}")
        return self

    @property
    def acts(self) -> set[str]:
        """The tools that it calls by itself."""
        return {step.act for task in self.tasks.values() for step in task.steps.values() if step.act}

    @property
    def handed_to(self) -> set[str]:
        """The tools by which somebody else goes on."""
        steps = (step for task in self.tasks.values() for step in task.steps.values())
        own = (self.hand_over.tool, self.hand_over.otherwise) if self.hand_over else ()
        return {name for name in own if name} | {step.hand_over for step in steps if step.hand_over}

    def _problems(self, task: Task) -> Iterator[str]:
        order = {name: position for position, name in enumerate(task.steps)}
        collected, acted = set[str](), False
        confirms: dict[str, set[str]] = {next(iter(task.steps)): set()}  # on every way to a step
        for name, step in task.steps.items():
            for slot in (*step.collect, *(slot for one in step.outcomes.values() for slot in one.forget)):
                if slot not in self.slots:
                    yield f"{name} names the slot {slot}, which isn't under slots"
            for to in step.leads_to:
                if to not in (END, HANG_UP) and order.get(to, -1) <= order[name]:
                    yield f"{name} leads to {to}; it must be a later step, end or hang_up"
            collected.update(step.collect)
            for used in named(step.texts):
                if used.partition(".")[0] == RESULT:
                    if not (acted or step.act):
                        yield f"{name} has {{{used}}} before any act"
                elif used not in collected | {KEY, *FACTS}:
                    yield f"{name} has {{{used}}}, which no step up to there collects"
            if step.branch and step.branch not in collected | {RESULT}:
                yield f"{name} branches on {step.branch}, which no step up to there collects"
            if name not in confirms:
                yield f"no step leads to {name}"
                continue
            confirmed = confirms[name].union(named([step.confirm]) if step.confirm else ())
            if step.kind != "hand_over":
                for to in (*step.leads_to, step.then or task.following(name)):
                    confirms[to] = confirms.get(to, confirmed) & confirmed
            if step.act and not step.reads:
                for slot in named(step.arguments.values()):
                    if slot not in confirmed and slot in self.slots and not self.slots[slot].secret:
                        yield f"{name} uses {{{slot}}}, which no confirm on some way there reads back"
                if not confirmed:
                    yield f"{name} acts before any confirm; say reads: true if it changes nothing"
            acted = acted or bool(step.act)


def named(texts: Iterable[str]) -> list[str]:
    """What stands in braces in them."""
    return [one.strip() for text in texts for one in _NAMED.findall(text)]


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with values in the place of what is in {braces}.

    What is in [brackets] is left out where a value in it isn't known.
    """

    def part(one: re.Match[str]) -> str:
        return one[1] if all(values.get(name) for name in named([one[1]])) else ""

    template = _OPTIONAL.sub(part, template)
    filled = _NAMED.sub(lambda one: values.get(one[1].strip(), ""), template)
    return re.sub(r"\s+([.,;:!?])", r"\1", " ".join(filled.split()))


def load_flow(path: Path) -> Flow:
    """Raises ConfigError, which names the file and the key."""
    return parse_flow(read_yaml(path, "The flow file"), f"the flow file {path}")


def parse_flow(content: object, where: str) -> Flow:
    """Raises ConfigError, which says `where` and names the key."""
    try:
        return Flow.model_validate(content)
    except ValidationError as error:
        raise ConfigError(_sentence(error, where)) from None


def _sentence(error: ValidationError, where: str) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    match first["type"]:
        case "missing":
            return f"{key} is missing in {where}; it must be given."
        case "extra_forbidden":
            return f"{key} in {where} is not a key."
        case "value_error":
            said = first["ctx"]["error"]
            return f"{key} in {where} {said}." if key else f"In {where}, {said}."
        case _:
            return f"{key} in {where} can't be used: {first['msg'][0].lower()}{first['msg'][1:]}."
