"""One account's registration: what to send, when, and what an answer means. No I/O, no clock."""

from __future__ import annotations

import errno
import os
import random
import re
import secrets
from collections.abc import Callable
from enum import StrEnum

from config.accounts import AccountSettings
from transports.sip.digest import Unanswerable, answer, parameters
from transports.sip.message import Message, parameter

FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 300.0
REFUSED_RETRY_S = 60.0  # passwords that are wrong stay so, and who goes on trying is locked out
_REFRESH_AT = 0.85  # of the time that was granted
_LONGEST_S = 86400.0


class State(StrEnum):
    REGISTERING = "registering"
    REGISTERED = "registered"
    FAILED = "failed"
    TRUNK = "trunk"  # has nothing to register


class Registration:
    """Of an account by its name in the settings; `chance()` is from 0 to 1."""

    def __init__(
        self, name: str, account: AccountSettings, chance: Callable[[], float] = random.random
    ) -> None:
        self._name = name
        self._account = account
        self._chance = chance
        self._call_id = secrets.token_hex(12)
        self._tag = secrets.token_hex(6)
        self._cseq = 0
        self._expires_s = account.expires_s
        self._authorization: tuple[str, str] | None = None  # the header that answers the last challenge
        self._answered = 0  # challenges, since the last final answer
        self._failures = 0
        self._refreshes_until: float | None = None
        self.last_error: str | None = None

    def state(self, now: float) -> State:
        if self.expires_in(now) is not None:
            return State.REGISTERED
        return State.FAILED if self.last_error else State.REGISTERING

    def expires_in(self, now: float) -> float | None:
        """For how many seconds yet calls come here; None if they don't."""
        left = None if self._refreshes_until is None else self._refreshes_until - now
        return left if left and left > 0 else None

    @property
    def uri(self) -> str:
        return f"sip:{self._account.server}"

    def request(self, *, register: bool = True) -> str:
        """Headers of the next REGISTER, or of one that ends it, but Via and Contact, each with its CRLF."""
        self._cseq += 1
        address = f"<sip:{self._account.user}@{self._account.server}>"
        lines = [
            f"From: {address};tag={self._tag}",
            f"To: {address}",
            f"Call-ID: {self._call_id}",
            f"CSeq: {self._cseq} REGISTER",
            f"Expires: {self._expires_s if register else 0}",
            "User-Agent: offhook",
        ]
        if self._authorization:
            lines.append(": ".join(self._authorization))
            self._authorization = None  # its count is good once
        return "".join(f"{line}\r\n" for line in lines)

    def answered(self, response: Message, contact: str, now: float) -> float:
        """Note a final answer, where `contact` is the user of ours; in how many seconds to send again."""
        match response.status:
            case status if 200 <= status < 300:
                self._answered = 0
                self._failures, self.last_error = 0, None
                granted = _granted(response, contact, self._expires_s)
                self._refreshes_until = now + granted
                return granted * _REFRESH_AT
            case 401 | 407 if self._meets(response):
                return 0.0
            case 423 if (least := response.header("Min-Expires")).isdecimal():
                if self._expires_s < int(least) <= _LONGEST_S:
                    self._expires_s = int(least)
                    self._answered = 0  # what is asked next is challenged anew
                    return 0.0
        self._answered = 0
        refused = response.status in (401, 403, 404, 407)
        reason = "".join(c for c in response.start.split(" ", 2)[2][:80] if c.isprintable())
        return self._failed(self._why(response.status, reason), _after(response), refused=refused)

    def unanswered(self, error: int, certificate: str = "") -> float:
        """Note that nothing came back, for a system's error number; after how many seconds to try again.

        `certificate` says why the server's was refused, if it was.
        """
        self._answered = 0
        return self._failed(certificate or self._why_silent(error), 0.0)

    def _failed(self, why: str, wait_s: float, *, refused: bool = False) -> float:
        self.last_error = why
        first = REFUSED_RETRY_S if refused else FIRST_RETRY_S
        longest = min(first * 2.0**self._failures, LONGEST_RETRY_S)
        self._failures += 1
        return max(longest * (0.5 + self._chance() / 2), wait_s)

    def _meets(self, response: Message) -> bool:
        """Whether there is an answer to a challenge that wasn't given yet: two, where a nonce is too old."""
        name = "WWW-Authenticate" if response.status == 401 else "Proxy-Authenticate"
        secret = self._account.secret
        for own, challenge in response.headers:
            stale = parameters(challenge).get("stale", "").lower() == "true"
            if own.lower() != name.lower() or secret is None or self._answered > stale:
                continue
            try:
                header = answer(
                    challenge,
                    user=self._account.auth_user or self._account.user,
                    password=secret.get_secret_value(),
                    method="REGISTER",
                    uri=self.uri,
                )
            except Unanswerable:
                continue
            self._answered += 1
            self._authorization = "Authorization" if response.status == 401 else "Proxy-Authorization", header
            return True
        return False

    def _why(self, status: int, reason: str) -> str:
        server, key = self._account.server, f"sip.accounts.{self._name}"
        said = f"{server} answered {status} {reason}"
        match status:
            case 401 | 407 if self._account.secret is None:
                return f"{said}: it wants a password. Name a file that holds it with {key}.secret_file."
            case 401 | 403 | 407:
                return f"{said}: the user or the password is wrong. Check {key}.user, auth_user and secret."
            case 404:
                return f"{said}: it doesn't know the user. Check {key}.user and server."
            case status if status >= 500:
                return f"{said}: it is out of order. Nothing is to be done here; it is tried again."
        return f"{said}. Ask who runs it why."

    def _why_silent(self, error: int) -> str:
        account, key = self._account, f"sip.accounts.{self._name}"
        where = f"{account.proxy or account.server} over {account.transport.upper()}"
        match error:
            case errno.ETIMEDOUT:
                return f"no answer from {where}. Check {key}.server, and what is between: a firewall?"
            case errno.ECONNREFUSED:
                return f"nobody listens at {where}. Check {key}.server, its port, and {key}.transport."
            case errno.ENOENT | errno.EDESTADDRREQ | errno.EADDRNOTAVAIL:
                return f"{account.proxy or account.server} has no address. Check {key}.server, and the DNS."
            case errno.EPROTONOSUPPORT:
                return f"{where} can't be sent to: no such transport is listened on here."
        return f"{where} can't be reached: {os.strerror(error)}. Check {key}.server, and the network."


def _granted(response: Message, contact: str, asked_s: int) -> float:
    """For how many seconds: as our Contact says among all that are registered, else Expires."""
    own = [one for one in response.values("Contact") if f"sip:{contact}@" in one]
    text = (parameter(own[0], "expires") if own else "") or response.header("Expires")
    seconds = int(text) if re.fullmatch(r"\d{1,9}", text) else asked_s
    return min(max(float(seconds), 1.0), _LONGEST_S)


def _after(response: Message) -> float:
    found = re.match(r"\d{1,5}", response.header("Retry-After"))
    return float(found[0]) if found else 0.0
