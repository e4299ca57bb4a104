"""Scenarios held against a scripted model, and what is reported of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

from agent.conversation import ToolCall, Turn
from agent.demo import Answer, tool_calls
from agent.evals.desk import CallResult
from agent.evals.over_sip import judged, sounds_like
from agent.evals.results import SetResult, TurnResult, to_json, to_junit
from agent.evals.runs import in_text
from agent.evals.scenario import ScenarioSet
from agent.tools.toolbox import Toolbox
from bench import metrics
from tests.agent.conversation_kit import PERSONA, Outcome
from tests.agent.scripted_llm import ScriptedLlm

PARIS = {"caller": "The capital of France?", "says": "paris"}


def a_set(*turns: dict[str, Any], **keys: Any) -> ScenarioSet:
    return ScenarioSet.model_validate({"name": "Set", "scenarios": [{"name": "one", "turns": turns}], **keys})


async def run(found: ScenarioSet, replies: dict[str, str]) -> list[TurnResult]:
    llm = cast(Any, ScriptedLlm(replies, Outcome(), None))
    return [turn async for turn in in_text(llm, found, found.scenarios[0], PERSONA, Toolbox())]


async def test_right_and_wrong_answers() -> None:
    found = a_set(PARIS, {"caller": "And of Italy?", "says": "rome"})
    first, second = await run(
        found, {"The capital of France?": "It is Paris.", "And of Italy?": "It is Milan."}
    )
    assert first.passed
    assert first.answer == "It is Paris."
    assert second.failures == ["says none of: rome"]


async def test_the_answer_is_held_against_the_one_before() -> None:
    found = a_set(PARIS, {"caller": "And of Italy?"})
    replies = {"The capital of France?": "It is Paris.", "And of Italy?": "It is Paris."}
    _, second = await run(found, replies)
    assert second.failures == ["repeats the previous answer"]


async def test_a_call_that_was_hung_up_answers_nothing_more() -> None:
    found = a_set({"caller": "Hang up.", "tool": "end_call"}, PARIS)
    first, second = await run(found, {"Hang up.": "!end_call"})
    assert first.passed, first.failures
    assert second.failures == ["the agent had hung up"]


async def test_a_model_that_fails_fails_the_turn() -> None:
    (only,) = await run(a_set(PARIS), {"The capital of France?": "!fail"})
    assert len(only.failures) == 1
    assert "the fake model was told to fail" in only.failures[0]


def results() -> list[SetResult]:
    right = TurnResult("one", 1, "Say it.", "Paris.", total_ms=1500)
    wrong = TurnResult(
        "one", 2, "And\x07 again?", "<Rome>", ["says none of: x"], [ToolCall("fly", {"to": "x"})]
    )
    return [SetResult(a_set(PARIS, **{"pass": 0.5}), [right, wrong], ["two: calls have no tool fly"])]


def test_a_set_passes_with_as_many_right_answers_as_it_asks_for() -> None:
    (result,) = results()
    assert (result.right, result.score, result.passed) == (1, 0.5, True)
    result.turns.append(result.turns[-1])
    assert not result.passed
    assert SetResult(result.scenarios).passed  # nothing of it was run


def test_junit_has_a_case_for_each_turn() -> None:
    root = ElementTree.fromstring(to_junit(results()))
    suite = root.find("testsuite")
    assert suite is not None
    assert {key: suite.get(key) for key in ("name", "tests", "failures", "skipped", "time")} == {
        "name": "Set",
        "tests": "3",
        "failures": "1",
        "skipped": "1",
        "time": "1.500",
    }
    failed = suite.find("testcase/failure")
    assert failed is not None
    assert failed.get("message") == "says none of: x"
    assert failed.text == "Caller: And again?\nAgent: <Rome>"


def test_junit_tells_runs_apart_and_holds_what_xml_cannot() -> None:
    turn = TurnResult("one", 1, "Say\ufffe it\ud800.", "Paris.")
    root = ElementTree.fromstring(to_junit([SetResult(a_set(PARIS), [turn, turn])]))
    assert [case.get("name") for case in root.iter("testcase")] == ["1. Say it.", "1. Say it. (run 2)"]


def test_a_call_s_case_has_its_time() -> None:
    assert CallResult("one", [("Hello.", "Hi.")], took_s=1.5).turn.total_ms == 1500


def test_json_has_everything() -> None:
    told = json.loads(to_json(results(), model="m", over="text"))
    assert (told["model"], told["sets"][0]["score"]) == ("m", 0.5)
    assert told["sets"][0]["turns"][1]["tool_calls"][0]["arguments"] == {"to": "x"}
    assert Path(told["sets"][0]["file"]).name == told["sets"][0]["file"]


def test_over_sip_what_was_noted_must_have_been_heard() -> None:
    found = a_set(
        PARIS, {"caller": "And of Italy?", "says": "rome"}, {"caller": "Hang up.", "tool": "end_call"}
    )
    answers = [
        Answer(Turn("agent", "It is Paris."), "It is Harris", 200.0),
        Answer(Turn("agent", "It is Rome."), "", 300.0),
        Answer(None, "Goodbye now", 100.0),
    ]
    calls = [(), (), (ToolCall("end_call"),)]
    first, second, third = judged(found, found.scenarios[0], answers, calls, goodbye="Goodbye now.")
    assert first.passed
    assert second.failures == ["isn't what was heard on the line"]
    assert third.passed, third.failures


def test_what_sounds_like_what_was_said() -> None:
    assert sounds_like("we are open from 9 to 5", "We're open from nine to five.")
    assert not sounds_like("thank you", "We're open from nine to five.")


def test_a_tool_is_called_after_the_question_that_asked_for_it() -> None:
    def asked(last_speech: float) -> metrics.Turn:
        return metrics.Turn("", "question", last_speech - 1, last_speech, None, False, False, None)

    calls = [ToolCall("a", at=1006.0), ToolCall("b", at=1012.0), ToolCall("c", at=1013.0)]
    found = tool_calls([asked(5), asked(10)], calls, unix_s=1000.0)
    assert [[call.name for call in each] for each in found] == [["a"], ["b", "c"]]
