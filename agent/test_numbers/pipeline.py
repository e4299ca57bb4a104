"""A test number's pipeline."""

from __future__ import annotations

from collections.abc import Callable

from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    AssistantTurnStoppedMessage,
    LLMAssistantAggregator,
)

from agent import pipeline
from agent.answering import Answering
from agent.conversation import Conversation, Turn
from agent.limits import Limits
from agent.pipeline import CallPipeline
from agent.test_numbers.echo import Echo
from agent.test_numbers.keys import KeysReadBack
from agent.test_numbers.line_test import LineTest
from agent.test_numbers.quality import Quality
from agent.test_numbers.repeat import Repeat
from agent.test_numbers.tone import Tone
from agent.tools.tool import Act
from agent.tools.toolbox import Toolbox
from config.announcement import announcements
from config.persona import Persona
from config.settings import Settings, TestNumber
from models.pool import ModelPool
from models.tts_service import VoiceTTSService
from transports.call import CallTransport

LONGEST_S = 300  # nobody asks whether a caller is still there

_PLAIN: dict[TestNumber, type[LineTest]] = {
    "echo": Echo,
    "tone": Tone,
    "keys": KeysReadBack,
    "quality": Quality,
}


def build(
    number: TestNumber,
    call: CallTransport,
    conversation: Conversation,
    *,
    settings: Settings,
    answering: Answering,
    pool: ModelPool,
    on_goodbye: Callable[[], None],
    act: Act,
    limits: Limits,
    toolbox: Toolbox | None = None,
) -> CallPipeline:
    """Put the pipeline of one call to `number` together, as `agent.pipeline.build` does one of any other."""
    persona, says = answering.persona, announcements(answering.language)
    if number == "latency":

        async def tell(turn: Turn) -> None:
            if turn.voice_to_voice_ms is not None and not turn.cut_off:
                # Not into the context: the model would say such things by itself.
                await built.worker.queue_frame(
                    TTSSpeakFrame(took(turn, answering.language), append_to_context=False)
                )

        built = pipeline.build(
            call,
            conversation,
            settings=settings,
            answering=answering,
            pool=pool,
            on_goodbye=on_goodbye,
            act=act,
            limits=limits,
            toolbox=toolbox,
            on_answered=tell,
        )
        return built
    test = (
        Repeat(
            call,
            conversation,
            says,
            pool=pool,
            language=answering.language,
            echo_guard=answering.turn.echo_guard,
        )
        if number == "repeat"
        else _PLAIN[number](call, conversation, says)
    )
    tts = VoiceTTSService(
        voices=pool.voices, voice=persona.voice, call_id=call.info.id, language=persona.language
    )
    assistant = LLMAssistantAggregator(LLMContext())

    async def said(_: object, message: AssistantTurnStoppedMessage) -> None:
        conversation.agent_said(message.content, cut_off=message.interrupted)
        await test.said()

    assistant.add_event_handler("on_assistant_turn_stopped", said)
    parts = Pipeline([call.input(), test, tts, call.output(), assistant])
    return CallPipeline(pipeline.worker(parts, call, settings), test, None, assistant)


def greeting(persona: Persona, number: TestNumber) -> Persona:
    """`persona`, who says what `number` does when the call begins."""
    says = announcements(persona.language_code)
    return persona.model_copy(update={"greeting": says.greetings[number], "notice": None})


def settings_for_a_test(settings: Settings) -> Settings:
    """`settings`, by which a call is over after a few minutes."""
    longest_s = min(LONGEST_S, settings.call.max_duration_s)
    return settings.model_copy(
        update={"call": settings.call.model_copy(update={"max_duration_s": longest_s})}
    )


def took(turn: Turn, language: str) -> str:
    """How long an answer took, and where the time went."""
    says = announcements(language)
    parts = [says.parts[stage].format(ms=round(ms)) for stage, ms in turn.ledger.items() if round(ms)]
    return says.took.format(ms=round(turn.voice_to_voice_ms or 0), parts=", ".join(parts))
