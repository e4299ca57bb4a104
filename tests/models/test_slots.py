"""A tool's arguments: only what the caller said, and only what can be read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from models.llm import slots

NOW = datetime(2026, 3, 11, 15, 20)
BOOKING: dict[str, Any] = {
    "type": "object",
    "properties": {
        "date": {"type": "string", "format": "date"},
        "time": {"type": "string", "format": "time"},
        "people": {"type": "integer", "minimum": 1, "maximum": 12},
        "name": {"type": "string", "maxLength": 40},
    },
    "required": ["date", "time", "people"],
}


def read(value: Any, schema: dict[str, Any], heard: str | None = None, language: str = "en") -> Any:
    return slots.read(value, schema, language, NOW, heard=str(value) if heard is None else heard)


def test_the_model_copies_words_for_every_argument() -> None:
    schema = slots.copies(BOOKING)
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["date", "time", "people", "name"]
    assert schema["properties"]["people"] == {
        "anyOf": [{"type": "string", "minLength": 1, "maxLength": 60}, {"type": "null"}]
    }
    assert schema["properties"]["name"]["anyOf"][0]["maxLength"] == 40


def test_a_booking_is_read_and_what_is_missing_is_known() -> None:
    heard = "a table for the four of us on friday please it's for Miller"
    copied = {"date": "on friday", "time": None, "people": "the four of us", "name": "Miller"}
    values = slots.arguments(copied, BOOKING, [heard], language="en", now=NOW)
    assert values == {"date": "2026-03-13", "people": 4, "name": "Miller"}
    assert slots.missing(values, BOOKING) == ["time"]


def test_what_the_caller_did_not_say_is_no_argument() -> None:
    copied = {"date": "tomorrow", "time": "7 pm", "people": "two", "name": "John Smith"}
    heard = "I'd like a table for two"
    assert slots.arguments(copied, BOOKING, [heard], language="en", now=NOW) == {"people": 2}


def test_days_times_and_numbers_are_read_without_a_model() -> None:
    turns = ["good evening a table for friday please", "half past eight", "there will be three of us"]
    values = slots.spotted(BOOKING, turns, language="en", now=NOW)
    assert values == {"date": "2026-03-13", "time": "20:30", "people": 3}
    assert list(slots.without(BOOKING, values)["properties"]) == ["name"]


@pytest.mark.parametrize(
    ("turns", "values"),
    [
        (["une table pour deux demain soir"], {"date": "2026-03-12", "people": 2}),
        (["vendredi", "non pas vendredi"], {}),
        (["vendredi", "non samedi"], {"date": "2026-03-14"}),
        (["quatre"], {}),  # an hour, or people: who knows what was asked tells
        (["vendredi ou samedi pour quatre personnes"], {"people": 4}),
    ],
)
def test_what_is_not_certain_is_left_to_the_model(turns: list[str], values: dict[str, Any]) -> None:
    assert slots.spotted(BOOKING, turns, language="fr", now=NOW) == values


def test_of_two_dates_code_knows_none() -> None:
    date = {"type": "string", "format": "date"}
    parameters = {"properties": {"from": date, "to": date}}
    assert slots.spotted(parameters, ["from friday to sunday"], language="en", now=NOW) == {}


def test_a_number_is_no_hour_unless_it_is_the_answer() -> None:
    parameters = {"properties": {"time": BOOKING["properties"]["time"]}}
    for turn, values in (("for two tonight then", {}), ("two", {"time": "14:00"})):
        assert slots.arguments({"time": "two"}, parameters, [turn], language="en", now=NOW) == values


def test_a_long_text_may_be_told_in_slightly_other_words() -> None:
    heard = "tell anna that my delivery comes at nine on monday"
    text = "his delivery comes at nine on monday"
    assert read(text, {"type": "string"}, heard) == text
    assert read("the pizza is cold and we want money back", {"type": "string"}, heard) is None


@pytest.mark.parametrize(
    ("copied", "turn", "value"),
    [
        ("Marco's sister rang", "Could you tell Marco that his sister rang?", "Marco's sister rang"),
        ("Anna, I found your keys.", "pass on to anna that i found her keys", "Anna, I found your keys."),
        ("8:00:00", "a table tomorrow at 8", "8"),
        ("at nine:00:00:000000", "on Wednesday at nine", "at nine"),
        ("8:00:00", "a table for two tomorrow", None),
        ("Call me on Monday morning", "Could you tell Marco that his sister rang?", None),
    ],
)
def test_a_text_is_in_the_caller_s_words_or_nearly(copied: str, turn: str, value: str | None) -> None:
    schema = {"properties": {"text": {"type": "string"}}}
    read = slots.arguments({"text": copied}, schema, [turn], language="en", now=NOW)
    assert read.get("text") == value


def test_a_text_that_is_named_after_a_time_or_a_date_is_read_as_one() -> None:
    text = {"type": "string"}
    named = slots.typed({"properties": {"day": text, "time": text, "lifetime": text, "name": text}})
    turn = "a table for Miller on friday at half past six in the evening"
    assert slots.spotted(named, [turn], language="en", now=NOW) == {"day": "2026-03-13", "time": "18:30"}


def test_digits_may_be_written_for_spoken_ones() -> None:
    heard = "it's order seven seven three"
    assert read("773", {"type": "string"}, heard) == "773"
    assert read("774", {"type": "string"}, heard) is None


@pytest.mark.parametrize(
    ("schema", "words", "value"),
    [
        ({"type": "string", "format": "date-time"}, "half past seven on friday", "2026-03-13T19:30"),
        ({"type": "string", "format": "date-time"}, "on friday", None),
        ({"type": "string", "format": "time", "formatMinimum": "07:00"}, "at eight", "08:00"),
        ({"type": "string", "format": "phone"}, "oh one two three", "0123"),
        ({"type": ["integer", "null"]}, "six of us", 6),
        ({"type": "integer"}, "two point five", None),
        ({"type": "integer", "maximum": 12}, "thirty people", None),
        ({"type": "number"}, "two point five", 2.5),
        ({"type": "string", "pattern": r"^\d{3,}$"}, "seven seven three", "773"),
        ({"type": "string", "pattern": r"^\d{3,}$"}, "the big one", None),
        ({"type": "string", "enum": ["Small", "Large"]}, "large", "Large"),
        ({"type": "string", "enum": ["Small", "Large"]}, "huge", None),
        ({"type": "boolean"}, "yes", None),
        ({"type": "string"}, "   ", None),
        ({"type": "string"}, 7, None),
        ({}, "Anna", "Anna"),
    ],
)
def test_values(schema: dict[str, Any], words: Any, value: Any) -> None:
    assert read(words, schema) == value


def test_the_caller_s_language_is_read() -> None:
    assert read("vendredi", {"format": "date"}, language="fr-CA") == "2026-03-13"
    assert read("am Freitag", {"format": "date"}, language="de") is None
