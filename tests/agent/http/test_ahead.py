from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from agent.http.ahead import ahead
from tests.waiting import until


class Source:
    """Yields so many numbers and says when it is over."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.over = False
        self._count = count
        self._error = error

    async def numbers(self) -> AsyncGenerator[int, None]:
        try:
            for number in range(self._count):
                yield number
                await asyncio.sleep(0)
            if self._error:
                raise self._error
        finally:
            self.over = True


async def test_the_source_doesnt_wait_for_its_reader() -> None:
    source = Source(100)
    async with aclosing(ahead(source.numbers())) as numbers:
        assert await anext(numbers) == 0
        await until(lambda: source.over)
        assert [number async for number in numbers] == list(range(1, 100))


async def test_its_error_comes_behind_what_it_yielded() -> None:
    numbers = ahead(Source(2, ValueError("broken")).numbers())
    assert [await anext(numbers), await anext(numbers)] == [0, 1]
    with pytest.raises(ValueError, match="broken"):
        await anext(numbers)


async def test_closing_ends_the_source_at_whatever_it_is() -> None:
    source = Source(1_000_000)
    before = asyncio.all_tasks()
    async with aclosing(ahead(source.numbers())) as numbers:
        await anext(numbers)
    assert source.over
    assert asyncio.all_tasks() == before
