"""Which settings a running server takes, and what becomes of all of them when they are read again. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ValidationError

from config.errors import ConfigError
from config.keys import KEYS
from config.settings import Settings
from config.sources import value_of

# Keys, or whole sections. Who answers: needs voices and languages that are loaded.
ANSWERING = frozenset({"persona", "languages", "numbers", "routes", "test_numbers", "transfer"})
LIVE = ANSWERING | {
    "log.level",
    "limits",
    *(
        "call.max_duration_s",
        "call.idle_prompt_s",
        "call.idle_prompts",
        "call.end_deadline_s",
        "call.drain_s",
    ),
    *("sip.accounts", "sip.users", "sip.allow", "sip.trusted_peers", "sip.proxies", "sip.ban_exempt"),
    "sip.accept_refer",
    *("outbound.allow", "outbound.deny", "outbound.international_prefixes", "outbound.gateway"),
    *("outbound.max_calls", "outbound.calls_per_minute", "outbound.minutes_per_day"),
    *("outbound.key_max_calls", "outbound.key_calls_per_minute", "outbound.key_minutes_per_day"),
    "http.api_key",
    *("tools.folder", "tools.http", "tools.hosts", "tools.result_characters"),
}
PERSONAS, TOOLS = "personas", "tools"  # their files, which no key has


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Keys, by their dotted names, whose values have changed."""

    applied: tuple[str, ...]
    needs_restart: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    settings: Settings
    """What the server goes on with."""
    reloaded: Reloaded

    def with_files(self, name: str, keys: Iterable[str], *, applied: bool = True) -> Plan:
        """With files named among what is applied, or needs a restart, if nothing else is that `keys` say."""
        outcome = "applied" if applied else "needs_restart"
        named: tuple[str, ...] = getattr(self.reloaded, outcome)
        if any(_within(key, keys) for key in named):
            return self
        return replace(self, reloaded=replace(self.reloaded, **{outcome: (*named, name)}))


def plan(now: Settings, wanted: Settings, *, without: Iterable[str] = ()) -> Plan:
    """What may be applied of the `wanted` settings, but for those `without`.

    Raises ConfigError where that doesn't fit what stays as it is.
    """
    live = {key for key in KEYS if _within(key, LIVE)} - {key for key in KEYS if _within(key, without)}
    changed = [key for key in KEYS if value_of(now, key) != value_of(wanted, key)]
    if (now.http.api_key is None) != (wanted.http.api_key is None):
        live.discard("http.api_key")  # what is served, and to whom, hangs on whether there is one
    applied = tuple(key for key in changed if key in live)
    settings = now
    for key in applied:
        settings = _with(settings, key.split("."), value_of(wanted, key))
    try:
        Settings.model_validate(settings.model_dump(exclude_unset=True))
    except ValidationError as error:
        why = error.errors(include_url=False)[0].get("ctx", {}).get("error", "it isn't valid")
        raise ConfigError(f"What can be applied needs a restart with the rest: {why}") from None
    return Plan(settings, Reloaded(applied, tuple(key for key in changed if key not in live)))


def _within(key: str, sections: Iterable[str]) -> bool:
    return any(key == section or key.startswith(f"{section}.") for section in sections)


def _with(branch: Any, path: list[str], value: object) -> Any:
    name, *rest = path
    assert isinstance(branch, BaseModel)
    own = _with(getattr(branch, name), rest, value) if rest else value
    return branch.model_copy(update={name: own})
