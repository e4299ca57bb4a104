"""Dials by baresip-python, without losing what happens before it has returned the call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from baresip.call import Call
from baresip.events import StackEvent
from baresip.runtime import Runtime
from baresip.ua import UserAgent


async def dial(runtime: Runtime, agent: UserAgent, uri: str) -> tuple[Call, str, Callable[[], None]]:
    """Send an INVITE. Returns the call, its Call-ID, and what tells its listeners of all that came before.

    On loopback a refusal comes before the command's own answer; the call would never hear of it, nor end.
    Raises BaresipError.
    """
    seen: list[StackEvent] = []
    runtime.subscribe(seen.append)
    try:
        call = await agent.dial(uri)
    finally:
        runtime.unsubscribe(seen.append)
    missed: Sequence[StackEvent] = [event for event in seen if event.call == call.handle]
    call_id = next(event.call_id for event in missed if event.call_id)

    def tell() -> None:
        for event in missed:
            call._on_stack_event(event)

    return call, call_id, tell
