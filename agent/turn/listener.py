"""Hears the caller: when they speak, what they say, when they are done, when they interrupt.

To the rest of the pipeline this is a speech-to-text service with turn detection of its own: it proposes
where turns begin and end, and sends the words ahead as soon as the caller may be done. The decisions are
made by the policies beside this file; here are their clocks and their wires.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    TranscriptionFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.time import time_now_iso8601

from agent.answering import Answering
from agent.conversation import Conversation
from agent.turn.activity import Change
from agent.turn.barge_in import Action
from agent.turn.ear import Ear
from agent.turn.endpointing import Verdict
from agent.turn.follower import EVERY_BESIDE_A_MODEL_MS, EVERY_MS, Follower
from agent.turn.foresight import Foresight, Mind
from agent.turn.judge import Judge
from agent.turn.latest import Latest
from agent.turn.overlap import Overlaps
from agent.turn.utterance import (
    BYTES_PER_S,
    PREROLL_S,
    SETTLE_AFTER_S,
    SPLIT_AFTER_S,
    Candidate,
    Utterance,
)
from agent.turn.voice import CallerVoice
from agent.turn.watchdog import Watchdog
from models.errors import ModelError, ModelLate
from models.pool import ModelPool
from models.whisper import Transcript
from transports.playout import Playout

logger = logging.getLogger("offhook.turn")

OPEN_AFTER_MS = 250  # a sound this long is speech, and the caller has the floor
EMPTY_AFTER_MS = 700  # silence after a sound without words, until it is forgotten
LATE_WORDS_S = 5.0
COVERED_S = 0.02  # of the speech may be missing from a look that heard it all


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
        mind: Mind,
        bridge: Callable[[str], Awaitable[None]],
        on_goodbye: Callable[[], None],
    ) -> None:
        """`bridge` says something while the caller waits, which is no part of the conversation."""
        # Direct: audio comes 50 times a second, and a queue would add a task switch to each frame.
        super().__init__(enable_direct_mode=True)
        persona, turn = answering.persona, answering.turn
        self._playout = playout
        self._conversation = conversation
        self._answering = answering
        self._ear = Ear(pool, call_id=call_id, language=answering.hears)
        self._call_id = call_id
        self.foresight = Foresight(self, conversation, mind, speculates=turn.speculate)
        self._on_goodbye = on_goodbye
        self._bridge = bridge
        self._voice = CallerVoice(pool, playout, echo_guard=turn.echo_guard)
        self._overlaps = Overlaps(
            self, playout, conversation, self._voice, answering, self._overhear, call_id=call_id
        )
        self._judge = Judge(answering)
        self._preroll = bytearray()
        self._utterance: Utterance | None = None
        self._follower = Follower(
            self,
            conversation,
            self._ear,
            self.foresight,
            self._judge,
            self._hold,
            sure_ms=turn.sure_silence_ms,
            every_ms=EVERY_BESIDE_A_MODEL_MS if pool.llm.reads_along else EVERY_MS,
        )
        self._considering: Latest[None] = Latest(self)
        self._splitting: Latest[None] = Latest(self)
        self._watchdog = Watchdog(
            answering,
            waits=lambda: conversation.awaits_answer and not self._utterance,
            bridge=bridge,
            give_up=self._give_up,
        )
        self._watching: Latest[None] = Latest(self)
        # So many of the agent's first turns are heard out, whatever the caller does.
        self._to_hear_out = bool(persona.notice) + (not persona.greeting_interruptible)
        self._typed: deque[str] = deque()
        self._deaf = False

    @property
    def answering(self) -> bool:
        """Whether the agent is making an answer, or giving it."""
        return self._overlaps.answering

    async def agent_done(self, text: str) -> None:
        """The agent's turn is over, of which the caller heard `text`."""
        self._overlaps.answering = False
        self._to_hear_out = max(0, self._to_hear_out - 1)
        if text:
            self._judge.agent_said(text)
        self.foresight.read_ahead()  # now the line is quiet
        while self._typed and not (self._to_hear_out or self._deaf):
            await self._take_typed(self._typed.popleft())

    async def stop_listening(self) -> None:
        """Let the agent have the last word: whatever comes from the caller now is ignored."""
        self._deaf = True
        await self._stop_tasks()
        if self._utterance:
            await self._forget(self._utterance)
        self._playout.resume()

    # Pipecat.

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            if not self._deaf:
                await self._hear(frame.audio, asyncio.get_running_loop().time())
            return
        if isinstance(frame, TranscriptionFrame) and direction is FrameDirection.DOWNSTREAM:
            if self._to_hear_out:
                self._typed.append(frame.text)
            else:
                await self._take_typed(frame.text)
            return
        if isinstance(frame, EndFrame | CancelFrame):
            await self._stop_tasks()
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._stop_tasks()

    # Hearing.

    async def _hear(self, pcm: bytes, now: float) -> None:
        pcm, events = self._voice.process(pcm, now)
        utterance = self._utterance
        if utterance:
            utterance.pcm += pcm
        else:
            self._preroll += pcm
            del self._preroll[: -int(PREROLL_S * BYTES_PER_S)]
        for event in events:
            logger.debug("call %s: voice %s", self._call_id, event.change.name.lower())
            match event.change:
                case Change.STARTED:
                    self._begin(event.at)
                case Change.PAUSING:
                    self._pause(self._voice.paused_at or event.at)
                case Change.RESUMED:
                    await self._resume(now)
        if self._utterance:
            self._utterance.paused_at = self._voice.paused_at
            await self._weigh(self._utterance, now)

    def _begin(self, onset: float) -> None:
        self._utterance = Utterance(onset=onset, pcm=self._preroll)
        self._voice.begin()
        self._preroll = bytearray()
        self._ear.forget()
        self._follower.begin()
        self.foresight.begin()
        self._overlaps.begin()

    def _pause(self, speech_end: float) -> None:
        if not self._utterance:
            return
        self._utterance.paused_at = speech_end
        self._conversation.caller_paused(speech_end, foreseen=bool(self.foresight.text))
        self._considering.start(self._consider(self._utterance))

    async def _resume(self, now: float) -> None:
        """The pause was none: what was made of it is void, except for words that stand for themselves."""
        if not self._utterance:
            return
        self._considering.cancel()
        candidate = self._utterance.candidate
        longest_ms = self._answering.turn.hanging_silence_ms
        waited = self._utterance.silence_ms(now) > longest_ms  # "hold on ...": they came back
        if candidate and (waited or self._utterance.audio_s > SETTLE_AFTER_S):
            self._answering.turn_over(candidate.heard.languages)
            self._utterance.settle(candidate.text, candidate.audio_bytes)
            self._ear.forget()
        self._utterance.paused_at = None
        self._utterance.candidate = None
        self._utterance.words = self._utterance.words or None  # there are some now, perhaps
        self._conversation.caller_goes_on()
        await self.foresight.withdraw()

    async def _weigh(self, utterance: Utterance, now: float) -> None:
        """Look at the utterance as it stands now; called on every frame and on every news."""
        if utterance.opened:
            await self._commit_if_over(utterance, now)
            if self._answering.turn.speculate and self._utterance is utterance:
                self._follower.follow(utterance, now, hushed=self._voice.hushed)
        elif not self._to_hear_out:  # until then, what they say is kept
            await self._seek_floor(utterance, now)
        empty = utterance.words == "" and utterance.silence_ms(now) >= EMPTY_AFTER_MS
        if empty and not utterance.over:
            await self._forget(utterance)
        elif utterance.audio_s > SPLIT_AFTER_S and not self._splitting.running:
            self._splitting.start(self._split(utterance))

    async def _seek_floor(self, utterance: Utterance, now: float) -> None:
        if self._overlaps.over_agent(utterance):
            await self._overlap(utterance, now)
        elif utterance.speech_ms(now) >= OPEN_AFTER_MS or utterance.words:
            await self._open(utterance)
            await self._commit_if_over(utterance, now)

    async def _open(self, utterance: Utterance) -> None:
        """Give the caller the floor. The aggregator interrupts whatever the agent is at."""
        utterance.opened = True
        self._overlaps.begin()
        self._overlaps.answering = False
        self._conversation.answer_lost()
        await self.push_frame(ProposedUserStartedSpeakingFrame())
        self.foresight.read_ahead()
        if utterance.candidate:
            await self._hold(utterance.candidate.heard)
            await self.foresight.answer(utterance.whole(utterance.candidate.text))

    async def _forget(self, utterance: Utterance) -> None:
        """It was a noise, not a turn."""
        self._close_utterance()
        self._overlaps.begin()
        self._conversation.caller_goes_on()
        if self._playout.held:
            self._playout.resume()
        await self.foresight.withdraw()
        if utterance.opened:
            await self.push_frame(ProposedUserStoppedSpeakingFrame())

    def _close_utterance(self) -> None:
        if self._utterance:
            self._utterance.over = True
        self._utterance = None
        self._voice.end()

    # Speaking over the agent.

    async def _overlap(self, utterance: Utterance, now: float) -> None:
        if self._overlaps.weigh(utterance, now, self._judge.expects) is Action.INTERRUPT:
            utterance.interrupts = True
            await self._open(utterance)
        elif utterance.paused_at is not None and utterance.words is not None and not self._overlaps.held:
            await self._forget(utterance)

    async def _overhear(self, utterance: Utterance) -> None:
        """Find out what a caller who hasn't paused yet is saying over the agent."""
        settled = utterance.settled
        heard = await self._transcribe(bytes(utterance.pcm))
        if self._utterance is not utterance or utterance.settled != settled:
            return
        if heard and (heard.text or utterance.words is None):
            utterance.words, utterance.logprob = utterance.whole(heard.text), heard.avg_logprob
            await self._weigh(utterance, asyncio.get_running_loop().time())

    # Ending a turn.

    async def _consider(self, utterance: Utterance) -> None:
        """The caller pauses: find the words, begin the answer, and decide how long to wait."""
        verdict = await self._look(utterance)
        if verdict and verdict.hear_again_ms:
            silence_ms = utterance.silence_ms(asyncio.get_running_loop().time())
            await asyncio.sleep((verdict.hear_again_ms - silence_ms) / 1000)
            self._ear.forget()  # what it has heard of this pause
            await self._look(utterance)

    async def _look(self, utterance: Utterance) -> Verdict | None:
        """What to make of the pause by now; None where there are no words."""
        settled = None
        while settled != utterance.settled:  # again if the beginning was settled meanwhile
            settled = utterance.settled
            audio = bytes(utterance.pcm)
            silence_s = utterance.silence_ms(asyncio.get_running_loop().time()) / 1000
            spoken = len(audio) - int((silence_s + COVERED_S) * BYTES_PER_S)
            transcript = await self._transcribe(audio, spoken=spoken)
        if transcript is None or utterance.over or (utterance.candidate and not transcript.text):
            return None
        self._conversation.mark("transcript")
        utterance.words, utterance.logprob = utterance.whole(transcript.text), transcript.avg_logprob
        if not utterance.words:
            return None
        if utterance.opened:
            await self._hold(transcript)
        await self.foresight.withdraw_unless(utterance.words)
        candidate = Candidate(transcript, len(audio), self._answering.turn.hanging_silence_ms)
        utterance.candidate = candidate
        self.foresight.get_ready(utterance.words)
        # Before the answer is begun: both are asked of the same cores, and this is the shorter question.
        completeness = await self.foresight.completeness(utterance.words)
        if utterance.over:
            return None
        if utterance.opened:
            await self.foresight.answer(utterance.words)
        verdict = self._judge.decide(utterance, transcript, completeness)
        candidate.wait_ms = verdict.wait_ms
        candidate.decided = True
        logger.debug("call %s: %s", self._call_id, verdict)
        if self._utterance is utterance:
            await self._weigh(utterance, asyncio.get_running_loop().time())
        return verdict

    async def _hold(self, heard: Transcript) -> None:
        """Hold the call in the language that the caller speaks; what was begun in another is given up."""
        if heard.text and not self._answering.answers_in(heard.language):
            await self.foresight.withdraw()
            self._answering.become(heard.language)
            logger.info("call %s goes on in %s", self._call_id, heard.language)

    async def _commit_if_over(self, utterance: Utterance, now: float) -> None:
        candidate = utterance.candidate
        if utterance.over or candidate is None or not candidate.decided:
            return
        silence_ms, longest_ms = utterance.silence_ms(now), self._answering.turn.hanging_silence_ms
        if silence_ms < candidate.wait_ms or (self._voice.sounds and silence_ms < longest_ms):
            return
        self._voice.turn_over()
        self._close_utterance()
        self._answering.turn_over(candidate.heard.languages)
        self._overlaps.answering = True
        self._conversation.turn_over(now - silence_ms / 1000)
        # What is being answered may differ in a full stop.
        await self._say(self.foresight.text or utterance.whole(candidate.text))
        self.foresight.commit()

    async def _say(self, text: str) -> None:
        """Hand on a finished turn of the caller's."""
        self._conversation.caller_said(text)
        if self._judge.says_goodbye(text):
            await self.foresight.withdraw()
            self._on_goodbye()
            return
        await self.push_frame(TranscriptionFrame(text, "", time_now_iso8601(), finalized=True))
        await self.push_frame(ProposedUserStoppedSpeakingFrame())
        self._watching.start(self._watchdog.watch())

    async def _take_typed(self, text: str) -> None:
        """Keys pressed or words typed: a whole turn as they come."""
        await self.foresight.withdraw()
        self._close_utterance()
        now = asyncio.get_running_loop().time()
        self._conversation.caller_paused(now)
        self._conversation.turn_over(now)
        self._overlaps.answering = True
        await self.push_frame(ProposedUserStartedSpeakingFrame())
        await self._say(text)

    async def _split(self, utterance: Utterance) -> None:
        """Settle the beginning of a turn that goes on and on."""
        audio = bytes(utterance.pcm)
        transcript = await self._transcribe(audio)
        if self._utterance is utterance and transcript:
            self._answering.turn_over(transcript.languages)
            utterance.settle(transcript.text, len(audio))
            self._ear.forget()
            await self.push_frame(InterimTranscriptionFrame(utterance.settled, "", time_now_iso8601()))

    async def _transcribe(self, audio: bytes, *, spoken: int | None = None) -> Transcript | None:
        """What was said; None where the recognizer failed, and it has to be said again."""
        bridging = asyncio.create_task(self._bridge_late_words())
        try:
            return await self._ear.words(audio, spoken=spoken)
        except (ModelError, TimeoutError) as error:
            if self._utterance:
                await self._forget(self._utterance)
            await self.push_error(f"Speech recognition failed: {error!r}", exception=error)
            return None
        finally:
            bridging.cancel()

    async def _bridge_late_words(self) -> None:
        await asyncio.sleep(LATE_WORDS_S)
        if self._utterance and self._utterance.paused_at is not None:
            await self._bridge(self._answering.persona.longer)

    async def _give_up(self) -> None:
        """An answer that is owed doesn't come."""
        waited_s = self._answering.turn.answer_timeout_s
        late = ModelLate(f"No answer within {waited_s:.0f} s.")
        await self.push_error(str(late), exception=late)

    async def _stop_tasks(self) -> None:
        tasks = (self._considering, self._splitting, self._watching)
        for work in (self._follower, self._overlaps, self.foresight, *tasks):
            await work.stop()
