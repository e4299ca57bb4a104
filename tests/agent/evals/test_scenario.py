"""Scenario files, and the sentences about those that can't be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.evals.rules import judge
from agent.evals.runs import persona_for, personas_by_language
from agent.evals.scenario import ScenarioSet, load_set, load_sets
from config.errors import ConfigError

OWN = Path(__file__).parents[3] / "evals"
TURN = "turns: [{caller: Hello.}]"


def written(folder: Path, text: str, name: str = "set.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_what_isn_t_said_is_the_default(tmp_path: Path) -> None:
    found = load_set(written(tmp_path, f"scenarios: [{{name: one, {TURN}}}]"))
    assert (found.name, found.language, found.pass_) == ("set", "en", 1.0)
    (turn,) = found.scenarios[0].turns
    rules = found.rules_for(found.scenarios[0], turn)
    assert (rules.max_words, rules.max_sentences, rules.own_language) == (30, 2, True)


def test_facts_and_tools_of_a_scenario_stand_in_for_the_set_s(tmp_path: Path) -> None:
    found = load_set(
        written(
            tmp_path,
            f"""
facts: [Open daily.]
tools: [{{name: transfer, description: Put through.}}]
scenarios:
  - {{name: as the set, {TURN}}}
  - {{name: other, facts: [Closed.], tools: [], {TURN}}}
""",
        )
    )
    first, second = found.scenarios
    assert (found.facts_of(first), found.facts_of(second)) == (("Open daily.",), ("Closed.",))
    assert ([tool.name for tool in found.tools_of(first)], found.tools_of(second)) == (["transfer"], ())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "scenarios: []",
            "scenarios in the scenario file {} can't be used: tuple should have at least 1 item",
        ),
        ("name: x", "scenarios is missing in the scenario file {}; it must be given."),
        (
            "scenarios: [{name: one, turns: [{says: hi}]}]",
            "caller is missing in turn 1 of the scenario 'one' of",
        ),
        (
            "scenarios: [{name: one, turns: [{caller: a, sais: b}]}]",
            "sais in turn 1 of the scenario 'one' of the scenario file {} is not a key",
        ),
        (
            "scenarios: [{name: one, turns: [{caller: a, says: '(b'}]}]",
            "says in turn 1 of the scenario 'one' of the scenario file {}: '(b' isn't a regular expression",
        ),
        (
            f"scenarios: [{{name: one, {TURN}}}, {{name: one, {TURN}}}]",
            "the scenario's name 'one' is given twice",
        ),
        (
            "scenarios: [{name: one, turns: [{caller: a, tool: fly}]}]",
            "the scenario 'one' expects the tool fly, which isn't declared",
        ),
        (
            "language: de\nscenarios: [{name: one, turns: [{caller: a, refuses: true}]}]",
            "refuses is known for en, es, fr, it, pt, not for de",
        ),
        (
            "scenarios: [{name: one, turns: [{caller: a, arguments: {x: y}}]}]",
            "arguments are given, but no tool",
        ),
        ("scenarios: [oops", "isn't YAML"),
        (f"pass: 90\nscenarios: [{{name: one, {TURN}}}]", "pass in the scenario file {} can't be used"),
    ],
)
def test_a_wrong_file_is_named_with_the_place(tmp_path: Path, text: str, sentence: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_set(path)
    assert sentence.replace("{}", str(path)) in str(caught.value)


def test_a_folder_needs_scenarios(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no \*\.yaml"):
        load_sets(tmp_path)
    with pytest.raises(ConfigError, match="is no folder"):
        load_sets(tmp_path / "none")


def test_only_what_matches_is_run(tmp_path: Path) -> None:
    written(tmp_path, f"scenarios: [{{name: one, {TURN}}}, {{name: two, {TURN}}}]", "a.yaml")
    written(tmp_path, f"scenarios: [{{name: one, {TURN}}}]", "b.yaml")

    def chosen(*only: str) -> list[str]:
        return [f"{one.file.stem}/{each.name}" for one in load_sets(tmp_path, only) for each in one.scenarios]

    assert chosen() == ["a/one", "a/two", "b/one"]
    assert chosen("b") == ["b/one"]
    assert chosen("*/one") == ["a/one", "b/one"]
    assert chosen("a/t*", "b") == ["a/two", "b/one"]
    with pytest.raises(ConfigError, match="No scenario matches --only c"):
        chosen("c")


def a_set(**keys: object) -> ScenarioSet:
    return ScenarioSet.model_validate(
        {"name": "x", "scenarios": [{"name": "one", "turns": [{"caller": "Hi."}]}], **keys}
    )


def test_the_persona_is_the_language_s_unless_another_is_named() -> None:
    french, english = a_set(language="fr"), a_set()
    assert persona_for(french, french.scenarios[0], {}).language == "fr"
    assert persona_for(english, english.scenarios[0], personas_by_language(["fr"])).language == "en"
    with pytest.raises(ConfigError, match="for which no persona is shipped"):
        persona_for(a_set(language="fi"), english.scenarios[0], {})
    with pytest.raises(ConfigError, match="is in fi, its persona"):
        persona_for(a_set(language="fi", persona="fr"), english.scenarios[0], {})


def test_the_persona_knows_the_scenario_s_facts() -> None:
    found = a_set(facts=["There is a lift."])
    assert "There is a lift." in persona_for(found, found.scenarios[0], {}).model_dump_json()


def test_the_project_s_own_sets() -> None:
    """They are large enough to tell something, and ask as often for what the facts hold as for what not."""
    sets = {found.file.stem: found for found in load_sets(OWN)}
    turns = {
        name: [turn for scenario in found.scenarios for turn in scenario.turns]
        for name, found in sets.items()
    }
    least = {"en": 150, "fr": 60, "es": 30, "it": 30, "pt": 30, "facts": 40, "acts": 60}
    assert {name: len(turns[name]) >= count for name, count in least.items()} == dict.fromkeys(least, True)
    absent = sum(bool(turn.refuses) for turn in turns["facts"])
    assert 0.45 <= absent / len(turns["facts"]) <= 0.55
    assert sum(not turn.tool for turn in turns["acts"]) >= 25


@pytest.mark.parametrize(
    ("language", "evasion"),
    [
        ("en", "How can I assist you today?"),
        ("en", "Yes, of course."),
        ("fr", "Comment puis-je vous aider ?"),
        ("es", "¿En qué puedo ayudarle?"),
        ("it", "Come posso aiutarla?"),
        ("pt", "Como posso ajudar?"),
    ],
)
def test_an_evasion_is_hardly_ever_right(language: str, evasion: str) -> None:
    for found in load_sets(OWN):
        if found.language != language or found.file.stem.startswith("injections"):  # to which it is right
            continue
        verdicts = [
            judge(turn, found.rules_for(scenario, turn), answer=evasion, tool_calls=(), language=language)
            for scenario in found.scenarios
            for turn in scenario.turns
        ]
        assert sum(not failures for failures in verdicts) <= 0.2 * len(verdicts), found.name
