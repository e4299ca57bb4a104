from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.persona import FOLDER, Persona, PersonaTurn, load_persona, persona_names
from config.primer import Example, lessons
from config.turn import TurnSettings
from models.llm.brevity import sentences


def edited(key: str, line: str) -> str:
    """The English persona with one of its lines replaced."""
    lines = (FOLDER / "en.yaml").read_text().splitlines()
    lines = [line if old.startswith(f"{key}:") else old for old in lines]
    Path("mine.yaml").write_text("\n".join(lines))
    return "mine.yaml"


def refused(name: str) -> str:
    with pytest.raises(ConfigError) as error:
        load_persona(name)
    return str(error.value)


@pytest.mark.parametrize("name", persona_names())
def test_what_is_shipped_can_be_spoken(name: str) -> None:
    persona = load_persona(name)

    assert name in (persona.language_code, "receptionist", "restaurant")
    assert persona.voice
    assert len(persona.greeting) < 60  # three seconds at 20 characters a second
    spoken = (persona.greeting, persona.goodbye, persona.apology, *persona.idle_prompts)
    assert not any(mark in text for text in spoken for mark in "*#_`")


def test_six_languages_and_an_example_are_shipped() -> None:
    assert persona_names() == ["en", "es", "fr", "hi", "it", "pt", "receptionist", "restaurant"]


@pytest.mark.parametrize("name", persona_names())
def test_every_language_shipped_has_lessons_of_its_own(name: str) -> None:
    taught = lessons(load_persona(name).language_code)

    assert taught.examples
    assert taught.unknown_examples


@pytest.mark.parametrize("name", persona_names())
def test_examples_are_what_an_answer_may_be(name: str) -> None:
    persona = load_persona(name)

    for message in persona.primer[1:]:
        if message["role"] == "assistant":
            assert len(message["content"].split()) <= 30
            assert len(sentences(message["content"], language=persona.language)) <= 2


def test_a_file_of_ones_own() -> None:
    assert load_persona(edited("name", "name: Ann")).name == "Ann"
    assert load_persona("./mine.yaml").name == "Ann"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("fra", "There is no persona 'fra'; did you mean fr?"),
        (
            "klingon",
            "There is no persona 'klingon'; shipped are en, es, fr, hi, it, pt, receptionist and restaurant, "
            "and the path of a YAML file is taken too.",
        ),
        ("./none.yaml", "The persona file none.yaml doesn't exist."),
    ],
)
def test_no_such_persona(name: str, sentence: str) -> None:
    assert refused(name) == sentence


@pytest.mark.parametrize(
    ("key", "line", "sentence"),
    [
        ("name", "", "name is missing in the persona file mine.yaml; it must be given."),
        ("name", "nam: Ann", "name is missing in the persona file mine.yaml; it must be given."),
        (
            "language",
            "langauge: en",
            "langauge in the persona file mine.yaml is not a key; did you mean language?",
        ),
        (
            "language",
            "language: English",
            "language in the persona file mine.yaml is 'English'; "
            "it must be a language code such as en, fr or fr-CA.",
        ),
        (
            "name",
            "name: Ann\nturn: {barge_in_min_ms: 9999}",
            "turn.barge_in_min_ms in the persona file mine.yaml can't be used: "
            "input should be less than or equal to 3000.",
        ),
        (
            "name",
            "name: Ann\nturn: {barge: no}",
            "turn.barge in the persona file mine.yaml is not a key; did you mean barge_in?",
        ),
        (
            "goodbye_words",
            "goodbye_words: bye",
            "goodbye_words in the persona file mine.yaml must be a list of texts.",
        ),
        (
            "name",
            "name: Ann\nfacts: We are open.",
            "facts in the persona file mine.yaml must be a list of texts.",
        ),
        (
            "name",
            "name: Ann\nfacts: [[We are open.]]",
            "facts.0 in the persona file mine.yaml must be a text.",
        ),
        (
            "name",
            f"name: Ann\nfacts: [{'x' * 301}]",
            "facts.0 in the persona file mine.yaml has more than 300 characters; make it several.",
        ),
        (
            "name",
            f"name: Ann\nfacts: [{', '.join('x' * 41)}]",
            "facts in the persona file mine.yaml has 41 entries; at most 40 fit.",
        ),
        (
            "name",
            "name: Ann\nexamples: [Hello.]",
            "examples.0 in the persona file mine.yaml must be an exchange, with a caller and an agent.",
        ),
        (
            "name",
            "name: Ann\nexamples: Hello.",
            "examples in the persona file mine.yaml must be a list of exchanges, "
            "each with a caller and an agent.",
        ),
        (
            "name",
            "name: Ann\nexamples: [{caller: Hello}]",
            "examples.0 in the persona file mine.yaml must have either an agent, who answers, or a tool.",
        ),
        (
            "name",
            "name: Ann\nexamples: [{caller: Hello, agent: Hi., tool: end_call}]",
            "examples.0 in the persona file mine.yaml must have either an agent, who answers, or a tool.",
        ),
        (
            "name",
            "name: Ann\nexamples: [{caller: Hello, agent: Hi., arguments: {day: Monday}}]",
            "examples.0 in the persona file mine.yaml has arguments, but no tool that takes them.",
        ),
        (
            "name",
            "name: Ann\nexamples: [{caller: Hello, agnt: Hi.}]",
            "examples.0.agnt in the persona file mine.yaml is not a key; did you mean agent?",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(key: str, line: str, sentence: str) -> None:
    assert refused(edited(key, line)) == sentence


def test_the_turn_changes_only_what_it_names() -> None:
    settings = TurnSettings(filler="One moment.", barge_in_min_words=3)

    changed = PersonaTurn(barge_in=False, barge_in_min_ms=500).over(settings)

    assert changed == settings.model_copy(update={"barge_in": False, "barge_in_min_ms": 500})


def test_a_line_for_elderly_callers_waits_longer() -> None:
    changed = PersonaTurn(sure_silence_ms=600, unsure_silence_ms=1800, hanging_silence_ms=2500).over(
        TurnSettings()
    )

    assert (changed.sure_silence_ms, changed.unsure_silence_ms) == (600, 1800)
    assert changed.hanging_silence_ms == 2500


def test_idle_prompts_go_on_to_the_last() -> None:
    persona = load_persona("en")

    assert [persona.idle_prompt(n) for n in (0, 1, 2)] == [*persona.idle_prompts, persona.idle_prompts[-1]]


def test_the_language_code_is_whispers() -> None:
    persona: Persona = load_persona("fr").model_copy(update={"language": "fr-CA"})

    assert persona.language_code == "fr"


def written(**more: object) -> Persona:
    return load_persona("en").model_copy(update={"prompt": "You are Ann.", **more})


def test_the_primer_is_the_prompt_and_exchanges() -> None:
    system, *turns = written().primer

    assert system == {"role": "system", "content": "You are Ann."}
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * len(lessons("en").examples)


def test_facts_stand_in_the_system_message_and_absent_ones_are_taught() -> None:
    system, *turns = written(facts=("Dogs are welcome.", "We close at six.")).primer

    assert "- Dogs are welcome.\n- We close at six.\n" in system["content"]
    told = [turn["content"] for turn in turns if turn["role"] == "assistant"]
    assert "Dogs are welcome." in told
    assert [one.agent for one in lessons("en").unknown_examples if one.agent not in told] == []


def test_each_fact_answers_a_question_that_it_is_about() -> None:
    facts = (
        "Dogs are welcome.",
        "We are at 3 Pier Street.",
        "A cut costs ten dollars.",
        "It has a central lift.",
    )
    said = [message["content"] for message in written(facts=facts).primer]
    answers = dict(zip(said[1::2], said[2::2], strict=True))
    assert answers["how much is it"] == facts[2]
    assert answers["where are you"] == facts[1]
    assert "are you open in the middle of the night" not in answers
    assert answers["what can you tell me about it"] == facts[0]


def test_opening_hours_teach_when_the_answer_is_no() -> None:
    hours = written(facts=("We are open from nine to six.",)).primer
    always = written(facts=("We are open 24 hours a day.",)).primer
    assert {"role": "assistant", "content": "No. We are open from nine to six."} in hours
    assert {"role": "assistant", "content": "We are open 24 hours a day."} in always


def test_an_example_may_say_the_name() -> None:
    greeting = Example(caller="Who is it?", agent="This is {name}.")
    assert written(examples=(greeting,)).primer[-1]["content"] == "This is Joe."


def test_examples_of_ones_own_take_the_place_of_the_general_ones() -> None:
    greeting = Example(caller="Hello", agent="Good day.")
    booking = Example(caller="A table for two", tool="book_table", arguments={"people": "2"})
    primer = written(examples=(greeting, booking)).primer

    assert [message["content"] for message in primer] == ["You are Ann.", "Hello", "Good day."]


def test_a_language_without_lessons_gets_no_english_examples() -> None:
    primer = written(language="nl", facts=("Wij zijn open.",)).primer

    assert [message["role"] for message in primer] == ["system"]


def test_a_fact_may_have_a_colon() -> None:
    persona = load_persona(edited("name", "name: Ann\nfacts:\n  - Address: 3 Pier Street"))

    assert persona.facts == ("Address: 3 Pier Street",)


@pytest.mark.parametrize("name", persona_names())
def test_who_can_put_callers_through_is_not_told_that_they_cannot(name: str) -> None:
    persona = load_persona(name).model_copy(update={"tools": ()})
    able = persona.model_copy(update={"tools": ("transfer_call",)})
    assert len(able.primer) == len(persona.primer) - 2
