"""What a language model is told of the persona that it speaks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from models.llm.acts import ActExample

if TYPE_CHECKING:
    from models.knowledge.knowledge import Knowledge
    from models.llm.discretion import Instructions

Message = Mapping[str, Any]


@dataclass(frozen=True)
class Brief:
    """`primer` is what every conversation begins with, its first the system message; `examples`, of what is
    done about a caller's words, help a bundled model choose among `tools`, which are as OpenAI describes
    them. `language` is a BCP 47 tag. `again` is said where an answer was lost. `knowledge` is what its pages
    say. `instructions` aren't recited: `not_told` is said instead. `lessons` are those by which the service
    is asked to choose. `now` is the time by which days and times are read."""

    primer: Sequence[Message]
    language: str = "en"
    examples: Sequence[ActExample] = ()
    again: str = ""
    tools: Sequence[Mapping[str, Any]] = ()
    knowledge: Knowledge | None = None
    instructions: Instructions | None = None
    not_told: str = ""
    lessons: Sequence[str] = ()
    now: Callable[[], datetime] = datetime.now
