"""What of a conversation is recorded, and when it may be listened to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import InputDTMFFrame

from agent.recordings.monitor import CantBeHeard
from agent.recordings.recording import CallRecording
from agent.recordings.tap import Tap
from agent.session import CallSession
from config.keypad import Keypad
from config.persona import Persona
from config.settings import TestNumber
from tests.agent.conversation_kit import PERSONA, WORD_S, FakeCall, Says, answers, converse
from transports.call import EndReason

ANNOUNCEMENT = "You are recorded."
ANNOUNCED_S = 3 * WORD_S
RATE_HZ = 16_000
PIN = Keypad(name="pin", prompt="Your pin.", secret=True, first_key_s=2, between_keys_s=1)


class Kept:
    """Recordings without a thread, which virtual time hasn't."""

    may_listen = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recording: CallRecording | None = None

    def announcing(self, persona: Persona) -> Persona:
        return persona.announcing(ANNOUNCEMENT)

    def record(self, _: str, tap: Tap, clock: Callable[[], float]) -> CallRecording:
        self.recording = CallRecording(self.path, tap, clock)
        return self.recording

    async def finish(self, recording: CallRecording) -> None:
        recording.end()
        recording.write()

    @property
    def sounds(self) -> tuple[list[bool], list[bool]]:
        """In which tenths of a second the caller and the agent were heard."""
        pcm, _ = soundfile.read(self.path, dtype="int16")
        tenths = np.abs(pcm[: len(pcm) // 1600 * 1600].astype(int)).reshape(-1, 1600, 2).max(axis=1) > 500
        caller, agent = tenths.T.tolist()
        return caller, agent


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "call.flac")


def spans(tenths: list[bool]) -> list[tuple[float, float]]:
    """From when to when there was sound, in seconds."""
    edges = np.flatnonzero(np.diff([0, *map(int, tenths), 0])) / 10
    return [(float(began), float(ended)) for began, ended in zip(edges[::2], edges[1::2], strict=True)]


def test_from_the_announcements_end_on(kept: Kept) -> None:
    outcome = converse(
        [Says(0.2, 0.7, "Who are you?"), Says(4.0, 5.0, "What is it?")],
        {"What is it?": "A bird."},
        lasts=9,
        recordings=kept,
    )
    assert outcome.turns[0][1] == ANNOUNCEMENT
    recorded = kept.recording and kept.recording.recorded
    assert recorded
    began = 9 - recorded.seconds
    assert began == pytest.approx(outcome.at("agent starts") + ANNOUNCED_S, abs=0.2)
    caller, agent = kept.sounds
    assert len(spans(caller)) == 1
    assert spans(caller)[0] == pytest.approx((4 - began, 5 - began), abs=0.11)
    assert agent[0] or agent[1]  # the greeting, right behind it
    last = outcome.at("agent starts", outcome.count("agent starts") - 1) - began
    assert spans(agent)[-1][0] == pytest.approx(last, abs=0.11)


@pytest.mark.parametrize(("says", "number"), [("We are closed.", None), (None, "echo")])
def test_not_where_nothing_was_announced(kept: Kept, says: str | None, number: TestNumber | None) -> None:
    outcome = converse([], says=says, number=number, lasts=4)
    assert ANNOUNCEMENT not in [text for _, text, _ in outcome.turns]
    assert not kept.path.exists()


def test_who_hangs_up_over_the_announcement_isnt_recorded(kept: Kept) -> None:
    converse([], lasts=0.5, recordings=kept)
    assert not kept.path.exists()


@pytest.mark.parametrize("announcement", ["Mumble.", "Stammer on and on."])
def test_not_where_the_voice_fails_in_the_announcement(kept: Kept, announcement: str) -> None:
    persona = PERSONA.model_copy(update={"notice": announcement})
    outcome = converse([], lasts=14, recordings=kept, persona=persona)
    assert PERSONA.again in answers(outcome)
    assert not kept.path.exists()


def test_who_comes_instead_hasnt_been_told_and_isnt_recorded(kept: Kept) -> None:
    moving: list[asyncio.Task[None]] = []

    def during(_: CallSession, call: FakeCall) -> None:
        async def move() -> None:
            await asyncio.sleep(6)
            await call.fire("on_moved", "600")

        moving.append(asyncio.get_running_loop().create_task(move()))

    converse(
        [Says(3.0, 4.0, "What is it?"), Says(8.0, 9.0, "Who is there?")],
        {"What is it?": "A bird.", "Who is there?": "I am."},
        lasts=12,
        during=during,
        recordings=kept,
    )
    recorded = kept.recording and kept.recording.recorded
    assert recorded
    began = 12 - recorded.seconds
    caller, agent = kept.sounds
    assert [round(at + began) for at, _ in spans(caller)] == [3]
    assert all(ended + began < 6.1 for _, ended in spans(agent))


def test_a_wire_that_cant_hang_up_leaves_no_recording_open(kept: Kept) -> None:
    def during(_: CallSession, call: FakeCall) -> None:
        async def hangup() -> None:
            raise OSError("as the test has it")

        call.hangup = hangup  # type: ignore[method-assign]

    outcome = converse([], lasts=4, during=during, recordings=kept)
    assert outcome.reason is EndReason.CALLER_HANGUP
    assert kept.path.exists()


def pressed(at: float, key: str) -> tuple[float, InputDTMFFrame]:
    return at, InputDTMFFrame(button=KeypadEntry(key))


def test_a_secret_is_silent(kept: Kept) -> None:
    """Also what is said over it, and until no key can belong to it any more."""
    tasks: list[Any] = []

    def during(session: CallSession, _: FakeCall) -> None:
        async def ask() -> None:
            await asyncio.sleep(4)
            await session.control.ask_for_keys("pin")

        tasks.append(asyncio.get_running_loop().create_task(ask()))

    converse(
        [Says(3.0, 3.5, "Hello?"), Says(5.0, 6.0, "One two three."), Says(12.0, 13.0, "Are you there?")],
        persona=PERSONA.model_copy(update={"keypad": (PIN,), "tools": ("ask_for_keys",)}),
        keys=[pressed(5.5, "1"), pressed(6.0, "2"), pressed(6.5, "3")],
        lasts=16,
        during=during,
        recordings=kept,
    )
    recorded = kept.recording and kept.recording.recorded
    assert recorded
    began = 16 - recorded.seconds
    caller, agent = kept.sounds
    assert [round(at + began) for at, _ in spans(caller)] == [3, 12]
    assert not any(4.1 < at + began < 7.4 for at, _ in spans(agent))


def test_who_may_listen_and_when(kept: Kept) -> None:
    outcomes: list[str] = []
    ended: list[str] = []

    def during(session: CallSession, _: FakeCall) -> None:
        over = partial(ended.append, "ended")

        async def listen() -> None:
            await asyncio.sleep(0.3)
            with pytest.raises(CantBeHeard, match="hasn't been told yet"):
                session.monitor.listen(over)
            await asyncio.sleep(4.7)
            listeners = [session.monitor.listen(over) for _ in range(4)]
            with pytest.raises(CantBeHeard, match="4 listen already"):
                session.monitor.listen(over)
            for listener in listeners[1:]:
                listener.close()
            assert len(ended) == 3
            heard = b""
            while (pcm := await listeners[0].next()) is not None:
                heard += pcm
            assert len(ended) == 4
            with pytest.raises(CantBeHeard, match="is over"):  # it would be listened to for good
                session.monitor.listen(over)
            both = np.frombuffer(heard, np.int16).reshape(-1, 2)
            outcomes.append("caller" if np.abs(both[:, 0]).max() > 500 else "nobody")
            outcomes.append("agent" if np.abs(both[:, 1]).max() > 500 else "nobody")

        tasks.append(asyncio.get_running_loop().create_task(listen()))

    tasks: list[Any] = []
    said = [Says(6.0, 7.0, "What is it?")]
    converse(said, {"What is it?": "A bird."}, lasts=10, during=during, recordings=kept)
    assert outcomes == ["caller", "agent"]


def test_who_listens_too_slowly_is_told(kept: Kept) -> None:
    slow: list[BaseException | None] = []

    def during(session: CallSession, _: FakeCall) -> None:
        async def listen() -> None:
            await asyncio.sleep(3)
            listener = session.monitor.listen(lambda: None)
            await asyncio.sleep(4)
            await listener.next()

        task = asyncio.get_running_loop().create_task(listen())
        task.add_done_callback(lambda done: slow.append(done.exception()))

    converse([], lasts=9, during=during, recordings=kept)
    assert [type(one).__name__ for one in slow] == ["TooSlow"]
