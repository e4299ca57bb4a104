"""What taking SIP calls asks of the process: descriptors, a quick interpreter, and logs without numbers."""

from __future__ import annotations

import logging
import re
import resource
import sys

# With the default of 5 ms, the feeder misses its moment when the event loop computes for 40 ms.
GIL_SWITCH_INTERVAL_S = 0.001
# A call holds RTP, RTCP and timers; the models, HTTP and carriers need some as well.
_FILES_PER_CALL = 16
_FILES_ELSE = 1024
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_URI_USER = re.compile(r"\b(sips?:|tel:)[^@\s<>;]+@?")


def prepare(max_calls: int) -> None:
    """Once, before the stack starts."""
    _redact(logging.getLogger("baresip.native"))
    _redact(logging.getLogger("baresip.native.sip"))
    _raise_file_limit(files_for(max_calls))
    sys.setswitchinterval(min(sys.getswitchinterval(), GIL_SWITCH_INTERVAL_S))


def files_for(max_calls: int) -> int:
    """How many descriptors the process may need."""
    return max_calls * _FILES_PER_CALL + _FILES_ELSE


def _raise_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def _redact(native: logging.Logger) -> None:
    """Keep the numbers of callers and called, and control characters, out of the native stack's log lines."""
    if not native.filters:
        native.addFilter(_without_users)


def _without_users(record: logging.LogRecord) -> bool:
    record.msg, record.args = _CONTROL.sub("", _URI_USER.sub(r"\1…@", record.getMessage())), None
    return True
