"""The conversations in `conversations/`, written for teaching, as they stand in the files.

Behind the signs # is said what a line means:

    === place: Harbour Cycles, a bicycle shop         # or: general
    name: Mia
    facts:
    - A service costs 45 pounds.
    tools:
    - book_service: Book a bicycle in. | day, kind of bicycle
    C: Do you lend pumps?                             # the caller
    P: found | Shop, Service: Pumps are lent for free. # what the place's pages say, where it has no facts
    A: Yes, and for free.                             # the agent
    C: Could you take my bicycle in on Thursday?
    T: book_service {"day": "Thursday"}               # what the words ask for
    R: booked                                         # what that gave
    A: Your bicycle is booked in for Thursday.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "conversations"
GENERAL = "general"
_TURN = re.compile(r"([CPATR]): ?(.*)")


@dataclass
class Turn:
    caller: str
    agent: str = ""
    tool: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    result: str = ""
    pages: tuple[str, str] = ("", "")  # how well what they say fits ("found", "perhaps", "nothing"), and that


@dataclass
class Conversation:
    language: str
    place: str
    name: str = ""
    facts: list[str] = field(default_factory=list)
    # What each does, and its parameters.
    tools: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)


def conversations(folder: Path = FOLDER) -> Iterator[Conversation]:
    """All of them; a file's name begins with their language. Raises ValueError for a line it can't read."""
    for file in sorted(folder.glob("*.txt")):
        yield from _read(file)


def _read(file: Path) -> Iterator[Conversation]:
    now: Conversation | None = None
    section = ""
    for number, line in enumerate(map(str.strip, file.read_text(encoding="utf-8").splitlines()), 1):
        key, _, rest = (part.strip() for part in line.partition(":"))
        if line.startswith("==="):
            if now is not None:
                yield now
            now, section = Conversation(file.stem.partition("_")[0], rest), ""
        elif not line or line.startswith("#"):
            continue
        elif now is None:
            raise ValueError(f"{file}:{number}: stands before the first conversation")
        elif line in ("facts:", "tools:"):
            section = key
        elif key == "name":
            now.name = rest
        elif line.startswith("- ") and section == "facts":
            now.facts.append(line[2:])
        elif line.startswith("- ") and section == "tools":
            does, _, parameters = rest.partition("|")
            now.tools[key[2:]] = does.strip(), [one.strip() for one in parameters.split(",") if one.strip()]
        elif said := _TURN.fullmatch(line):
            _add(now, said[1], said[2])
        else:
            raise ValueError(f"{file}:{number}: isn't understood: {line}")
    if now is not None:
        yield now


def _add(conversation: Conversation, who: str, text: str) -> None:
    if who == "C":
        conversation.turns.append(Turn(text))
        return
    turn = conversation.turns[-1]
    if who == "A":
        turn.agent = text
    elif who == "R":
        turn.result = text
    elif who == "P":
        fits, _, said = text.partition("|")
        turn.pages = fits.strip(), said.strip()
    else:
        turn.tool, _, arguments = text.partition(" ")
        turn.arguments = json.loads(arguments or "{}")
