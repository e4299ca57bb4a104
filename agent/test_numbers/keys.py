"""`keys`: each key is read back."""

from __future__ import annotations

from agent.test_numbers.line_test import LineTest


class KeysReadBack(LineTest):
    """One after the other, as they were pressed; the first cuts the greeting short."""

    _greets = True

    async def said(self) -> None:
        self._greets = False

    async def press(self, key: str) -> None:
        if self._greets:
            self._greets = False
            await self.broadcast_interruption()
        await self.say({"*": self._says.star, "#": self._says.pound}.get(key, key))
