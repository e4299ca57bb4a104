"""Callers over SIP: the process that dials."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.evals.desk_over_sip import _Call
from bench.subjects import ROOT
from tests.agent.evals.test_callers import SET


async def test_a_caller_finds_its_module_wherever_this_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a wheel, whose packages lie in a folder that nobody else searches."""

    class Spawned(Exception):
        pass

    async def spawn(*_: object, env: dict[str, str] | None = None, **__: object) -> None:
        raise Spawned((env or os.environ).get("PYTHONPATH"))

    monkeypatch.setattr(asyncio, "create_subprocess_exec", spawn)
    server = SimpleNamespace(settings=SimpleNamespace(sip=SimpleNamespace(port=5060)))
    desk = SimpleNamespace(now=lambda: datetime.now(UTC))
    nobody = cast(Any, None)
    with pytest.raises(Spawned) as spawned:
        await _Call(cast(Any, server), cast(Any, desk), nobody, "", tmp_path).made(SET, SET.callers[0])
    assert spawned.value.args == (str(ROOT),)
