"""A call's pipeline, in the order in which words are spoken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InputDTMFFrame,
    LLMTextFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.dtmf_aggregator import DTMFAggregator
from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage
from pipecat.processors.aggregators.llm_response_universal import (
    AssistantTurnStoppedMessage,
    LLMAssistantAggregator,
    LLMContextAggregatorPair,
    LLMUserAggregator,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameCallback, FrameDirection, FrameProcessor
from pipecat.turns.user_start import ExternalUserTurnStartStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from agent.answering import Answering
from agent.briefing import about_call, brief
from agent.conversation import Conversation, Turn
from agent.flows.guide import FlowGuide
from agent.flows.languages import lexicon as flow_lexicon
from agent.gate import AnswerGate, Tap
from agent.limits import Limits
from agent.rtvi import observer_params
from agent.tools.builtin import END_CALL
from agent.tools.cancelled import CancelledTools
from agent.tools.confirmation import Confirmation
from agent.tools.runner import ToolRunner
from agent.tools.tool import Act, Arguments, CallFacts, Done
from agent.tools.toolbox import Toolbox
from agent.turn import words
from agent.turn.lexicon import lexicon
from agent.turn.listener import Listener
from agent.turn.reader import Reader
from agent.turn.speculation import Speculation
from agent.turn.tasks import Interrupted
from config.persona import Persona
from config.settings import Settings
from models.errors import ModelError
from models.llm.language_model import Llm
from models.llm.service import CallLlmService
from models.pipecat_internals import BrowserMessages, TurnStop, wait_for_caller
from models.pool import ModelPool
from models.speech_text import pieces
from models.tts_service import VoiceTTSService
from transports.call import CallInfo, CallTransport
from transports.playout import SAMPLE_RATE_HZ

# The listener commits or withdraws every speculation; this only bounds one that a fault left over.
SPECULATION_TIMEOUT_S = 15.0
TURN_TIMEOUT_S = 60.0
BRIDGE_DEADLINE_S = 2.0  # what bridges a wait mustn't be waited for


class Keys(DTMFAggregator):
    """Makes turns of keys pressed. A single one doesn't interrupt; the listener sees to what they make.

    While they are `taken_by` somebody, who is called with each, they make nothing and go no further. Whoever
    records is given the caller's sound, in frames of 20 ms.
    """

    def __init__(self) -> None:
        super().__init__(enable_direct_mode=True)
        self.taken_by: Callable[[str], None] | None = None
        self.late = ""  # is ignored, if it comes next: of an entry that was complete without it
        self.recorded_by: Callable[[bytes], None] | None = None
        self._rest_s = self._rest_until = 0.0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, InputDTMFFrame) and self._keeps(frame.button.value):
            return
        if self.recorded_by and isinstance(frame, InputAudioRawFrame):
            self.recorded_by(frame.audio)
        await super().process_frame(frame, direction)

    def drop_rest(self, seconds: float) -> None:
        """Have keys go nowhere up to `late`, or until none came for so long: they may belong to a secret."""
        self._rest_s, self._rest_until = seconds, asyncio.get_running_loop().time() + seconds

    @property
    def rest_s(self) -> float:
        """How much longer that is."""
        return max(0.0, self._rest_until - asyncio.get_running_loop().time())

    def _keeps(self, key: str) -> bool:
        if self.taken_by:
            self.taken_by(key)
            return True
        now = asyncio.get_running_loop().time()
        if now < self._rest_until and key != self.late:
            self._rest_until = now + self._rest_s
            return True
        late, self.late, self._rest_until = self.late, "", 0.0
        return key == late

    async def broadcast_interruption(self) -> None:
        pass

    async def queue_frame(
        self,
        frame: Frame,
        direction: FrameDirection = FrameDirection.DOWNSTREAM,
        callback: FrameCallback | None = None,
    ) -> None:
        if isinstance(frame, InputAudioRawFrame) and self.next:  # 50 times a second
            if self.recorded_by:
                self.recorded_by(frame.audio)
            await self.next.queue_frame(frame, direction, callback)
        else:
            await super().queue_frame(frame, direction, callback)


def facts(info: CallInfo, act: Act) -> CallFacts:
    """What a tool may know of a call, with which `act` does what built-in ones do."""
    return CallFacts(
        id=info.id,
        transport=info.transport,
        direction=info.direction,
        caller=info.caller,
        caller_name=info.caller_name,
        called=info.called,
        act=act,
    )


class Hears(Protocol):
    """What a session needs of whoever hears the caller."""

    @property
    def answering(self) -> bool: ...
    def answer_sounds(self) -> None: ...
    def answer_lost(self) -> None: ...
    def mute(self, muted: bool) -> None: ...
    async def stop_listening(self) -> None: ...
    async def broadcast_interruption(self) -> None: ...


@dataclass(frozen=True)
class CallPipeline:
    """What a session needs of its pipeline; without a `user` nobody is asked whether they are still there."""

    worker: PipelineWorker
    listener: Hears
    user: LLMUserAggregator | None
    assistant: LLMAssistantAggregator
    keys: Keys | None = None  # None where no turns are made of them
    tools: ToolRunner | None = None  # None where the model has none
    flow: FlowGuide | None = None


def llm_service(
    llm: Llm,
    context: LLMContext,
    persona: Persona,
    *,
    call: CallFacts,
    toolbox: Toolbox | None,
    conversation: Conversation,
    answering: Callable[[], Persona] | None = None,
    wait: Callable[[], Awaitable[None]] | None = None,
    may_run: Callable[[], bool] = lambda: True,
    on_silent: Callable[[], Awaitable[None]] | None = None,
    **asks: Any,
) -> tuple[CallLlmService, ToolRunner, FlowGuide]:
    """The language model as it answers for `persona`, whether in sound or in text, what runs its tools, and
    the persona's flow.

    `context` is offered those of `toolbox` that the persona has; `answering` says who answers now, where that
    may change; `wait` is run while a tool is, `may_run` asked before, and `on_silent` called behind one that
    isn't answered; `asks` is what the service asks of a call.
    """

    def now() -> Persona:
        return answering() if answering else persona

    def agrees(text: str) -> bool:
        return words.agrees(text, *now().agreeing, lexicon(now().language_code))

    def asks_again(text: str) -> bool:
        return flow_lexicon(now().language).asks_again(text)

    toolbox = toolbox or Toolbox()
    service = llm.service(call.id, brief(persona, toolbox), **asks)
    runner = ToolRunner(
        service,
        context,
        toolbox,
        call,
        conversation,
        confirmation=Confirmation(agrees, asks_again),
        wait=wait,
        may_run=may_run,
        on_silent=on_silent,
    )
    service.acts = runner
    service.again = lambda messages: _asked_again(messages, asks_again, now().idle_prompts)
    if llm.tools or persona.flow:
        runner.become(persona)
    guide = FlowGuide(service, context, runner, call, toolbox.now)
    guide.become(persona)
    return service, runner, guide


def _asked_again(messages: Sequence[Any], asks: Callable[[str], bool], idle_prompts: Sequence[str]) -> str:
    """What the caller heard last, where they only ask to hear it again."""
    last, *before = reversed([{}, *(one for one in messages if isinstance(one, dict))])
    if last.get("role") != "user" or not asks(str(last.get("content"))):
        return ""
    for one in before:
        role, said = one.get("role"), str(one.get("content") or "")
        if role == "user":
            break
        if role == "assistant" and said and not words.is_one_of(said, idle_prompts):
            return said
    return ""


def build(
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
    on_answered: Callable[[Turn], Awaitable[None]] | None = None,
    front: Sequence[FrameProcessor] = (),
) -> CallPipeline:
    """Put one call's pipeline together; nothing runs yet. Those in `front` hear the caller before all others.

    `on_goodbye` is called when the caller or the model wants to hang up, `act` with any other built-in tool
    that the model uses, `on_answered` with what the caller heard of each turn of the agent's.
    """
    persona = answering.persona
    context = LLMContext()
    speculation = Speculation()

    async def turn_stands() -> None:
        await listener.turn_stands()

    async def wait() -> None:
        await listener.bridge_tool()

    async def acted() -> None:
        listener.acted()
        await wait_for_caller(user)

    async def carry_out(name: str, arguments: Arguments) -> Done:
        if name != END_CALL.name:
            return await act(name, arguments)
        on_goodbye()
        return Done("hanging up")

    llm, tools, flow = llm_service(
        pool.llm,
        context,
        persona,
        call=facts(call.info, carry_out),
        toolbox=toolbox,
        conversation=conversation,
        answering=lambda: answering.persona,
        wait=wait,
        may_run=limits.tool_call,
        on_silent=acted,
        about=about_call(persona, call.info),
        is_wanted=speculation.is_wanted,
        turn_stands=turn_stands,
        on_recalled=conversation.recalled,
        may_answer=lambda: limits.answer(asyncio.get_running_loop().time()),
        on_spent=limits.spent,
    )

    async def bridge(text: str, wanted: Callable[[], bool]) -> None:
        # Straight into the playout: on its way through the pipeline it would wait for whatever doesn't move.
        if call.playout.speaking or not text or not wanted():
            return
        voice, language = answering.persona.voice, answering.persona.language
        said: list[bytes] = []
        try:
            async with asyncio.timeout(BRIDGE_DEADLINE_S):
                for piece in await pieces(text, language=language):  # as they were made ahead
                    parts = pool.voices.stream(piece, voice=voice, call_id=call.info.id, language=language)
                    said += [part.pcm async for part in parts]
        except (ModelError, TimeoutError):
            return
        if not call.playout.speaking and wanted():
            conversation.bridge_begins()
            call.playout.write(b"".join(said))
            call.playout.mark(conversation.bridge_ends)

    def caller_leaves() -> None:
        conversation.tool_called(END_CALL.name, {})  # as if the model had been asked
        on_goodbye()

    def so_far() -> LLMContext:
        """As the context will be if the agent is cut off now: with what was heard of its answer."""
        heard = assistant.aggregation_string()
        cut_off: list[LLMContextMessage] = [{"role": "assistant", "content": heard}] if heard else []
        return LLMContext([*context.messages, *cut_off], context.tools, context.tool_choice)

    listener = Listener(
        call.playout,
        conversation,
        pool,
        answering,
        call_id=call.info.id,
        context=context,
        reader=Reader(
            end_probability=lambda words: llm.end_probability(so_far(), words),
            read_ahead=lambda: llm.read_ahead(so_far()),
            get_ready=lambda words: llm.get_ready(so_far(), words),
        ),
        speculation=speculation,
        bridge=bridge,
        acts=lambda: tools.busy,
        on_goodbye=caller_leaves,
        expected=lambda: flow.expected,
    )
    aggregators = LLMContextAggregatorPair(
        context,
        user_params=LLMUserAggregatorParams(
            user_turn_strategies=UserTurnStrategies(
                start=[ExternalUserTurnStartStrategy()],
                stop=[TurnStop(wait_for_transcript=False, speculation_timeout=SPECULATION_TIMEOUT_S)],
            ),
            user_turn_stop_timeout=TURN_TIMEOUT_S,
            user_idle_timeout=settings.call.idle_prompt_s,
            empty_user_turn=None,
        ),
    )
    user, assistant = aggregators.user(), aggregators.assistant()
    tts = VoiceTTSService(
        voices=pool.voices,
        voice=persona.voice,
        call_id=call.info.id,
        language=persona.language,
        speculative=lambda: bool(speculation.text),
    )

    def become(persona: Persona) -> None:
        llm.become(brief(persona, toolbox))
        if pool.llm.tools or persona.flow:
            tools.become(persona)
        flow.become(persona)
        tts.become(voice=persona.voice, language=persona.language)

    answering.on_change(become)

    async def first_sentence(*_: object) -> None:
        conversation.mark("first_sentence")

    tts.add_event_handler("on_tts_request", first_sentence)

    async def agent_turn(_: object, message: AssistantTurnStoppedMessage) -> None:
        turn = conversation.agent_said(message.content, cut_off=message.interrupted)
        listener.agent_done(message.content, cut_off=message.interrupted)
        if turn and on_answered:
            await on_answered(turn)

    assistant.add_event_handler("on_assistant_turn_stopped", agent_turn)

    keys = Keys()
    parts = Pipeline(
        [
            call.input(),
            *front,
            keys,
            listener,
            user,
            llm,
            Tap(LLMTextFrame, lambda _: conversation.mark("first_token")),
            tts,
            AnswerGate(conversation),
            call.output(),
            Tap(TTSTextFrame, lambda word: conversation.agent_words.append(word.text)),
            CancelledTools(),
            assistant,
            Tap(Interrupted, listener.interrupted),
        ]
    )
    return CallPipeline(worker(parts, call, settings, keys), listener, user, assistant, keys, tools, flow)


def worker(
    parts: Pipeline, call: CallTransport, settings: Settings, *before_listener: FrameProcessor
) -> PipelineWorker:
    """What runs a call's pipeline."""
    browser = BrowserMessages() if call.carries_messages else None
    return PipelineWorker(
        parts,
        params=PipelineParams(audio_in_sample_rate=SAMPLE_RATE_HZ, audio_out_sample_rate=SAMPLE_RATE_HZ),
        enable_rtvi=browser is not None,
        rtvi_processor=browser,
        rtvi_observer_params=observer_params([browser, call.input(), *before_listener]) if browser else None,
        enable_turn_tracking=False,
        idle_timeout_secs=None,
        cancel_timeout_secs=settings.call.end_deadline_s,
    )
