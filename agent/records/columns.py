"""What was said and done in a call, as columns: redacted as the settings want it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from agent import conversation
from agent.observer import Recorded
from config.records import RecordsSettings

REDACTED = "[redacted]"


class Columns:
    def __init__(self, settings: RecordsSettings) -> None:
        self._redacted = [(re.compile(one), REDACTED) for one in settings.redact]
        if settings.redact_digits:
            self._redacted.append((re.compile(r"\d"), "#"))

    def turn(self, turn: conversation.Turn) -> dict[str, Any]:
        return {
            "speaker": turn.speaker,
            "text": self._words(turn.text),
            "at": moment(turn.at),
            "began": moment(turn.began) if turn.began else None,
            "cut_off": turn.cut_off,
            "end_of_turn": dict(turn.end_of_turn),
            "ledger": dict(turn.ledger),
            "voice_to_voice_ms": turn.voice_to_voice_ms,
            "sources": list(turn.sources),
        }

    def tool_call(self, call: conversation.ToolCall) -> dict[str, Any]:
        return {
            "name": call.name,
            "arguments": self._said(dict(call.arguments)),
            "at": moment(call.at),
            "seconds": call.seconds,
            "result": self._said(call.result),
            "error": call.error and self._words(call.error),
        }

    def action(self, action: conversation.Action) -> dict[str, Any]:
        said = self._said(dict(action.arguments), numbers=False)
        return {"name": action.name, "arguments": said, "by": action.by, "at": moment(action.at)}

    def problem(self, problem: conversation.Problem) -> dict[str, Any]:
        return {"text": self._words(problem.text), "at": moment(problem.at)}

    def flow(self, flow: Mapping[str, Any]) -> dict[str, Any]:
        return {**flow, "slots": self._said(flow["slots"])}

    def _said(self, value: Any, *, numbers: bool = True) -> Any:
        """JSON's values, with the words and `numbers` in it as they may be stored."""
        match value:
            case str():
                return self._words(value)
            case dict():
                return {key: self._said(one, numbers=numbers) for key, one in value.items()}
            case list() | tuple():
                return [self._said(one, numbers=numbers) for one in value]
            case int() | float() if numbers and not isinstance(value, bool):
                shown = self._words(str(value))
                return value if shown == str(value) else shown
            case _:
                return value

    def _words(self, text: str) -> str:
        for pattern, instead in self._redacted:
            text = pattern.sub(instead, text)
        return storable(text)


def recording(recorded: Recorded | None) -> dict[str, Any]:
    return {
        "recording_path": str(recorded.path) if recorded else None,
        "recording_began": moment(recorded.began) if recorded else None,
        "recording_s": recorded.seconds if recorded else None,
        "recording_bytes": recorded.bytes if recorded else None,
    }


def storable(text: str) -> str:
    """PostgreSQL has no NUL in a text, and neither database half of a surrogate pair."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def moment(unix_s: float) -> datetime:
    return datetime.fromtimestamp(unix_s, UTC)
