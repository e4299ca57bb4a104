from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.persona import FOLDER, Persona, PersonaTurn, load_persona, persona_names
from config.settings import TurnSettings


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

    assert persona.language == name
    assert persona.voice[0].startswith(f"{name}_")
    assert len(persona.greeting) < 60  # three seconds at 20 characters a second
    spoken = (persona.greeting, persona.goodbye, persona.apology, *persona.idle_prompts)
    assert not any(mark in text for text in spoken for mark in "*#_`")


def test_both_languages_are_shipped() -> None:
    assert persona_names() == ["en", "fr"]


def test_a_file_of_ones_own() -> None:
    assert load_persona(edited("name", "name: Ann")).name == "Ann"
    assert load_persona("./mine.yaml").name == "Ann"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("fra", "There is no persona 'fra'; did you mean fr?"),
        (
            "klingon",
            "There is no persona 'klingon'; shipped are en and fr, and the path of a YAML file is taken too.",
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
    ],
)
def test_what_is_wrong_is_one_sentence(key: str, line: str, sentence: str) -> None:
    assert refused(edited(key, line)) == sentence


def test_the_turn_changes_only_what_it_names() -> None:
    settings = TurnSettings(filler="One moment.", barge_in_min_words=3)

    changed = PersonaTurn(barge_in=False, barge_in_min_ms=500).over(settings)

    assert changed == settings.model_copy(update={"barge_in": False, "barge_in_min_ms": 500})


def test_idle_prompts_go_on_to_the_last() -> None:
    persona = load_persona("en")

    assert [persona.idle_prompt(n) for n in (0, 1, 2)] == [*persona.idle_prompts, persona.idle_prompts[-1]]


def test_the_language_code_is_whispers() -> None:
    persona: Persona = load_persona("fr").model_copy(update={"language": "fr-CA"})

    assert persona.language_code == "fr"
