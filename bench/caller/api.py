"""What the server's HTTP interface wants of the one who asks."""

from __future__ import annotations

from collections.abc import Mapping

API_KEY = "OFFHOOK_HTTP__API_KEY"


def api_headers(environment: Mapping[str, str]) -> dict[str, str]:
    """The API key from the environment, if there is one."""
    key = environment.get(API_KEY, "")
    return {"Authorization": f"Bearer {key}"} if key else {}
