"""Hold and transfers, where what baresip-python has would hold in the stack's way, without music."""

from __future__ import annotations

import ctypes
from typing import Any

from baresip import _native

from transports.sip.libre import OnSipThread, declare

_SENDONLY, _SENDRECV = 2, 3  # enum sdp_dir

_pointer, _int, _text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "uag_call_find": (_pointer, [_text]),
    "call_modify": (_int, [_pointer]),
    "call_refresh_allowed": (ctypes.c_bool, [_pointer]),
    "call_set_audio_ldir": (None, [_pointer, _int]),
    "call_replace_transfer": (_int, [_pointer, _pointer]),
    # The last argument is the first of a variable number, which there is one of.
    "call_notify_sipfrag": (_int, [_pointer, ctypes.c_uint16, _text, _text]),
}


class StackCalls:
    """Calls are named by their SIP Call-ID."""

    def __init__(self, on_sip_thread: OnSipThread) -> None:
        self._on_sip_thread = on_sip_thread
        self._lib = ctypes.CDLL(str(_native.__file__))
        declare(self._lib, _SIGNATURES)

    async def send_only(self, sip_call_id: str, held: bool) -> bool:
        """Have the peer send nothing, or again, by a re-INVITE; False while another one is under way."""

        def invite() -> bool:
            call = self._lib.uag_call_find(sip_call_id.encode())
            if call and not self._lib.call_refresh_allowed(call):
                return False
            if call:
                self._lib.call_set_audio_ldir(call, _SENDONLY if held else _SENDRECV)
                self._lib.call_modify(call)
            return True

        return await self._on_sip_thread(invite)

    async def replace(self, sip_call_id: str, other: str) -> bool:
        """Ask the one call's peer to call the other's in our place (Replaces); False if one is gone."""

        def transfer() -> bool:
            calls = [self._lib.uag_call_find(one.encode()) for one in (sip_call_id, other)]
            return all(calls) and not self._lib.call_replace_transfer(*calls)

        return await self._on_sip_thread(transfer)

    async def notify(self, sip_call_id: str, status: int, reason: str) -> None:
        """Tell who has asked us to call somebody how that goes; from 200 on for the last time."""

        def tell() -> None:
            if call := self._lib.uag_call_find(sip_call_id.encode()):
                self._lib.call_notify_sipfrag(call, status, b"%s", reason.encode())

        await self._on_sip_thread(tell)
