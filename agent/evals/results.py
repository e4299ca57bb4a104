"""What came of a run, as JSON and as JUnit's XML."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from agent.conversation import ToolCall
from agent.evals.callers import CallerSet
from agent.evals.scenario import ScenarioSet

_UNPRINTABLE = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2


@dataclass(frozen=True)
class TurnResult:
    """One answer. Over SIP `answer` is what the session noted, and `heard` what was heard on the line."""

    scenario: str
    turn: int  # from 1
    caller: str
    answer: str
    failures: Sequence[str] = ()
    tool_calls: Sequence[ToolCall] = ()
    heard: str | None = None
    first_token_ms: float | None = None
    total_ms: float | None = None
    voice_to_voice_ms: float | None = None

    @property
    def passed(self) -> bool:
        return not self.failures


@dataclass
class SetResult:
    scenarios: ScenarioSet | CallerSet
    turns: list[TurnResult] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)  # why, a sentence each

    @property
    def right(self) -> int:
        return sum(turn.passed for turn in self.turns)

    @property
    def score(self) -> float | None:
        """The share of right turns; None where none was run."""
        return self.right / len(self.turns) if self.turns else None

    @property
    def passed(self) -> bool:
        return self.score is None or self.score >= self.scenarios.pass_


def to_json(results: Sequence[SetResult], *, model: str, over: str) -> str:
    return json.dumps(
        {"model": model, "over": over, "sets": [_plain(result) for result in results]},
        ensure_ascii=False,
        indent=1,
    )


def to_junit(results: Sequence[SetResult]) -> bytes:
    """A suite for each set, a case for each turn. A set may pass with some of its turns failed."""
    root = ElementTree.Element("testsuites", name="offhook eval")
    for result in results:
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=result.scenarios.name,
            tests=str(len(result.turns) + len(result.skipped)),
            failures=str(len(result.turns) - result.right),
            errors="0",
            skipped=str(len(result.skipped)),
            time=f"{sum(turn.total_ms or 0 for turn in result.turns) / 1000:.3f}",
        )
        named = Counter[tuple[str, int]]()
        for turn in result.turns:
            named[turn.scenario, turn.turn] += 1
            again = named[turn.scenario, turn.turn]
            case = ElementTree.SubElement(
                suite,
                "testcase",
                classname=f"{result.scenarios.file.stem}.{turn.scenario}",
                name=f"{turn.turn}. {_printable(turn.caller)}" + (f" (run {again})" if again > 1 else ""),
                time=f"{(turn.total_ms or 0) / 1000:.3f}",
            )
            if turn.failures:
                failure = ElementTree.SubElement(
                    case, "failure", message=_printable("; ".join(turn.failures)), type="rule"
                )
                failure.text = f"Caller: {_printable(turn.caller)}\nAgent: {_printable(turn.answer)}"
        for reason in result.skipped:
            case = ElementTree.SubElement(
                suite, "testcase", classname=result.scenarios.file.stem, name=reason, time="0"
            )
            ElementTree.SubElement(case, "skipped", message=reason)
    ElementTree.indent(root)
    xml: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return xml


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _plain(result: SetResult) -> dict[str, Any]:
    return {
        "name": result.scenarios.name,
        "file": result.scenarios.file.name,
        "language": result.scenarios.language,
        "pass": result.scenarios.pass_,
        "score": result.score,
        "passed": result.passed,
        "skipped": result.skipped,
        "turns": [asdict(turn) for turn in result.turns],
    }


def _printable(text: str) -> str:
    """Without the characters that XML can't hold."""
    return _UNPRINTABLE.sub("", text)
