"""When a turn of the caller's begins, when it is over, and who has the floor: the decisions, without I/O.

A voice isn't a turn yet. While the agent speaks it may be a nod, a cough or the agent's own echo; in
silence a sound of a quarter of a second is enough, or words. From then on the caller has the floor, and
whatever the agent is at is over. A pause isn't the end of a turn either. In every pause the words are
looked up, the language model is asked whether they may be all, the answer to them is begun, and the
endpointing policy says how long a silence to wait for. If the caller goes on before, all of that is void;
if not, the turn is committed, and the answer that was begun is heard. Should they go on just behind that,
it was one turn all the same: it is taken back, with its answer, and goes on.

                 QUIET        VOICE            VOICE_PAUSED       FLOOR           FLOOR_PAUSED
SpeechStarted    -> VOICE     -                -                  -               -
SpeechPausing    -            -> VOICE_PAUSED  -                  -> FLOOR_PAUSED -
                              ask PAUSE        -                  ask PAUSE       -
SpeechResumed    -            -                -> VOICE           -               -> FLOOR
                              -                void the pause     -               void the pause, withdraw
Tick             -            to FLOOR, if     likewise; no words follow: ask     commit, if the wait is
                              it is a turn     -> QUIET           PASSING         over -> QUIET
Heard PASSING    -            -                -                  ask whether all -
Heard PAUSE      -            -                ask whether all    -               ask whether all
Heard OVERLAP    -            weigh            weigh              -               -
Heard SPLIT      -            settle           settle             settle          settle
Heard nothing    -            it failed. For PAUSE without a candidate, and for SPLIT: drop -> QUIET; else -
Judged           -            -                wait               speculate, if   speculate, wait
                                                                  surely all
Typed            commit       commit -> QUIET (each)                (both: with the words so far)
Agent...         -            told who has the floor, and what the caller was asked

Until the agent has been heard out, where that is wanted, nobody comes from VOICE to FLOOR, and what is
typed waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from agent.turn import commands, events
from agent.turn.barge_in import Action
from agent.turn.commands import Command, Do, Purpose
from agent.turn.events import Event
from agent.turn.hearing import Hearing
from agent.turn.judge import Judge
from agent.turn.overlap import AgentFloor
from agent.turn.speculation import Speculation
from agent.turn.utterance import Candidate, Owed, State, Utterance

if TYPE_CHECKING:
    from agent.answering import Answering
    from models.transcript import Transcript

OPEN_AFTER_MS = 250  # a sound this long is speech, and the caller has the floor
EMPTY_AFTER_MS = 700  # silence after a sound without words, until it is forgotten
# The recognizer takes 30 s at most. A long turn is settled piece by piece, at pauses where there are any.
SETTLE_AFTER_S = 12.0
SPLIT_AFTER_S = 25.0


class TurnMachine:
    """One call's. Tell it what happens, and do what it says, in that order."""

    def __init__(
        self,
        answering: Answering,
        speculation: Speculation,
        *,
        look_every_ms: float,
        uninterruptible: int = 0,
    ) -> None:
        """So many of the agent's first turns are `uninterruptible`: said to their end, whatever comes."""
        self._answering = answering
        self._speculation = speculation
        self._judge = Judge(answering)
        self._hearing = Hearing(answering, self._judge, speculation, every_ms=look_every_ms)
        self._uninterruptible = uninterruptible
        self._utterance: Utterance | None = None
        self._typed: list[str] = []
        self._line = events.Tick(0.0)
        self._now = 0.0
        self._commands: list[Command] = []
        self.agent = AgentFloor(answering)

    @property
    def state(self) -> State:
        return self._utterance.state if self._utterance else State.QUIET

    @property
    def hears_voice(self) -> bool:
        return self._utterance is not None

    @property
    def awaits_answer(self) -> bool:
        """Whether the caller is done, and hears nothing yet."""
        return self._utterance is None and self.agent.answer_is_due

    def handle(self, event: Event, now: float) -> Sequence[Command]:
        """What `event` makes necessary, in this order."""
        self._now, self._commands = now, []
        match event, self._utterance:
            case events.SpeechStarted(onset), None:
                self._begin(onset)
            case events.SpeechPausing(speech_end), Utterance(speech_end=None) as utterance:
                utterance.speech_end = speech_end
                self._do(self._hearing.dismiss(Purpose.PASSING))
                self._do(self._hearing.ask(Purpose.PAUSE))
            case events.Plain.SPEECH_RESUMED, Utterance(paused=True) as utterance:
                self._resume(utterance)
            case events.Tick(), utterance:
                self._line = event
                if utterance:
                    utterance.pauses_since(event.speech_end)
                    self._weigh(utterance)
            case events.Heard(number, transcript), Utterance() as utterance:
                self._hear(utterance, number, transcript)
            case events.Judged(number, completeness), Utterance() as utterance:
                if purpose := self._hearing.close(number):
                    self._do(self._hearing.judge(utterance, purpose, completeness, now))
                    self._weigh(utterance)
            case events.Plain.AGENT_SOUNDS, _:
                self.agent.sounds(now)
            case events.AgentDone(), _:
                self._agent_done(event)
            case events.Plain.ANSWER_LOST, _:
                self.agent.lose()
            case events.Plain.ANSWER_ACTS, _:
                self.agent.acts()
            case events.Plain.ANSWER_ACTED, _:
                self.agent.acted()
            case events.Plain.LAST_WORD, Utterance() as utterance:
                self._drop(utterance)
            case events.Typed(text), _ if self._uninterruptible:
                self._typed.append(text)
            case events.Typed(text), _:
                self._take_typed(text)
        return self._commands

    def _do(self, wanted: Iterable[Command]) -> None:
        self._commands += wanted

    def _begin(self, onset: float) -> None:
        self._utterance = Utterance(onset)
        self._speculation.new_turn()
        self.agent.new_voice()

    def _resume(self, utterance: Utterance) -> None:
        """The pause was none: what was made of it is void, except for words that stand for themselves."""
        self._do(self._hearing.dismiss(Purpose.PAUSE))
        silence_ms = utterance.silence_ms(self._now)
        waited = silence_ms > self._judge.endpointer.longest_ms  # "hold on ...": they came back
        candidate, utterance.candidate, utterance.speech_end = utterance.candidate, None, None
        if candidate and candidate.verdict and not waited:
            self._judge.patience.resumed(silence_ms, candidate.verdict.probability)
        if candidate and (waited or self._line.audio_s > SETTLE_AFTER_S):
            self._do(self._hearing.settle(utterance, candidate.number, candidate.transcript))
        utterance.words = utterance.words or None  # there are some now, perhaps
        self._do(self._speculation.withdraw())

    def _hear(self, utterance: Utterance, number: int, transcript: Transcript | None) -> None:
        purpose = self._hearing.close(number)
        match purpose, transcript:
            case (None, _) | (Purpose.PASSING | Purpose.OVERLAP, None):
                return  # they are asked for again
            case Purpose.PAUSE, None if utterance.candidate:
                return  # what is known stands
            case _, None:
                self._drop(utterance)
            case Purpose.PASSING, heard:
                self._do(self._hearing.follow(utterance, heard))
            case Purpose.PAUSE, heard:
                self._do(self._hearing.consider(utterance, number, heard))
            case Purpose.OVERLAP, heard if heard.text or utterance.words is None:
                utterance.heard(heard)
                self._weigh(utterance)
            case Purpose.SPLIT, heard:
                self._do(self._hearing.settle(utterance, number, heard))
                self._do([commands.Interim(utterance.settled)])

    def _weigh(self, utterance: Utterance) -> None:
        """Look at the utterance as it stands now: on every frame, and on news of its words."""
        if utterance.has_floor:
            self._commit_if_over(utterance)
            self._do(self._hearing.look(utterance, self._line, self._now))
        elif not self._uninterruptible:  # until then, what they say is kept
            self._seek_floor(utterance)
        if self._utterance is not utterance:
            return
        if utterance.words == "" and utterance.silence_ms(self._now) >= EMPTY_AFTER_MS:
            self._drop(utterance)
        elif self._line.audio_s > SPLIT_AFTER_S and not self._hearing.is_open(Purpose.SPLIT):
            self._do(self._hearing.ask(Purpose.SPLIT))

    # Who has the floor.

    def _seek_floor(self, utterance: Utterance) -> None:
        if self.agent.is_talked_over(utterance, self._line):
            self._talk_over(utterance)
        elif utterance.speech_ms(self._now) >= OPEN_AFTER_MS or utterance.words:
            self._take_floor(utterance)
            self._commit_if_over(utterance)

    def _talk_over(self, utterance: Utterance) -> None:
        partial = self._hearing.is_open(Purpose.PAUSE) and utterance.candidate is None
        action = self.agent.weigh(utterance, self._line, self._judge.expects, self._now, partial=partial)
        if action is Action.INTERRUPT:
            utterance.interrupts = True
            self._take_floor(utterance)
            return
        if action is Action.HOLD:
            self._do([Do.HOLD])
        elif action is Action.RESUME:
            self._do([Do.RESUME])
        if not self._hearing.is_open(Purpose.OVERLAP) and self.agent.wants_words(utterance, self._now):
            self._do(self._hearing.ask(Purpose.OVERLAP))
        elif utterance.paused and utterance.words is not None and not self.agent.held and not partial:
            self._drop(utterance)  # all that was said is known by now

    def _take_floor(self, utterance: Utterance) -> None:
        """Whatever the agent is at is over; if it answered half a turn, that never was."""
        utterance.has_floor = True
        continued, candidate = self.agent.continues(utterance), utterance.candidate
        owed = self.agent.lose()
        self.agent.new_voice()
        if continued:
            pause_ms = (utterance.onset - continued.speech_end) * 1000
            self._judge.patience.resumed(pause_ms, continued.probability)
            utterance.settled = utterance.taken_back = continued.text
            utterance.words = utterance.whole(utterance.words or "")
            utterance.interrupts, utterance.candidate = False, None
            self._do([Do.TAKE_BACK])
        else:
            self._answered(owed)
        self._do([Do.TAKE_FLOOR, Do.READ_AHEAD])
        if continued and candidate:
            self._do(self._hearing.consider(utterance, candidate.number, candidate.transcript))
        elif candidate:
            self._do(self._hearing.speak_in(candidate.transcript))
            self._do(self._hearing.speculate(candidate.text))

    def _drop(self, utterance: Utterance) -> None:
        """It was a noise, not a turn."""
        self._close()
        self.agent.new_voice()
        self._do(self._speculation.withdraw())
        self._do([commands.Drop(utterance.has_floor)])

    def _close(self) -> None:
        self._utterance = None
        self._do(self._hearing.dismiss(*Purpose))

    # The end of a turn.

    def _commit_if_over(self, utterance: Utterance) -> None:
        candidate, silence_ms = utterance.candidate, utterance.silence_ms(self._now)
        if candidate is None or utterance.speech_end is None:
            return
        if candidate.is_to_be_heard_again(silence_ms):
            candidate.hears_again = False
            self._do(self._hearing.ask(Purpose.PAUSE, afresh=True))
        if candidate.verdict and candidate.verdict.over(silence_ms, sounds=self._line.sounds):
            # What is being answered may differ in a full stop.
            self._commit(self._speculation.text or candidate.text, utterance.speech_end, candidate)

    def _commit(self, text: str, speech_end: float, candidate: Candidate | None = None) -> None:
        goodbye = self._judge.endpointer.says_goodbye(text)
        if goodbye:
            self._do(self._speculation.withdraw())
        else:
            sure = candidate.verdict.probability if candidate and candidate.verdict else 1.0
            self.agent.owe(Owed(text, speech_end, sure))
        self._speculation.confirm()
        self._close()
        self._do([commands.Commit(text, speech_end, candidate, goodbye)])

    def _answered(self, owed: Owed | None) -> None:
        """That turn was over, as it seemed."""
        if owed:
            self._judge.patience.answered(owed.probability)

    def _take_typed(self, text: str) -> None:
        """With what they have said by now, which nobody would answer else."""
        utterance = self._utterance
        if utterance and utterance.has_floor:
            text = f"{utterance.words or utterance.settled} {text}".strip()
        self._do(self._speculation.withdraw())
        self._do([Do.TAKE_FLOOR])
        self._commit(text, self._now)

    # The agent.

    def _agent_done(self, done: events.AgentDone) -> None:
        self._uninterruptible = max(0, self._uninterruptible - 1)
        self._judge.agent_said(done.text)
        if not done.cut_off:  # or the caller has the floor already
            self._answered(self.agent.done())
        self._do([Do.READ_AHEAD])  # now the line is quiet
        if self._typed and not self._uninterruptible:
            typed, self._typed = self._typed, []
            self._take_typed(" ".join(typed))
