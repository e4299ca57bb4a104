"""What a run becomes: JSON and back, a comparison, a table, a page; and the sounds it is made with."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from bench import asking, svg
from bench.asking import stages
from bench.caller.script import Hangup
from bench.callers import AgentTurn, Call, CallFailed, ScriptCaller
from bench.columns import columns, rows
from bench.material import (
    Material,
    Speaker,
    leveled,
    loud,
    noise,
    read_wav,
    telephone_band,
)
from bench.metrics import Turn
from bench.report import page
from bench.results import (
    Metric,
    Run,
    ScenarioResult,
    Timeline,
    TurnRecord,
    UnreadableRun,
    beside_sip,
    from_json,
    ratio,
    to_json,
)
from bench.scenarios import EVERY, voice_to_voice
from bench.seen import Seen
from bench.strangers import Strangers
from bench.subjects import OffhookServer, Running, StockBot, Subject, Target, persona_file
from bench.table import show
from bench.workbench import Bench
from config.settings import Settings
from models.catalog import Catalog
from tests.bench.scripted_agent import ScriptedAgent
from tests.bench.test_metrics import call

TURN = TurnRecord("What <time> is it?", 380.0, False, {"end_of_turn": 200.0, "first_audio": 180.0})
RUN = Run(
    "offhook",
    "sip",
    [
        ScenarioResult(
            "voice-to-voice",
            "Voice to voice",
            [
                Metric("median", "voice-to-voice, median", 380.0, "ms", 1, 400),
                Metric("p95", "voice-to-voice, p95", None, "ms", 0, 800),
            ],
            turns=[TURN, TurnRecord("unanswered", None, False)],
            samples={"voice-to-voice": [380.0, 510.0]},
            timelines=[Timeline("wait", -20.0, [-100.0, -20.0], [-20.0, -100.0], 0.0)],
            notes=["a note"],
        )
    ],
)


def test_a_run_survives_its_file(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(to_json([RUN]))
    assert from_json(tmp_path / "run.json") == [RUN]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"runs": [{"subject": 3}]}'])
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(UnreadableRun, match=r"is not a run of `offhook bench`"):
        from_json(tmp_path / "run.json")


def test_goals_and_ratios() -> None:
    now = Metric("median", "", 400.0, "ms", 60, 400)
    before = dataclasses.replace(now, value=4000.0)
    assert (now.met, before.met, dataclasses.replace(now, goal=None).met) == (True, False, None)
    assert ratio(now, before) == 10
    assert ratio(now, None) is None


def test_the_table_shows_every_run() -> None:
    console = Console(record=True, width=160)
    stock = Run("stock (timeout)", "sip", [dataclasses.replace(RUN.scenarios[0], notes=[])])
    show(console, [RUN, stock], [RUN])
    text = console.export_text()
    assert "stock (timeout)" in text
    assert "offhook, earlier" in text
    assert "1.00×" in text
    assert "a note" in text


def _over(transport: str, median: float | None) -> Run:
    metrics = [dataclasses.replace(RUN.scenarios[0].metrics[0], value=median), RUN.scenarios[0].metrics[1]]
    result = dataclasses.replace(RUN.scenarios[0], metrics=metrics)
    return Run("offhook", transport, [result])


def test_another_transport_is_measured_against_sip() -> None:
    webrtc = beside_sip(_over("webrtc", 500.0), RUN)
    over = webrtc.metric("voice-to-voice", "over_sip")
    assert over is not None
    assert (over.value, over.goal, over.met) == (120.0, 150.0, True)
    slow = beside_sip(_over("webrtc", 540.0), RUN).metric("voice-to-voice", "over_sip")
    assert slow is not None
    assert slow.met is False
    median = webrtc.metric("voice-to-voice", "median")
    assert median is not None
    assert median.goal is None, "the goal in milliseconds is SIP's"
    unanswered = beside_sip(_over("webrtc", None), RUN).metric("voice-to-voice", "over_sip")
    assert unanswered is not None
    assert (unanswered.value, unanswered.met) == (None, None)
    assert beside_sip(RUN, RUN) is RUN
    alone = _over("twilio", 380.0)
    assert beside_sip(alone, None) is alone


def test_transports_stand_side_by_side_and_others_beside_their_own() -> None:
    webrtc = beside_sip(_over("webrtc", 500.0), RUN)
    stock = Run("stock (timeout)", "sip", RUN.scenarios)
    earlier = _over("webrtc", 1000.0)
    beside = columns([RUN, webrtc, stock], [earlier])
    assert [(one.heading, one.ratio("voice-to-voice", "median")) for one in beside] == [
        ("sip", None),
        ("webrtc", None),
        ("stock (timeout) over sip", 1.0),
        ("offhook over webrtc, earlier", 2.0),
    ]
    keys = [metric.key for metric in rows([RUN.scenarios[0], webrtc.scenarios[0]])]
    assert keys == ["median", "p95", "over_sip"]
    console = Console(record=True, width=200)
    show(console, [RUN, webrtc, stock], [earlier])
    text = console.export_text()
    assert "offhook over sip, webrtc" in text
    assert re.search(r"median less SIP's \(1\).*≤ 150 ms.*120 ms", text)
    assert "Voice to voice over webrtc: a note" in text
    html = page([RUN, webrtc, stock], [earlier])
    assert "Turn by turn over webrtc" in html
    assert "before any jitter buffer" in html


def test_who_can_be_called_how() -> None:
    def served(subject: Subject) -> list[str]:
        return [transport for transport in EVERY if subject.serves(transport)]

    assert served(OffhookServer(None)) == ["sip", "webrtc", "twilio"]
    assert served(StockBot("timeout", None)) == ["sip"]
    assert served(Target("127.0.0.1:5060")) == ["sip"]
    assert served(Target(None, "http://127.0.0.1:8080")) == ["webrtc", "twilio"]


def test_the_page_needs_nothing_else() -> None:
    html = page([RUN], [RUN])
    assert not re.search(r"(src|href)=|@import|url\(|<script", html)
    assert "What &lt;time&gt; is it?" in html
    assert "end of turn: 200 ms" in html
    assert html.count("<svg") == 3
    assert "prefers-color-scheme: dark" in html


@pytest.mark.parametrize(("most", "steps"), [(0, [0, 1]), (430, [0, 100, 200, 300, 400, 500]), (0.05, None)])
def test_axes_are_round(most: float, steps: list[float] | None) -> None:
    found = svg.axis_steps(most)
    assert found[-1] >= most
    if steps is not None:
        assert found == steps


def test_sounds_are_in_the_telephone_band_at_one_level() -> None:
    time = np.arange(16000) / 16000
    voice = (3000 * np.sin(2 * np.pi * 1000 * time) + 3000 * np.sin(2 * np.pi * 60 * time)).astype(np.float32)
    narrow = telephone_band(voice, 16000)
    spectrum = np.abs(np.fft.rfft(narrow))
    assert len(narrow) == 8000
    assert spectrum[1000] > 100 * spectrum[60]
    rms = np.sqrt(np.mean(np.square(leveled(narrow))))
    assert 20 * np.log10(rms / 32768) == pytest.approx(-20, abs=0.5)


def test_trimming_keeps_the_words() -> None:
    words = np.concatenate([np.full(800, 3.0), np.full(1600, 5000.0), np.full(800, 3.0)]).astype(np.float32)
    assert loud(words) == slice(800, 2400)


def test_noises_repeat_and_differ() -> None:
    kinds = {noise(index)[0] for index in range(8)}
    assert kinds == {"cough", "keyboard", "rumble", "tone", "music"}
    assert np.array_equal(noise(4)[1], noise(4)[1])
    assert not np.array_equal(noise(0)[1], noise(2)[1])


def test_the_talkers_persona_differs_only_in_its_greeting(tmp_path: Path) -> None:
    from config.persona import load_persona

    talker = load_persona(persona_file("en", "talker", tmp_path))
    assert talker.model_copy(update={"greeting": load_persona("en").greeting}) == load_persona("en")
    assert len(talker.greeting) > 500


async def test_a_call_that_nobody_answers_fails_with_the_reason() -> None:
    with ScriptedAgent(status="486 Busy Here") as agent:
        caller = ScriptCaller(Running(agent.target, None))
        with pytest.raises(CallFailed, match="refused: 486 Busy Here"):
            await asyncio.wait_for(caller.call((Hangup(),)), 20)


needs_voice = pytest.mark.skipif(shutil.which("flite") is None, reason="flite isn't installed")


@pytest.fixture
async def speaker(tmp_path: Path) -> AsyncIterator[Speaker]:
    speaker = Speaker(tmp_path, Catalog(Settings().cache_dir))
    yield speaker
    await speaker.close()


def _bench(agent: ScriptedAgent, folder: Path, speaker: Speaker) -> Bench:
    caller = ScriptCaller(Running(agent.target, None))
    seen = Seen(frozenset(), frozenset())
    material, strangers = Material(folder, speaker, seen), Strangers(folder, speaker, seen, seed=1)
    return Bench(caller, material, strangers, turns=4, calls=1, say=lambda text: None)


@needs_voice
async def test_voice_to_voice_of_an_agent_with_known_timing(tmp_path: Path, speaker: Speaker) -> None:
    with ScriptedAgent(reply_after_s=0.6) as agent:
        result = await voice_to_voice(_bench(agent, tmp_path, speaker))
    figures = {metric.key: metric.value for metric in result.metrics}
    assert figures["median"] == pytest.approx(600, abs=120)
    assert figures["unanswered"] == 0


@needs_voice
async def test_questions_that_a_call_had_no_time_for_are_unanswered(tmp_path: Path, speaker: Speaker) -> None:
    with ScriptedAgent(hangup_after_s=2.0) as agent:
        result = await voice_to_voice(_bench(agent, tmp_path, speaker))
    figures = {metric.key: metric.value for metric in result.metrics}
    assert (figures["unanswered"] or 0) >= 3
    assert result.notes == ["the agent hung up in 1 of 1 calls"]


def test_the_servers_account_of_a_turn_is_the_first_after_it() -> None:
    turn = Turn("q", "question", 8.0, 10.0, 10.4, False, False, None)
    greeting, other = AgentTurn(5.0, "Hello", {}), AgentTurn(9.0, "Yes", {"end_of_turn": 300.0})
    mine = AgentTurn(11.0, "No", {"end_of_turn": 210.0, "first_audio": 170.0})
    assert stages(turn, [greeting, other, mine], 20.0) == mine.stages
    assert stages(turn, [], 20.0) == {}


def test_the_servers_account_of_the_next_turn_is_not_this_ones() -> None:
    log = call([((8, 10), "question"), ((18, 20), "question")], [(10.4, 11), (20.4, 21)], end=25)
    again, answer = AgentTurn(11.0, "Say it again?", {}), AgentTurn(21.0, "Yes.", {"end_of_turn": 210.0})
    found = asking.records([Call(log, [], agent_turns=[again, answer])])
    assert [record.stages for record in found] == [{}, answer.stages]


@needs_voice
async def test_material_is_made_on_the_spot(tmp_path: Path, speaker: Speaker) -> None:
    material = Material(tmp_path, speaker, Seen(frozenset(), frozenset({("where", "are", "you", "located")})))
    asked = await material.questions(8)
    assert [sound.words for sound in asked if not sound.stranger] == ["Where are you located?"]
    assert read_wav(asked[-1].wav)[1] == 8000
    kinds = [sound.kind for sound in await material.nothings(6)]
    assert kinds[::2] == ["backchannel"] * 3
    assert kinds[1::2] == ["cough", "keyboard", "cough"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--only", "nonsense"], "--only nonsense: there are greeting, voice-to-voice"),
        (["--transport", "pigeon"], "--transport pigeon: there are sip, webrtc, twilio"),
        (["--transport", "webrtc", "--codec", "pcma"], "--codec is for calls over SIP"),
        (["--transport", "webrtc", "--stock"], "--stock is for calls over SIP"),
        (
            ["--transport", "webrtc", "--target", "127.0.0.1:5060"],
            "--transport webrtc of a running server needs --api",
        ),
    ],
)
def test_what_cannot_be_run_is_one_sentence(options: list[str], sentence: str) -> None:
    from agent.cli import app

    result = CliRunner().invoke(app, ["bench", *options])
    assert result.exit_code == 2
    assert sentence in result.output


async def test_the_browsers_session_is_the_new_one_that_nobody_has() -> None:
    caller = ScriptCaller(Running("", "http://127.0.0.1:9"), "webrtc")
    old, mine, other = (
        {"id": name, "transport": transport, "from": "browser", "since": since}
        for name, transport, since in (
            ("old", "webrtc", "2020-01-01T00:00:00+00:00"),
            ("mine", "webrtc", "2999-01-01T00:00:00+00:00"),
            ("other", "sip", "2999-01-01T00:00:00+00:00"),
        )
    )
    find, find_next = caller._finder("bench-a"), caller._finder("bench-b")
    assert find([old, other]) == ""
    assert find([old, other, mine]) == "mine"
    assert find_next([old, other, mine]) == ""
