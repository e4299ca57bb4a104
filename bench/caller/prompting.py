"""Steps that come while the call goes on, a line of JSON each time."""

from __future__ import annotations

import threading
from collections import deque
from typing import TextIO

from pydantic import TypeAdapter

from bench.caller.script import Hangup, Step

ASKED = "prompt"
STEPS: TypeAdapter[tuple[Step, ...]] = TypeAdapter(tuple[Step, ...])


class LinePrompter:
    """Writes a line to `out` where it needs steps, and reads them from `given`; its end hangs up."""

    def __init__(self, given: TextIO, out: TextIO) -> None:
        self._out = out
        self._steps: deque[tuple[Step, ...]] = deque()
        threading.Thread(target=self._read, args=(given,), name="prompter", daemon=True).start()

    def ask(self) -> None:
        print(ASKED, file=self._out, flush=True)

    def steps(self) -> tuple[Step, ...]:
        return self._steps.popleft() if self._steps else ()

    def _read(self, given: TextIO) -> None:
        for line in given:
            self._steps.append(STEPS.validate_json(line))
        self._steps.append((Hangup(),))
