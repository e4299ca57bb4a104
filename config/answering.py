"""Who answers which call: every persona that the settings name, loaded and checked."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import get_args

from pydantic import ValidationError

from config.errors import ConfigError
from config.flow import TRANSFER
from config.numbers import plain_number
from config.persona import Persona, load_persona
from config.routes import Arrival, RouteSettings, fits, header_of
from config.settings import Settings, TestNumber
from config.turn import TurnSettings


@dataclass(frozen=True, slots=True)
class Place:
    """What becomes of a call. The first of its personas greets, unless `says` is all that is said."""

    personas: tuple[Persona, ...]
    test: TestNumber | None = None
    says: str | None = None
    refused: bool = False
    max_duration_s: int | None = None


@dataclass(frozen=True)
class Personas:
    """The personas of one server.

    The first of `candidates` greets; where there are more, each speaks another language, and the
    caller's decides. The first of the `routes` that fits decides before that; behind them, a number in
    `by_number` has a persona of its own, and nothing to decide; one in `tests` tests the line.
    """

    candidates: tuple[Persona, ...]
    by_number: Mapping[str, Persona] = field(default_factory=dict)
    tests: Mapping[str, TestNumber] = field(default_factory=dict)
    routes: tuple[tuple[RouteSettings, Persona | None], ...] = ()

    @property
    def default(self) -> Persona:
        return self.candidates[0]

    @property
    def all(self) -> tuple[Persona, ...]:
        """Each of them once, the default one first."""
        return tuple(
            dict.fromkeys(
                (
                    *self.candidates,
                    *self.by_number.values(),
                    *(persona for _, persona in self.routes if persona),
                )
            )
        )

    @property
    def headers(self) -> frozenset[str]:
        """Those that routes look at, in lower case."""
        return frozenset(header_of(route.header)[0] for route, _ in self.routes if route.header)

    def place(self, call: Arrival, now: datetime) -> Place:
        """`now` is aware of its time zone."""
        for route, persona in self.routes:
            if fits(route, call, now):
                return Place(
                    (persona,) if persona else self.answering(call.called),
                    None if persona or route.says or route.refuse else self.test(call.called),
                    route.says,
                    route.refuse is not None,
                    route.max_duration_s,
                )
        return Place(self.answering(call.called), self.test(call.called))

    def answering(self, called: str) -> tuple[Persona, ...]:
        """Who may answer a call to `called`, as the wire writes it; the first of them greets."""
        persona = self.by_number.get(plain_number(called))
        return (persona,) if persona else self.candidates

    @property
    def test_names(self) -> tuple[TestNumber, ...]:
        """The line tests that are reached by their names."""
        return tuple(test for number, test in self.tests.items() if number == test)

    def test(self, called: str) -> TestNumber | None:
        """The line test that a call to `called` reaches, if any."""
        return self.tests.get(plain_number(called))


def load_personas(settings: Settings) -> Personas:
    """Every persona that answers. Raises ConfigError, which names the key."""
    loaded: dict[str, Persona] = {}

    def load(key: str, name: str) -> Persona:
        if name not in loaded:
            try:
                loaded[name] = load_persona(name)
            except ConfigError as error:
                raise ConfigError(f"{key} can't be used: {error}") from None
            loaded[name] = allowed(loaded[name], settings)
            _require_waits(loaded[name], settings.turn)
        return loaded[name]

    candidates = [load("languages", name) for name in settings.languages]
    _require_distinct(settings.languages, candidates)
    if not candidates or "persona" in settings.model_fields_set:
        first = loaded.get(settings.persona) or allowed(load_persona(settings.persona), settings)
        _require_waits(first, settings.turn)
        others = [one for one in candidates if one.language_code != first.language_code]
        candidates = [first, *others]
    by_number = {
        number: load(f"numbers.{called}", settings.numbers[called])
        for number, called in _by_plain_number("numbers", settings.numbers).items()
    }
    routes = [
        (route, load(f"routes.{number}.persona", route.persona) if route.persona else None)
        for number, route in enumerate(settings.routes)
    ]
    voice, language = settings.tts.voice, candidates[0].language_code

    def speaking(persona: Persona) -> Persona:
        own = voice is None or persona.language_code != language
        return persona if own else persona.model_copy(update={"voice": (voice,)})

    return Personas(
        tuple(speaking(one) for one in candidates),
        {number: speaking(one) for number, one in by_number.items()},
        _tests(settings, by_number),
        tuple((route, one and speaking(one)) for route, one in routes),
    )


def _tests(settings: Settings, taken: Container[str]) -> dict[str, TestNumber]:
    """The line tests by their plain numbers; the names that are `taken` reach none."""
    if not settings.test_numbers.enabled:
        return {}
    given = settings.test_numbers.numbers
    numbers = _by_plain_number("test_numbers.numbers", given)
    for number, called in numbers.items():
        if number in taken:
            raise ConfigError(f"test_numbers.numbers has {called}, which numbers has, too; give it once.")
    named: dict[str, TestNumber] = {name: name for name in get_args(TestNumber) if name not in taken}
    return named | {number: given[called] for number, called in numbers.items()}


def _by_plain_number(key: str, numbers: Iterable[str]) -> dict[str, str]:
    """Each of the numbers as the setting `key` has it, by how it is compared. Raises ConfigError."""
    by_number: dict[str, str] = {}
    for called in numbers:
        number = plain_number(called)
        if not number:
            raise ConfigError(f"{key} has '{called}'; it must be a number or the user part of a SIP address.")
        if number in by_number:
            raise ConfigError(
                f"{key} has {called} twice, as it is called with or without a plus; give it once."
            )
        by_number[number] = called
    return by_number


def allowed(persona: Persona, settings: Settings) -> Persona:
    """The persona with all to whom it may put callers through. Raises ConfigError where a tool can't work."""
    if "ask_for_keys" in persona.tools and not persona.keypad:
        raise ConfigError(f"The persona {persona.name} has the tool ask_for_keys, so it must have a keypad.")
    secret = next((asks.name for asks in persona.keypad if asks.secret), None)
    if secret is not None and settings.webhook.url is None:
        raise ConfigError(
            f"The {secret} in the keypad of the persona {persona.name} is secret, so webhook.url "
            "must be set: nobody else is told what was entered."
        )
    if TRANSFER not in persona.tools:
        return persona
    known = settings.transfer.to
    if not known and (alone := persona.without_transfer()):
        return alone
    if not known:
        raise ConfigError(
            f"The persona {persona.name} has the tool transfer_call, so transfer.to must be set: whom calls "
            "may be put through to."
        )
    if unknown := [name for name in persona.transfer_to if name not in known]:
        raise ConfigError(
            f"transfer_to of the persona {persona.name} has '{unknown[0]}', which transfer.to lacks; "
            f"it has {', '.join(known)}."
        )
    persona = persona.model_copy(update={"transfer_to": persona.transfer_to or tuple(known)})
    hand_over = persona.flow.hand_over if persona.flow else None
    if hand_over and hand_over.to and hand_over.to not in persona.transfer_to:
        raise ConfigError(
            f"flow.hand_over.to of the persona {persona.name} is '{hand_over.to}', to whom it may not put "
            f"callers through; it may to {', '.join(persona.transfer_to)}."
        )
    return persona


def _require_waits(persona: Persona, turn: TurnSettings) -> None:
    try:
        persona.turn.over(turn)
    except ValidationError as error:
        raise ConfigError(f"With the persona {persona.name}, {error.errors()[0]['ctx']['error']}") from None


def _require_distinct(names: Sequence[str], personas: Sequence[Persona]) -> None:
    speakers: dict[str, str] = {}
    for name, persona in zip(names, personas, strict=True):
        if other := speakers.get(persona.language_code):
            raise ConfigError(
                f"languages has {other} and {name}, which both speak '{persona.language_code}'; "
                "each must speak another language."
            )
        speakers[persona.language_code] = name
