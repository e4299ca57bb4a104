"""What taking SIP calls asks of the process: descriptors, a quick interpreter, and logs without numbers."""

from __future__ import annotations

import logging
import os
import re
import resource
import sys

# With the default of 5 ms, the feeder misses its moment when the event loop computes for 40 ms.
GIL_SWITCH_INTERVAL_S = 0.001
# A call holds RTP, RTCP and timers; the models, HTTP and carriers need some as well.
_FILES_PER_CALL = 16
_FILES_ELSE = 1024
CONNECTIONS = 1024  # over TCP, of all whom we don't know, when descriptors get scarce
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_URI_USER = re.compile(r"\b(sips?:|tel:)[^@\s<>;]+@?")


def prepare(max_calls: int) -> None:
    """Once, before the stack starts."""
    _redact(logging.getLogger("baresip.native"))
    _redact(logging.getLogger("baresip.native.sip"))
    _raise_file_limit(files_for(max_calls) + 2 * CONNECTIONS)
    sys.setswitchinterval(min(sys.getswitchinterval(), GIL_SWITCH_INTERVAL_S))


def files_for(max_calls: int) -> int:
    """How many descriptors the process may need."""
    return max_calls * _FILES_PER_CALL + _FILES_ELSE


def short_of_files(max_calls: int) -> bool:
    """Whether no more descriptors are left than what the process may need."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return False
    try:
        lowest = os.open(os.devnull, os.O_RDONLY)  # a new one has the lowest number that is free
    except OSError:
        return True
    os.close(lowest)
    return lowest >= max(limit - files_for(max_calls), limit // 2)


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
