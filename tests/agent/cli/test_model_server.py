"""`offhook models serve`, without models."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from agent import logs, model_server
from agent.cli.model_server import _serve
from agent.cli.serve import EXIT_CANNOT_START
from config.answering import load_personas
from config.settings import Settings
from models.errors import ModelError


async def test_a_reload_doesnt_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers: list[Any] = []

    class Server:
        def __init__(self, *_: object) -> None: ...

        async def start(self, _: object) -> None:
            handlers.append(signal.getsignal(signal.SIGHUP))
            raise ModelError("There are none.")

        async def close(self, *, drain_s: float) -> None: ...

    monkeypatch.setattr(model_server, "ModelServer", Server)
    monkeypatch.setattr(logs, "set_up", lambda settings: None)
    settings = Settings()
    assert await _serve(settings, load_personas(settings)) == EXIT_CANNOT_START
    assert handlers
    assert signal.SIG_DFL not in handlers
