"""What may be done with a call while it stands, by the model or by an operator."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from pipecat.frames.frames import (
    ControlFrame,
    InterruptionFrame,
    LLMMessagesAppendFrame,
    TranscriptionFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.worker import PipelineWorker
from pipecat.utils.time import time_now_iso8601

from agent.answering import Answering
from agent.consultation import Consultation, Dial, about
from agent.conversation import Conversation, Doing
from agent.hold_music import hold_music, tone
from agent.pipeline import CallPipeline, Keys
from agent.recordings.monitor import Monitor
from agent.spoken_message import SpokenMessage
from agent.tools import HOLD_S, LONGEST_HOLD_S, Done
from agent.voicemail import Voicemail, VoicemailFull
from agent.webhook import Webhook, WebhookFailed
from config.keypad import Keypad
from config.persona import Persona
from config.settings import Settings
from models.pool import ModelPool
from transports.call import CallGone, CallTransport, NotSupported, TransferFailed

GREETING_S = 60.0
T = TypeVar("T")
logger = logging.getLogger("offhook.call")

SAY_DEADLINE_S = 15.0  # for a sentence or two, with what a busy voice takes
SECRET = "***"  # in the place of what was entered, however long
TONE = tone(1000.0, 0.4)
_KEYS = re.compile(r"[0-9A-D*#]{1,32}")


class CantBeDone(Exception):
    """Not with this call, or not now; the message is a sentence."""


class UnknownTarget(CantBeDone):
    """Nobody of this name may be called."""


class UnknownPersona(CantBeDone):
    """Nobody of this name answers here."""


@dataclass
class Heard(ControlFrame):
    """Comes to the end of the pipeline when what was said before it has been heard."""

    then: Callable[[], None] = lambda: None


class CallControl:
    """One call's. One thing at a time; whoever asks for another meanwhile is told so by CantBeDone."""

    def __init__(
        self,
        call: CallTransport,
        pipeline: CallPipeline,
        conversation: Conversation,
        *,
        answering: Answering,
        settings: Settings,
        pool: ModelPool,
        voicemail: Voicemail | None,
        dial: Dial | None,
        monitor: Monitor,
        personas: Sequence[Persona],
    ) -> None:
        """`personas` may be handed over to."""
        self._call = call
        self._pipeline = pipeline
        self._answering = answering
        self._settings = settings
        self._webhook = Webhook(settings.webhook)
        self._pool = pool
        self._voicemail = voicemail
        self._dial = dial
        self._monitor = monitor
        self._personas = personas
        self._conversation = conversation
        self.doing: Doing | None = None
        self.caller_muted = self.agent_muted = False
        self._plays = False
        self._muted: frozenset[str] = frozenset()  # why the caller isn't heard
        self._tasks: set[asyncio.Task[Any]] = set()
        pipeline.worker.add_reached_downstream_filter((Heard,))
        pipeline.worker.add_event_handler("on_frame_reached_downstream", self._on_heard)

    async def act(self, name: str, arguments: Mapping[str, Any]) -> Done:
        """Do what the model wants done, if the persona allows it."""
        persona = self._answering.persona
        if name not in persona.tools:
            return Done("not allowed", answers=True)
        if name == "transfer_call":
            to = str(arguments.get("to") or persona.transfer_to[0])
            if to not in persona.transfer_to:
                return Done(f"there is no {to} to be put through to", answers=True)
            self._start(partial(self.transfer, to))
            return Done("putting the caller through")
        if name == "ask_for_keys":
            what = str(arguments.get("what") or persona.keypad[0].name)
            if what not in (asks.name for asks in persona.keypad):
                return Done(f"there is no {what} to be entered", answers=True)
            self._start(partial(self.ask_for_keys, what))
            return Done("asking the caller")
        if name == "take_message":
            if self._voicemail is None or self._voicemail.full:
                return Done("no message can be taken now", answers=True)
            self._start(self.take_message)
            return Done("recording a message")
        if name == "hold_call":
            seconds = _hold_s(arguments.get("seconds"))
            self._start(partial(self._hold_for, seconds))
            return Done(f"the caller waits for {seconds} s")
        keys = str(arguments.get("keys", ""))
        try:
            await self.send_keys(keys)
        except CantBeDone as error:
            return Done(str(error), answers=True)
        return Done("sent")

    def rescue(self, to: str, otherwise: Callable[[], None]) -> None:
        """The models have failed: put the caller through `to` somebody, or call `otherwise`."""

        async def put_through() -> None:
            try:
                await self.transfer(to, comes_back=False)
            except Exception:
                otherwise()
                raise

        self._start(put_through)

    async def transfer(self, to: str, *, comes_back: bool = True) -> None:
        """Put the caller through to one of `transfer.to`. Returns when they are, and the call is over.

        Who can't be put through is talked to again, if they are to come back. Raises UnknownTarget,
        CantBeDone and TransferFailed.
        """
        await self._within_call(self._transfer(to, comes_back))

    async def _transfer(self, to: str, comes_back: bool) -> None:
        uri = self._settings.transfer.to.get(to)
        if uri is None:
            raise UnknownTarget(f"transfer.to has no {to[:60]!r}.")
        self._begin("transferring")
        says = self._answering.persona.says
        try:
            await self._pause()
            await self._say(says.connecting)
            await self._connect(to, uri)
            logger.info("call %s was put through", self._call.info.id)
        except TransferFailed as failed:
            why = failed.status or "no answer"
            logger.info("call %s couldn't be put through: %s", self._call.info.id, why)
            if comes_back:
                self._mute("doing", False)
                await self._queue(says.not_connected)
            raise
        finally:
            self._mute("doing", False)
            self.doing = None

    async def say(self, text: str) -> None:
        """Have the agent say it, behind what it is saying. Raises CantBeDone."""
        self._require_nothing_done()
        await self._queue(text)

    async def send_keys(self, keys: str) -> None:
        """Press keys for the caller's side to hear; returns when they have been. Raises CantBeDone."""
        if not _KEYS.fullmatch(keys):
            raise CantBeDone("Keys are 0 to 9, A to D, * and #, 32 at most.")
        try:
            await self._call.send_keys(keys)
        except (NotSupported, CallGone) as error:
            raise CantBeDone(str(error)) from None

    async def ask_for_keys(self, name: str) -> str | None:
        """Have the caller enter one of the persona's `keypad`; None where they don't, or where it is secret.

        Meanwhile they are only heard by their keys. What was entered is a turn of theirs; what is secret goes
        to the webhook instead. Raises CantBeDone.
        """
        return await self._within_call(self._ask_for_keys(name))

    async def _ask_for_keys(self, name: str) -> str | None:
        persona = self._answering.persona
        asks = next((one for one in persona.keypad if one.name == name), None)
        keys = self._pipeline.keys
        if asks is None or keys is None:
            raise CantBeDone(f"The persona {persona.name} has no {name[:60]!r} in its keypad.")
        self._begin("entering")
        if asks.secret:
            self._monitor.hide()
        pressed: asyncio.Queue[str] = asyncio.Queue()
        keys.taken_by = pressed.put_nowait
        try:
            await self._pause()
            sequence = await self._collect(asks, pressed)
        finally:
            keys.taken_by = None
            self._mute("doing", False)
            self.doing = None
            if asks.secret:
                self._start(partial(self._show_again, keys))
        keys.late = "" if sequence.endswith(asks.terminator) else asks.terminator
        if asks.secret and not (asks.terminator and sequence.endswith(asks.terminator)):
            keys.drop_rest(asks.between_keys_s if asks.complete(sequence) else asks.first_key_s)
        entered = asks.entered(sequence)
        if entered is not None and asks.secret:
            entered = await self._pass_on(name, entered)
        if entered is None:
            await self._queue(persona.says.not_entered)
            return None
        await self._pipeline.worker.queue_frame(
            TranscriptionFrame(f"DTMF: {entered}", "", time_now_iso8601(), finalized=True)
        )
        return None if asks.secret else entered

    async def _show_again(self, keys: Keys) -> None:
        """Once no key can belong to the secret any more."""
        while (left_s := keys.rest_s) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left_s)
        self._monitor.show()

    async def _pass_on(self, name: str, entered: str) -> str | None:
        """Post what is secret. Returns what the model is told of it, None where it wasn't taken."""
        call_id = self._call.info.id
        posted = {"call": call_id, "name": name, "keys": entered}
        try:
            await self._webhook.post("keypad", uuid.uuid4().hex, posted)
        except WebhookFailed as failed:
            logger.warning("call %s: what was entered isn't passed on: %s", call_id, failed)
            return None
        return SECRET

    async def _collect(self, asks: Keypad, pressed: asyncio.Queue[str]) -> str:
        """What is pressed from the prompt on. Who presses needn't hear the rest of it."""
        saying = asyncio.create_task(self._say(asks.prompt))
        first = asyncio.create_task(pressed.get())
        keys = ""
        try:
            await asyncio.wait({saying, first}, return_when=asyncio.FIRST_COMPLETED)
            if first.done():
                await self._pipeline.worker.queue_frame(InterruptionFrame())
            keys = await asyncio.wait_for(first, asks.first_key_s)
            while not asks.complete(keys):
                keys += await asyncio.wait_for(pressed.get(), asks.between_keys_s)
        except TimeoutError:
            pass
        finally:
            for task in (saying, first):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        return keys

    async def take_message(self) -> str | None:
        """Record a message, which is kept also where the caller hangs up over it.

        Returns its id, None where nothing was said. Raises CantBeDone.
        """
        return await self._within_call(self._take_message())

    async def _take_message(self) -> str | None:
        persona, keys = self._answering.persona, self._pipeline.keys
        if self._voicemail is None or self._voicemail.full or keys is None:
            raise CantBeDone("No message can be taken now.")
        self._begin("taking_message")
        message = SpokenMessage(self._settings.voicemail, self._pool)
        try:
            await self._pause()
            await self._say(persona.says.leave_message)
            self._conversation.bridge_begins()  # the tone is no answer
            self._call.playout.write(TONE)
            self._call.playout.mark(self._conversation.bridge_ends)
            keys.taken_by, keys.recorded_by = message.press, message.hear
            await message.over.wait()
        finally:
            keys.taken_by = keys.recorded_by = None
            self._mute("doing", False)
            self.doing = None
            kept = self._keep(message.pcm, persona)
        await self._queue(persona.says.message_taken if kept else persona.says.no_message)
        return kept

    def answer_as_machine(self, hang_up: Callable[[], None]) -> None:
        """Record a message behind the greeting, then `hang_up`."""
        self._mute("doing", True)

        async def answer() -> None:
            await self._heard(GREETING_S)
            try:
                await self.take_message()
            except CantBeDone:
                await self._queue(self._answering.persona.says.no_message)
            hang_up()

        self._start(answer)

    def _keep(self, pcm: bytes | None, persona: Persona) -> str | None:
        if pcm is None or self._voicemail is None:
            return None
        try:
            return self._voicemail.take(
                pcm, self._call.info, persona=persona.name, language=persona.language_code
            )
        except VoicemailFull:
            return None

    async def hold(self) -> None:
        """Have the caller wait, with music, until `resume`. Raises CantBeDone."""
        await self._within_call(self._hold())

    async def _hold(self) -> None:
        self._begin("holding")
        await self._pause()
        await self._say(self._answering.persona.says.holding)
        if self.doing == "holding":  # still
            await self._call.hold()
        if self.doing == "holding":  # the wire takes a while
            self._start_music()

    async def _hold_for(self, seconds: int) -> None:
        await self.hold()
        await asyncio.sleep(seconds)
        if self.doing == "holding":  # still
            await self.resume()

    async def resume(self) -> None:
        """Talk to a caller on hold again. Raises CantBeDone."""
        if self.doing != "holding":
            raise CantBeDone("The call isn't on hold.")
        self.doing = None
        self._stop_music()
        await self._call.resume()
        self._mute("doing", False)
        await self._queue(self._answering.persona.says.resumed)

    def let_speak(self) -> None:
        """Nothing but the peer keeps the agent's last words from being heard."""
        self._stop_music()
        self._call.playout.resume("operator")

    def _start_music(self) -> None:
        self._plays = True
        self._conversation.bridge_begins()  # what sounds is no answer
        self._play(hold_music(self._settings.call.hold_music))

    def _stop_music(self) -> None:
        if self._plays:
            self._plays = False
            self._conversation.answer_lost()
            self._call.playout.interrupt()

    def mute(self, *, caller: bool, agent: bool) -> None:
        """Have the agent hear the `caller` no more, and the caller the `agent`, or again.

        What the agent has to say meanwhile waits.
        """
        self.caller_muted, self.agent_muted = caller, agent
        self._mute("operator", caller)
        playout = self._call.playout
        playout.hold("operator") if agent else playout.resume("operator")

    async def inject(self, text: str, *, answer: bool) -> None:
        """Instruct the model, from its next answer on; `answer` has it say something at once.

        Raises CantBeDone.
        """
        self._require_nothing_done()
        message: Any = {"role": "system", "content": text}
        await self._pipeline.worker.queue_frame(LLMMessagesAppendFrame([message], run_llm=answer))

    def hand_over(self, name: str) -> None:
        """Have another persona go on, with what was said so far. Raises UnknownPersona, CantBeDone."""
        self._require_nothing_done()
        named = [one for one in self._personas if one.name.casefold() == name.casefold()]
        if not named:
            raise UnknownPersona(f"there is no {name[:60]!r}; there are {_names(self._personas)}.")
        spoken = [one for one in named if self._answering.hears_language(one.language_code)]
        if not spoken:
            raise CantBeDone(
                f"{named[0].name} speaks {named[0].language}, which this call isn't listened to in: "
                "that is settled when a call begins (languages)."
            )
        same = [one for one in spoken if one.language_code == self._answering.language]
        self._answering.hand_over((same or spoken)[0])

    async def _connect(self, to: str, uri: str) -> None:
        """Have the caller's side call `uri`, or first whoever is there: then the caller waits with music."""
        settings = self._settings.transfer
        if to not in settings.warm or self._dial is None:
            await self._call.transfer(uri, timeout_s=settings.timeout_s)
            return
        persona = self._answering.persona
        consultation = Consultation(self._dial, self._pool, persona)
        await self._call.hold()
        self._start_music()
        try:
            colleague = await consultation.reach(
                uri,
                about(persona, list(self._conversation.turns)),
                account=settings.account,
                ring_timeout_s=settings.timeout_s,
            )
            await self._call.transfer(colleague, timeout_s=settings.timeout_s)
        finally:
            consultation.end()
            self._stop_music()
            await self._call.resume()

    async def close(self) -> None:
        """The call is over."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _within_call(self, work: Coroutine[Any, Any, T]) -> T:
        """Whoever asks for it, it ends with the call. Raises CantBeDone then."""
        task = asyncio.create_task(work, name=f"call-control-{self._call.info.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait({task})
        if task.cancelled():
            raise CantBeDone("The call is over.")
        return task.result()

    def _begin(self, doing: Doing) -> None:
        self._require_nothing_done()
        self.doing = doing

    def _require_nothing_done(self) -> None:
        if self._pipeline.user is None:
            raise CantBeDone("This call tests the line.")
        if self.doing is not None:
            raise CantBeDone(f"The call is {self.doing}.")

    async def _pause(self) -> None:
        """Whatever is being said or answered is over; the caller isn't heard."""
        self._mute("doing", True)
        self._pipeline.listener.answer_lost()
        await self._pipeline.worker.queue_frame(InterruptionFrame())

    def _mute(self, why: str, muted: bool) -> None:
        """The caller isn't heard as long as there is a reason."""
        self._muted = self._muted | {why} if muted else self._muted - {why}
        self._pipeline.listener.mute(bool(self._muted))

    def _play(self, music: bytes) -> None:
        """Again and again, until it is stopped."""
        if music and self._plays:
            self._call.playout.write(music)
            if self._call.playout.queued_ms:  # it is taken as long as the call isn't over
                self._call.playout.mark(lambda: self._play(music))

    async def _say(self, text: str) -> None:
        """Returns when the caller has heard it, or never will."""
        if not text or self._pipeline.worker.has_finished():
            return
        await self._queue(text)
        await self._heard()

    async def _heard(self, deadline_s: float = SAY_DEADLINE_S) -> None:
        """Returns when all that is being said has been heard, or won't be."""
        heard = asyncio.Event()
        await self._pipeline.worker.queue_frame(Heard(heard.set))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(heard.wait(), deadline_s)

    async def _queue(self, text: str) -> None:
        if text:
            await self._pipeline.worker.queue_frame(TTSSpeakFrame(text))

    async def _on_heard(self, _: PipelineWorker, frame: Heard) -> None:
        frame.then()

    def _start(self, work: Callable[[], Awaitable[object]]) -> None:
        async def do() -> None:
            try:
                await work()
            except (CantBeDone, TransferFailed):  # the caller has been told
                pass
            except Exception:  # as a call that fails
                logger.exception("call %s: what was to be done with it failed", self._call.info.id)

        task = asyncio.create_task(do(), name=f"call-control-{self._call.info.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _hold_s(asked: Any) -> int:
    """What a model made of how long a caller is to wait."""
    try:
        return max(1, min(int(asked or HOLD_S), LONGEST_HOLD_S))
    except (TypeError, ValueError, OverflowError):
        return HOLD_S


def _names(personas: Iterable[Persona]) -> str:
    return ", ".join(dict.fromkeys(persona.name for persona in personas))
