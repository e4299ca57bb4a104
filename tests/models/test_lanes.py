import asyncio
import gc
import os
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from models import lanes
from models.errors import ModelBusy, ModelFailed, WeightsError
from models.lanes import Lane, Priority, Speculative
from tests.waiting import until


@pytest.fixture(autouse=True)
def _bulk_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "QUIET_S", 0.0)


class Gate:
    """Work that says when it has begun, and goes on when it is let."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.go_on.wait(5)
        return "gate"


@pytest.fixture
async def lane() -> AsyncIterator[Lane]:
    lane = Lane("test", max_queued=4)
    yield lane
    await lane.close()
    assert not any(thread.name == "lane-test" for thread in threading.enumerate())


async def held(lane: Lane) -> tuple[Gate, "asyncio.Task[str]"]:
    gate = Gate()
    task = asyncio.create_task(lane.run("holder", gate))
    await asyncio.get_running_loop().run_in_executor(None, gate.begun.wait, 5)
    return gate, task


def noting(order: list[str], name: str) -> Callable[[], None]:
    return lambda: order.append(name)


async def queue(
    lane: Lane,
    call_id: str,
    work: Callable[[], object],
    *,
    speculative: Speculative = False,
    priority: Priority = Priority.CALL,
) -> "asyncio.Task[object]":
    task = asyncio.create_task(lane.run(call_id, work, speculative=speculative, priority=priority))
    await asyncio.sleep(0)
    return task


async def test_returns_what_the_work_returns(lane: Lane) -> None:
    name = await lane.run("a", lambda: threading.current_thread().name)
    assert name == "lane-test"
    assert lane.stats.done == 1


async def test_works_in_a_process_that_is_nicer() -> None:
    """Who isn't root can't take that back."""

    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def made() -> Lane:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)  # of this thread, and of its own
        return Lane("test")

    with ThreadPoolExecutor(1) as thread:
        lane = thread.submit(made).result()
    assert await lane.run("a", niceness) == 15
    await lane.close()


async def test_calls_take_turns(lane: Lane) -> None:
    gate, holder = await held(lane)
    order: list[str] = []
    tasks = [await queue(lane, name[0], noting(order, name)) for name in ("a1", "a2", "a3", "b1")]
    gate.go_on.set()
    await asyncio.gather(holder, *tasks)
    assert order == ["a1", "b1", "a2", "a3"]


async def test_real_work_goes_before_speculation(lane: Lane) -> None:
    gate, holder = await held(lane)
    order: list[str] = []
    guess = await queue(lane, "a", noting(order, "guess"), speculative=True)
    real = await queue(lane, "b", noting(order, "real"))
    gate.go_on.set()
    await asyncio.gather(holder, guess, real)
    assert order == ["real", "guess"]


async def test_a_guess_that_came_true_where_it_waits_is_real_work(lane: Lane) -> None:
    gate, holder = await held(lane)
    order: list[str] = []
    open_turns = {"a", "b"}
    guesses = [
        await queue(lane, call, noting(order, call), speculative=partial(open_turns.__contains__, call))
        for call in ("a", "b")
    ]
    open_turns.remove("b")
    gate.go_on.set()
    await asyncio.gather(holder, *guesses)
    assert order == ["b", "a"]


async def test_cancelled_work_is_never_run(lane: Lane) -> None:
    gate, holder = await held(lane)
    order: list[str] = []
    dropped = await queue(lane, "a", noting(order, "dropped"))
    kept = await queue(lane, "a", noting(order, "kept"))
    dropped.cancel()
    await asyncio.gather(dropped, return_exceptions=True)
    assert (lane.stats.queued, lane.stats.dropped) == (1, 1)
    gate.go_on.set()
    await asyncio.gather(holder, kept)
    assert order == ["kept"]


async def test_cancelling_running_work_returns_at_once(lane: Lane) -> None:
    gate, holder = await held(lane)
    holder.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holder
    assert lane.stats.running
    gate.go_on.set()
    assert await lane.run("a", lambda: "next") == "next"


async def test_who_is_cancelled_as_their_work_fails_leaves_nothing_behind(lane: Lane) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    gate, holder = await held(lane)

    def fails() -> None:
        raise WeightsError("The file is gone.")

    failing, behind = await queue(lane, "a", fails), Gate()
    last = await queue(lane, "a", behind)
    gate.go_on.set()
    assert behind.begun.wait(5)  # so it has failed, which isn't told as long as nothing is awaited
    behind.go_on.set()
    asyncio.get_running_loop().call_soon(failing.cancel)
    await asyncio.gather(holder, failing, last, return_exceptions=True)
    assert failing.cancelled()
    del failing
    await asyncio.sleep(0)
    gc.collect()
    assert not told


async def test_a_full_lane_refuses(lane: Lane) -> None:
    gate, holder = await held(lane)
    tasks = [await queue(lane, "a", lambda: None) for _ in range(4)]
    with pytest.raises(ModelBusy, match=r"^test has 4 pieces of work waiting\.$"):
        await lane.run("b", lambda: None)
    gate.go_on.set()
    await asyncio.gather(holder, *tasks)


async def test_real_work_takes_the_place_of_speculation(lane: Lane) -> None:
    gate, holder = await held(lane)
    order: list[str] = []
    guesses = [await queue(lane, "a", noting(order, f"guess{i}"), speculative=True) for i in range(4)]
    real = await queue(lane, "b", noting(order, "real"))
    gate.go_on.set()
    results = await asyncio.gather(*guesses, return_exceptions=True)
    await asyncio.gather(holder, real)
    assert isinstance(results[3], ModelBusy)
    assert order == ["real", "guess0", "guess1", "guess2"]
    assert lane.stats.dropped == 1


async def test_calls_then_texts_then_guesses_then_uploads(lane: Lane) -> None:
    gate, holder = await held(lane)
    order: list[str] = []
    tasks = [
        await queue(lane, "upload", noting(order, "upload"), priority=Priority.BULK),
        await queue(lane, "a", noting(order, "guess"), speculative=True),
        await queue(lane, "text", noting(order, "text"), priority=Priority.TEXT),
        await queue(lane, "b", noting(order, "call")),
    ]
    gate.go_on.set()
    await asyncio.gather(holder, *tasks)
    assert order == ["call", "text", "guess", "upload"]


async def test_uploads_make_room_first_and_never_for_each_other(lane: Lane) -> None:
    gate, holder = await held(lane)
    tasks = [
        await queue(lane, "up1", lambda: "up1", priority=Priority.BULK),
        await queue(lane, "up2", lambda: "up2", priority=Priority.BULK),
        await queue(lane, "a", lambda: "guess", speculative=True),
        await queue(lane, "text", lambda: "text", priority=Priority.TEXT),
    ]
    with pytest.raises(ModelBusy, match="4 pieces of work waiting"):
        await lane.run("up3", lambda: None, priority=Priority.BULK)
    tasks += [await queue(lane, "b", lambda name=name: name) for name in ("b1", "b2")]  # type: ignore[misc]
    gate.go_on.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await holder
    assert [result for result in results if isinstance(result, str)] == ["guess", "text", "b1", "b2"]
    assert all(isinstance(result, ModelBusy) for result in results[:2])


async def test_an_upload_waits_while_another_lane_works_for_a_call(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "QUIET_S", 0.3)
    monkeypatch.setattr(lanes, "MOST_HELD_S", 0.6)
    other = Lane("other")
    await lane.run("upload", lambda: None, priority=Priority.BULK)
    await other.run("call", lambda: None)
    began = time.monotonic()
    await lane.run("upload", lambda: None, priority=Priority.BULK)
    assert 0.25 < time.monotonic() - began < 0.55

    async def talking() -> None:
        while True:
            await other.run("call", lambda: time.sleep(0.05))

    call = asyncio.create_task(talking())
    await until(lambda: other.stats.running)
    began = time.monotonic()
    await lane.run("upload", lambda: None, priority=Priority.BULK)
    assert 0.5 < time.monotonic() - began < 1.5  # not for ever
    call.cancel()
    await asyncio.wait({call})
    await other.close()


async def test_long_work_in_pieces_is_overtaken(lane: Lane) -> None:
    gate, holder = await held(lane)
    order: list[str] = []

    async def long() -> None:
        for piece in range(3):
            await lane.run("long", noting(order, f"piece {piece}"), priority=Priority.BULK)

    going = asyncio.create_task(long())
    await asyncio.sleep(0)
    call = await queue(lane, "call", noting(order, "call"))
    gate.go_on.set()
    await asyncio.gather(holder, going, call)
    assert order == ["call", "piece 0", "piece 1", "piece 2"]


async def test_work_that_doesnt_end_is_named_and_nobody_waits_for_it() -> None:
    lane = Lane("slow", deadline_s=0.2)
    gate, holder = await held(lane)
    waiting = await queue(lane, "a", lambda: None)
    for stuck in (holder, waiting):
        with pytest.raises(ModelFailed, match=r"^slow has been at one piece of work for \d+ s; \d wait\.$"):
            await asyncio.wait_for(stuck, 5)
    with pytest.raises(ModelFailed, match="slow has been at one piece of work"):
        await lane.run("b", lambda: None)
    assert lane.stats.stuck
    gate.go_on.set()
    await until(lambda: not lane.stats.running)
    assert lane.stats.stuck is None
    assert await lane.run("b", lambda: "goes on") == "goes on"
    await lane.close()


async def test_closing_isnt_held_up_by_work_that_doesnt_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.lanes.CLOSE_S", 0.1)
    lane = Lane("hanging", deadline_s=0.2)
    gate, holder = await held(lane)
    await asyncio.wait_for(lane.close(), 2)
    with pytest.raises(ModelFailed):
        await holder
    gate.go_on.set()
    lane._thread.join(5)
    assert not lane._thread.is_alive()


async def test_failure_names_the_lane_but_quotes_nothing(lane: Lane) -> None:
    def work() -> None:
        raise RuntimeError("what the caller said")

    with pytest.raises(ModelFailed, match=r"^test failed: RuntimeError\.$") as caught:
        await lane.run("a", work)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert lane.stats.last_error == "test failed: RuntimeError."
    assert await lane.run("a", lambda: 1) == 1


async def test_model_errors_pass_unchanged(lane: Lane) -> None:
    def work() -> None:
        raise WeightsError("The file is gone.")

    with pytest.raises(WeightsError, match="The file is gone"):
        await lane.run("a", work)


async def test_nothing_of_finished_work_is_kept(lane: Lane) -> None:
    class Sound:
        pass

    sound = Sound()
    gone = weakref.ref(sound)
    await lane.run("a", lambda kept=sound: None)  # type: ignore[misc]
    del sound
    # The thread lets go of the work just after it has told the result; the next work comes after that.
    await lane.run("a", lambda: None)
    gc.collect()
    assert gone() is None


async def test_close_fails_what_waits_and_ends_the_thread() -> None:
    lane = Lane("closing")
    gate, holder = await held(lane)
    waiting = await queue(lane, "a", lambda: None)
    closing = asyncio.create_task(lane.close())
    with pytest.raises(ModelFailed, match=r"^closing is closed\.$"):
        await waiting
    gate.go_on.set()
    await asyncio.gather(closing, holder)
    assert not any(thread.name == "lane-closing" for thread in threading.enumerate())
    with pytest.raises(ModelFailed, match=r"^closing is closed\.$"):
        await lane.run("a", lambda: None)
    await lane.close()
