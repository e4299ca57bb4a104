"""What a route needs of the key that it is asked with: `dependencies=[READ]`, its own or its router's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, cast, get_args

from fastapi import Depends, FastAPI, Security
from fastapi.params import Security as Needed
from fastapi.routing import iter_route_contexts
from fastapi.security import SecurityScopes
from starlette.requests import HTTPConnection

from agent.http.problems import ProblemError
from agent.records.keys import Scope

SCOPES: tuple[Scope, ...] = get_args(Scope)
IMPLIED: Mapping[Scope, tuple[Scope, ...]] = {"operate": ("read",), "admin": SCOPES}


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever asks, by the name of their key, and all that they may."""

    name: str
    scopes: frozenset[Scope]

    @classmethod
    def of(cls, name: str, scopes: Iterable[Scope]) -> Holder:
        return cls(name, frozenset(each for scope in scopes for each in (scope, *IMPLIED.get(scope, ()))))


OPERATOR = Holder.of("http.api_key", ["admin"])
A_NODE = Holder.of("node", ["read"])  # another one of the cluster, for nobody
ANYONE_HERE = Holder.of("", ["admin"])  # where no key is asked for


async def holder(connection: HTTPConnection) -> Holder:
    """As the guard in front of the application has found it. Raises ProblemError if it wasn't asked."""
    if found := connection.scope.get("user"):
        return cast("Holder", found)
    raise ProblemError(401, "Nobody has looked at your API key.")


Asking = Annotated[Holder, Depends(holder)]


async def _authorize(needed: SecurityScopes, asking: Asking) -> None:
    if missing := [scope for scope in needed.scopes if scope not in asking.scopes]:
        raise ProblemError(403, f"This needs a key with the scope {missing[0]}, which {asking.name} hasn't.")


READ, OPERATE, LISTEN, ADMIN = (Security(_authorize, scopes=[scope]) for scope in SCOPES)


def needed_scopes(app: FastAPI) -> dict[tuple[str, str], list[str]]:
    """What each route needs, by method and path; a WebSocket's method is WS. Empty where it says nothing."""
    found: dict[tuple[str, str], list[str]] = {}
    for route in iter_route_contexts(app.routes):
        declared = [each for each in getattr(route, "dependencies", None) or () if isinstance(each, Needed)]
        scopes = [scope for each in declared if each.dependency is _authorize for scope in each.scopes or ()]
        for method in getattr(route, "methods", None) or {"WS"}:
            found[method, route.path_format or ""] = scopes
    return found
