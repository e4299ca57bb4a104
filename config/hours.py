"""Spans of opening hours, as settings have them: mon-fri 9:00-18:00."""

from __future__ import annotations

import re
from datetime import time

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(
    rf"(?P<first>{'|'.join(DAYS)})(?:-(?P<last>{'|'.join(DAYS)}))?\s+"
    r"(?P<opens>\d{1,2}:\d\d)-(?P<closes>\d{1,2}:\d\d)"
)


def parse_hours(span: str) -> tuple[range, time, time]:
    """The days, by number, those of the following week from 7 on, and from when to when.

    Raises ValueError.
    """
    found = _SPAN.fullmatch(span.strip().lower())
    if not found:
        raise ValueError(f"{span} is no span of hours")
    opens, closes = (
        time(int(hour) % 24, int(minute))
        for hour, _, minute in (found[key].partition(":") for key in ("opens", "closes"))
        if int(hour) <= 24
    )
    first = DAYS.index(found["first"])
    last = DAYS.index(found["last"]) if found["last"] else first
    return range(first, last + 1 if last >= first else last + 8), opens, closes
