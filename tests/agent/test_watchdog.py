"""Who says what while an answer is awaited, to the tenth of a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from agent.answering import Answering
from agent.watchdog import Watchdog
from config.turn import TurnSettings
from models.errors import ModelLate
from tests.agent.conversation_kit import PERSONA
from tests.virtual_time import run

TURN = TurnSettings(filler="Well,", filler_after_ms=1500, answer_timeout_s=20)
LONGER = PERSONA.longer


Heard = list[tuple[float, str]]


def watched(*changes: tuple[float, dict[str, bool]], **at_first: bool) -> Heard:
    """What is heard by the end, when at so many seconds things change."""
    return run(lambda: Waiting(**at_first).watched(changes))


class Waiting:
    """A caller who awaits an answer, and what they hear."""

    def __init__(self, *, acts: bool = False) -> None:
        self.due = self.quiet = True
        self.held = False
        self.acts = acts
        self.heard: Heard = []
        self._watchdog = Watchdog(
            Answering([PERSONA], TURN),
            due=lambda: self.due,
            quiet=lambda: self.quiet,
            held=lambda: self.held,
            bridge=self._bridge,
            acts=lambda: self.acts,
            give_up=self._give_up,
        )

    async def watched(self, changes: tuple[tuple[float, dict[str, bool]], ...]) -> Heard:
        self._since = asyncio.get_running_loop().time()
        for at_s, attributes in changes:
            asyncio.get_running_loop().call_later(at_s, self.__dict__.update, attributes)
        await self._watchdog.watch()
        return self.heard

    def _hears(self, what: str) -> None:
        self.heard.append((round(asyncio.get_running_loop().time() - self._since, 1), what))

    async def _bridge(self, text: str, wanted: Callable[[], bool]) -> None:
        if wanted():
            self._hears(text)

    async def _give_up(self, late: ModelLate) -> None:
        self._hears("gave up")


def test_nobody_waits_in_silence() -> None:
    assert watched() == [(1.5, "Well,"), (5.5, LONGER), (20.0, "gave up")]


def test_an_answer_ends_it() -> None:
    assert watched((2.0, {"due": False})) == [(1.5, "Well,")]


@pytest.mark.parametrize(
    ("coughs_at_s", "heard"),
    [
        (1.4, [(5.5, LONGER), (20.0, "gave up")]),
        (5.4, [(1.5, "Well,"), (20.0, "gave up")]),
        (19.9, [(1.5, "Well,"), (5.5, LONGER), (20.4, "gave up")]),
    ],
)
def test_a_cough_doesnt_end_it(coughs_at_s: float, heard: Heard) -> None:
    cough = (coughs_at_s, {"quiet": False}), (coughs_at_s + 0.45, {"quiet": True})
    assert watched(*cough) == heard


def test_a_voice_that_says_nothing_isnt_waited_for_forever() -> None:
    music = (19.0, {"quiet": False})
    assert watched(music) == [(1.5, "Well,"), (5.5, LONGER), (28.0, "gave up")]


def test_who_goes_on_at_the_deadline_isnt_told_that_it_failed() -> None:
    assert watched((19.5, {"quiet": False}), (20.5, {"due": False})) == [
        (1.5, "Well,"),
        (5.5, LONGER),
    ]


def test_a_tool_may_take_longer_than_an_answer() -> None:
    assert watched((35.0, {"acts": False}), acts=True) == [
        (1.5, "Well,"),
        (5.5, LONGER),
        (20.0, LONGER),
        (30.0, LONGER),
        (40.0, "gave up"),
    ]


def test_who_cant_hear_the_agent_isnt_given_up() -> None:
    on_hold = (1.0, {"held": True}), (90.0, {"held": False})
    assert watched(*on_hold) == [(90.0, "gave up")]
