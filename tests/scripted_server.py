"""`offhook serve` with scripted models, which load at once and take their scripted time.

`python -m tests.scripted_server serve` is the server; with a descriptor in place of `serve` it is one of its
other processes. `SCRIPT` may say in JSON what callers ask, each by a chord of its own, and what is replied.
"""

from __future__ import annotations

import json
import os
import sys
from types import SimpleNamespace
from typing import Any

import agent.server
import agent.sessions
import agent.workers
from agent.canary import Canary
from agent.cli import app
from agent.session import CallSession
from models.errors import ModelFailed
from models.pool import ComponentHealth
from tests.agent.conversation_kit import FakeModels, Outcome, Says
from tests.crowd import ANSWER, QUESTION, QUESTION_S


class _Llm:
    accepting = (True, "")
    down = False
    speaker = None
    why = "It is scripted."

    @property
    def endpoint(self) -> Any:
        raise ModelFailed("It is scripted.")


class _Pool:
    """As far as the server itself asks the models for anything."""

    def __init__(self, *_: object, **__: object) -> None:
        self.llm = _Llm()
        self.devices = SimpleNamespace(no_gpu="")
        self.voices = SimpleNamespace(remember=self._remember)

    async def _remember(self, *_: object, **__: object) -> None: ...
    def tell(self, *_: object) -> None: ...
    def learn(self, *_: object) -> None: ...
    async def start(self, *_: object) -> None: ...
    async def close(self) -> None: ...

    away = ""

    def gpu(self) -> None: ...
    def speaks(self, *_: object) -> bool:
        return True

    def health(self) -> list[ComponentHealth]:
        return [ComponentHealth("language model", "ready", "", "scripted", None, 0)]


class _Canary(Canary):
    async def _said_and_heard(self) -> None: ...


class _Forgotten(list[Any]):
    """What a long call would only fill the memory with."""

    def append(self, _: object) -> None: ...


def _session(*args: Any, **named: Any) -> CallSession:
    script: dict[str, str] = json.loads(os.environ.get("SCRIPT", "null")) or {QUESTION: ANSWER}
    says = [Says(0, QUESTION_S, text, finished=0.9) for text in script if text[0] != "{"]  # a tool's result
    outcome = Outcome(contexts=_Forgotten(), offered=_Forgotten(), spoken=_Forgotten())
    models: Any = FakeModels(says, script, outcome)
    return CallSession(*args, **(named | {"pool": models}))


def main() -> None:
    patched: Any = agent.server
    patched.ModelPool, patched.Canary = _Pool, _Canary
    patched = agent.sessions
    patched.CallSession = _session
    patched = agent.workers
    patched.PROGRAM = "tests.scripted_server"
    if sys.argv[1] == "serve":
        app()
    else:
        from agent.worker import main as work

        work()


if __name__ == "__main__":
    main()
