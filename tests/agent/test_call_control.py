"""What is done with a call while it stands, in conversations on a virtual clock."""

from __future__ import annotations

import asyncio
import contextlib
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipecat.processors.frame_processor import FrameProcessor

from agent.call_control import UnknownTarget
from agent.consultation import about
from agent.conversation import Turn
from agent.floor import CantBeDone
from agent.hold_music import hold_music
from agent.session import CallSession
from config.errors import ConfigError
from config.settings import Settings
from tests.agent.conversation_kit import PERSONA, FakeCall, Outcome, Says, answers, callers, converse, pressed
from transports.call import CallGone, CallInfo, CallTransport, EndReason, TransferFailed
from transports.outbound import NotPermitted
from transports.playout import Playout

SETTINGS = Settings.model_validate(
    {"transfer": {"to": {"reception": "sip:200@192.0.2.10", "kitchen": "sip:201@192.0.2.10"}}}
)
WHO = PERSONA.model_copy(update={"tools": ("transfer_call",), "transfer_to": ("reception", "kitchen")})
CONNECTING, NOT_CONNECTED = WHO.says.connecting, WHO.says.not_connected


class Wire:
    """What it makes of transfers, and what an operator asks meanwhile."""

    def __init__(self, *, fails: str = "", takes_s: float = 2.0, at_s: float = 0.0, to: str = "") -> None:
        """`at_s` seconds into the call an operator has it put through `to` somebody."""
        self.fails, self.takes_s, self.at_s, self.to = fails, takes_s, at_s, to
        self.dialled: list[tuple[float, str]] = []
        self.outcomes: list[Exception | None] = []

    def __call__(self, session: CallSession, call: FakeCall) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        gone = asyncio.Event()

        async def on_gone(*_: object) -> None:
            gone.set()

        async def transfer(to: str | CallTransport, *, timeout_s: float) -> None:
            self.dialled.append((loop.time() - start, to if isinstance(to, str) else "replaced"))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), self.takes_s)
                raise TransferFailed("The caller hung up.")
            if self.fails:
                raise TransferFailed(self.fails, 486)
            await call.fire("on_dialin_stopped", EndReason.TRANSFERRED)

        async def operate() -> None:
            try:
                await session.control.transfer(self.to)
            except Exception as error:
                self.outcomes.append(error)
            else:
                self.outcomes.append(None)

        call.add_event_handler("on_dialin_stopped", on_gone)
        call.transfer = transfer  # type: ignore[method-assign]
        if self.to:
            loop.call_later(self.at_s, lambda: self._asked.append(loop.create_task(operate())))

    _asked: list[asyncio.Task[None]] = []  # noqa: RUF012


WANTS = Says(2.0, 3.0, "Reception, please.")
USES = {WANTS.text: '!transfer_call{"to":"reception"}'}


def test_the_model_puts_a_caller_through() -> None:
    wire = Wire()
    outcome = converse([WANTS], USES, settings=SETTINGS, persona=WHO, during=wire)
    assert outcome.reason is EndReason.TRANSFERRED
    assert [uri for _, uri in wire.dialled] == ["sip:200@192.0.2.10"]
    assert wire.dialled[0][0] > outcome.at("agent stops", 1) - 0.03  # the sentence has been heard
    assert answers(outcome) == [WHO.greeting, CONNECTING]
    assert outcome.tools == ["transfer_call"]
    assert outcome.left == []


def test_who_could_not_be_put_through_is_taken_back() -> None:
    wire = Wire(fails="The target is busy (486).")
    script = [WANTS, Says(6.5, 7.5, "Is anybody there?"), Says(15.0, 16.0, "When do you open?")]
    outcome = converse(script, USES, settings=SETTINGS, persona=WHO, during=wire, lasts=25)
    assert answers(outcome) == [WHO.greeting, CONNECTING, NOT_CONNECTED, "Okay then."]
    assert callers(outcome) == [WANTS.text, "When do you open?"]  # and isn't heard meanwhile
    assert outcome.reason is EndReason.CALLER_HANGUP
    assert outcome.left == []


@pytest.mark.parametrize("to", ["sip:900@example.org", "kitchen", "boss"])
def test_nobody_is_dialled_whom_the_persona_may_not_dial(to: str) -> None:
    wire = Wire()
    persona = WHO.model_copy(update={"transfer_to": ("reception",)})
    uses = {WANTS.text: f'!transfer_call{{"to":"{to}"}}'}
    outcome = converse([WANTS], uses, settings=SETTINGS, persona=persona, during=wire)
    assert wire.dialled == []
    assert outcome.reason is EndReason.CALLER_HANGUP


def test_a_persona_without_the_tool_puts_nobody_through() -> None:
    wire = Wire()
    outcome = converse([WANTS], USES, settings=SETTINGS, during=wire)
    assert wire.dialled == []
    assert outcome.reason is EndReason.CALLER_HANGUP


def test_an_operator_interrupts_whatever_is_being_said() -> None:
    wire = Wire(at_s=3.5, to="kitchen")
    script = [Says(2.0, 3.0, "Tell me everything.")]
    outcome = converse(script, {"Tell me everything.": "word " * 60}, settings=SETTINGS, during=wire)
    assert [uri for _, uri in wire.dialled] == ["sip:201@192.0.2.10"]
    assert answers(outcome)[-1] == CONNECTING
    assert outcome.reason is EndReason.TRANSFERRED
    assert wire.outcomes == [None]


def test_who_speaks_up_before_they_are_put_through_is_listened_to_instead() -> None:
    wire = Wire()
    uses = {WANTS.text: 'Let me see who is there for you this afternoon. !transfer_call{"to":"reception"}'}
    script = [WANTS, Says(5.0, 6.5, "No, please stop, I have another question.")]
    outcome = converse(script, uses, settings=SETTINGS, persona=WHO, during=wire, lasts=40)
    assert answers(outcome)[2] == "Okay then."
    assert wire.dialled == []
    assert outcome.left == []


def test_a_target_that_is_not_listed_is_refused() -> None:
    wire = Wire(at_s=2.0, to="sip:900@example.org")
    outcome = converse([], settings=SETTINGS, during=wire, lasts=5)
    assert wire.dialled == []
    assert isinstance(wire.outcomes[0], UnknownTarget)
    assert outcome.reason is EndReason.CALLER_HANGUP


def test_who_waits_to_be_put_through_is_not_asked_whether_they_are_there() -> None:
    wire = Wire(takes_s=60.0, at_s=2.0, to="reception")
    outcome = converse([], settings=SETTINGS, during=wire, lasts=100)
    assert outcome.reason is EndReason.TRANSFERRED
    assert answers(outcome) == [PERSONA.greeting, CONNECTING]


def test_a_caller_who_hangs_up_meanwhile_leaves_nothing() -> None:
    wire = Wire(takes_s=60.0, at_s=2.0, to="reception")
    outcome = converse([], settings=SETTINGS, during=wire, lasts=10)
    assert outcome.reason is EndReason.CALLER_HANGUP
    assert outcome.left == []


def test_one_thing_at_a_time() -> None:
    wire = Wire(takes_s=10.0, at_s=4.5, to="kitchen")
    outcome = converse([WANTS], USES, settings=SETTINGS, persona=WHO, during=wire)
    assert [uri for _, uri in wire.dialled] == ["sip:200@192.0.2.10"]
    assert isinstance(wire.outcomes[0], CantBeDone)
    assert outcome.reason is EndReason.TRANSFERRED


def test_a_test_number_is_not_put_through() -> None:
    wire = Wire(at_s=2.0, to="reception")
    converse([], settings=SETTINGS, during=wire, number="echo", lasts=5)
    assert wire.dialled == []
    assert isinstance(wire.outcomes[0], CantBeDone)


class Operator:
    """Does things at given seconds of the call."""

    def __init__(self, *does: tuple[float, Callable[[CallSession], Any]], hold_s: float = 0.0) -> None:
        """The wire takes `hold_s` to tell the caller's side that it is held."""
        self.does = does
        self.hold_s = hold_s
        self.errors: list[Exception] = []
        self.states: list[str] = []
        self.held: list[bool] = []

    def __call__(self, session: CallSession, call: FakeCall) -> None:
        async def operate() -> None:
            loop = asyncio.get_running_loop()
            began = loop.time()
            for at_s, do in self.does:
                await asyncio.sleep(began + at_s - loop.time())
                try:
                    if (work := do(session)) is not None:
                        await work
                except CantBeDone as error:
                    self.errors.append(error)
                self.states.append(session.state)

        async def hold() -> None:
            await asyncio.sleep(self.hold_s)
            self.held.append(True)

        async def resume() -> None:
            self.held.append(False)

        call.hold, call.resume = hold, resume  # type: ignore[method-assign]
        self.task = asyncio.get_running_loop().create_task(operate())


def hold(session: CallSession) -> Any:
    return session.control.hold()


def resume(session: CallSession) -> Any:
    return session.control.resume()


def energy(outcome: Outcome, start_s: float, end_s: float) -> float:
    """Of what the wire pulled, from one second of the call to another."""
    pcm = np.frombuffer(outcome.sound, np.int16)[int(start_s * 16000) : int(end_s * 16000)].astype(float)
    return float(np.sqrt(np.mean(pcm**2)))


@pytest.mark.parametrize("music", ["generated", "none"])
def test_a_caller_on_hold_hears_music_and_is_not_heard(music: str) -> None:
    operator = Operator((2.0, hold), (50.0, resume))
    settings = Settings.model_validate({"call": {"hold_music": music, "idle_prompt_s": 5}})
    script = [Says(10.0, 11.0, "Are you there?"), Says(54.0, 55.0, "Hello again.")]
    outcome = converse(script, settings=settings, during=operator, lasts=60)
    assert operator.states[0] == "holding"
    assert operator.held == [True, False]
    assert answers(outcome)[:3] == [PERSONA.greeting, PERSONA.says.holding, PERSONA.says.resumed]
    assert callers(outcome) == ["Hello again."]
    for at in (8, 25, 40):  # beyond the length of the music
        assert (energy(outcome, at, at + 5) > 500) is (music == "generated")
    assert energy(outcome, 52.5, 53.5) == 0
    assert outcome.left == []


@pytest.mark.parametrize(
    ("asked", "back_s"),
    [('{"seconds":8}', 8), ('{"seconds":"long"}', 30), ("{}", 30), ('{"seconds":0}', 30)],
)
def test_a_model_has_the_caller_wait_for_a_while(asked: str, back_s: float) -> None:
    wants = Says(4.0, 5.0, "Give me a minute.")
    script = [wants, Says(13.0, 14.0, "Where is it?"), Says(48.0, 49.0, "Here it is.")]
    persona = PERSONA.model_copy(update={"tools": ("hold_call",)})
    settings = Settings.model_validate({"call": {"idle_prompt_s": 60}})
    operator = Operator()
    uses = {wants.text: f"!hold_call{asked}"}
    outcome = converse(script, uses, settings=settings, persona=persona, during=operator, lasts=60)
    assert operator.held == [True, False]
    said = [PERSONA.greeting, PERSONA.says.holding, PERSONA.says.resumed]
    assert [one for one in answers(outcome) if one in said] == said
    assert callers(outcome) == [wants.text, "Here it is."]
    waited = outcome.at("agent starts", answers(outcome).index(PERSONA.says.resumed)) - wants.end
    assert back_s <= waited < back_s + 8
    assert outcome.left == []


def test_who_is_held_by_an_operator_meanwhile_stays_on_hold() -> None:
    wants = Says(4.0, 5.0, "Give me a minute.")
    persona = PERSONA.model_copy(update={"tools": ("hold_call",)})
    settings = Settings.model_validate({"call": {"idle_prompt_s": 60}})
    operator = Operator((15.0, resume), (20.0, hold), (55.0, resume))
    outcome = converse(
        [wants], {wants.text: "!hold_call"}, settings=settings, persona=persona, during=operator, lasts=60
    )
    assert operator.errors == []
    assert operator.held == [True, False] * 2
    assert outcome.left == []


def test_where_the_wire_cant_hold_the_conversation_goes_on() -> None:
    class Broken(Operator):
        def __call__(self, session: CallSession, call: FakeCall) -> None:
            super().__call__(session, call)

            async def fails() -> None:
                raise CantBeDone("The caller's side holds no calls.")

            call.hold = fails  # type: ignore[method-assign]

    operator = Broken((4.0, hold))
    outcome = converse([Says(14.0, 15.0, "Are you there?")], during=operator, lasts=25)
    assert [str(error) for error in operator.errors] == ["The caller's side holds no calls."]
    assert callers(outcome) == ["Are you there?"]


def test_the_agent_says_what_an_operator_wants() -> None:
    operator = Operator(
        (4.0, lambda session: session.control.say("Somebody is with you soon.")),
        (8.0, hold),
        (12.0, lambda session: session.control.say("Not now.")),
        (14.0, resume),
    )
    outcome = converse([Says(20.0, 21.0, "Thank you.")], during=operator, lasts=30)
    assert "Somebody is with you soon." in answers(outcome)
    assert "Not now." not in answers(outcome)
    assert [str(error) for error in operator.errors] == ["The call is holding."]
    assert callers(outcome) == ["Thank you."]
    assert outcome.left == []


def test_music_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "music.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.repeat(np.full(8000, 1000, np.int16), 2).tobytes())
    pcm = np.frombuffer(hold_music(str(path)), np.int16)
    assert len(pcm) == pytest.approx(16000, abs=2)
    assert np.median(pcm) == pytest.approx(1000, abs=2)
    path.write_bytes(b"RIFF")
    hold_music.cache_clear()
    with pytest.raises(ConfigError, match=r"call\.hold_music"):
        hold_music(str(path))


def test_the_music_that_is_made_is_fit_for_telephones() -> None:
    pcm = np.frombuffer(hold_music("generated"), np.int16).astype(float)
    assert abs(pcm).max() < 20_000
    spectrum = abs(np.fft.rfft(pcm)) ** 2
    hz = np.fft.rfftfreq(len(pcm), 1 / 16000)
    assert spectrum[(hz > 300) & (hz < 3400)].sum() > 0.99 * spectrum.sum()
    seconds = pcm[: len(pcm) // 16000 * 16000].reshape(-1, 16000)
    levels = np.sqrt((seconds**2).mean(axis=1))
    assert levels.min() > 0.4 * levels.max()
    assert abs(pcm[0] - pcm[-1]) <= abs(np.diff(pcm)).max()  # it goes round without a click


def test_who_is_resumed_before_they_are_held_hears_no_music() -> None:
    holding: list[asyncio.Task[None]] = []

    def begin(session: CallSession) -> None:
        holding.append(asyncio.ensure_future(hold(session)))

    operator = Operator((2.0, begin), (12.0, resume), hold_s=20.0)
    settings = Settings.model_validate({"call": {"idle_prompt_s": 600}})
    outcome = converse([], settings=settings, during=operator, lasts=45)
    assert operator.errors == []
    assert operator.held == [False, True]
    assert energy(outcome, 34, 40) == 0
    assert outcome.left == []


def test_hold_and_resume_in_the_wrong_place_are_refused() -> None:
    operator = Operator((2.0, resume), (3.0, hold), (8.0, hold), (12.0, resume), (13.0, resume))
    converse([], during=operator, lasts=20)
    assert [str(error) for error in operator.errors] == [
        "The call isn't on hold.",
        "The call is holding.",
        "The call isn't on hold.",
    ]


def test_a_call_on_hold_ends_with_a_goodbye() -> None:
    settings = Settings.model_validate({"call": {"max_duration_s": 15}})
    outcome = converse([], settings=settings, during=Operator((2.0, hold)), lasts=60)
    assert outcome.reason is EndReason.MAX_DURATION
    assert answers(outcome)[-1] == PERSONA.goodbye
    assert outcome.at("agent hangs up") < 20
    assert outcome.left == []


def test_a_muted_caller_is_not_heard_and_a_muted_agent_speaks_later() -> None:
    def muted(*, caller: bool = False, agent: bool = False) -> Callable[[CallSession], Any]:
        return lambda session: session.control.mute(caller=caller, agent=agent)

    operator = Operator((2.0, muted(caller=True)), (5.0, muted(agent=True)), (15.0, muted()))
    script = [Says(3.0, 4.0, "You don't hear me."), Says(6.0, 7.0, "You do.")]
    outcome = converse(script, during=operator, lasts=20)
    assert callers(outcome) == ["You do."]
    assert energy(outcome, 5.1, 14.9) == 0
    assert energy(outcome, 15.0, 16.0) > 100
    assert answers(outcome) == [PERSONA.greeting, "Okay then."]


RESCUED = Settings.model_validate(
    {"transfer": {"to": {"reception": "sip:200@192.0.2.10"}, "on_failure": "reception"}}
)
FAILING = [Says(2.0, 3.0, "Fail now."), Says(8.0, 9.0, "Fail again.")]
FAILS = {one.text: "!fail" for one in FAILING}


def test_music_isnt_begun_behind_the_calls_end() -> None:
    ended: list[bool] = []

    async def over(session: CallSession) -> None:
        session._call.playout.close()
        session.control._start_music()
        ended.append(True)

    converse([], during=Operator((2.0, over)), lasts=5)
    assert ended


def test_who_cant_be_rescued_for_any_reason_hears_the_apology() -> None:
    async def transfer(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    def broken(_: CallSession, call: FakeCall) -> None:
        call.transfer = transfer  # type: ignore[method-assign]

    outcome = converse(FAILING, FAILS, settings=RESCUED, during=broken)
    assert outcome.reason is EndReason.MODEL_FAILURE
    assert answers(outcome)[-1] == PERSONA.apology


def test_when_the_models_fail_somebody_else_talks_to_the_caller() -> None:
    wire = Wire()
    outcome = converse(FAILING, FAILS, settings=RESCUED, during=wire)
    assert [uri for _, uri in wire.dialled] == ["sip:200@192.0.2.10"]
    assert answers(outcome) == [PERSONA.greeting, PERSONA.again, PERSONA.says.connecting]
    assert outcome.reason is EndReason.TRANSFERRED
    assert outcome.left == []


def test_when_nobody_else_does_the_call_ends_with_an_apology() -> None:
    wire = Wire(fails="The target is busy (486).")
    outcome = converse(FAILING, FAILS, settings=RESCUED, during=wire)
    assert answers(outcome)[-2:] == [PERSONA.says.connecting, PERSONA.apology]
    assert outcome.reason is EndReason.MODEL_FAILURE
    assert outcome.left == []


def test_a_pipeline_that_is_gone_has_the_caller_put_through_without_a_word() -> None:
    wire = Wire()

    def during(session: CallSession, call: FakeCall) -> None:
        wire(session, call)
        running = session._pipeline.worker
        loop = asyncio.get_running_loop()
        loop.call_later(3.0, lambda: setattr(session, "_dying", loop.create_task(running.cancel())))

    outcome = converse([], settings=RESCUED, during=during)
    assert [uri for _, uri in wire.dialled] == ["sip:200@192.0.2.10"]
    assert outcome.reason is EndReason.TRANSFERRED


WARM = Settings.model_validate(
    {"transfer": {"to": {"reception": "sip:200@192.0.2.10"}, "warm": ["reception"]}}
)
RECEPTIONIST = PERSONA.model_copy(update={"tools": ("transfer_call",), "transfer_to": ("reception",)})
TOLD = "Hello, I have a caller for you. They said: My oven is broken. Reception, please."
TELLS = [Says(2.0, 3.0, "My oven is broken."), Says(6.0, 7.0, "Reception, please.")]


class Colleague(CallTransport):
    """Answers after a second, unless told otherwise, and takes in what is said."""

    connected_event, stopped_event = "on_dialout_answered", "on_dialout_stopped"

    def __init__(self, does: str) -> None:
        super().__init__(CallInfo("sip", "", "200", direction="outbound"), Playout())
        self.does = does
        self.heard_s = 0.0
        self.over = asyncio.Event()

    async def answer(self) -> None:
        if self.does == "lets it ring":
            await self.over.wait()
            raise CallGone("It was hung up before it was answered.", EndReason.AGENT_HANGUP)
        await asyncio.sleep(1)
        if self.does == "is busy":
            raise CallGone("It is busy. (486 Busy Here)", EndReason.BUSY)
        await self.fire(self.connected_event)
        self.listening = asyncio.create_task(self._listen(), name="colleague")

    async def _listen(self) -> None:
        while not self.over.is_set():
            await asyncio.sleep(0.02)
            self.heard_s += 0.02 * bool(np.frombuffer(self.playout.pull(320), np.int16).any())
            if self.does == "hangs up" and self.heard_s > 0.5:
                await self.hangup()

    async def hangup(self) -> None:
        if not self.over.is_set():
            self.over.set()
            await self.fire(self.stopped_event, EndReason.AGENT_HANGUP)

    def input(self) -> FrameProcessor:
        raise NotImplementedError

    def output(self) -> FrameProcessor:
        raise NotImplementedError


class Line:
    """What dials colleagues."""

    def __init__(self, does: str = "") -> None:
        self.does = does
        self.asked: list[str] = []
        self.colleague: Colleague | None = None

    async def __call__(self, to: str, handler: Any, *, account: str, ring_timeout_s: float) -> CallTransport:
        self.asked.append(to)
        if self.does == "isn't allowed":
            raise NotPermitted("outbound.allow doesn't list it.")
        colleague = self.colleague = Colleague(self.does)

        async def run() -> None:
            await handler(colleague)
            await colleague.hangup()

        self.running = asyncio.create_task(run(), name="colleague")
        return colleague


@pytest.mark.parametrize("does", ["", "is busy", "hangs up", "isn't allowed"])
def test_a_colleague_is_told_before_the_caller_is_put_through(does: str) -> None:
    wire, line = Wire(), Line(does)
    outcome = converse(TELLS, USES, settings=WARM, persona=RECEPTIONIST, during=wire, dial=line, lasts=40)
    assert line.asked == ["sip:200@192.0.2.10"]
    assert set(outcome.left) <= {"colleague"}  # whom the wire hangs up on just then
    assert energy(outcome, 12.0, 13.0) > 500  # the caller hears music meanwhile
    if does:
        assert wire.dialled == []
        assert NOT_CONNECTED in answers(outcome)
        assert outcome.reason is EndReason.CALLER_HANGUP
    else:
        assert [to for _, to in wire.dialled] == ["replaced"]
        assert outcome.reason is EndReason.TRANSFERRED
        assert line.colleague
        assert line.colleague.heard_s == pytest.approx(0.3 * len(TOLD.split()), abs=0.3)


def test_a_caller_who_hangs_up_leaves_nobody_ringing() -> None:
    wire, line = Wire(), Line("lets it ring")
    outcome = converse(TELLS, USES, settings=WARM, persona=RECEPTIONIST, during=wire, dial=line, lasts=20)
    assert outcome.reason is EndReason.CALLER_HANGUP
    assert line.colleague
    assert line.colleague.over.is_set()
    assert outcome.left == []


def test_what_a_colleague_is_told() -> None:
    def told(*words: str) -> str:
        return about(RECEPTIONIST, [Turn("caller", text) for text in words])

    assert told("My oven is broken.", "Reception, please.") == TOLD
    assert told("DTMF: ***") == RECEPTIONIST.says.announcing
    assert told("My oven is broken.", "Reception, please. DTMF: 5#") == TOLD
    assert told("no", "I have {braces}, see.").endswith("I have {braces}, see.")
    assert len(told("word " * 200)) < 320


def test_keys_that_are_pressed_while_a_caller_is_put_through_are_no_turn() -> None:
    wire = Wire(fails="The target is busy (486).", takes_s=6.0)
    keys = pressed(7.0, "5")
    outcome = converse([WANTS], USES, settings=SETTINGS, persona=WHO, during=wire, keys=keys, lasts=20)
    assert callers(outcome) == [WANTS.text]
