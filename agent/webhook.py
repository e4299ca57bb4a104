"""Posts what callers leave to somebody else's server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2

from config.webhook import WebhookSettings

TRIES_S = (0.0, 0.5, 2.0)  # how long before each, where a caller waits
_AGAIN = {408, 425, 429}  # and all of 500 and more

logger = logging.getLogger("offhook.webhook")


class WebhookFailed(Exception):
    """It wasn't taken, for a reason that is a sentence and quotes nothing."""


class Webhook:
    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings

    async def post(self, what: Mapping[str, Any], *, tries_s: Sequence[float] = TRIES_S) -> None:
        """Post it as JSON until it is taken. Raises WebhookFailed."""
        url, token = self._settings.url, self._settings.token
        if url is None:
            raise WebhookFailed("webhook.url isn't set.")
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        why = ""
        async with httpx2.AsyncClient(timeout=self._settings.timeout_s) as http:
            for wait_s in tries_s:
                await asyncio.sleep(wait_s)
                try:
                    status = (await http.post(url, json=dict(what), headers=headers)).status_code
                except httpx2.HTTPError as error:
                    why = f"The webhook doesn't answer: {type(error).__name__}."
                    continue
                if status < 300:
                    return
                why = f"The webhook answers HTTP {status}."
                if status < 500 and status not in _AGAIN:
                    break
        logger.warning("%s", why)
        raise WebhookFailed(why)
