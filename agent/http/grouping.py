"""How an answer's tokens are put together into messages. A policy: no I/O, no clock."""

from __future__ import annotations

_ENDS = (".", "!", "?", "…", "\n", "。", "！", "？")


class TokenGroups:
    """The first token goes alone and at once; later ones by `size`, or to the sentence's end."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: list[str] = []
        self._sent_first = False

    def push(self, token: str) -> str | None:
        """Add a token. Returns the group to send, if one is complete."""
        self._held.append(token)
        if not self._sent_first:
            if not token.strip():  # nothing to show yet
                return None
            self._sent_first = True
            return self.flush()
        if len(self._held) >= self._size or token.rstrip(" ").endswith(_ENDS):
            return self.flush()
        return None

    def flush(self) -> str | None:
        """Whatever is held back, if anything."""
        group = "".join(self._held)
        self._held.clear()
        return group or None
