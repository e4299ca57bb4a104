"""Digest authentication (RFC 7616, RFC 3261 22), of callers here and of ours elsewhere. No I/O, no clock."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from enum import Enum, auto

NONCE_S = 300.0
_NONCES = 4096  # whose counts are remembered; the oldest goes first, and is stale then
_HASHES = {"md5": hashlib.md5, "sha-256": hashlib.sha256}
# From the beginning of a name on, and none twice, so that none takes long.
_PARAMETER = re.compile(r'(?<![\w-])([\w-]++)\s*+=\s*+(?:"((?:\\.|[^"\\])*+)"|([^\s,"]++))')
_NOBODY = secrets.token_hex(16)  # whose password nobody has


class Verdict(Enum):
    RIGHT = auto()
    STALE = auto()  # it would be right, but for its nonce
    WRONG = auto()


class Digest:
    """Who may come in with which password."""

    def __init__(
        self, realm: str, passwords: Mapping[str, str], algorithms: Sequence[str] = ("md5",)
    ) -> None:
        self._realm = realm
        self._algorithms = algorithms
        self._passwords = passwords
        self._key = secrets.token_bytes(32)
        self._counts: OrderedDict[str, int] = OrderedDict()  # by nonce: the highest that was used
        self._forgotten_ms = -1  # nonces of before whose counts aren't known are stale

    def challenges(self, now: float, *, stale: bool = False) -> tuple[str, ...]:
        """The values of WWW-Authenticate, the best first (RFC 8760)."""
        return tuple(self._challenge(now, one.upper(), stale) for one in self._algorithms)

    def _challenge(self, now: float, algorithm: str, stale: bool) -> str:
        issued = f"{int(now * 1000):x}.{secrets.token_hex(8)}"
        nonce = f"{issued}.{self._signed(issued)}"
        return (
            f'Digest realm="{self._realm}", nonce="{nonce}", algorithm={algorithm}, qop="auth"'
            f"{', stale=true' if stale else ''}"
        )

    def check(self, authorization: str, method: str, now: float) -> tuple[Verdict, str]:
        """An Authorization's verdict, and as whom. A nonce's count is good once, and only rises."""
        given = parameters(authorization)
        user = given.get("username", "")
        known = self._passwords.get(user)
        password = _NOBODY if known is None else known  # so that both take as long
        expected = response(given, user=user, password=password, method=method)
        right = hmac.compare_digest(expected.encode(), given.get("response", "").lower().encode())
        if not right or known is None or given.get("realm") != self._realm:
            return Verdict.WRONG, user
        if (
            given.get("qop", "auth") != "auth"
            or given.get("algorithm", "MD5").lower() not in self._algorithms
        ):
            return Verdict.WRONG, user
        return (Verdict.RIGHT if self._is_fresh(given, now) else Verdict.STALE), user

    def _is_fresh(self, given: Mapping[str, str], now: float) -> bool:
        nonce = given.get("nonce", "")
        issued, _, signature = nonce.rpartition(".")
        if not hmac.compare_digest(self._signed(issued).encode(), signature.encode()):
            return False
        issued_ms = int(issued.partition(".")[0], 16)
        if nonce not in self._counts and issued_ms <= self._forgotten_ms:
            return False
        nc = given.get("nc", "") if "qop" in given else ""  # without, nothing proves it (RFC 2069)
        count = int(nc, 16) if re.fullmatch(r"[0-9a-fA-F]{1,8}", nc) else 1
        if now - issued_ms / 1000 > NONCE_S or count <= self._counts.get(nonce, 0):
            return False
        if nonce not in self._counts and len(self._counts) >= _NONCES:
            oldest, _ = self._counts.popitem(last=False)
            self._forgotten_ms = max(self._forgotten_ms, int(oldest.partition(".")[0], 16))
        self._counts[nonce] = count
        return True

    def _signed(self, issued: str) -> str:
        return hmac.new(self._key, issued.encode(), hashlib.sha256).hexdigest()[:32]


class Unanswerable(Exception):
    """A challenge of a kind that is not known here."""


def answerable(asked: Mapping[str, str]) -> bool:
    """Whether a challenge with these parameters can be met."""
    known = asked.get("algorithm", "MD5").lower() in _HASHES
    return known and bool(asked.get("nonce")) and not _qops(asked).isdisjoint(("auth", ""))


def answer(challenge: str, *, user: str, password: str, method: str, uri: str, count: int = 1) -> str:
    """The value of the Authorization that meets a challenge. Raises Unanswerable."""
    asked = parameters(challenge)
    if not answerable(asked):
        raise Unanswerable
    algorithm = asked.get("algorithm", "MD5")
    given = {"username": user, "realm": asked.get("realm", ""), "nonce": asked["nonce"], "uri": uri}
    plain = {"algorithm": algorithm}
    if "auth" in _qops(asked):
        given["cnonce"] = secrets.token_hex(8)
        plain |= {"qop": "auth", "nc": f"{count:08x}"}
    given["response"] = response({**given, **plain}, user=user, password=password, method=method)
    if "opaque" in asked:
        given["opaque"] = asked["opaque"]
    quoted = (f'{name}="{_escaped(value)}"' for name, value in given.items())
    return "Digest " + ", ".join([*quoted, *(f"{name}={value}" for name, value in plain.items())])


def _qops(asked: Mapping[str, str]) -> set[str]:
    return {one.strip() for one in asked.get("qop", "").split(",")}


def response(given: Mapping[str, str], *, user: str, password: str, method: str) -> str:
    """What proves the password, for an Authorization's other parameters; hexadecimal."""
    new = _HASHES.get(given.get("algorithm", "MD5").lower(), hashlib.md5)

    def digest(*parts: str) -> str:
        return new(":".join(parts).encode(errors="surrogateescape")).hexdigest()

    secret = digest(user, given.get("realm", ""), password)
    request = digest(method, given.get("uri", ""))
    nonce = given.get("nonce", "")
    if "qop" not in given:  # RFC 2069
        return digest(secret, nonce, request)
    return digest(secret, nonce, given.get("nc", ""), given.get("cnonce", ""), given["qop"], request)


def parameters(value: str) -> dict[str, str]:
    """Of a challenge or an Authorization, by lower-case names; empty where it isn't of Digest."""
    scheme, _, rest = value.partition(" ")
    if scheme.lower() != "digest":
        return {}
    found = _PARAMETER.findall(rest[:4096])
    return {name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else bare for name, quoted, bare in found}


def _escaped(value: str) -> str:
    return re.sub(r'(["\\])', r"\\\1", value)
