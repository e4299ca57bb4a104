"""In what order commands are carried out, and what they wait for."""

from __future__ import annotations

import asyncio

import pytest

from agent.turn.commands import Command, Do
from agent.turn.tasks import INTERRUPTION_DEADLINE_S, Orders
from tests.virtual_time import run


@pytest.mark.parametrize(("goes_on_s", "after_s"), [(0.1, 0.1), (9.0, INTERRUPTION_DEADLINE_S)])
def test_what_follows_an_interruption_waits_for_it_though_not_for_long(
    goes_on_s: float, after_s: float
) -> None:
    done: list[tuple[float, Command]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()

        def carry_out(command: Command) -> None:
            done.append((round(loop.time() - began, 3), command))
            if command is Do.TAKE_FLOOR:
                orders.wait(Do.TAKE_FLOOR)

        orders = Orders(carry_out)
        orders.give([Do.HOLD, Do.TAKE_FLOOR, Do.READ_AHEAD])
        loop.call_later(goes_on_s, orders.go_on, Do.TAKE_FLOOR)
        orders.give([Do.WITHDRAW])
        await asyncio.sleep(1.0)

    run(main)
    assert done == [
        (0.0, Do.HOLD),
        (0.0, Do.TAKE_FLOOR),
        (after_s, Do.READ_AHEAD),
        (after_s, Do.WITHDRAW),
    ]


def test_at_the_end_nothing_waits() -> None:
    done: list[Command] = []

    async def main() -> None:
        def carry_out(command: Command) -> None:
            done.append(command)
            if command is Do.TAKE_FLOOR:
                orders.wait(Do.TAKE_FLOOR)

        orders = Orders(carry_out)
        orders.give([Do.TAKE_FLOOR, Do.HOLD, Do.TAKE_FLOOR, Do.RESUME])
        orders.finish()

    run(main)
    assert done == [Do.TAKE_FLOOR, Do.HOLD, Do.TAKE_FLOOR, Do.RESUME]


def test_what_comes_too_late_ends_no_later_wait() -> None:
    done: list[tuple[float, Command]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()

        def carry_out(command: Command) -> None:
            done.append((round(loop.time() - began, 3), command))
            if command is Do.TAKE_FLOOR:
                orders.wait(awaited.pop(0))

        awaited = ["first", "second"]
        orders = Orders(carry_out)
        orders.give([Do.TAKE_FLOOR, Do.TAKE_FLOOR, Do.READ_AHEAD])
        loop.call_later(0.6, orders.go_on, "first")
        loop.call_later(0.7, orders.go_on, "second")
        await asyncio.sleep(1.0)

    run(main)
    assert done == [(0.0, Do.TAKE_FLOOR), (INTERRUPTION_DEADLINE_S, Do.TAKE_FLOOR), (0.7, Do.READ_AHEAD)]
