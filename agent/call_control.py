"""What may be done with a call while it stands, by the model or by an operator."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from pipecat.frames.frames import (
    LLMMessagesAppendFrame,
)

from agent.answering import Answering
from agent.consultation import Consultation, Dial, about
from agent.conversation import Conversation, Doing
from agent.floor import CantBeDone, Floor
from agent.hold_music import hold_music, tone
from agent.key_entry import KeyEntry
from agent.pipeline import CallPipeline
from agent.recordings.monitor import Monitor
from agent.spoken_message import SpokenMessage
from agent.tools.builtin import HOLD_S, LONGEST_HOLD_S
from agent.tools.tool import Done
from agent.voicemail import Voicemail, VoicemailFull
from agent.webhook import Webhook
from config.persona import Persona
from config.settings import Settings
from models.pool import ModelPool
from transports.call import CallGone, CallTransport, NotSupported, TransferFailed

GREETING_S = 60.0
TONE = tone(1000.0, 0.4)
_KEYS = re.compile(r"[0-9A-D*#]{1,32}")

logger = logging.getLogger("offhook.call")


class UnknownTarget(CantBeDone):
    """Nobody of this name may be called."""


class UnknownPersona(CantBeDone):
    """Nobody of this name answers here."""


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
        self._pool = pool
        self._voicemail = voicemail
        self._dial = dial
        self._personas = personas
        self._conversation = conversation
        self._floor = Floor(call.info.id, pipeline)
        self._key_entry = KeyEntry(
            call.info.id,
            self._floor,
            pipeline,
            answering=answering,
            webhook=Webhook(settings.webhook),
            monitor=monitor,
        )
        self.caller_muted = self.agent_muted = False
        self._plays = False
        self._holds = 0  # how often the caller was

    @property
    def doing(self) -> Doing | None:
        """What is done with the call besides talking."""
        return self._floor.doing

    async def close(self) -> None:
        """The call is over."""
        await self._floor.close()

    async def act(self, name: str, arguments: Mapping[str, Any]) -> Done:
        """Do what the model wants done, if the persona allows it."""
        persona = self._answering.persona
        if name not in persona.tools:
            return Done("not allowed", answers=True)
        if name == "transfer_call":
            to = str(arguments.get("to") or persona.transfer_to[0])
            if to not in persona.transfer_to:
                return Done(f"there is no {to} to be put through to", answers=True)
            self._floor.start(partial(self.transfer, to), behind_words=True)
            return Done("putting the caller through")
        if name == "ask_for_keys":
            what = str(arguments.get("what") or persona.keypad[0].name)
            if what not in (asks.name for asks in persona.keypad):
                return Done(f"there is no {what} to be entered", answers=True)
            self._floor.start(partial(self.ask_for_keys, what), behind_words=True)
            return Done("asking the caller")
        if name == "take_message":
            if self._voicemail is None or self._voicemail.full:
                return Done("no message can be taken now", answers=True)
            self._floor.start(self.take_message, behind_words=True)
            return Done("recording a message")
        if name == "hold_call":
            seconds = _hold_s(arguments.get("seconds"))
            self._floor.start(partial(self._hold_for, seconds), behind_words=True)
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

        self._floor.start(put_through)

    async def transfer(self, to: str, *, comes_back: bool = True) -> None:
        """Put the caller through to one of `transfer.to`. Returns when they are, and the call is over.

        Who can't be put through is talked to again, if they are to come back. Raises UnknownTarget,
        CantBeDone and TransferFailed.
        """
        await self._floor.within_call(self._transfer(to, comes_back))

    async def _transfer(self, to: str, comes_back: bool) -> None:
        uri = self._settings.transfer.to.get(to)
        if uri is None:
            raise UnknownTarget(f"transfer.to has no {to[:60]!r}.")
        self._floor.take("transferring")
        says = self._answering.persona.says
        try:
            await self._floor.pause()
            await self._floor.say(says.connecting)
            await self._connect(to, uri)
            logger.info("call %s was put through", self._call.info.id)
        except TransferFailed as failed:
            why = failed.status or "no answer"
            logger.info("call %s couldn't be put through: %s", self._call.info.id, why)
            if comes_back:
                self._floor.mute("doing", False)
                await self._floor.queue(says.not_connected)
            raise
        finally:
            self._floor.give_back()

    async def say(self, text: str) -> None:
        """Have the agent say it, behind what it is saying. Raises CantBeDone."""
        self._floor.require_free()
        await self._floor.queue(text)

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
        return await self._floor.within_call(self._key_entry.ask(name))

    async def take_message(self) -> str | None:
        """Record a message, which is kept also where the caller hangs up over it.

        Returns its id, None where nothing was said. Raises CantBeDone.
        """
        return await self._floor.within_call(self._take_message())

    async def _take_message(self) -> str | None:
        persona, keys = self._answering.persona, self._pipeline.keys
        if self._voicemail is None or self._voicemail.full or keys is None:
            raise CantBeDone("No message can be taken now.")
        self._floor.take("taking_message")
        message = SpokenMessage(self._settings.voicemail, self._pool)
        try:
            await self._floor.pause()
            await self._floor.say(persona.says.leave_message)
            self._conversation.bridge_begins()  # the tone is no answer
            self._call.playout.write(TONE)
            self._call.playout.mark(self._conversation.bridge_ends)
            keys.taken_by, keys.recorded_by = message.press, message.hear
            await message.over.wait()
        finally:
            keys.taken_by = keys.recorded_by = None
            self._floor.give_back()
            kept = self._keep(message.pcm, persona)
        await self._floor.queue(persona.says.message_taken if kept else persona.says.no_message)
        return kept

    def answer_as_machine(self, hang_up: Callable[[], None]) -> None:
        """Record a message behind the greeting, then `hang_up`."""
        self._floor.mute("doing", True)

        async def answer() -> None:
            await self._floor.heard(GREETING_S)
            try:
                await self.take_message()
            except CantBeDone:
                await self._floor.queue(self._answering.persona.says.no_message)
            hang_up()

        self._floor.start(answer)

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
        await self._floor.within_call(self._hold())

    async def _hold(self) -> None:
        self._floor.take("holding")
        self._holds += 1
        try:
            await self._floor.pause()
            await self._floor.say(self._answering.persona.says.holding)
            if self._floor.doing == "holding":  # still
                await self._call.hold()
        except Exception:  # the wire can't
            if self._floor.doing == "holding":
                self._floor.doing = None
                self._floor.mute("doing", False)
            raise
        if self._floor.doing == "holding":  # the wire takes a while
            self._start_music()

    async def _hold_for(self, seconds: int) -> None:
        await self.hold()
        this = self._holds
        await asyncio.sleep(seconds)
        if self._floor.doing == "holding" and self._holds == this:  # nobody has resumed it
            await self.resume()

    async def resume(self) -> None:
        """Talk to a caller on hold again. Raises CantBeDone."""
        if self._floor.doing != "holding":
            raise CantBeDone("The call isn't on hold.")
        self._floor.doing = None
        self._stop_music()
        await self._call.resume()
        self._floor.mute("doing", False)
        await self._floor.queue(self._answering.persona.says.resumed)

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
        self._floor.mute("operator", caller)
        playout = self._call.playout
        playout.hold("operator") if agent else playout.resume("operator")

    async def inject(self, text: str, *, answer: bool) -> None:
        """Instruct the model, from its next answer on; `answer` has it say something at once.

        Raises CantBeDone.
        """
        self._floor.require_free()
        message: Any = {"role": "system", "content": text}
        await self._pipeline.worker.queue_frame(LLMMessagesAppendFrame([message], run_llm=answer))

    def hand_over(self, name: str) -> None:
        """Have another persona go on, with what was said so far. Raises UnknownPersona, CantBeDone."""
        self._floor.require_free()
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

    def _play(self, music: bytes) -> None:
        """Again and again, until it is stopped."""
        if music and self._plays:
            self._call.playout.write(music)
            if self._call.playout.queued_ms:  # it is taken as long as the call isn't over
                self._call.playout.mark(lambda: self._play(music))


def _hold_s(asked: Any) -> int:
    """What a model made of how long a caller is to wait."""
    try:
        return max(1, min(int(asked or HOLD_S), LONGEST_HOLD_S))
    except (TypeError, ValueError, OverflowError):
        return HOLD_S


def _names(personas: Iterable[Persona]) -> str:
    return ", ".join(dict.fromkeys(persona.name for persona in personas))
