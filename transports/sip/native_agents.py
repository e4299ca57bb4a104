"""The stack's user agents: one that answers anyone, and one for each account."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from baresip import _native
from baresip.errors import BaresipError
from baresip.runtime import Runtime
from baresip.ua import UserAgent

from config.accounts import AccountSettings
from config.sip import MediaEncryption
from transports.sip.encryption import mediaenc_of_offer
from transports.sip.libre import List, ListElement, OnSipThread, at, declare

CODECS = {"opus": "opus/16000/1", "g722": "g722/16000/1", "pcmu": "pcmu", "pcma": "pcma"}
AGENTS = 500  # the stack has room for 1,023, the calls among them
_EXTENSION = ctypes.create_string_buffer(b"timer")  # the stack keeps no copy

_pointer, _int, _text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "uag_list": (_pointer, []),
    "ua_account": (_pointer, [_pointer]),
    "ua_add_extension": (None, [_pointer, _pointer]),
    "ua_local_cuser": (_text, [_pointer]),
    "account_set_auth_user": (_int, [_pointer, _text]),
    "account_set_auth_pass": (_int, [_pointer, _text]),
}


@dataclass(frozen=True, slots=True)
class Agent:
    """`user` is in its Contact, and in part random."""

    user_agent: UserAgent
    pointer: int
    user: str


class StackAgents:
    """Of a running stack, which lets none go before it ends: one that is needed again is taken again."""

    def __init__(self, runtime: Runtime, on_sip_thread: OnSipThread) -> None:
        self._runtime = runtime
        self._on_sip_thread = on_sip_thread
        self.media_encryption: MediaEncryption = "optional"
        self._known: dict[tuple[str, str], Agent] = {}
        self._lib = ctypes.CDLL(str(_native.__file__))
        declare(self._lib, SIGNATURES)

    async def answering_anyone(self, codecs: Sequence[str]) -> Agent:
        """Raises BaresipError."""
        # No transport parameter and no address: with one, calls over the others get 404.
        return await self._create(f"<sip:offhook@offhook>;regint=0;catchall=yes;{self._parameters(codecs)}")

    async def of_account(self, name: str, account: AccountSettings, codecs: Sequence[str]) -> Agent:
        """Raises BaresipError."""
        transport = f"transport={account.transport}"
        # The interval has the stack look for it by its own Contact alone; it isn't told to register.
        line = f"<sip:{account.user}@{account.server};{transport}>;regint=600;"
        line += self._parameters(codecs, private=account.transport == "tls")
        if account.proxy:
            line += f';outbound="sip:{account.proxy};lr;{transport}"'
        if (name, line) not in self._known:
            if len(self._known) >= AGENTS:
                raise BaresipError("the accounts were changed too often; start offhook again")
            self._known[name, line] = await self._create(line)
        agent = self._known[name, line]

        def log_in() -> None:
            native = self._lib.ua_account(agent.pointer)
            secret = account.secret.get_secret_value().encode() if account.secret else None
            self._lib.account_set_auth_user(native, (account.auth_user or account.user).encode())
            self._lib.account_set_auth_pass(native, secret)  # no character can be escaped in the line

        await self._on_sip_thread(log_in)
        return agent

    async def _create(self, line: str) -> Agent:
        user_agent = await UserAgent.create(self._runtime, line)

        def adopt() -> Agent:
            pointer = at(ListElement, at(List, self._lib.uag_list()).tail).data  # the newest
            self._lib.ua_add_extension(pointer, _EXTENSION)
            return Agent(user_agent, pointer, self._lib.ua_local_cuser(pointer).decode())

        return await self._on_sip_thread(adopt)

    def _parameters(self, codecs: Sequence[str], *, private: bool = False) -> str:
        mediaenc = mediaenc_of_offer(self.media_encryption, private=private)
        return (
            f"answermode=manual;dtmfmode=auto;audio_codecs={','.join(CODECS[name] for name in codecs)}"
            # For those that demand it; `Dialogs` takes it away from those that only could.
            ";100rel=yes"
            # Without a value: no video at all. Otherwise the stack sends a re-INVITE after each ACK to
            # settle it, since VP8 is compiled in.
            ";video_codecs"
            # Of calls that we make; others are answered as they were offered.
            f"{f';mediaenc={mediaenc}' if mediaenc else ''}"
        )
