"""Ends calls that the stack left half made.

baresip 4.10 drops a call whose 180 it can't send, as when a TCP peer has reset the connection by then. By
that time baresip-python holds it, having been told of its SDP, and waits for an end that nobody tells of:
the call counts as a live one for good, and is freed twice when the stack stops.
"""

from __future__ import annotations

import ctypes
from typing import Any

from transports.sip.libre import elements

_IDLE = 0  # enum call_state
_SERVER_ERROR = 500

_pointer, _int, _text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "uag_list": (_pointer, []),
    "ua_calls": (_pointer, [_pointer]),
    "list_head": (_pointer, [_pointer]),
    "call_id": (_text, [_pointer]),
    "call_state": (_int, [_pointer]),
    "mem_ref": (_pointer, [_pointer]),
    "ua_hangup": (None, [_pointer, _pointer, ctypes.c_uint16, _text]),
}


def end_abandoned(library: ctypes.CDLL) -> int:
    """On the SIP thread, outside its handlers, where no call is just being made. Returns how many it were."""
    ended = 0
    for agent in list(elements(library.list_head(library.uag_list()))):
        for call in list(elements(library.list_head(library.ua_calls(agent)))):
            if library.call_state(call) == _IDLE and library.call_id(call) is None:
                library.mem_ref(call)  # the stack's own, which it gave up
                library.ua_hangup(agent, call, _SERVER_ERROR, b"Call Error")
                ended += 1
    return ended
