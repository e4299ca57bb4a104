"""Debian's linphonec: Linphone, driven by the commands that a person would type."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from tests.peers import free_port, require_peer

SAID_S = 10.0


class Linphone:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def command(self, text: str, until: bytes) -> None:
        """Type something, and wait for a line that contains `until`."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(text.encode() + b"\n")
        said: list[bytes] = []
        try:
            async with asyncio.timeout(SAID_S):
                while not said or until not in said[-1]:
                    said.append(await self._process.stdout.readline())
                    assert said[-1], b"".join(said).decode(errors="replace")
        except TimeoutError:
            raise AssertionError(f"{text}: {b''.join(said).decode(errors='replace')}") from None


@contextlib.asynccontextmanager
async def linphone(
    folder: Path, *, info: bool = False, encryption: str = "none", ca: Path | None = None
) -> AsyncIterator[Linphone]:
    """One with files for a sound card, that sends keys by INFO, or by RFC 4733.

    `encryption` is none, srtp or dtls. Over TLS it trusts what `ca` has signed.
    """
    (folder / ".local/share/linphone").mkdir(parents=True)  # it registers nowhere without its database
    (folder / "linphonerc").write_text(
        f"[sip]\nsip_port={free_port()}\nsip_tcp_port=0\nsip_tls_port={free_port()}\nuse_ipv6=0\n"
        f"use_info={int(info)}\nuse_rfc2833={int(not info)}\n"
        f"media_encryption={encryption}\nmedia_encryption_mandatory={int(encryption != 'none')}\n"
        + (f"root_ca={ca}\n" if ca else "")
    )
    process = await asyncio.create_subprocess_exec(
        *(require_peer("linphonec"), "-c", folder / "linphonerc"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"HOME": str(folder)},
    )
    phone = Linphone(process)
    try:
        await phone.command("soundcard use files", b"Using wav files")
        await phone.command("ipv6 disable", b"ipv6 use disabled")
        yield phone
        assert process.stdin
        process.stdin.write(b"quit\n")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.communicate(), 5)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
