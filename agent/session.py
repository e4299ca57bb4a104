"""One call's life: answered, held to its deadlines, ended for one reason, and gone without a trace."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InterruptionFrame,
    LLMMessagesAppendFrame,
    TTSSpeakFrame,
    UserIdleTimeoutUpdateFrame,
)
from pipecat.workers.runner import WorkerRunner

from agent import pipeline
from agent.answering import Answering
from agent.call_control import CallControl
from agent.consultation import Dial
from agent.conversation import Action, CallState, Conversation, Problem, ToolCall, Turn
from agent.floor import Heard
from agent.heard import words_heard, words_of
from agent.limits import Limits
from agent.observer import Observer, Recorded
from agent.pipeline import CallPipeline
from agent.recordings.monitor import Monitor
from agent.recordings.recordings import Recordings
from agent.rtvi import Messages, ending_message, latency_message, persona_message, taken_back_message
from agent.tools.toolbox import Toolbox
from agent.troubles import Outcome, Troubles
from agent.voicemail import Voicemail
from config.persona import Persona
from config.settings import Settings
from models.pool import ModelPool
from transports.call import BY_PEER, CallGone, CallInfo, CallTransport, EndReason, MediaStats

logger = logging.getLogger("offhook.call")

# RFC 3261, 13.3.1.4: a caller that hasn't acknowledged the answer after 64*T1 never will.
CONNECT_DEADLINE_S = 32.0
HALF_OPEN_S = 2.0  # so long the answer was sent three times
GOODBYE_DEADLINE_S = 12.0
ANNOUNCED = 0.9  # of a notice's words, as they were heard
CHARACTER_S = 0.1  # at most, of slow speech
MOVED = "You have been put through: somebody else speaks from now on, who hasn't heard what was said."


class CallSession:
    """Runs one call. `run` returns when nothing of the call is left.

    The first of `personas` greets; which of them goes on is decided by the language that the caller speaks.
    """

    goodbye_deadline_s = GOODBYE_DEADLINE_S

    def __init__(
        self,
        call: CallTransport,
        *,
        settings: Settings,
        personas: Sequence[Persona],
        pool: ModelPool,
        build: Callable[..., CallPipeline] = pipeline.build,
        says: str | None = None,
        voicemail: Voicemail | None = None,
        dial: Dial | None = None,
        recordings: Recordings | None = None,
        others: Sequence[Persona] = (),
        toolbox: Toolbox | None = None,
    ) -> None:
        """`says`: nothing else is said, and then hung up. Without `recordings` it isn't recorded.

        An operator may have any of `others` go on with it.
        """
        self._call = call
        self._settings = settings
        self._says = says
        if recordings:
            personas = [recordings.announcing(persona) for persona in personas]
        self._answering = Answering(personas, settings.turn)
        self._conversation = Conversation()
        self._began = asyncio.get_running_loop().time()
        self.connected_at: float | None = None  # Unix time
        self.connected = asyncio.Event()  # set once the answer is acknowledged
        self._ending: asyncio.Future[tuple[EndReason, str | None]] = (
            asyncio.get_running_loop().create_future()
        )
        self._gone = asyncio.Event()
        self.forgotten = asyncio.Event()  # set by whoever ran it, when nothing is left of it
        self._messages = Messages(call)
        self._idle_prompts_left = settings.call.idle_prompts
        self._was_on_hold = False  # when last found idle
        self._limits = Limits(settings.limits, self._on_limit)
        self._pipeline = build(
            call,
            self._conversation,
            settings=settings,
            answering=self._answering,
            pool=pool,
            on_goodbye=self._goodbye,
            act=lambda name, arguments: self.control.act(name, arguments),
            limits=self._limits,
            toolbox=toolbox,
        )
        self.monitor = Monitor(call, asyncio.get_running_loop().time, recordings)
        self.control: CallControl = CallControl(
            call,
            self._pipeline,
            self._conversation,
            answering=self._answering,
            settings=settings,
            pool=pool,
            voicemail=voicemail,
            dial=dial,
            monitor=self.monitor,
            personas=others,
        )
        self._runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
        call.add_event_handler(call.connected_event, self._on_connected)
        call.add_event_handler(call.stopped_event, self._on_stopped)
        call.add_event_handler("on_moved", self._on_moved)
        if user := self._pipeline.user:
            user.add_event_handler("on_user_turn_idle", self._on_idle)
            user.add_event_handler("on_user_turn_started", self._on_caller_speaks)
        self._pipeline.worker.add_event_handler("on_pipeline_error", self._on_error)
        call.playout.on_sounding = self._on_sounding
        self._observers: list[Observer] = []
        self._conversation.on_changed = self._on_changed
        self._conversation.on_bridged = self._on_bridged
        self._conversation.on_taken_back = lambda: self._messages.tell_soon(taken_back_message())
        self._troubles = Troubles()
        self._answering.on_change(lambda persona: self._messages.tell_soon(persona_message(persona)))

    @property
    def info(self) -> CallInfo:
        return self._call.info

    @property
    def persona(self) -> Persona:
        """Who answers it now."""
        return self._answering.persona

    @property
    def turns(self) -> Sequence[Turn]:
        return list(self._conversation.turns)

    @property
    def tool_calls(self) -> Sequence[ToolCall]:
        return list(self._conversation.tool_calls)

    @property
    def actions(self) -> Sequence[Action]:
        return list(self._conversation.actions)

    @property
    def problems(self) -> Sequence[Problem]:
        return list(self._conversation.problems)

    def tell(self, observer: Observer) -> None:
        """Tell it what happens from now on. That the call is over, whoever ran it tells."""
        self._observers.append(observer)

    @property
    def last_voice_to_voice_ms(self) -> float | None:
        return self._conversation.last_voice_to_voice_ms

    @property
    def guesses(self) -> tuple[int, int]:
        """Answers begun before the caller's turn was surely over, and how many of them were thrown away."""
        return self._conversation.guesses, self._conversation.guesses_discarded

    @property
    def false_starts(self) -> int:
        """Turns of the caller's that were answered, and went on."""
        return self._conversation.false_starts

    @property
    def flow(self) -> Mapping[str, Any] | None:
        """Where it stands in its persona's flow: JSON, without secrets. None where there is none."""
        return self._pipeline.flow.view if self._pipeline.flow else None

    @property
    def recorded(self) -> Recorded | None:
        """What there is of its recording by now."""
        return self.monitor.recorded

    @property
    def state(self) -> CallState:
        if self._ending.done():
            return "ending"
        if not self.connected.is_set():
            return "ringing"
        if self.control.doing:
            return self.control.doing
        if self._call.playout.speaking:
            return "speaking" if self._conversation.turns else "greeting"
        return "thinking" if self._pipeline.listener.answering else "listening"

    @property
    def half_open(self) -> bool:
        """Whether the caller takes so long to acknowledge the answer that they may never do it."""
        waited_s = asyncio.get_running_loop().time() - self._began
        return not self.connected.is_set() and waited_s > HALF_OPEN_S

    async def media_stats(self) -> MediaStats:
        """How the media of its wire flow."""
        return await self._call.media_stats()

    def note(self, action: str, by: str, **arguments: Any) -> None:
        """Somebody has done this to the call, by the name of their key."""
        self._conversation.acted(Action(action, arguments, by))

    def end(self, reason: EndReason, farewell: str | None = None) -> None:
        """End the call, after saying `farewell` if there is one. Only the first reason counts."""
        if not self._ending.done():
            self._ending.set_result((reason, farewell))

    async def hangup(self) -> None:
        """End the call at an operator's wish."""
        self.end(EndReason.OPERATOR_HANGUP)

    async def run(self) -> EndReason:
        """Answer, talk, end, clean up; each with a deadline. Returns why the call ended."""
        running = asyncio.create_task(self._run_pipeline(), name=f"call-{self.info.id}")
        running.add_done_callback(self._on_pipeline_over)
        reason = EndReason.TRANSPORT_FAILURE
        started = asyncio.get_running_loop().time()
        try:
            reason = await self._live(running)
        except CallGone as gone:
            reason = gone.reason
        finally:
            self.end(reason)
            await self._close(running)
            logger.info(
                "call %s over: %s after %.0f s, %d turns, %d of %d guesses thrown away",
                self.info.id,
                reason.value,
                asyncio.get_running_loop().time() - started,
                len(self._conversation.turns),
                *reversed(self.guesses),
            )
        return reason

    async def _live(self, running: asyncio.Task[None]) -> EndReason:
        await self._answer()
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                await self._either(self.connected.wait())
        except TimeoutError:
            return EndReason.CALLER_GONE
        if not self._ending.done():
            await self._open()
        try:
            async with asyncio.timeout(self._settings.call.max_duration_s):
                await asyncio.shield(self._ending)
        except TimeoutError:
            self.end(EndReason.MAX_DURATION, self.persona.goodbye)
        reason, farewell = self._ending.result()
        last_words = self._last_words(farewell)
        if last_words and not self._gone.is_set():
            await self._say_last(last_words, running)
        return reason

    async def _answer(self) -> None:
        await self._call.answer()

    async def _open(self) -> None:
        """Begin to speak."""
        if self._says is not None:
            self.end(EndReason.AGENT_HANGUP, self._says)
            return
        await self._pipeline.worker.queue_frames([*self._notice(), TTSSpeakFrame(self.persona.greeting)])
        if self.persona.message_only:
            self.control.answer_as_machine(lambda: self.end(EndReason.AGENT_HANGUP, self.persona.goodbye))

    def _notice(self) -> list[Frame]:
        """Said before all else. Whoever has heard it may be recorded, if it says so."""
        notice = self.persona.notice
        return [TTSSpeakFrame(notice), Heard(lambda: self._announced(notice))] if notice else []

    def _announced(self, notice: str) -> None:
        heard = " ".join(turn.text for turn in self.turns if turn.speaker == "agent")
        # As much as a voice that hasn't failed in it gives, which may write the last word in another way.
        if words_heard(notice, heard) >= ANNOUNCED * len(words_of(notice)):
            self.monitor.announce()
            self._on_changed()

    def _last_words(self, farewell: str | None) -> Sequence[Frame]:
        return [TTSSpeakFrame(farewell)] if farewell else []

    async def _either(self, event: object) -> None:
        """Wait for the event or the end of the call, whichever comes first."""
        waiting = asyncio.ensure_future(event)  # type: ignore[call-overload]
        try:
            await asyncio.wait({waiting, self._ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    async def _run_pipeline(self) -> None:
        await self._runner.add_workers(self._pipeline.worker)
        await self._runner.run()

    async def _say(self, text: str) -> None:
        await self._pipeline.worker.queue_frame(TTSSpeakFrame(text))

    async def _say_last(self, words: Sequence[Frame], running: asyncio.Task[None]) -> None:
        """Say goodbye behind what is being said, and let the pipeline run empty; neither takes for long."""
        characters = sum(len(frame.text) for frame in words if isinstance(frame, TTSSpeakFrame))
        await self._pipeline.listener.stop_listening()
        self.control.let_speak()
        said = asyncio.Event()
        await self._pipeline.worker.queue_frame(Heard(said.set))
        within_s = min(self.goodbye_deadline_s, GOODBYE_DEADLINE_S)
        if not await self._over(running, said, within_s=within_s):
            await self._pipeline.listener.broadcast_interruption()
        await self._pipeline.worker.queue_frames([*words, EndFrame()])
        if not await self._over(running, within_s=self.goodbye_deadline_s + CHARACTER_S * characters):
            # Pipecat 1.14 sends nothing behind an EndFrame that is held up, a CancelFrame neither.
            await self._pipeline.listener.broadcast_interruption()

    async def _over(self, running: asyncio.Task[None], *events: asyncio.Event, within_s: float) -> bool:
        """Whether the call is over in time, or one of these came."""
        waiting = [asyncio.create_task(event.wait()) for event in (self._gone, *events)]
        try:
            over, _ = await asyncio.wait(
                {running, *waiting}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for one in waiting:
                one.cancel()
        return bool(over)

    async def _close(self, running: asyncio.Task[None]) -> None:
        """Leave nothing of the call, whatever state it is in."""
        await self._messages.tell(ending_message(self._ending.result()[0]))
        await self._in_time(self._call.hangup(), "hanging up")
        self._call.playout.close()
        await self.control.close()
        await self._in_time(self._runner.cancel(), "ending its pipeline")
        _, stuck = await asyncio.wait({running}, timeout=self._settings.call.end_deadline_s)
        if stuck:
            logger.error("call %s: its pipeline didn't end in time and is torn down", self.info.id)
            running.cancel()
            await asyncio.wait({running}, timeout=self._settings.call.end_deadline_s)
        elif running.exception():
            logger.error("call %s: its pipeline failed", self.info.id, exc_info=running.exception())
        if self._pipeline.tools:
            await self._in_time(self._pipeline.tools.finish(), "finishing its tools")
        await self._in_time(self.monitor.finish(), "writing its recording")
        self._call.playout.on_sounding = None
        self._conversation.on_changed = None  # a record that has ended isn't begun anew

    async def _in_time(self, work: Awaitable[None], what: str) -> None:
        try:
            await asyncio.wait_for(work, self._settings.call.end_deadline_s)
        except TimeoutError:
            logger.exception("call %s: %s took too long", self.info.id, what)
        except Exception:  # the rest has to be left behind all the same
            logger.exception("call %s: %s failed", self.info.id, what)

    def _on_limit(self, name: str) -> None:
        """The call takes too much: somebody else may go on with it."""
        self._conversation.failed(f"The call reached limits.{name}.")
        logger.warning("call %s: it reached limits.%s", self.info.id, name)
        farewell = self.persona.says.limit_reached or self.persona.goodbye
        self._hand_over(self._settings.transfer.on_limit, EndReason.LIMIT_REACHED, farewell)

    def _goodbye(self) -> None:
        self.end(EndReason.AGENT_HANGUP, self.persona.goodbye)

    async def _on_connected(self, _: CallTransport) -> None:
        self.connected.set()
        self.connected_at = time.time()

    async def _on_stopped(self, _: CallTransport, reason: EndReason) -> None:
        self._gone.set()
        self._call.playout.close()  # or the pipeline would wait for somebody to hear the rest
        self.end(reason)

    async def _on_moved(self, _: CallTransport, to: str) -> None:
        self.monitor.moved()
        self.note("moved_to", BY_PEER, to=to)
        message: Any = {"role": "system", "content": MOVED}
        await self._pipeline.worker.queue_frame(LLMMessagesAppendFrame([message], run_llm=False))

    async def _on_caller_speaks(self, *_: object) -> None:
        self._idle_prompts_left = self._settings.call.idle_prompts
        self._troubles.caller_speaks()

    async def _on_idle(self, _: object) -> None:
        on_hold = self._call.on_hold or self.control.doing is not None
        was_on_hold, self._was_on_hold = self._was_on_hold, on_hold
        if was_on_hold or self._was_on_hold:
            # Nobody listens, or has just come back: the idle time begins anew, which the timer by itself
            # does only after the agent spoke.
            await self._pipeline.worker.queue_frame(
                UserIdleTimeoutUpdateFrame(self._settings.call.idle_prompt_s)
            )
            return
        if self._idle_prompts_left <= 0:
            self.end(EndReason.IDLE, self.persona.goodbye)
            return
        asked = self._settings.call.idle_prompts - self._idle_prompts_left
        self._idle_prompts_left -= 1
        await self._say(self.persona.idle_prompt(asked))

    async def _on_error(self, _: object, frame: ErrorFrame) -> None:
        """A model failed for good: whatever may be retried was retried where it failed."""
        logger.error("call %s: %s", self.info.id, frame.error)
        self._conversation.failed(frame.error)
        outcome = self._troubles.one_more()
        if outcome is not Outcome.NOTHING:
            self._pipeline.listener.answer_lost()
            # What doesn't move would hold up whatever is said next.
            await self._pipeline.worker.queue_frame(InterruptionFrame())
        match outcome:
            case Outcome.AGAIN:
                await self._say(self.persona.again)
            case Outcome.END:
                self._give_up(self.persona.apology)

    def _on_pipeline_over(self, _: asyncio.Task[None]) -> None:
        """Unless the call is ending, its pipeline failed, and can't even apologize."""
        if not self._ending.done():
            logger.error("call %s: its pipeline ended before the call", self.info.id)
            self._give_up()

    def _give_up(self, apology: str | None = None) -> None:
        """The models have failed: somebody else may talk to the caller."""
        self._hand_over(self._settings.transfer.on_failure, EndReason.MODEL_FAILURE, apology)

    def _hand_over(self, to: str | None, otherwise: EndReason, farewell: str | None) -> None:
        """Put the caller through to somebody, or else end the call."""
        if to is None:
            self.end(otherwise, farewell)
        else:
            self.control.rescue(to, lambda: self.end(otherwise, farewell))

    def _on_changed(self) -> None:
        for observer in self._observers:
            observer.changed(self)

    def _on_bridged(self) -> None:
        if self._call.playout.speaking:  # the answer follows at once
            self._on_sounding()

    def _on_sounding(self) -> None:
        if not self._conversation.bridging:
            self._pipeline.listener.answer_sounds()
        ledger = self._conversation.answer_sounds(asyncio.get_running_loop().time() + self._call.send_delay_s)
        if ledger and ledger.voice_to_voice_ms is not None:
            self._troubles.answered()
            self._messages.tell_soon(latency_message(ledger))
            for observer in self._observers:
                observer.answered(self, ledger)
            logger.info(
                "call %s answered in %.0f ms (%s)",
                self.info.id,
                ledger.voice_to_voice_ms,
                ", ".join(f"{stage} {ms:.0f}" for stage, ms in ledger.parts_ms().items()),
            )
