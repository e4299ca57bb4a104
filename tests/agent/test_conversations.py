"""Whole conversations on a virtual clock: what the caller does, and what is heard when.

Times are seconds since the call was connected; the greeting, "Hello there.", lasts 0.6 s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.frames.frames import InputDTMFFrame
from pipecat.pipeline.worker import PipelineWorker
from pipecat.turns.speculation_gate import GatedFrame, SpeculationState

from agent.session import GOODBYE_DEADLINE_S, CallSession
from agent.turn.transcriber import WORDS_DEADLINE_S
from config.settings import CallSettings, Settings
from config.turn import TurnSettings
from models.llm.service import CallLlmService
from models.pipecat_internals import ForgettingGate
from tests.agent import conversation_kit
from tests.agent.conversation_kit import (
    PERSONA,
    FakeCall,
    Outcome,
    Says,
    answers,
    callers,
    converse,
    pressed,
)
from transports.call import CallGone, EndReason

LONG = "one two three four five six seven eight nine ten eleven twelve."


def test_the_greeting_comes_at_once() -> None:
    outcome = converse([], lasts=2)
    assert outcome.at("agent starts") < 0.2
    assert outcome.reason is EndReason.CALLER_HANGUP
    assert answers(outcome) == ["Hello there."]


def test_a_finished_question_is_answered_in_less_than_400_ms() -> None:
    outcome = converse([Says(2.0, 3.5, "What is the weather like?")], lasts=6)
    assert callers(outcome) == ["What is the weather like?"]
    assert 0.15 <= outcome.at("agent starts", 1) - 3.5 <= 0.4  # 200 ms from where the voice fell
    assert answers(outcome) == ["Hello there.", "Okay then."]
    assert outcome.contexts[-1][-1] == {"role": "user", "content": "What is the weather like?"}


def test_a_persona_may_be_told_who_calls() -> None:
    persona = PERSONA.model_copy(
        update={"caller": "{caller} is {caller_name}, and dialled {called}. {not_this}"}
    )
    outcome = converse([Says(2.0, 3.5, "Who am I?")], lasts=6, persona=persona)
    told = "caller is unknown, and dialled agent. {not_this}"
    assert outcome.beginning[-1] == {"role": "system", "content": told}
    assert answers(outcome) == ["Hello there.", "Okay then."]


def test_without_speculation_it_is_answered_all_the_same() -> None:
    settings = Settings(turn=TurnSettings(speculate=False))
    outcome = converse([Says(2.0, 3.5, "What is the weather like?")], lasts=6, settings=settings)
    assert callers(outcome) == ["What is the weather like?"]
    assert answers(outcome) == ["Hello there.", "Okay then."]
    assert outcome.discarded == 0


@pytest.mark.parametrize("pause", [0.4, 0.8])
def test_a_pause_inside_a_sentence_is_waited_for(pause: float) -> None:
    first = Says(2.0, 3.5, "I would like to book a table for", completeness=0.005, finished=0.2)
    second = Says(3.5 + pause, 5.5, "four people tonight.")
    outcome = converse([first, second], lasts=8)
    assert callers(outcome) == ["I would like to book a table for four people tonight."]
    assert outcome.at("agent starts", 1) > 5.5
    assert outcome.discarded >= 1


def test_an_unfinished_sentence_is_answered_after_a_long_wait() -> None:
    first = Says(2.0, 3.5, "I would like to book a table for", completeness=0.005, finished=0.1)
    outcome = converse([first], lasts=8)
    waited = outcome.at("agent starts", 1) - 3.5
    assert 1.2 <= waited <= 1.8


def test_a_caller_who_goes_on_after_the_answer_began_loses_nothing() -> None:
    script = [Says(2.0, 3.5, "Tell me about Paris."), Says(4.0, 5.5, "And about Rome too.")]
    outcome = converse(script, {"Tell me about Paris.": LONG}, lasts=8)
    assert callers(outcome) == ["Tell me about Paris. And about Rome too."]
    assert answers(outcome) == ["Hello there.", "Okay then."]
    heard = [message["content"] for message in outcome.contexts[-1] if message["role"] != "system"]
    assert heard == ["Hello there.", *callers(outcome)]
    assert outcome.false_starts == 1
    assert outcome.at("agent stops", 1) - 4.0 <= 0.2


def test_barge_in_stops_the_agent_and_the_context_holds_what_was_heard() -> None:
    script = [Says(2.0, 3.5, "Count to twelve."), Says(5.5, 7.0, "No I meant something else.")]
    outcome = converse(script, {"Count to twelve.": LONG}, lasts=10)
    assert 0.0 < outcome.at("agent stops", 1) - 5.5 <= 0.2
    speaker, heard, cut_off = outcome.turns[2]
    assert (speaker, cut_off) == ("agent", True)
    spoken_s = outcome.at("agent stops", 1) - outcome.at("agent starts", 1)
    assert heard == " ".join(LONG.split()[: int(spoken_s / 0.3)])
    assistant = [message["content"] for message in outcome.contexts[-1] if message["role"] == "assistant"]
    assert assistant[-1] == heard
    assert answers(outcome)[-1] == "Okay then."


@pytest.mark.parametrize("sound", ["mm-hmm", "right", ""])
def test_a_backchannel_or_a_cough_costs_the_agent_nothing(sound: str) -> None:
    script = [Says(2.0, 3.5, "Count to twelve."), Says(5.5, 5.8, sound)]
    outcome = converse(script, {"Count to twelve.": LONG}, lasts=12)
    assert callers(outcome) == ["Count to twelve."]
    assert outcome.turns[2] == ("agent", LONG, False)
    assert outcome.at("agent starts", 2) - outcome.at("agent stops", 1) <= 1.0


def test_stop_is_a_turn_however_short() -> None:
    script = [Says(2.0, 3.5, "Count to twelve."), Says(5.5, 5.9, "Stop!")]
    outcome = converse(script, {"Count to twelve.": LONG}, lasts=9)
    assert callers(outcome)[-1] == "Stop!"
    assert outcome.turns[2][2]


def test_hold_on_gets_time() -> None:
    script = [
        Says(2.0, 3.0, "Hold on, let me check.", completeness=0.95),
        Says(6.0, 7.0, "It is seven.", completeness=0.95),
    ]
    outcome = converse(script, lasts=10)
    assert callers(outcome) == ["Hold on, let me check. It is seven."]


def test_a_noise_is_no_turn() -> None:
    outcome = converse([Says(2.0, 2.3, "")], lasts=5)
    assert callers(outcome) == []
    assert answers(outcome) == ["Hello there."]


def test_a_silent_caller_is_asked_twice_and_then_let_go() -> None:
    settings = Settings(call=CallSettings(idle_prompt_s=4.0, idle_prompts=2))
    outcome = converse([], lasts=60, settings=settings)
    assert outcome.reason is EndReason.IDLE
    assert answers(outcome) == ["Hello there.", "Are you there?", "Are you there?", "Goodbye now."]
    assert outcome.at("agent starts", 1) - outcome.at("agent stops", 0) == pytest.approx(4.0, abs=0.3)


def test_a_caller_on_hold_is_neither_asked_nor_let_go() -> None:
    def during(_: CallSession, call: FakeCall) -> None:
        for at, held in ((2.0, True), (42.0, False)):
            asyncio.get_running_loop().call_later(at, setattr, call, "held", held)

    settings = Settings(call=CallSettings(idle_prompt_s=4.0, idle_prompts=2))
    outcome = converse([], lasts=90, settings=settings, during=during)
    assert outcome.reason is EndReason.IDLE
    assert answers(outcome) == ["Hello there.", "Are you there?", "Are you there?", "Goodbye now."]
    assert 42.0 + 4.0 <= outcome.at("agent starts", 1) <= 42.0 + 2 * 4.0 + 0.3


def test_the_model_may_hang_up_after_a_goodbye() -> None:
    outcome = converse([Says(2.0, 3.0, "That was all.")], {"That was all.": "!end_call"}, lasts=20)
    assert outcome.reason is EndReason.AGENT_HANGUP
    assert answers(outcome)[-1] == "Goodbye now."
    assert outcome.tools == ["end_call"]


def test_a_caller_who_says_goodbye_is_said_goodbye_to() -> None:
    persona = PERSONA.model_copy(update={"goodbye_words": ("bye", "goodbye")})
    outcome = converse([Says(2.0, 2.6, "Goodbye!")], lasts=20, persona=persona)
    assert outcome.reason is EndReason.AGENT_HANGUP
    assert callers(outcome) == ["Goodbye!"]
    assert answers(outcome)[-1] == "Goodbye now."
    assert outcome.tools == ["end_call"]


AGAIN = PERSONA.again


def test_a_failed_model_has_the_caller_ask_again() -> None:
    script = [Says(2.0, 3.0, "Fail now."), Says(8.0, 9.0, "And now?")]
    outcome = converse(script, {"Fail now.": "!fail", "And now?": "Now it works."}, lasts=20)
    assert outcome.reason is EndReason.CALLER_HANGUP
    assert answers(outcome)[1:] == [AGAIN, "Now it works."]


def test_a_model_that_fails_twice_is_apologized_for_and_ends_the_call() -> None:
    script = [Says(2.0, 3.0, "Fail now."), Says(8.0, 9.0, "Fail again.")]
    outcome = converse(script, {"Fail now.": "!fail", "Fail again.": "!fail"}, lasts=40)
    assert outcome.reason is EndReason.MODEL_FAILURE
    assert answers(outcome)[1:] == [AGAIN, "I am sorry."]
    assert outcome.left == []


def test_a_failure_that_an_answer_parts_from_the_next_doesn_t_count() -> None:
    script = [Says(2.0, 3.0, "Fail now."), Says(8.0, 9.0, "Hi."), Says(14.0, 15.0, "Fail again.")]
    outcome = converse(script, {"Fail now.": "!fail", "Hi.": "Hello.", "Fail again.": "!fail"}, lasts=24)
    assert outcome.reason is EndReason.CALLER_HANGUP
    assert answers(outcome)[1:] == [AGAIN, "Hello.", AGAIN]


def heard(outcome: Outcome, since: float) -> float:
    """How long after `since` the agent was heard first."""
    starts = (event.at for event in outcome.events if event.what == "agent starts")
    return min(at for at in starts if at > since) - since


async def fails(*_: object) -> None:
    raise ConnectionError("the channel is closed")


async def hangs(*_: object) -> None:
    await asyncio.Event().wait()


def tool_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CallLlmService, "run_function_calls", hangs)


def gate_misses_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def release(gate: ForgettingGate) -> list[GatedFrame]:
        if gate.state is SpeculationState.HOLDING and not missed:
            missed.append(gate)
            return []
        return works(gate)

    works, missed = ForgettingGate._release, list[ForgettingGate]()
    monkeypatch.setattr(ForgettingGate, "_release", release)


@dataclass(frozen=True)
class Stall:
    """What doesn't move while one question is answered."""

    reply: str = "Fine."
    question: Mapping[str, Any] = field(default_factory=dict)
    put_in: Callable[[pytest.MonkeyPatch], None] = lambda _: None


STALLS = {
    "model, before it begins": Stall("!hang"),
    "model, after it began": Stall("!role !hang"),
    "model, in thinking": Stall("!think !think !hang"),
    "model, in long thinking": Stall(f"{'!think ' * 12}Well."),
    "model, between tokens": Stall("Well, I !hang"),
    "model, after a call of a tool": Stall("!end_call !hang"),
    "model, twice slow": Stall("!slow !slow Well."),
    "model, failing": Stall("!fail"),
    "voice, before it begins": Stall("Mumble."),
    "voice, in mid-sentence": Stall("Stammer on and on."),
    "recognizer, late": Stall(question={"hearing_s": 9.0}),
    "recognizer, never": Stall(question={"hearing_s": 60.0}),
    "whether that is all": Stall(question={"judging_s": 60.0, "completeness": None}),
    "tool": Stall("!end_call", put_in=tool_hangs),
    "gate": Stall(put_in=gate_misses_a_verdict),
}


@pytest.mark.parametrize("stall", STALLS.values(), ids=STALLS)
@pytest.mark.parametrize(("filler", "within_s"), [(None, 4.0), ("", 6.0)], ids=["fillers", "no fillers"])
def test_nobody_waits_in_silence(
    stall: Stall, filler: str | None, within_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    stall.put_in(monkeypatch)
    settings = Settings(turn=TurnSettings(filler=filler))
    question = Says(2.0, 3.0, "What now?", **stall.question)
    later = Says(33.0, 34.0, "And now?")
    replies = {"What now?": stall.reply, "And now?": "Now it works."}
    outcome = converse([question, later], replies, lasts=40, settings=settings)
    assert heard(outcome, 3.0) <= within_s
    assert outcome.reason is EndReason.CALLER_HANGUP
    assert "Now it works." in answers(outcome)
    assert outcome.left == []


@pytest.mark.parametrize(
    ("stall", "mute"),
    [
        (Stall("!hang"), False),
        (Stall("!think !hang"), False),
        (Stall("Mumble."), False),
        (Stall("Mumble."), True),
        (Stall("!hang"), True),
        (Stall(question={"hearing_s": 60.0}), False),
        (Stall("!end_call", put_in=tool_hangs), False),
    ],
)
def test_what_never_moves_again_ends_the_call_in_time(
    stall: Stall, mute: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stall.put_in(monkeypatch)
    settings = Settings(turn=TurnSettings(answer_timeout_s=10))
    persona = PERSONA.model_copy(update={"apology": "Mumble."}) if mute else PERSONA
    script = [Says(2.0, 3.0, "What now?", **stall.question), Says(28.0, 29.0, "And now?", **stall.question)]
    replies = dict.fromkeys(("What now?", "And now?"), stall.reply)
    outcome = converse(script, replies, lasts=120, settings=settings, persona=persona)
    assert outcome.reason is EndReason.MODEL_FAILURE
    deadline_s = max(settings.turn.answer_timeout_s, WORDS_DEADLINE_S if stall.question else 0.0)
    assert 29.0 < outcome.at("agent hangs up") <= 29.0 + deadline_s + GOODBYE_DEADLINE_S + 1.0
    assert (("test",), persona.apology) in outcome.spoken
    assert outcome.left == []


def test_a_goodbye_that_is_held_up_leaves_nothing_behind() -> None:
    settings = Settings(call=CallSettings(max_duration_s=10), turn=TurnSettings(answer_timeout_s=30))
    outcome = converse(
        [Says(7.0, 8.0, "What now?")], {"What now?": "!think !hang"}, lasts=60, settings=settings
    )
    assert outcome.reason is EndReason.MAX_DURATION
    assert outcome.at("agent hangs up") <= 10.0 + GOODBYE_DEADLINE_S + 3.0
    assert outcome.left == []


def test_a_goodbye_is_heard_though_a_long_answer_goes_on() -> None:
    settings = Settings(call=CallSettings(max_duration_s=10))
    outcome = converse(
        [Says(7.0, 8.0, "What now?")], {"What now?": "So it goes. " * 30}, lasts=60, settings=settings
    )
    assert outcome.reason is EndReason.MAX_DURATION
    assert answers(outcome)[-1] == "Goodbye now."
    assert outcome.left == []


def test_a_late_answer_is_heard_behind_what_bridged_the_wait() -> None:
    settings = Settings(turn=TurnSettings(filler_after_ms=2500))
    replies = {"What now?": "!slow It is noon."}
    outcome = converse([Says(2.0, 3.0, "What now?")], replies, lasts=12, settings=settings)
    assert answers(outcome) == ["Hello there.", "It is noon."]
    assert "One moment." in [text for _, text in outcome.spoken]
    assert outcome.ledgers[-1]["first_packet"]
    assert sum(outcome.ledgers[-1].values()) > 3000  # the wait for the answer, not for the filler


@pytest.mark.parametrize("lasts", [2.5, 3.6, 3.8, 4.0, 4.4, 5.0])
def test_a_call_leaves_no_task_whenever_it_ends(lasts: float) -> None:
    hesitant = Says(2.0, 3.5, "What is the weather like?", completeness=0.3)
    assert converse([hesitant], lasts=lasts).left == []


def test_a_call_ends_at_its_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    async def send(_: FakeCall, message: dict[str, Any]) -> None:
        told.append(message["data"].get("reason"))

    told: list[str | None] = []
    monkeypatch.setattr(FakeCall, "carries_messages", True)
    monkeypatch.setattr(FakeCall, "send_message", send)
    settings = Settings(call=CallSettings(max_duration_s=10, idle_prompt_s=300))
    outcome = converse([], lasts=60, settings=settings)
    assert outcome.reason is EndReason.MAX_DURATION
    assert answers(outcome)[-1] == "Goodbye now."
    assert told == ["max_duration"]


def test_a_pipeline_that_ends_by_itself_ends_the_call() -> None:
    def during(session: CallSession, _: FakeCall) -> None:
        loop = asyncio.get_running_loop()
        worker = session._pipeline.worker
        loop.call_later(3.0, lambda: tasks.append(loop.create_task(worker.cancel())))

    tasks: list[object] = []
    outcome = converse([], lasts=60, during=during)
    assert outcome.reason is EndReason.MODEL_FAILURE
    assert outcome.at("agent hangs up") == pytest.approx(3.0, abs=0.2)


def test_a_pipeline_that_does_not_start_ends_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(*_: object) -> None:
        raise RuntimeError("it doesn't start")

    monkeypatch.setattr(PipelineWorker, "run", run)
    outcome = converse([], lasts=60)
    assert outcome.reason is EndReason.MODEL_FAILURE
    assert outcome.at("agent hangs up") < 0.2


def test_an_operator_ends_a_call_at_once() -> None:
    def during(session: CallSession, _: FakeCall) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(3.0, lambda: tasks.append(loop.create_task(session.hangup())))

    tasks: list[object] = []
    outcome = converse([], lasts=60, during=during)
    assert outcome.reason is EndReason.OPERATOR_HANGUP


@pytest.mark.parametrize("reason", [EndReason.CALLER_CANCELLED, EndReason.TRANSPORT_FAILURE])
def test_a_call_that_is_gone_before_it_is_answered_says_why(
    reason: EndReason, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_: FakeCall) -> None:
        raise CallGone("A test.", reason)

    monkeypatch.setattr(FakeCall, "answer", answer)
    assert converse([], lasts=5).reason is reason


@pytest.mark.parametrize("send", [fails, hangs])
def test_a_wire_that_takes_no_messages_is_hung_up_all_the_same(
    send: Callable[..., Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def during(session: CallSession, _: FakeCall) -> None:
        asyncio.get_running_loop().call_later(6.0, session.end, EndReason.OPERATOR_HANGUP)

    monkeypatch.setattr(FakeCall, "carries_messages", True)
    monkeypatch.setattr(FakeCall, "send_message", send)
    outcome = converse([Says(2.0, 3.5, "What is the weather like?")], lasts=60, during=during)
    assert outcome.reason is EndReason.OPERATOR_HANGUP
    assert answers(outcome)[-1] == "Okay then."
    assert outcome.at("agent hangs up") == pytest.approx(6.0, abs=0.6)


def test_keys_are_a_turn() -> None:
    keys = [
        (2.1, InputDTMFFrame(button=KeypadEntry.ONE)),
        (2.3, InputDTMFFrame(button=KeypadEntry.TWO)),
        (2.6, InputDTMFFrame(button=KeypadEntry.POUND)),
    ]
    outcome = converse([], lasts=6, keys=keys)
    assert callers(outcome) == ["DTMF: 12#"]
    assert answers(outcome)[-1] == "Okay then."


def test_a_filler_bridges_a_slow_answer_and_is_no_part_of_it() -> None:
    settings = Settings(turn=TurnSettings(filler="One moment.", filler_after_ms=1000))
    replies = {"What is the weather like?": "!slow It is sunny."}
    outcome = converse([Says(2.0, 3.5, "What is the weather like?")], replies, lasts=10, settings=settings)
    assert outcome.at("agent starts", 1) - 3.5 == pytest.approx(1.25, abs=0.15)
    assert outcome.at("agent starts", 2) - 3.5 > 3.0
    assert answers(outcome) == ["Hello there.", "It is sunny."]


def test_a_filler_whose_sound_comes_late_isnt_said_over_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation_kit, "TTS_S", 1.0)
    settings = Settings(turn=TurnSettings(filler="One moment.", filler_after_ms=2500))
    script = [Says(2.0, 3.5, "What is the weather like?"), Says(6.5, 9.0, "I mean the weather of today.")]
    outcome = converse(
        script, {"What is the weather like?": "!slow !slow Sunny."}, settings=settings, lasts=12
    )
    assert [text for _, text in outcome.spoken] == ["Hello there.", "One moment.", "Okay then."]
    assert outcome.at("agent starts", 1) > 9.0


@pytest.mark.parametrize(("reply", "heard"), [("Mumble.", []), ("Stammer on and on.", ["Stammer"])])
def test_what_the_voice_fails_to_say_was_not_said(reply: str, heard: list[str]) -> None:
    script = [Says(2.0, 3.5, "What now?"), Says(20.0, 21.0, "And now?")]
    outcome = converse(script, {"What now?": reply}, lasts=24)
    assert answers(outcome)[1:-1] == [*heard, PERSONA.again]
    known = [one["content"] for one in outcome.contexts[-1] if one["role"] == "assistant"]
    assert known == answers(outcome)[:-1]


@pytest.mark.parametrize(
    "says",
    [
        [Says(2.0, 3.5, "My number is", completeness=0.05)],
        [Says(2.0, 2.5, "My number is"), Says(3.0, 3.6, "this one:", completeness=0.05)],
    ],
    ids=["a pause", "a false start"],
)
def test_what_was_said_before_keys_were_pressed_counts(says: list[Says]) -> None:
    outcome = converse(says, {"My number is": LONG}, lasts=8, keys=pressed(3.8, "7#"))
    assert callers(outcome) == [" ".join([*(one.text for one in says), "DTMF: 7#"])]
    known = [one["content"] for one in outcome.contexts[-1] if one["role"] == "user"]
    assert known == callers(outcome)


def test_no_filler_bridges_a_quick_answer() -> None:
    settings = Settings(turn=TurnSettings(filler="One moment.", filler_after_ms=1000))
    outcome = converse([Says(2.0, 3.5, "What is the weather like?")], lasts=6, settings=settings)
    assert outcome.count("agent starts") == 2


def test_a_tool_that_half_a_turn_asked_for_is_never_called() -> None:
    script = [Says(2.0, 3.0, "That was all."), Says(4.2, 5.2, "That I wanted to eat.")]
    outcome = converse(script, {"That was all.": "!end_call"}, lasts=10)
    assert outcome.tools == []
    assert callers(outcome) == ["That was all. That I wanted to eat."]
    assert answers(outcome) == ["Hello there.", "Okay then."]


def test_a_hesitant_caller_is_waited_for_and_one_can_see_why() -> None:
    ends = [(2.0, 3.0), (4.3, 5.3), (9.0, 10.0), (11.3, 12.3), (16.0, 17.0)]
    script = [Says(start, end, f"I think that {n} of it", 0.6) for n, (start, end) in enumerate(ends)]
    whys: list[Any] = []

    def during(session: CallSession, _: FakeCall) -> None:
        def look() -> None:
            whys[:] = [turn.end_of_turn for turn in session.turns if turn.speaker == "caller"]

        asyncio.get_running_loop().call_later(19.5, look)

    outcome = converse(script, lasts=20, during=during)
    assert outcome.false_starts < 2
    assert whys[-1]["patience"] == "hesitant"
    assert whys[-1]["wait_ms"] > TurnSettings().unsure_silence_ms


def test_of_a_turn_that_went_on_what_was_said_stays_when_the_caller_hangs_up() -> None:
    script = [Says(2.0, 3.5, "Tell me about Paris."), Says(4.0, 9.0, "And about " + "really " * 20)]
    outcome = converse(script, {"Tell me about Paris.": LONG}, lasts=6)
    assert outcome.false_starts == 1
    assert callers(outcome) == ["Tell me about Paris."]


def test_who_calls_out_of_hours_hears_all_of_why_and_is_hung_up_on() -> None:
    why = "We are closed. " + "Call again tomorrow, between nine and six. " * 9
    outcome = converse([Says(0.5, 1.5, "Is anybody there?")], {}, lasts=120, says=why)
    assert outcome.reason is EndReason.AGENT_HANGUP
    assert " ".join(text for _, text in outcome.spoken).split() == why.split()
    assert answers(outcome) == [why.strip()]
    assert outcome.left == []
