"""What of a text may be shown."""

from __future__ import annotations

import re

# Up to the last @ of the authority: passwords with an @ that isn't escaped do occur.
_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s'\"]*@")


def without_credentials(text: str) -> str:
    """The text with its URLs' user names and passwords left out."""
    return _CREDENTIALS.sub("", text)
