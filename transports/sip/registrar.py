"""Where the telephones of an office are: what they REGISTER. No I/O."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from config.logins import RegistrarSettings
from transports.sip.libre import UDP, URI_TRANSPORTS
from transports.sip.message import Message, Reply, parameter
from transports.sip.parties import uri_of, user_of
from transports.sip.sdp import Ip

_URI = re.compile(r"sips?:[^<>\s]{1,512}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a request came from."""

    address: Ip
    port: int
    protocol: int  # enum sip_transp


@dataclass(frozen=True, slots=True)
class Binding:
    contact: str  # as the telephone named it
    uri: str  # by which it is reached from here
    until: float


class Unreached(Exception):
    """No telephone of that user's has logged in; the message is a sentence."""


class Registrar:
    """May be used on any thread."""

    def __init__(self, settings: RegistrarSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._bindings: dict[str, dict[str, Binding]] = {}  # by user, and by contact, the newest last
        self._lock = threading.Lock()

    def contact(self, user: str) -> str | None:
        """The URI of the telephone that this user logged in with last; None if there is none."""
        with self._lock:
            bound = self._live(user.lower())
            return bound[-1].uri if bound else None

    def bound(self) -> dict[str, int]:
        """How many telephones each user has."""
        with self._lock:
            return {user: len(live) for user in list(self._bindings) if (live := self._live(user))}

    def told(self) -> dict[str, list[tuple[str, str, float]]]:
        """What `learn` takes in another process: by user, what each telephone has, and for how long yet."""
        with self._lock:
            now = self._clock()
            return {
                user: [(one.contact, one.uri, one.until - now) for one in live]
                for user in list(self._bindings)
                if (live := self._live(user))
            }

    def learn(self, told: Mapping[str, Iterable[tuple[str, str, float]]]) -> None:
        """Have these telephones and no others, as the process where they log in tells."""
        with self._lock:
            now = self._clock()
            self._bindings = {
                user: {contact: Binding(contact, uri, now + left_s) for contact, uri, left_s in bound}
                for user, bound in told.items()
            }

    def register(self, user: str, request: Message, peer: Peer) -> Reply:
        """Carry out a REGISTER of a user who has proved who they are."""
        if user_of(request.header("To")).lower() != user:
            return Reply(403, "Forbidden")
        contacts = request.values("Contact")
        wanted = request.header("Expires")
        with self._lock:
            bound = {one.contact: one for one in self._live(user)}
            if contacts == ["*"]:
                if wanted != "0":
                    return Reply(400, "Bad Request")
                bound.clear()
                contacts = []
            now = self._clock()
            for contact in contacts:
                uri = uri_of(contact)
                if not _URI.fullmatch(uri):
                    return Reply(400, "Bad Request")
                expires_s = self._expires_s(parameter(contact, "expires") or wanted)
                if 0 < expires_s < self._settings.min_expires_s:
                    return Reply(
                        423, "Interval Too Brief", (("Min-Expires", str(self._settings.min_expires_s)),)
                    )
                bound.pop(uri, None)
                if expires_s:
                    bound[uri] = Binding(uri, reached(uri, peer), now + expires_s)
            kept = list(bound.values())[-self._settings.max_bindings :]
            self._bindings[user] = {one.contact: one for one in kept}
            if not kept:
                del self._bindings[user]
        listed = ((one.contact, round(one.until - now)) for one in kept)
        return Reply(200, "OK", tuple(("Contact", f"<{uri}>;expires={left_s}") for uri, left_s in listed))

    def _expires_s(self, text: str) -> int:
        longest = self._settings.max_expires_s
        return min(int(text), longest) if re.fullmatch(r"\d{1,10}", text) else longest

    def _live(self, user: str) -> list[Binding]:
        now = self._clock()
        live = {one.contact: one for one in self._bindings.get(user, {}).values() if one.until > now}
        if live:
            self._bindings[user] = live
        else:
            self._bindings.pop(user, None)
        return list(live.values())


def reached(contact: str, peer: Peer) -> str:
    """A contact's URI at the address that it came from, whatever it says: behind NAT it doesn't know better.

    Nor is anybody called elsewhere for having been named in a Contact.
    """
    host = f"[{peer.address}]" if peer.address.version == 6 else str(peer.address)
    named = re.search(rf"(?:@|^sips?:){re.escape(host)}(?::(\d{{1,5}}))?(?=[;?]|$)", contact, re.IGNORECASE)
    port = int(named[1] or 5060) if named and peer.protocol == UDP else peer.port
    user = re.sub(r"[^\w.+~!*'()%-]", "", user_of(contact))
    return f"sip:{f'{user}@' if user else ''}{host}:{port}{URI_TRANSPORTS[peer.protocol]}"
