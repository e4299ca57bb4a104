"""A caller enters what a persona asks for with keys, in conversations on a virtual clock."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable
from typing import Any

import loguru
import pytest
from pipecat.frames.frames import InputDTMFFrame

from agent.http.call_views import SessionDetail
from agent.key_entry import SECRET
from agent.session import CallSession
from agent.webhook import Webhook, WebhookFailed
from config.keypad import Keypad
from config.settings import Settings
from tests.agent.conversation_kit import PERSONA, FakeCall, Outcome, Says, answers, callers, converse, pressed

ENTRY = Keypad(name="number", prompt="Enter your number, then hash.", max_keys=6)
PIN = ENTRY.model_copy(update={"name": "pin", "secret": True})
ENTERS = PERSONA.model_copy(update={"tools": ("ask_for_keys",), "keypad": (ENTRY, PIN)})
NUMBER = Says(2.0, 3.0, "I have a number.")


def entering(
    keys: list[tuple[float, InputDTMFFrame]],
    entry: str = "number",
    during: Callable[[CallSession, FakeCall], Any] | None = None,
) -> Outcome:
    uses = {NUMBER.text: f'!ask_for_keys{{"what":"{entry}"}}'}
    patient = Settings.model_validate({"call": {"idle_prompt_s": 60}})
    return converse([NUMBER], uses, settings=patient, persona=ENTERS, keys=keys, during=during, lasts=25)


def test_what_a_caller_keys_in_is_their_turn() -> None:
    outcome = entering(pressed(9.0, "1234#"))
    assert callers(outcome) == [NUMBER.text, "DTMF: 1234"]
    assert answers(outcome) == [PERSONA.greeting, ENTRY.prompt, "Okay then."]
    assert outcome.tools == ["ask_for_keys"]
    assert outcome.left == []


@pytest.mark.parametrize(
    ("keys", "turn"),
    [
        (pressed(9.0, "123456#"), "DTMF: 123456"),  # as many as fit
        (pressed(9.0, "123"), "DTMF: 123"),  # the caller waits
        (pressed(5.6, "1234#"), "DTMF: 1234"),  # who knows the prompt needn't hear it
    ],
)
def test_an_entry_is_complete_in_other_ways_too(keys: list[tuple[float, InputDTMFFrame]], turn: str) -> None:
    assert callers(entering(keys)) == [NUMBER.text, turn]


@pytest.mark.parametrize("keys", ["", "#"])
def test_who_enters_nothing_is_told_so(keys: str) -> None:
    outcome = entering(pressed(9.0, keys))
    assert callers(outcome) == [NUMBER.text]
    assert answers(outcome) == [PERSONA.greeting, ENTRY.prompt, PERSONA.says.not_entered]


def test_a_caller_who_hangs_up_over_the_keypad_leaves_nothing() -> None:
    assert entering(pressed(24.0, "1")).left == []


@pytest.mark.parametrize("taken", [True, False])
def test_a_secret_goes_to_the_webhook_and_nowhere_else(
    taken: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    posted: list[Any] = []

    async def post(_: Webhook, kind: str, id: str, what: Any) -> None:
        posted.append((kind, what))
        if not taken:
            raise WebhookFailed("The webhook answers HTTP 500.")

    seen: list[str] = []

    def during(session: CallSession, _: FakeCall) -> None:
        async def look() -> None:
            await asyncio.sleep(20)
            detail = await SessionDetail.of_call(session)
            seen.append(detail.model_dump_json())

        session._looking = asyncio.get_running_loop().create_task(look())  # type: ignore[attr-defined]

    monkeypatch.setattr(Webhook, "post", post)
    sink = loguru.logger.add(lambda line: seen.append(str(line)), level="TRACE")
    caplog.set_level(logging.DEBUG)
    try:
        outcome = entering(pressed(9.0, "789964#"), "pin", during=during)
    finally:
        loguru.logger.remove(sink)
    assert posted == [("keypad", {"call": "test", "name": "pin", "keys": "789964"})]
    assert callers(outcome) == ([NUMBER.text, f"DTMF: {SECRET}"] if taken else [NUMBER.text])
    assert answers(outcome)[-1] == ("Okay then." if taken else PERSONA.says.not_entered)
    kept = [*seen, caplog.text, json.dumps(outcome.contexts), json.dumps(outcome.turns)]
    kept += [str(outcome.spoken), str(outcome.tools)]
    assert len(seen) > 1
    apart = r"\W{0,12}".join("789964")  # no time of a log line reads so
    assert not [text for text in kept if re.search(apart, text)]


@pytest.mark.parametrize(
    "keys",
    [
        pressed(9.0, "78996455#"),  # more than fit
        [*pressed(9.0, "7899"), *pressed(16.5, "64#")],  # with a pause that is too long
    ],
)
def test_the_rest_of_a_secret_is_secret(
    keys: list[tuple[float, InputDTMFFrame]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def post(*_: Any) -> None:
        return

    monkeypatch.setattr(Webhook, "post", post)
    assert callers(entering(keys, "pin")) == [NUMBER.text, f"DTMF: {SECRET}"]


def test_keys_behind_a_secret_are_turns_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def post(*_: Any) -> None:
        return

    monkeypatch.setattr(Webhook, "post", post)
    keys = [*pressed(9.0, "7899#"), *pressed(14.0, "1")]
    assert callers(entering(keys, "pin"))[-1] == "DTMF: 1"
