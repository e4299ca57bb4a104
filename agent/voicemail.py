"""Messages that callers leave: kept, transcribed, and passed on until somebody has them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import smtplib
import ssl
import time
import uuid
import wave
from collections.abc import Awaitable, Callable, Set
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from agent.webhook import ONCE_S, Webhook, WebhookFailed
from config.settings import Settings
from config.voicemail import MailSettings
from models.errors import ModelError
from transports.call import CallInfo
from transports.playout import SAMPLE_RATE_HZ

AGAIN_S = (5.0, 30.0, 120.0, 600.0)  # how long before each further try; then every hour
HOURLY_S = 3600.0
MAIL_TIMEOUT_S = 30.0
WRITE_S = 10.0
Way = Literal["mail", "webhook"]

# The words in s16le mono PCM at 16 kHz, spoken in a language. Raises ModelError.
Transcribe = Callable[[bytes, str], Awaitable[str]]

logger = logging.getLogger("offhook.voicemail")


class VoicemailFull(Exception):
    """No message is taken until some are deleted."""


class Message(BaseModel):
    """What is known of a message besides its sound."""

    id: str
    at: datetime
    caller: str
    caller_name: str
    called: str
    persona: str
    language: str
    seconds: float
    text: str | None = None  # None until it is transcribed
    pending: list[Way]  # in which ways it has yet to be passed on


class Voicemail:
    """`take` may be called from `start` until `close`; what is pending then goes on with the next start."""

    def __init__(self, settings: Settings, transcribe: Transcribe) -> None:
        self._settings = settings.voicemail
        self._folder = settings.state_dir / "messages"
        self._webhook = Webhook(settings.webhook)
        self._transcribe = transcribe
        mail = settings.voicemail.mail.host is not None
        self._ways: list[Way] = [*(["mail"] if mail else []), *(["webhook"] if settings.webhook.url else [])]  # type: ignore[list-item]
        self._messages: dict[str, Message] = {}
        self._own: set[str] = set()  # that are seen to here
        self._unwritten: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing: set[asyncio.Task[None]] = set()

    @property
    def messages(self) -> list[Message]:
        """The latest first."""
        return sorted(self._messages.values(), key=lambda message: message.at, reverse=True)

    @property
    def full(self) -> bool:
        return len(self._messages) >= self._settings.most

    async def start(self) -> None:
        """Read what is there, and go on with what isn't passed on yet. No other process writes by now."""
        await asyncio.to_thread(self._clear)
        await self.look(take_over=True)

    async def look(self, *, take_over: bool = False) -> None:
        """Know what other processes of this server have written and deleted; `take_over` what they haven't
        passed on.
        """
        await self.drop_deleted()
        for message in await asyncio.to_thread(self._read):
            if message.id in self._own:
                continue
            self._messages[message.id] = message
            if take_over:
                self._own.add(message.id)
                if message.text is None or message.pending:
                    self._start(partial(self._see_through, message))

    async def drop_deleted(self) -> None:
        """Know what other processes of this server have deleted."""
        gone = await asyncio.to_thread(self._missing, self._messages.keys() - self._unwritten)
        for id in gone:
            self._messages.pop(id, None)

    async def close(self) -> None:
        if self._writing:
            await asyncio.wait(self._writing, timeout=WRITE_S)
        left = [*self._tasks, *self._writing]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def take(self, pcm: bytes, info: CallInfo, *, persona: str, language: str) -> str:
        """Keep a message, s16le mono PCM at 16 kHz, and see to it from now on. Returns its id.

        Raises VoicemailFull.
        """
        if self.full:
            raise VoicemailFull
        message = Message(
            id=uuid.uuid4().hex[:12],
            at=datetime.fromtimestamp(time.time(), UTC),
            caller=info.caller,
            caller_name=info.caller_name,
            called=info.called,
            persona=persona,
            language=language,
            seconds=round(len(pcm) / 2 / SAMPLE_RATE_HZ, 1),
            pending=self._ways,
        )
        self._messages[message.id] = message
        self._own.add(message.id)
        self._unwritten.add(message.id)
        writing = asyncio.create_task(self._write(message, pcm), name="voicemail-write")
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        self._start(partial(self._keep, message, writing))
        logger.info("call %s left the message %s, %.0f s long", info.id, message.id, message.seconds)
        return message.id

    def audio(self, id: str) -> Path | None:
        """The WAV file of a message that is kept."""
        path = self._path(id, "wav")
        return path if id in self._messages and path.is_file() else None

    def delete(self, id: str) -> bool:
        """Forget a message; whether there was one. Raises OSError where it stays."""
        message = self._messages.pop(id, None)  # first: what is written meanwhile goes as well
        if message is None:
            return False
        try:
            self._erase(id)
        except OSError:
            self._messages[id] = message
            raise
        return True

    async def forget(self, caller: str) -> int:
        """Delete all of a caller's; returns how many. Raises OSError where one stays."""
        await self.look()
        theirs = [message.id for message in self.messages if message.caller == caller]
        return sum([await asyncio.to_thread(self.delete, id) for id in theirs])

    async def _keep(self, message: Message, writing: asyncio.Task[None]) -> None:
        await asyncio.shield(writing)
        await self._see_through(message)

    async def _write(self, message: Message, pcm: bytes) -> None:
        """Until the disk takes it; it is full, or away."""
        for wait_s in (0.0, *AGAIN_S):
            await asyncio.sleep(wait_s)
            try:
                await asyncio.to_thread(self._write_sound, message, pcm)
                self._unwritten.discard(message.id)
                return
            except OSError as error:
                logger.error("the message %s can't be written yet: %s", message.id, error.strerror)  # noqa: TRY400
        self._messages.pop(message.id, None)
        self._unwritten.discard(message.id)
        await asyncio.to_thread(self._clear, message.id)
        logger.error("the message %s is lost: it can't be written", message.id)

    async def _see_through(self, message: Message) -> None:
        """Transcribe it and pass it on, until both are done or it is deleted."""
        tries = 0
        while message.id in self._messages and not await asyncio.to_thread(self._missing, {message.id}):
            if message.text is None:
                await self._write_down(message)
            told = message.text is not None or tries >= len(AGAIN_S)
            for way in list(message.pending) if told else ():
                if await self._pass_on(message, way):
                    message.pending.remove(way)
            saved = await self._saved(message)
            if saved and message.text is not None and not message.pending:
                return
            await asyncio.sleep(AGAIN_S[tries] if tries < len(AGAIN_S) else HOURLY_S)
            tries += 1

    async def _write_down(self, message: Message) -> None:
        try:
            pcm = await asyncio.to_thread(self._sound, message.id)
            message.text = await self._transcribe(pcm, message.language)
        except (ModelError, OSError, EOFError, wave.Error) as error:
            logger.warning("the message %s couldn't be transcribed: %s", message.id, error)

    async def _saved(self, message: Message) -> bool:
        try:
            await asyncio.to_thread(self._save, message)
        except OSError as error:
            logger.error("what became of the message %s can't be written yet: %s", message.id, error.strerror)  # noqa: TRY400
            return False
        return True

    async def _pass_on(self, message: Message, way: Way) -> bool:
        try:
            if way == "mail":
                await asyncio.to_thread(self._send, message)
            else:
                known = message.model_dump(mode="json", exclude={"pending"})
                await self._webhook.post("message", message.id, known, tries_s=ONCE_S)
        except (OSError, smtplib.SMTPException, WebhookFailed) as error:
            logger.warning("the message %s couldn't be sent by %s: %s", message.id, way, _why(error))
            return False
        logger.info("the message %s was sent by %s", message.id, way)
        return True

    def _send(self, message: Message) -> None:
        send_mail(self._settings.mail, self._mail(message))

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        who = " ".join(filter(None, (message.caller_name, f"<{message.caller}>")))
        mail["Subject"] = _line(f"Message from {who}, {message.seconds:.0f} s")
        mail["From"], mail["To"] = self._settings.mail.sender, ", ".join(self._settings.mail.to)
        mail["Date"] = message.at
        mail["Message-ID"] = f"<{message.id}@offhook>"  # the same with every try
        text = message.text if message.text is not None else "(It couldn't be transcribed yet.)"
        called = f"to {message.called}, answered by {message.persona}"
        mail.set_content(f"{text}\n\n-- \nFrom {_line(who)} {_line(called)}.\n")
        sound = self._path(message.id, "wav").read_bytes()
        mail.add_attachment(sound, maintype="audio", subtype="wav", filename=f"{message.id}.wav")
        return mail

    def _write_sound(self, message: Message, pcm: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(message.id, "wav")
        path.touch(mode=0o600)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
            file.writeframes(pcm)
        self._save(message)

    def _sound(self, id: str) -> bytes:
        with wave.open(str(self._path(id, "wav"))) as file:
            pcm: bytes = file.readframes(file.getnframes())
            return pcm

    def _save(self, message: Message) -> None:
        path = self._path(message.id, "json")
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(message.model_dump_json())
        if message.id in self._unwritten or path.exists():
            new.replace(path)
        else:  # another process has deleted it
            new.unlink()
        if message.id not in self._messages:  # deleted meanwhile
            self._erase(message.id)

    def _erase(self, id: str) -> None:
        for kind in ("json", "wav"):
            self._path(id, kind).unlink(missing_ok=True)

    def _clear(self, id: str = "*") -> None:
        """Delete what was begun to be written of messages that aren't there."""
        with contextlib.suppress(OSError):
            for path in (*self._folder.glob(f"{id}.wav"), *self._folder.glob(f"{id}.new")):
                if not path.with_suffix(".json").exists():
                    path.unlink()

    def _missing(self, ids: Set[str]) -> list[str]:
        try:
            return [id for id in ids if not self._path(id, "json").exists()]
        except OSError:  # nobody knows
            return []

    def _read(self) -> list[Message]:
        found = []
        for path in self._folder.glob("*.json"):
            try:
                found.append(Message.model_validate_json(path.read_bytes()))
            except (OSError, ValidationError) as error:
                logger.warning("%s isn't a message: %s", path, type(error).__name__)
        return found

    def _path(self, id: str, kind: str) -> Path:
        return self._folder / f"{id}.{kind}"

    def _start(self, work: Callable[[], Awaitable[None]]) -> None:
        async def do() -> None:
            try:
                await work()
            except Exception:  # others are seen to
                logger.exception("a message is lost, or isn't passed on")

        task = asyncio.create_task(do(), name="voicemail")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def send_mail(settings: MailSettings, mail: EmailMessage) -> None:
    """Blocks. Raises OSError, smtplib.SMTPException."""
    assert settings.host
    context = ssl.create_default_context()
    server = (
        smtplib.SMTP_SSL(settings.host, settings.port, timeout=MAIL_TIMEOUT_S, context=context)
        if settings.security == "tls"
        else smtplib.SMTP(settings.host, settings.port, timeout=MAIL_TIMEOUT_S)
    )
    with server:
        if settings.security == "starttls":
            server.starttls(context=context)
        if settings.user:
            server.login(settings.user, settings.password.get_secret_value() if settings.password else "")
        server.send_message(mail)


def _why(error: Exception) -> str:
    """Without what the server says, which may quote whom the mail is for."""
    return type(error).__name__ if isinstance(error, smtplib.SMTPException) else str(error)


def _line(text: str) -> str:
    return " ".join(text.split())
