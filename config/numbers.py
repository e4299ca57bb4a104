"""Numbers as they are called, and how they are compared."""

from __future__ import annotations

import re
from urllib.parse import unquote

_SEPARATORS = re.compile(r"[\s().\-/]")


def plain_number(called: str) -> str:
    """A called number or user part as it is compared: "+33 1 23", "%2B33123" and "33123" are one.

    Of a SIP or tel URI only the user part counts, without parameters; letters in either case.
    """
    user = re.sub(r"^(sips?|tel):", "", unquote(called).strip(), flags=re.IGNORECASE)
    user = user.partition("@")[0].partition(";")[0]
    digits = _SEPARATORS.sub("", user).removeprefix("+")
    return digits if digits.isdecimal() or not digits else user.strip().lower()
