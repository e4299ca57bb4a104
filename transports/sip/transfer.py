"""Transfers: the peer is asked to call somebody else in the place of us (RFC 3515, RFC 5589)."""

from __future__ import annotations

from baresip import errors
from baresip.call import Call

from transports.call import TransferFailed

TRANSFERRED = "Call transfered"  # what the stack says, and spells so, when it closes such a call


async def refer(call: Call, uri: str, timeout_s: float) -> None:
    """Blindly. Returns once the peer has told that `uri` answered; the stack then ends the call.

    Raises TransferFailed.
    """
    try:
        await call.transfer(uri, timeout=timeout_s)
    except errors.TransferFailed as error:
        raise TransferFailed(_sentence(error), error.status) from error
    except errors.StaleHandleError:
        raise TransferFailed("The caller has hung up.") from None
    except errors.BaresipError as error:
        raise TransferFailed(f"It couldn't be asked for: {error}.") from error


def _sentence(error: errors.TransferFailed) -> str:
    if error.status in _WHY:
        return _WHY[error.status]
    if error.status is not None:
        return f"{error.status} {error.reason}.".replace(" .", ".")
    if str(error).startswith("call closed"):
        return "The caller hung up."
    return "Nobody told in time whether it was answered."


_WHY: dict[int | None, str] = {
    405: "The caller's side doesn't take transfers (405).",
    501: "The caller's side doesn't take transfers (501).",
    486: "The target is busy (486).",
    603: "The target declined (603).",
    480: "The target can't be reached (480).",
    408: "The target doesn't answer (408).",
    404: "The target is unknown (404).",
}
