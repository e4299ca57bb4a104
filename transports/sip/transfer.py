"""Transfers: the peer is asked to call somebody else in the place of us (RFC 3515, RFC 3891, RFC 5589)."""

from __future__ import annotations

import asyncio

from baresip import errors
from baresip.call import Call
from baresip.events import Event, StackEvent

from transports.call import CallTransport, TransferFailed
from transports.sip.native import Stack

TRANSFERRED = "Call transfered"  # what the stack says, and spells so, when it closes such a call


async def refer(stack: Stack, call: Call, to: str | CallTransport, timeout_s: float) -> None:
    """To a URI, or to whom another call of ours is with, which that call is then replaced with.

    Returns once the peer has told that it was answered; the stack then ends the call. Raises TransferFailed.
    """
    try:
        if isinstance(to, str):
            await call.transfer(to, timeout=timeout_s)
        else:
            await _replace(stack, call, to.info.call_id, timeout_s)
    except errors.TransferFailed as error:
        raise TransferFailed(_sentence(error), error.status) from error
    except errors.StaleHandleError:
        raise TransferFailed("The caller has hung up.") from None
    except errors.BaresipError as error:
        raise TransferFailed(f"It couldn't be asked for: {error}.") from error


async def _replace(stack: Stack, call: Call, other_call_id: str, timeout_s: float) -> None:
    """As baresip-python's own, which holds both calls in the stack's way: for good, where it fails."""
    outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_event(event: StackEvent) -> None:
        if outcome.done():
            return
        text = event.text or ""
        if event.event is Event.CALL_TRANSFER_FAILED:
            status, reason = errors.split_status(text)
            outcome.set_exception(errors.TransferFailed(text, status=status, reason=reason))
        elif event.event is Event.CALL_CLOSED and text == TRANSFERRED:
            outcome.set_result(None)
        elif event.event is Event.CALL_CLOSED:
            outcome.set_exception(errors.TransferFailed("call closed"))

    call.on(on_event)
    try:
        if not await stack.calls.replace(call.call_id or "", other_call_id):
            raise errors.StaleHandleError("a call no longer exists")
        async with asyncio.timeout(timeout_s):
            await outcome
    except TimeoutError:
        raise errors.TransferFailed("no outcome in time") from None
    finally:
        call.off(on_event)


def _sentence(error: errors.TransferFailed) -> str:
    if error.status in _WHY:
        return _WHY[error.status]
    if error.status is not None:
        phrase = "".join(c for c in error.reason if c.isprintable())[:_LONGEST_PHRASE]  # the peer's words
        return f"It failed there ({error.status} {phrase})."
    if str(error).startswith("call closed"):
        return "The caller hung up."
    return "Nobody told in time whether it was answered."


_LONGEST_PHRASE = 60
_WHY: dict[int | None, str] = {
    405: "The caller's side doesn't take transfers (405).",
    501: "The caller's side doesn't take transfers (501).",
    486: "The target is busy (486).",
    603: "The target declined (603).",
    480: "The target can't be reached (480).",
    408: "The target doesn't answer (408).",
    404: "The target is unknown (404).",
}
