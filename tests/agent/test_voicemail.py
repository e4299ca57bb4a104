"""Messages are kept, written down and passed on, whatever is down for a while."""

from __future__ import annotations

import asyncio
import base64
import errno
import stat
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from agent import voicemail as module
from agent.voicemail import Voicemail, VoicemailFull
from config.settings import Settings
from models.errors import ModelFailed
from tests.waiting import until
from transports.call import CallInfo

SOUND = bytes(range(256)) * 125  # a second
INFO = CallInfo("sip", "+33123", "600", caller_name="Alice\r\nBcc: all@example.org")


class MailServer:
    """Takes mail, or doesn't: one answer to each MAIL command."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.mails: list[bytes] = []
        self.logins: list[bytes] = []
        self.port = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(text: str) -> None:
            writer.write(f"{text}\r\n".encode())

        say("220 here")
        while line := await reader.readline():
            match line.split()[0].upper():
                case b"EHLO":
                    say("250-here\r\n250 AUTH PLAIN")
                case b"AUTH":
                    self.logins.append(base64.b64decode(line.split()[2]))
                    say("235 welcome")
                case b"MAIL":
                    say(f"{self.answers.pop(0) if self.answers else 250} whatever")
                case b"DATA":
                    say("354 go on")
                    self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
                    say("250 taken")
                case b"QUIT":
                    say("221 bye")
                    break
                case _:
                    say("250 fine")
        writer.close()


@asynccontextmanager
async def mail_server(*answers: int) -> AsyncIterator[MailServer]:
    there = MailServer(*answers)
    server = await asyncio.start_server(there.talk, "127.0.0.1", 0)
    there.port = server.sockets[0].getsockname()[1]
    try:
        yield there
    finally:
        server.close()
        await server.wait_closed()


def settings(folder: Path, port: int | None = None, **voicemail: Any) -> Settings:
    mail = {
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "user": "u",
        "password": "p",
        "sender": "offhook@example.org",
        "to": ["desk@example.org"],
    }
    more = {"mail": mail} if port else {}
    return Settings.model_validate({"state_dir": folder, "voicemail": {**more, **voicemail}})


async def written(pcm: bytes, language: str) -> str:
    assert (pcm, language) == (SOUND, "en")
    return "It is raining."


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", (0.01, 0.01, 0.01))


@asynccontextmanager
async def desk(
    given: Settings, transcribe: Callable[[bytes, str], Any] = written
) -> AsyncIterator[Voicemail]:
    voicemail = Voicemail(given, transcribe)
    await voicemail.start()
    try:
        yield voicemail
    finally:
        await voicemail.close()


def take(voicemail: Voicemail) -> str:
    return voicemail.take(SOUND, INFO, persona="Joe", language="en")


def passed_on(voicemail: Voicemail) -> Callable[[], bool]:
    return lambda: all(one.text is not None and not one.pending for one in voicemail.messages)


async def test_a_message_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    async with desk(settings(tmp_path)) as voicemail:
        id = take(voicemail)
        await until(passed_on(voicemail))
        path = voicemail.audio(id)
        assert path is not None
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.readframes(16_000)) == (16_000, SOUND)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert voicemail.messages[0].text == "It is raining."
    async with desk(settings(tmp_path)) as again:
        assert [one.id for one in again.messages] == [id]
        assert again.delete(id)
        assert not again.delete(id)
        assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("answers", [(), (451, 451)])
async def test_a_message_is_mailed_with_its_sound(tmp_path: Path, answers: tuple[int, ...]) -> None:
    async with mail_server(*answers) as there, desk(settings(tmp_path, there.port)) as voicemail:
        id = take(voicemail)
        await until(lambda: bool(there.mails), 10)
        await until(passed_on(voicemail))
        mail: Any = message_from_bytes(there.mails[0])
        assert there.logins[0] == b"\0u\0p"
        assert (mail["To"], mail["Bcc"]) == ("desk@example.org", None)
        assert "+33123" in str(mail["Subject"])
        text, sound = mail.get_payload()
        assert "It is raining." in str(text)
        assert sound.get_filename() == f"{id}.wav"
        assert len(there.mails) == 1


async def test_the_log_has_nothing_that_the_mail_server_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with mail_server(550) as there, desk(settings(tmp_path, there.port)) as voicemail:
        take(voicemail)
        await until(passed_on(voicemail))
    assert "couldn't be sent by mail" in caplog.text
    assert "whatever" not in caplog.text


async def test_what_wasnt_passed_on_is_at_the_next_start(tmp_path: Path) -> None:
    async with mail_server() as gone:
        port = gone.port
    async with desk(settings(tmp_path, port)) as voicemail:
        take(voicemail)
        await until(lambda: voicemail.messages[0].text is not None)
        assert voicemail.messages[0].pending == ["mail"]
    async with mail_server() as there, desk(settings(tmp_path, there.port)) as again:
        await until(passed_on(again))
        assert len(there.mails) == 1


async def test_a_message_is_written_down_later_where_the_recognizer_fails(tmp_path: Path) -> None:
    tried: list[int] = []

    async def fails_first(pcm: bytes, language: str) -> str:
        tried.append(1)
        if len(tried) < 3:
            raise ModelFailed("it was told to")
        return "At last."

    async with desk(settings(tmp_path), fails_first) as voicemail:
        take(voicemail)
        await until(passed_on(voicemail))
        assert voicemail.messages[0].text == "At last."


async def test_a_message_is_passed_on_while_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Path] = []
    write_text = Path.write_text

    def full_later(path: Path, text: str) -> int:
        tried.append(path)
        if len(tried) in (2, 3):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_text(path, text)

    monkeypatch.setattr(Path, "write_text", full_later)
    async with mail_server() as there, desk(settings(tmp_path, there.port)) as voicemail:
        take(voicemail)
        await until(lambda: len(tried) > 3 and not voicemail._tasks)
        assert len(there.mails) == 1
    async with desk(settings(tmp_path)) as again:
        assert passed_on(again)()


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Input/output error"), EOFError(), wave.Error("no RIFF")]
)
async def test_a_message_that_cant_be_read_is_written_down_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    errors, sound = [error], Voicemail._sound

    def fails_first(voicemail: Voicemail, id: str) -> bytes:
        if errors:
            raise errors.pop()
        return sound(voicemail, id)

    monkeypatch.setattr(Voicemail, "_sound", fails_first)
    async with desk(settings(tmp_path)) as voicemail:
        take(voicemail)
        await until(passed_on(voicemail))
        assert not errors


async def test_no_more_are_kept_than_there_is_room_for(tmp_path: Path) -> None:
    async with desk(settings(tmp_path, most=1)) as voicemail:
        id = take(voicemail)
        assert voicemail.full
        with pytest.raises(VoicemailFull):
            take(voicemail)
        voicemail.delete(id)
        take(voicemail)


async def test_what_is_deleted_while_it_is_written_stays_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace
    async with desk(settings(tmp_path)) as voicemail:

        def deleted(path: Path, target: Path) -> Path:
            voicemail.delete(target.stem)
            return replace(path, target)

        monkeypatch.setattr(Path, "replace", deleted)
        take(voicemail)
        await until(lambda: not voicemail.messages)
    assert list((tmp_path / "messages").iterdir()) == []


async def test_a_message_is_written_when_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_S", (0.01,) * 1000)
    (tmp_path / "messages").write_text("in the way")
    async with desk(settings(tmp_path)) as voicemail:
        id = take(voicemail)
        await asyncio.sleep(0.1)
        assert voicemail.audio(id) is None
        (tmp_path / "messages").unlink()
        await until(passed_on(voicemail))
        assert voicemail.audio(id) is not None


async def test_a_message_that_cant_be_written_is_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "messages").write_text("in the way")
    async with desk(settings(tmp_path)) as voicemail:
        id = take(voicemail)
        await until(lambda: not voicemail.messages)
    assert f"the message {id} is lost" in caplog.text


async def test_of_a_message_that_cant_be_written_no_sound_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Path] = []

    def full(path: Path, text: str) -> int:
        tried.append(path)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    async with desk(settings(tmp_path)) as voicemail:
        take(voicemail)
        await until(lambda: not voicemail._tasks)
        assert voicemail.messages == []
    assert len(tried) == 1 + len(module.AGAIN_S)
    assert list((tmp_path / "messages").iterdir()) == []


async def test_sound_without_a_message_is_deleted_at_the_start(tmp_path: Path) -> None:
    async with desk(settings(tmp_path)) as voicemail:
        id = take(voicemail)
        await until(passed_on(voicemail))
    for kind in ("wav", "new"):
        (tmp_path / "messages" / f"0123456789ab.{kind}").write_bytes(SOUND)
    async with desk(settings(tmp_path)):
        assert {path.stem for path in (tmp_path / "messages").iterdir()} == {id}


async def test_a_caller_is_forgotten(tmp_path: Path) -> None:
    async with desk(settings(tmp_path)) as voicemail:
        take(voicemail)
        kept = voicemail.take(SOUND, CallInfo("sip", "bob", "600"), persona="Joe", language="en")
        await until(passed_on(voicemail))
        assert await voicemail.forget("+33123") == 1
        assert [one.id for one in voicemail.messages] == [kept]
    assert {path.stem for path in (tmp_path / "messages").iterdir()} == {kept}


async def test_what_another_process_deletes_makes_room_and_isnt_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_S", (0.01,) * 1000)
    async with mail_server() as gone:
        given = settings(tmp_path, gone.port, most=1)
    async with desk(given) as first, desk(given) as worker:
        id = take(worker)
        await until(lambda: worker.messages[0].text is not None)
        await first.look()
        assert first.delete(id)
        await until(lambda: not worker._tasks)
        assert list((tmp_path / "messages").iterdir()) == []
        await worker.drop_deleted()
        assert not worker.full


async def test_what_another_process_deletes_while_it_is_written_down_isnt_written_again(
    tmp_path: Path,
) -> None:
    async with desk(settings(tmp_path)) as first:

        async def deleted(pcm: bytes, language: str) -> str:
            await first.look()
            assert first.delete(taken)
            return await written(pcm, language)

        async with desk(settings(tmp_path), deleted) as worker:
            taken = take(worker)
            await until(lambda: not worker._tasks)
            await first.look()
            assert first.messages == []
    assert list((tmp_path / "messages").iterdir()) == []


async def test_what_is_taken_last_is_on_the_disk(tmp_path: Path) -> None:
    async with desk(settings(tmp_path)) as voicemail:
        id = take(voicemail)
    assert (tmp_path / "messages" / f"{id}.wav").stat().st_size > len(SOUND)
    async with desk(settings(tmp_path)) as again:
        await until(passed_on(again))
        assert again.messages[0].text == "It is raining."
