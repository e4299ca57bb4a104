"""What is done with a call while it stands, in conversations on a virtual clock."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from agent.call_control import CantBeDone, UnknownTarget
from agent.session import CallSession
from config.settings import Settings
from tests.agent.conversation_kit import PERSONA, FakeCall, Says, answers, callers, converse
from transports.call import EndReason, TransferFailed

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

        async def transfer(uri: str, *, timeout_s: float) -> None:
            self.dialled.append((loop.time() - start, uri))
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
