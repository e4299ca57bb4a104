"""What counts as an answer in the demo, and that its own caller gets through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from rich.console import Console

from agent.cli.demo import _show
from agent.conversation import Turn
from agent.demo import Answer, answers, arrival, loopback, make_call
from agent.server import Server
from bench import metrics
from bench.material import write_wav
from config.accounts import AccountSettings
from config.persona import load_persona
from config.settings import Settings
from config.sip import SipSettings
from config.telemetry import TelemetrySettings
from tests.bench.scripted_agent import ScriptedAgent

PERSONA = load_persona("en")
UNIX_S = 1_000_000.0


class Sessions:
    """Calls by their ids: each look at them finds the next row, the last one again and again."""

    def __init__(self, *rows: Sequence[str]) -> None:
        self._rows = list(rows)

    def live(self) -> list[Any]:
        ids = self._rows.pop(0) if len(self._rows) > 1 else self._rows[0]
        return [SimpleNamespace(info=SimpleNamespace(id=id)) for id in ids]


def server(port: int, *live: Sequence[str]) -> Server:
    settings = Settings(sip=SipSettings(port=port))
    return cast(Server, SimpleNamespace(settings=settings, sessions=Sessions(*live), persona=PERSONA))


def asked(last_speech: float, answer_at: float | None) -> metrics.Turn:
    return metrics.Turn("", "question", last_speech - 2, last_speech, answer_at, False, False, None)


def said(at: float, text: str, *, cut_off: bool = False) -> Turn:
    return Turn("agent", text, at=UNIX_S + at, cut_off=cut_off)


def judged(questions: Sequence[metrics.Turn], turns: Sequence[Turn]) -> list[Answer]:
    heard = [(turn.at - 0.5, turn.text) for turn in turns]
    return answers(questions, turns, heard, PERSONA, unix_s=UNIX_S)


GREETING = said(2, PERSONA.greeting)


def test_each_question_has_the_answer_that_follows_it() -> None:
    turns = [GREETING, said(8, "It is Paris."), said(15, "Not far.")]
    first, second = judged([asked(5, 5.4), asked(12, 12.3)], turns)
    assert (first.turn, second.turn) == (turns[1], turns[2])
    assert (first.heard, second.heard) == ("It is Paris.", "Not far.")
    assert (first.voice_to_voice_ms, second.voice_to_voice_ms) == pytest.approx((400, 300))


def test_a_greeting_answers_nothing() -> None:
    (answer,) = judged([asked(5, None)], [GREETING])
    assert not answer.given


@pytest.mark.parametrize("text", [PERSONA.apology, PERSONA.goodbye, *PERSONA.idle_prompts])
def test_what_is_said_instead_of_an_answer_is_none(text: str) -> None:
    for turn in (said(8, text), said(8, f"It is {text}"), said(8, text.rpartition(" ")[0], cut_off=True)):
        (answer,) = judged([asked(5, 5.4)], [GREETING, turn])
        assert not answer.given


def test_one_answer_is_not_one_to_two_questions() -> None:
    turns = [GREETING, said(8, "It is Paris."), said(25, PERSONA.idle_prompts[0])]
    first, second = judged([asked(5, 5.4), asked(12, 24)], turns)
    assert first.given
    assert not second.given


def test_an_answer_that_nobody_heard_is_none() -> None:
    turns = [GREETING, said(8, "It is Paris.")]
    (answer,) = answers([asked(5, None)], turns, [], PERSONA, unix_s=UNIX_S)
    assert not answer.given


def test_a_latency_that_is_unknown_is_nobody_else_s() -> None:
    turns = [GREETING, said(8, "It is Paris."), said(15, "Not far.")]
    first, second = judged([asked(5, None), asked(12, 12.3)], turns)
    assert first.voice_to_voice_ms is None
    assert second.voice_to_voice_ms == pytest.approx(300)


def test_the_demo_s_caller_gets_through_whatever_is_set() -> None:
    sip = SipSettings(
        enabled=False,
        users=("reception",),
        allow=("192.0.2.0/24",),
        codecs=("opus",),
        tls_cert=Path("cert.pem"),
        tls_key=Path("key.pem"),
        media_encryption="required",
        processes=2,
    )
    own = loopback(Settings(sip=sip)).sip
    assert (own.enabled, own.users, own.allow, own.codecs) == (True, (), ("127.0.0.0/8",), ("pcmu",))
    assert (own.over_tls, own.media_encryption, own.processes) == (False, "optional", 1)


def test_the_demo_keeps_away_from_the_server_beside_it() -> None:
    account = AccountSettings(server="sip.example.com", user="100")
    traces = TelemetrySettings(otlp_endpoint="http://127.0.0.1:4318")
    own = loopback(Settings(sip=SipSettings(accounts={"desk": account}), telemetry=traces))
    assert (own.sip.accounts, own.records.enabled, own.telemetry.otlp_endpoint) == ({}, False, None)


async def test_a_call_that_is_refused_is_told_with_the_reason(tmp_path: Path) -> None:
    with ScriptedAgent(status="488 Not Acceptable Here") as agent:
        port = int(agent.target.rpartition(":")[2])
        question = tmp_path / "a.wav"
        write_wav(question, np.zeros(800, np.float32))
        demo = await make_call(server(port, ()), [question], tmp_path / "call.wav")
    assert demo.unanswered == [1]
    console = Console(record=True, width=120)
    _show(console, demo)
    told = console.export_text()
    assert "The call wasn't answered: refused: 488 Not Acceptable Here." in told
    assert "Recorded to" not in told


async def test_what_cannot_be_recorded_is_told_and_what_was_measured_kept(tmp_path: Path) -> None:
    with ScriptedAgent(hangup_after_s=0.5) as agent:
        port = int(agent.target.rpartition(":")[2])
        demo = await make_call(server(port, ()), [], tmp_path / "missing" / "call.wav")
    assert demo.problem == f"{tmp_path}/missing/call.wav can't be written: No such file or directory"


async def test_a_call_that_was_given_up_is_not_the_next_one() -> None:
    session = await arrival(server(5060, ["old"], ["old"], ["old", "new"]))
    assert session.info.id == "new"
