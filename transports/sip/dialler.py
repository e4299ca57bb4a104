"""Makes calls over SIP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from baresip.errors import BaresipError, NoLocalAddressError
from baresip.runtime import Runtime
from baresip.ua import UserAgent

from config.destinations import Destination
from transports.call import CallGone, CallInfo, EndReason
from transports.sip.dialogs import Dialogs
from transports.sip.moving import MovingCall
from transports.sip.native import Stack
from transports.sip.native_dial import dial
from transports.sip.outgoing import OutgoingCall
from transports.sip.parties import Parties


class Dialler:
    """Of one SIP stack. Asks nobody whether a call may be made: `SipServer.dial` does."""

    def __init__(self, runtime: Runtime, stack: Stack, dialogs: Dialogs, **named: Any) -> None:
        """`named` is what every call of the server's is given."""
        self._runtime = runtime
        self._stack = stack
        self._dialogs = dialogs
        self._named = named

    async def dial(
        self,
        agent: UserAgent,
        account: str,
        destination: Destination,
        begin: Callable[[OutgoingCall], None],
        *,
        ring_timeout_s: float,
        replaces: str = "",
        joins: MovingCall | None = None,
    ) -> OutgoingCall:
        """Send an INVITE, and have `begin` called before the call hears of what came of it.

        `replaces` is the dialog in whose place it is to be (RFC 3891), escaped. Raises CallGone where that
        isn't possible.
        """
        uri = str(destination)
        invited = uri.partition(";")[0]
        self._dialogs.dial(invited)
        try:
            native_call, call_id, tell = await dial(
                self._runtime, agent, f"{uri}?Replaces={replaces}" if replaces else uri
            )
        except BaseException as error:
            self._dialogs.dialled(invited)
            if not isinstance(error, BaresipError):
                raise
            why = "No address of this machine reaches its host (sip.host)."
            if not isinstance(error, NoLocalAddressError):
                why = f"It can't be dialled: {error}."
            raise CallGone(why, EndReason.NOT_REACHED) from error
        who = Parties(account, "", destination.user)
        dialog = self._dialogs.begin(invited, call_id, who)
        info = CallInfo("sip", who.caller, who.called, call_id=call_id, account=account, direction="outbound")
        call = OutgoingCall(
            native_call,
            info,
            dialog,
            stack=self._stack,
            ring_timeout_s=ring_timeout_s,
            joins=joins,
            host=destination.at.host.strip("[]"),
            **self._named,
        )
        begin(call)
        tell()
        return call
