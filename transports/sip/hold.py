"""Hold: who holds a call, and what of it goes on (RFC 3264, 8.4)."""

from __future__ import annotations

import asyncio

from baresip.errors import BaresipError

from transports.playout import Playout
from transports.sip.dialog import Dialog
from transports.sip.native import Stack
from transports.sip.sdp import Direction

REFRESH_S = 5.0  # another re-INVITE may be under way
LOOK_AGAIN_S = 0.1
_HELD = (Direction.SENDONLY, Direction.INACTIVE)  # by the peer, who hears nothing


class Hold:
    """One call's. While the peer holds, the agent's speech waits, and what comes is music to be ignored."""

    def __init__(self, call_id: str, dialog: Dialog, stack: Stack, playout: Playout) -> None:
        self._call_id = call_id
        self._dialog = dialog
        self._stack = stack
        self._playout = playout
        self._ours = False

    @property
    def silent(self) -> bool:
        """Whether nothing may come, by agreement."""
        return self._ours or self._dialog.agreed.direction is not Direction.SENDRECV

    @property
    def by_peer(self) -> bool:
        return self._dialog.agreed.direction in _HELD

    def agreed(self) -> None:
        """The peer may have held the call, or have taken it up again."""
        if self.by_peer:
            self._playout.hold("peer")
        else:
            self._playout.resume("peer")

    async def hold(self, ours: bool) -> None:
        """Hold the call on our side, or don't any more: a peer that isn't told in time is treated alike."""
        self._ours = ours
        try:
            async with asyncio.timeout(REFRESH_S):
                while not await self._stack.calls.send_only(self._call_id, self._ours):  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_AGAIN_S)
        except (TimeoutError, BaresipError):
            return
