"""The ledger and the turns. Times are given."""

import asyncio

import pytest

from agent.conversation import Conversation, LatencyTrace


def test_the_parts_add_up_to_the_whole_in_whatever_order_the_stages_come() -> None:
    ledger = LatencyTrace(speech_end=10.0)
    ledger.mark("transcript", 10.1)
    ledger.mark("first_token", 10.15)
    ledger.mark("first_sentence", 10.18)
    ledger.mark("end_of_turn", 10.2)
    ledger.mark("first_audio", 10.25)
    ledger.mark("first_packet", 10.3)
    parts = ledger.parts_ms()
    assert list(parts) == [
        "transcript",
        "first_token",
        "first_sentence",
        "end_of_turn",
        "first_audio",
        "first_packet",
    ]
    assert ledger.voice_to_voice_ms is not None
    assert abs(sum(parts.values()) - ledger.voice_to_voice_ms) < 1e-6
    assert round(ledger.voice_to_voice_ms) == 300


def test_only_the_first_time_a_stage_is_reached_counts() -> None:
    ledger = LatencyTrace(speech_end=0.0)
    ledger.mark("first_token", 0.1)
    ledger.mark("first_token", 0.5)
    assert round(ledger.parts_ms()["first_token"]) == 100


def test_a_stage_reached_before_the_end_of_speech_took_no_time() -> None:
    ledger = LatencyTrace(speech_end=1.0)
    ledger.mark("transcript", 0.9)
    ledger.mark("first_packet", 1.2)
    assert ledger.parts_ms()["transcript"] == 0
    assert round(sum(ledger.parts_ms().values())) == 200


def test_an_answer_keeps_its_ledger_until_it_was_heard() -> None:
    async def main() -> None:
        conversation = Conversation()
        now = asyncio.get_running_loop().time()
        conversation.caller_paused(now)
        conversation.mark("transcript")
        conversation.turn_over(now)
        conversation.caller_said("Hello?")
        assert conversation.answer_sounds(now + 0.4)
        turn = conversation.agent_said("Hi there", cut_off=True)
        assert turn
        assert turn.cut_off
        assert turn.voice_to_voice_ms is not None
        assert round(turn.voice_to_voice_ms) == 400
        assert conversation.last_voice_to_voice_ms == turn.voice_to_voice_ms

    asyncio.run(main())


def test_a_noise_while_an_answer_is_awaited_costs_it_no_ledger() -> None:
    async def main() -> None:
        conversation = Conversation()
        now = asyncio.get_running_loop().time()
        conversation.caller_paused(now)
        conversation.turn_over(now)
        conversation.caller_paused(now + 0.2)
        conversation.mark("transcript")
        conversation.mark("first_token")
        conversation.caller_goes_on()
        ledger = conversation.answer_sounds(now + 0.4)
        assert ledger
        assert "first_token" in ledger.parts_ms()
        assert "transcript" not in ledger.parts_ms()
        assert round(ledger.voice_to_voice_ms or 0) == 400

    asyncio.run(main())


async def test_a_greeting_has_no_ledger() -> None:
    conversation = Conversation()
    assert conversation.answer_sounds(1.0) is None
    turn = conversation.agent_said("Hello", cut_off=False)
    assert turn
    assert turn.ledger == {}


def test_nothing_heard_is_no_turn() -> None:
    conversation = Conversation()
    assert conversation.agent_said("", cut_off=True) is None
    assert not conversation.turns


async def test_the_way_to_a_server_is_a_stage_of_its_own() -> None:
    conversation = Conversation()
    now = asyncio.get_running_loop().time()
    conversation.caller_paused(now - 1.0)
    conversation.mark("transcript", network="transcript_network", network_ms=400)
    conversation.turn_over(now - 1.0)
    conversation.mark("first_audio", network="audio_network", network_ms=0.0)  # of a voice here
    trace = conversation.answer_sounds(asyncio.get_running_loop().time())
    assert trace
    parts = trace.parts_ms()
    assert parts["transcript_network"] == pytest.approx(400)
    assert "audio_network" not in parts
    assert sum(parts.values()) == pytest.approx(trace.voice_to_voice_ms)
