"""The settings are read again over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from agent.http.app import create_app
from agent.http.reload import reload_router
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls, FakeModels
from tests.agent.test_reload import running, settings


async def test_over_http_with_the_key_that_is_new(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = "first-key-first-key", "second-key-second-key"
    async with running(monkeypatch, http={"api_key": first}) as one:
        app = create_app(
            settings=one.server.settings,
            calls=FakeCalls(),
            models=FakeModels(),
            api_key=one.server._api_key,
            routers=[reload_router(one.server.reload)],
        )
        client = await serve(app)

        async def post(key: str) -> Any:
            return await client.post("/api/v1/reload", headers={"X-API-Key": key})

        sip = {"host": one.at[0], "port": one.at[1]}
        one.wanted[0] = settings(http={"api_key": second}, sip=sip | {"rtp_timeout_s": 30})
        assert (await post("a-wrong-key-a-wrong-key")).status_code == 401
        answer = await post(first)
        assert answer.json() == {"applied": ["http.api_key"], "needs_restart": ["sip.rtp_timeout_s"]}
        assert (await post(first)).status_code == 401
        assert (await post(second)).json()["applied"] == []
        one.wanted[0] = settings(http={"api_key": second}, sip=sip, persona="nobody.yaml")
        answer = await post(second)
        assert answer.status_code == 422
        assert "nobody.yaml" in answer.json()["detail"]
