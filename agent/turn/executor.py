"""Carries out what the turn machine wants done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from pipecat.frames.frames import (
    EagerEndOfTurnCancelFrame,
    EagerTranscriptionFrame,
    InterimTranscriptionFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    TranscriptionFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.utils.time import time_now_iso8601

from agent.answering import Answering
from agent.conversation import Conversation
from agent.sound.voice import CallerVoice
from agent.turn import commands
from agent.turn.commands import Command, Do, Purpose
from agent.turn.reader import Reader
from agent.turn.tasks import Interrupted, Latest, Orders, Outbox
from agent.turn.transcriber import Transcriber
from agent.watchdog import Watchdog
from transports.playout import Playout

logger = logging.getLogger("offhook.turn")


class Executor:
    """One call's, whose frames are sent from `owner`'s place in the pipeline."""

    def __init__(
        self,
        owner: FrameProcessor,
        *,
        voice: CallerVoice,
        transcriber: Transcriber,
        transcribe: Callable[[int, Purpose], Coroutine[Any, Any, None]],
        reader: Reader,
        ask_completeness: Callable[[int, str], Coroutine[Any, Any, None]],
        playout: Playout,
        conversation: Conversation,
        answering: Answering,
        context: LLMContext,
        watchdog: Watchdog,
        on_goodbye: Callable[[], None],
        call_id: str,
    ) -> None:
        """`transcribe` and `ask_completeness` tell the machine the answer to the question of that number."""
        self._voice, self._transcriber, self._reader = voice, transcriber, reader
        self._transcribe, self._ask_completeness = transcribe, ask_completeness
        self._playout, self._conversation, self._answering = playout, conversation, answering
        self._context, self._watchdog = context, watchdog
        self._on_goodbye, self._call_id = on_goodbye, call_id
        self._kept_from = 0  # so many messages of the context aren't about the caller's latest turn
        self._orders = Orders(self._carry_out)
        self._outbox = Outbox(owner)
        self._hearing = {purpose: Latest(owner) for purpose in Purpose}
        self._judging = {purpose: Latest(owner) for purpose in Purpose}
        self._watching = Latest(owner)

    def give(self, wanted: Iterable[Command]) -> None:
        """Carry these out behind all that still wait."""
        self._orders.give(wanted)

    def go_on(self, interrupted: Interrupted) -> None:
        """This interruption is through, for which commands may wait."""
        self._orders.go_on(interrupted)

    def finish(self) -> None:
        """Carry out at once all that waits."""
        self._orders.finish()

    async def stop(self) -> None:
        """Do nothing more, and wait for what is under way to be cancelled."""
        self._orders.stop()
        self._conversation.give_back()
        await self._reader.stop()
        for work in (*self._hearing.values(), *self._judging.values(), self._watching):
            await work.stop()

    def forget_answer(self) -> None:
        """What the context holds of a turn that went on, and of its answer; instructions stay, and what
        came meanwhile of tools that were called before."""
        messages = self._context.messages
        kept = [one for one in messages[self._kept_from :] if not _is_said(one)]
        self._context.set_messages([*messages[: self._kept_from], *kept])

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
                    self._conversation.caller_paused(asyncio.get_running_loop().time())
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
                self.forget_answer()
            case Do.TAKE_FLOOR:
                self._conversation.answer_lost()
                self._outbox.send(ProposedUserStartedSpeakingFrame())
                self._outbox.send(interrupted := Interrupted())
                # Or the answer to what follows would be begun without what was heard of this one.
                self._orders.wait(interrupted)
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
            self.forget_answer()
        why = candidate.verdict.told if candidate and candidate.verdict else {}
        self._conversation.caller_said(turn.text, end_of_turn=why)
        if turn.goodbye:
            self._on_goodbye()
            return
        self._kept_from = len(self._context.messages)
        self._outbox.send(TranscriptionFrame(turn.text, "", time_now_iso8601(), finalized=True))
        self._outbox.send(ProposedUserStoppedSpeakingFrame())
        self._watching.start(self._watchdog.watch())

    def _end_utterance(self) -> None:
        self._voice.end()
        self._transcriber.end()


def _is_said(message: object) -> bool:
    if not isinstance(message, dict):
        return True
    return message.get("role") in ("user", "assistant") and "tool_calls" not in message
