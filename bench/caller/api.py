"""What the server's HTTP interface wants of the one who asks."""

from __future__ import annotations

import os

API_KEY = "OFFHOOK_HTTP__API_KEY"


def api_headers() -> dict[str, str]:
    """The API key from the environment, if there is one."""
    key = os.environ.get(API_KEY, "")
    return {"Authorization": f"Bearer {key}"} if key else {}
