"""Posts what happens in calls to somebody else's server, signed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import httpx2

from config.webhook import WebhookSettings

TRIES_S = (0.0, 0.5, 2.0)  # how long before each, where a caller waits
ONCE_S = (0.0,)
_AGAIN = {408, 425, 429}  # and all of 500 and more


class WebhookFailed(Exception):
    """It wasn't taken, for a reason that is a sentence and quotes nothing."""


class Webhook:
    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings

    async def post(
        self, kind: str, id: str, data: Mapping[str, Any], *, tries_s: Sequence[float] = TRIES_S
    ) -> None:
        """Post it as JSON until it is taken; what comes twice has the same `id`. Raises WebhookFailed."""
        url, token, key = self._settings.url, self._settings.token, self._settings.signing_key
        if url is None:
            raise WebhookFailed("webhook.url isn't set.")
        body = json.dumps({"type": kind, "data": dict(data)}, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        why = ""
        async with httpx2.AsyncClient(timeout=self._settings.timeout_s, verify=_tls()) as http:
            for wait_s in tries_s:
                await asyncio.sleep(wait_s)
                if key:
                    headers |= signature(key, id, int(time.time()), body)
                try:
                    status = (await http.post(url, content=body, headers=headers)).status_code
                except (httpx2.HTTPError, UnicodeError) as error:
                    why = f"The webhook doesn't answer: {type(error).__name__}."
                    continue
                if status < 300:
                    return
                why = f"The webhook answers HTTP {status}."
                if status < 500 and status not in _AGAIN:
                    break
        raise WebhookFailed(why)


def signature(key: bytes, id: str, at: int, body: bytes) -> dict[str, str]:
    """The headers that prove who has sent `body`, and when (standardwebhooks.com); `at` is Unix time."""
    signed = hmac.new(key, b"%s.%d." % (id.encode(), at) + body, hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


@cache
def _tls() -> ssl.SSLContext:
    """Made once: it takes longer than a packet may wait."""
    return httpx2.create_ssl_context()
