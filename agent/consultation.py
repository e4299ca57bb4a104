"""A call to whoever is to take a call over: they are told what it is about before they do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from agent.conversation import Turn
from config.persona import Persona
from models.errors import ModelError
from models.pool import ModelPool
from models.speech_text import pieces
from transports.call import CallGone, CallTransport, EndReason, TransferFailed
from transports.outbound import NotPermitted

T = TypeVar("T")
logger = logging.getLogger("offhook.call")

CONNECT_S = 10.0  # from the answer to the first packet
SPEECH_S = 8.0  # for the voice to make a sentence or two
HEARD_S = 30.0  # and for them to be heard
TURNS, CHARACTERS = 3, 240  # of the caller's words that are told


class Dial(Protocol):
    """Calls somebody and has `handler` run the call. Raises NotPermitted, CallGone."""

    def __call__(
        self,
        to: str,
        handler: Callable[[CallTransport], Coroutine[Any, Any, None]],
        *,
        account: str,
        ring_timeout_s: float,
    ) -> Awaitable[CallTransport]: ...


def about(persona: Persona, turns: Sequence[Turn]) -> str:
    """What a colleague is told of a caller: their own last words, and nothing that was made of them."""
    said = (turn.text.partition("DTMF:")[0].strip() for turn in turns if turn.speaker == "caller")  # keys
    words = " ".join([text for text in said if text][-TURNS:])
    if len(words) > CHARACTERS:
        words = words[-CHARACTERS:].partition(" ")[2]
    says = persona.says
    return " ".join(filter(None, (says.announcing, says.about.replace("{words}", words) if words else "")))


class Consultation:
    """Used once. The call is over when the colleague has hung up, or by `end`."""

    def __init__(self, dial: Dial, pool: ModelPool, persona: Persona) -> None:
        self._dial = dial
        self._pool = pool
        self._persona = persona
        self._over = asyncio.Event()
        self._heard: asyncio.Future[CallTransport] = asyncio.get_running_loop().create_future()

    async def reach(self, uri: str, text: str, *, account: str, ring_timeout_s: float) -> CallTransport:
        """Call somebody and say `text`. Returns the call once it has been heard. Raises TransferFailed."""
        saying = asyncio.create_task(self._speak(text))  # while it rings
        try:
            await self._dial(
                uri, lambda call: self._run(call, saying), account=account, ring_timeout_s=ring_timeout_s
            )
            return await self._heard
        except (NotPermitted, CallGone) as error:
            raise TransferFailed(str(error)) from error
        finally:
            saying.cancel()

    def end(self) -> None:
        """Hang up, whether or not it was answered."""
        self._over.set()
        self._heard.cancel()

    async def _run(self, call: CallTransport, saying: asyncio.Task[bytes]) -> None:
        """The call's life: whoever runs this hangs up behind it."""
        connected = asyncio.Event()

        async def on_connected(_: CallTransport) -> None:
            connected.set()

        async def on_stopped(*_: object) -> None:
            self._over.set()

        call.add_event_handler(call.connected_event, on_connected)
        call.add_event_handler(call.stopped_event, on_stopped)
        failure = CallGone("Calling them failed.", EndReason.TRANSPORT_FAILURE)
        try:
            await self._unless_over(call.answer())
            await self._unless_over(connected.wait(), CONNECT_S)
            call.playout.write(await self._unless_over(saying))
            heard = asyncio.Event()
            call.playout.mark(heard.set)
            await self._unless_over(heard.wait(), HEARD_S)
            if not self._heard.done():
                self._heard.set_result(call)
        except CallGone as gone:
            failure = gone
            return
        finally:  # whatever happened: somebody waits for it
            if not self._heard.done():
                self._heard.set_exception(failure)
        await self._over.wait()

    async def _unless_over(self, work: Awaitable[T], deadline_s: float | None = None) -> T:
        """Raises CallGone where the call is over before it is done, or it takes too long."""
        doing, over = asyncio.ensure_future(work), asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({doing, over}, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise CallGone("They hung up before the caller was put through.", EndReason.CALLED_HANGUP)
            return await doing
        finally:
            over.cancel()
            doing.cancel()

    async def _speak(self, text: str) -> bytes:
        """The sound of it; nothing where the voice fails, which isn't worth a caller's losing their call."""
        persona, said = self._persona, bytearray()
        try:
            async with asyncio.timeout(SPEECH_S):
                for piece in await pieces(text, language=persona.language):
                    spoken = self._pool.voices.stream(
                        piece, voice=persona.voice, call_id="consultation", language=persona.language
                    )
                    async for part in spoken:
                        said += part.pcm
        except (ModelError, TimeoutError) as error:
            logger.warning("a colleague wasn't told what a call is about: %r", error)
        return bytes(said)
