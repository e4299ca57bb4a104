"""The API's reference in a real Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from agent.http.app import create_app
from agent.http.page import page_router
from config.settings import Settings
from tests.agent.http.conftest import Serve, serve
from tests.agent.http.fakes import FakeCalls, FakeModels
from tests.e2e.browser import opened

pytestmark = pytest.mark.peers
expect.set_options(timeout=30_000)  # the machine may be busy
__all__ = ["serve"]

KEY = "s3cret-s3cret-s3cret"


@pytest.mark.parametrize("look", ["light", "dark"])
async def test_every_operation_is_there_and_can_be_tried(serve: Serve, tmp_path: Path, look: str) -> None:
    settings = Settings.model_validate({"http": {"api_key": KEY}})
    calls = FakeCalls()
    app = create_app(settings=settings, calls=calls, models=FakeModels(), routers=[page_router()])
    client = await serve(app)
    said: list[str] = []
    url = str(client.base_url).rstrip("/") + "/docs"
    knows = f"sessionStorage.setItem('offhook.key', '{KEY}')"  # as the other pages keep it
    async with opened(None, tmp_path, url, script=knows, color_scheme=look) as page:
        page.on("console", lambda message: said.append(message.text))
        await page.reload()
        paths = app.openapi()["paths"].values()
        await expect(page.locator(".opblock")).to_have_count(sum(len(methods) for methods in paths))
        dark = await page.evaluate("document.documentElement.classList.contains('dark-mode')")
        assert dark == (look == "dark")
        drain = page.locator(".opblock-post", has=page.locator('[data-path="/api/v1/drain"]'))
        await drain.locator(".opblock-summary-control").click()
        await expect(drain).to_contain_text("Needs the scope operate.")
        await drain.get_by_role("button", name="Try it out").click()
        await drain.get_by_role("button", name="Execute").click()
        await expect(drain.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
        assert calls.draining
    assert said == []
