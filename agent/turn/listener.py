"""Hears the caller: tells the turn machine what happens, whose decisions the executor carries out.

To the rest of the pipeline this is a speech-to-text service with turn detection of its own: it proposes
where turns begin and end, and sends the words ahead as soon as the caller may be done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    TranscriptionFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameCallback, FrameDirection, FrameProcessor

from agent.answering import Answering
from agent.conversation import Conversation
from agent.sound.activity import Change
from agent.sound.voice import CallerVoice
from agent.turn import events
from agent.turn.commands import Purpose
from agent.turn.executor import Executor
from agent.turn.machine import TurnMachine
from agent.turn.reader import Reader
from agent.turn.speculation import Speculation
from agent.turn.tasks import Interrupted
from agent.turn.transcriber import Transcriber
from agent.watchdog import VOICE_S, Bridge, Watchdog
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
        self._call_id = call_id
        self._transcriber = Transcriber(pool, call_id=call_id, language=answering.hears, expected=expected)
        self._voice = CallerVoice(pool, playout, echo_guard=answering.turn.echo_guard)
        self._machine = TurnMachine(
            answering,
            speculation,
            look_every_ms=LOOK_EVERY_BESIDE_A_MODEL_MS if pool.llm.reads_along else LOOK_EVERY_MS,
            uninterruptible=answering.persona.uninterruptible,
        )
        self._watchdog = Watchdog(
            answering,
            due=lambda: self._machine.agent.answer_is_due,
            quiet=lambda: not self._machine.hears_voice,
            held=lambda: bool(playout.held),
            bridge=bridge,
            acts=acts,
            give_up=lambda late: self.push_error(str(late), exception=late),
        )
        self._executor = Executor(
            self,
            voice=self._voice,
            transcriber=self._transcriber,
            transcribe=self._transcribe,
            reader=reader,
            ask_completeness=self._ask_completeness,
            playout=playout,
            conversation=conversation,
            answering=answering,
            context=context,
            watchdog=self._watchdog,
            on_goodbye=on_goodbye,
            call_id=call_id,
        )
        self._deaf = self._muted = False

    @property
    def answering(self) -> bool:
        """Whether the agent is making an answer, or giving it."""
        return self._machine.agent.answering

    def agent_done(self, text: str, *, cut_off: bool) -> None:
        """The agent's turn is over, of which the caller heard `text`."""
        if self._conversation.takes_back:
            self._executor.forget_answer()
        self._tell(events.AgentDone(text, cut_off))

    def interrupted(self, frame: Interrupted) -> None:
        """What was heard of the answer that the caller cut off stands in the context."""
        # Behind `agent_done`, which has a task.
        asyncio.get_running_loop().call_soon(self._executor.go_on, frame)

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
        until = self._now + VOICE_S
        while (  # noqa: ASYNC110
            self._machine.agent.stands_in_s(self._now) or (self._machine.hears_voice and self._now < until)
        ):
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
        self._executor.finish()
        self._deaf = True
        await self._executor.stop()
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
            await self._executor.stop()
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._executor.stop()

    # What the machine is told.

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _tell(self, event: events.Event) -> None:
        if not self._deaf:
            self._executor.give(self._machine.handle(event, self._now))

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
