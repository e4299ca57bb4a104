"""Hears the caller: carries the turn machine's decisions out.

To the rest of the pipeline this is a speech-to-text service with turn detection of its own: it proposes
where turns begin and end, and sends the words ahead as soon as the caller may be done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pipecat.frames.frames import (
    CancelFrame,
    EagerEndOfTurnCancelFrame,
    EagerTranscriptionFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    TranscriptionFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameCallback, FrameDirection, FrameProcessor
from pipecat.utils.time import time_now_iso8601

from agent.answering import Answering
from agent.conversation import Conversation
from agent.sound.activity import Change
from agent.sound.voice import CallerVoice
from agent.turn import commands, events
from agent.turn.commands import Command, Do, Purpose
from agent.turn.machine import TurnMachine
from agent.turn.reader import Reader
from agent.turn.speculation import Speculation
from agent.turn.tasks import Interrupted, Latest, Orders, Outbox
from agent.turn.transcriber import Transcriber
from agent.watchdog import Bridge, Watchdog
from models.errors import ModelError
from models.expected import Expected
from models.pool import ModelPool
from transports.playout import Playout

logger = logging.getLogger("offhook.turn")

LOOK_AGAIN_S = 0.05
LOOK_EVERY_MS = 40  # while the caller speaks
LOOK_EVERY_BESIDE_A_MODEL_MS = 200  # one that reads along: each look takes a core from it


class Listener(FrameProcessor):
    """Turns 20 ms frames of the caller's audio into turns of words."""

    def __init__(
        self,
        playout: Playout,
        conversation: Conversation,
        pool: ModelPool,
        answering: Answering,
        *,
        call_id: str,
        context: LLMContext,
        reader: Reader,
        speculation: Speculation,
        bridge: Bridge,
        acts: Callable[[], bool],
        on_goodbye: Callable[[], None],
        expected: Callable[[], Expected],
    ) -> None:
        """`bridge` says something while the caller waits, which is no part of the conversation; `acts` tells
        whether a tool runs, `expected` the recognizer what is likely said next."""
        # Direct: audio comes 50 times a second, and a queue would add a task switch to each frame.
        super().__init__(enable_direct_mode=True)
        self._playout = playout
        self._conversation = conversation
        self._answering, self._reader, self._speculation = answering, reader, speculation
        self._call_id, self._context, self._on_goodbye = call_id, context, on_goodbye
        self._transcriber = Transcriber(pool, call_id=call_id, language=answering.hears, expected=expected)
        self._voice = CallerVoice(pool, playout, echo_guard=answering.turn.echo_guard)
        self._machine = TurnMachine(
            answering,
            speculation,
            look_every_ms=LOOK_EVERY_BESIDE_A_MODEL_MS if pool.llm.reads_along else LOOK_EVERY_MS,
            uninterruptible=answering.persona.uninterruptible,
        )
        self._kept_from = 0  # so many messages of the context aren't about the caller's latest turn
        self._orders = Orders(self._carry_out)
        self._outbox = Outbox(self)
        self._hearing = {purpose: Latest(self) for purpose in Purpose}
        self._judging = {purpose: Latest(self) for purpose in Purpose}
        self._watchdog = Watchdog(
            answering,
            due=lambda: self._machine.agent.answer_is_due,
            quiet=lambda: not (self._machine.hears_voice or playout.held),
            bridge=bridge,
            acts=acts,
            give_up=lambda late: self.push_error(str(late), exception=late),
        )
        self._watching = Latest(self)
        self._deaf = self._muted = False

    @property
    def answering(self) -> bool:
        """Whether the agent is making an answer, or giving it."""
        return self._machine.agent.answering

    def agent_done(self, text: str, *, cut_off: bool) -> None:
        """The agent's turn is over, of which the caller heard `text`."""
        if self._conversation.takes_back:
            self._forget_answer()
        self._tell(events.AgentDone(text, cut_off))

    def interrupted(self) -> None:
        """What was heard of the answer that the caller cut off stands in the context."""
        asyncio.get_running_loop().call_soon(self._orders.go_on)  # behind `agent_done`, which has a task

    def answer_sounds(self) -> None:
        """The answer to the caller's latest turn begins to be heard."""
        self._tell(events.Plain.AGENT_SOUNDS)

    def answer_lost(self) -> None:
        """It failed."""
        self._conversation.answer_lost()
        self._tell(events.Plain.ANSWER_LOST)

    async def turn_stands(self) -> None:
        """Wait until the turn that is answered can't go on any more: a tool isn't called before.

        Whoever waits is cancelled if it does.
        """
        while self._machine.hears_voice or self._machine.agent.stands_in_s(self._now):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_AGAIN_S)
        self._tell(events.Plain.ANSWER_ACTS)

    def acted(self) -> None:
        """A tool that was called has left nothing to be said."""
        self._tell(events.Plain.ANSWER_ACTED)

    async def bridge_tool(self) -> None:
        """While a tool runs, say that it takes long, where no answer is awaited whose wait is bridged."""
        machine = self._machine
        await self._watchdog.watch_tool(lambda: not (machine.awaits_answer or machine.hears_voice))

    def mute(self, muted: bool) -> None:
        """Hear silence in the caller's place; a turn that is under way is forgotten."""
        self._muted = muted
        if muted:
            self._tell(events.Plain.LAST_WORD)

    async def stop_listening(self) -> None:
        """Let the agent have the last word: whatever comes from the caller now is ignored."""
        self._tell(events.Plain.LAST_WORD)
        self._orders.go_on()
        self._deaf = True
        await self._stop_tasks()
        self._playout.resume()

    # Pipecat.

    async def queue_frame(
        self,
        frame: Frame,
        direction: FrameDirection = FrameDirection.DOWNSTREAM,
        callback: FrameCallback | None = None,
    ) -> None:
        if not isinstance(frame, InputAudioRawFrame):
            await super().queue_frame(frame, direction, callback)
        elif not self._deaf:  # without what Pipecat asks of each frame, which takes longer than to hear it
            try:
                self._hear(bytes(len(frame.audio)) if self._muted else frame.audio)
            except Exception as error:
                await self.push_error(f"Hearing the caller failed: {error!r}", exception=error)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame) and direction is FrameDirection.DOWNSTREAM:
            if not self._muted:
                self._tell(events.Typed(frame.text))
            return
        if isinstance(frame, EndFrame | CancelFrame):
            await self._stop_tasks()
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._stop_tasks()

    # What the machine is told.

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _tell(self, event: events.Event) -> None:
        if not self._deaf:
            self._orders.give(self._machine.handle(event, self._now))

    def _hear(self, pcm: bytes) -> None:
        pcm, changes = self._voice.process(pcm, self._now)
        self._transcriber.add(pcm, voice=self._machine.hears_voice)
        for change in changes:
            logger.debug("call %s: voice %s", self._call_id, change.change.name.lower())
            match change.change:
                case Change.STARTED:
                    self._voice.begin()
                    self._transcriber.forget()
                    self._reader.new_turn()
                    self._conversation.caller_speaks(change.at)
                    self._tell(events.SpeechStarted(change.at))
                case Change.PAUSING:
                    speech_end = self._voice.paused_at or change.at
                    self._conversation.caller_paused(speech_end, foreseen=bool(self._speculation.text))
                    self._tell(events.SpeechPausing(speech_end))
                case Change.RESUMED:
                    self._conversation.caller_goes_on()
                    self._tell(events.Plain.SPEECH_RESUMED)
        self._tell(
            events.Tick(
                audio_s=self._transcriber.audio_s,
                speech_end=self._voice.paused_at,
                hushed=self._voice.hushed,
                sounds=self._voice.sounds,
                agent_speaks=self._playout.speaking or self._playout.held,
                agent_said=self._conversation.agent_words,
                echo=self._voice.echo,
                may_echo=self._voice.may_echo,
            )
        )

    async def _transcribe(self, number: int, purpose: Purpose) -> None:
        if purpose is Purpose.PASSING:
            self._tell(events.Heard(number, await self._transcriber.words_so_far(number)))
            return
        bridging = asyncio.create_task(self._watchdog.late_words(lambda: self._voice.paused_at is not None))
        transcript, failed, paused_at = None, None, self._voice.paused_at
        try:
            silence_s = None if paused_at is None else self._now - paused_at
            transcript = await self._transcriber.words(number, silence_s=silence_s)
        except (ModelError, TimeoutError) as error:
            logger.warning("call %s: speech recognition failed: %r", self._call_id, error)
            failed = error
        finally:
            bridging.cancel()
        if transcript and purpose is Purpose.PAUSE:
            network_ms = transcript.network_ms
            self._conversation.mark("transcript", network="transcript_network", network_ms=network_ms)
        self._tell(events.Heard(number, transcript))
        if failed and not self._machine.hears_voice:  # else it does without these words
            await self.push_error(f"Speech recognition failed: {failed!r}", exception=failed)

    async def _ask_completeness(self, number: int, text: str) -> None:
        self._tell(events.Judged(number, await self._reader.completeness(text)))

    # What it wants done.

    def _carry_out(self, command: Command) -> None:
        match command:
            case commands.Transcribe(number, purpose, afresh):
                if afresh:
                    self._transcriber.forget()
                self._hearing[purpose].start(self._transcribe(number, purpose))
            case commands.AskCompleteness(number, purpose, text):
                self._judging[purpose].start(self._ask_completeness(number, text))
            case commands.Dismiss(purpose):
                self._hearing[purpose].cancel()
                self._judging[purpose].cancel()
            case commands.GetReady(text):
                self._reader.get_ready(text)
            case Do.READ_AHEAD:
                self._reader.read_ahead()
            case Do.HOLD:
                self._playout.hold()
            case Do.RESUME:
                self._playout.resume()
            case commands.Interim(text):
                self._outbox.send(InterimTranscriptionFrame(text, "", time_now_iso8601()))
            case commands.Speculate(text, ahead):
                if ahead:
                    self._conversation.caller_paused(self._now)
                self._conversation.answer_begun()
                self._outbox.send(EagerTranscriptionFrame(text, "", time_now_iso8601()))
            case Do.WITHDRAW:
                self._conversation.answer_withdrawn()
                self._outbox.send(EagerEndOfTurnCancelFrame)
            case commands.SpeakIn(language):
                self._answering.become(language)
                logger.info("call %s goes on in %s", self._call_id, language)
            case commands.Settle(number, transcript):
                self._answering.turn_over(transcript.languages)
                self._transcriber.settle(number)
            case Do.TAKE_BACK:
                self._conversation.take_back()
                self._forget_answer()
            case Do.TAKE_FLOOR:
                self._conversation.answer_lost()
                self._outbox.send(ProposedUserStartedSpeakingFrame())
                self._outbox.send(Interrupted())
                self._orders.wait()  # or the answer to what follows would be begun without what was heard
            case commands.Commit():
                self._commit(command)
            case commands.Drop(had_floor):
                self._end_utterance()
                if turn := self._conversation.give_back():
                    self._context.add_message({"role": "user", "content": turn.text})
                self._conversation.caller_goes_on()
                if self._playout.held:
                    self._playout.resume()
                if had_floor:
                    self._outbox.send(ProposedUserStoppedSpeakingFrame())

    def _commit(self, turn: commands.Commit) -> None:
        if (candidate := turn.candidate) is not None:
            self._voice.turn_over()
            self._answering.turn_over(candidate.transcript.languages)
        else:
            self._conversation.caller_paused(turn.speech_end)
        self._end_utterance()
        self._conversation.turn_over(turn.speech_end)
        if self._conversation.takes_back:
            self._forget_answer()
        why = candidate.verdict.told if candidate and candidate.verdict else {}
        self._conversation.caller_said(turn.text, end_of_turn=why)
        if turn.goodbye:
            self._on_goodbye()
            return
        self._kept_from = len(self._context.messages)
        self._outbox.send(TranscriptionFrame(turn.text, "", time_now_iso8601(), finalized=True))
        self._outbox.send(ProposedUserStoppedSpeakingFrame())
        self._watching.start(self._watchdog.watch())

    def _forget_answer(self) -> None:
        """What the context holds of a turn that went on, and of its answer; instructions stay."""
        messages = self._context.messages
        instructions = [one for one in messages[self._kept_from :] if _is_instruction(one)]
        self._context.set_messages([*messages[: self._kept_from], *instructions])

    def _end_utterance(self) -> None:
        self._voice.end()
        self._transcriber.end()

    async def _stop_tasks(self) -> None:
        self._orders.stop()
        self._conversation.give_back()
        await self._reader.stop()
        for work in (*self._hearing.values(), *self._judging.values(), self._watching):
            await work.stop()


def _is_instruction(message: object) -> bool:
    return isinstance(message, dict) and message.get("role") == "system"
