"""What `offhook doctor` looks at around offhook: limits, clock, disk, database, certificates, weights."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import packages_distributions
from typing import Literal

from sqlalchemy.exc import SQLAlchemyError

from agent.records.database import Database
from agent.room import disk as room_on
from agent.room import free_bytes, nearest
from agent.tls import Certificate, TlsError
from config.errors import ConfigError
from config.settings import Settings
from models.errors import ModelError
from transports.sip.process import files_for

Verdict = Literal["pass", "warn", "fail"]

OURS = ("agent", "bench", "config", "models", "transports")
FEWEST_DESCRIPTORS = 256
NO_CLOCK = datetime(2025, 1, 1, tzinfo=UTC)  # a machine that says it is earlier has no clock
_UNSYNCHRONISED = 5  # adjtimex(2), TIME_ERROR
_TIMEX_BYTES = 512  # more than struct timex has anywhere


@dataclass(frozen=True, slots=True)
class Finding:
    """`fail`: offhook can't serve until the remedy is applied; `warn`: it can, but worse than it could."""

    name: str
    verdict: Verdict
    detail: str
    remedy: str = ""


def clashes(_: Settings) -> Iterator[Finding]:
    """Packages that have a folder of a name of ours: whichever is found first hides the other."""
    theirs = {
        name: [one for one in found if one != "offhook"]
        for name, found in packages_distributions().items()
        if name in OURS
    }
    named = [f"{', '.join(found)} has a package {name}" for name, found in theirs.items() if found]
    if named:
        remedy = "Uninstall it, or give offhook an environment of its own: make clean install"
        yield Finding("clashing packages", "fail", f"{'; '.join(named)}, as offhook has.", remedy)
    else:
        yield Finding("clashing packages", "pass", "None.")


def descriptors(settings: Settings) -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    calls = settings.most_calls
    needed = files_for(calls)
    told = "no limit" if hard == resource.RLIM_INFINITY else f"{soft}, which may be raised to {hard}"
    if hard == resource.RLIM_INFINITY or hard >= needed:
        yield Finding("descriptors", "pass", f"{told}; {calls} calls need {needed}.")
        return
    verdict: Verdict = "warn" if hard >= FEWEST_DESCRIPTORS else "fail"
    remedy = "Raise the limit (ulimit -Hn, or LimitNOFILE= of systemd), or set call.max_calls lower."
    yield Finding("descriptors", verdict, f"{told}; {calls} calls may need {needed}.", remedy)


def clock(_: Settings) -> Iterator[Finding]:
    now = datetime.now(UTC)
    if now < NO_CLOCK:
        detail = f"It says {now:%Y-%m-%d %H:%M} UTC, so certificates and carriers' signatures are refused."
        yield Finding("clock", "fail", detail, "Set it: timedatectl set-ntp true")
    elif _clock_state() == _UNSYNCHRONISED:
        detail = f"It says {now:%Y-%m-%d %H:%M:%S} UTC, and the kernel knows of nothing that keeps it right."
        yield Finding("clock", "warn", detail, "Run chrony or systemd-timesyncd: timedatectl set-ntp true")
    else:
        zone = time.strftime("%Z")
        yield Finding("clock", "pass", f"{now:%Y-%m-%d %H:%M:%S} UTC, kept right; routes go by {zone}.")


def disks(settings: Settings) -> Iterator[Finding]:
    folders = {"state_dir": settings.state_dir, "cache_dir": settings.cache_dir}
    if settings.recordings.enabled and settings.recordings.folder:
        folders["recordings.folder"] = settings.recordings.folder
    for name, folder in folders.items():
        here = nearest(folder)
        if not os.access(here, os.W_OK | os.X_OK):
            yield Finding(name, "warn", f"{here} can't be written to.", f"Set {name}, or chown it.")
            continue
        left = free_bytes(folder)
        state, why, remedy = room_on(left, folder)
        if state == "ready":
            room = "" if left is None else f", with {left / 1e9:.1f} GB left"
            yield Finding(name, "pass", f"{folder}{room}.")
        else:
            yield Finding(name, "warn", why or "", remedy or "")


def database(settings: Settings) -> Iterator[Finding]:
    if not settings.records.enabled:
        return
    name = "database"
    try:
        found = Database(settings)
    except ConfigError as error:
        yield Finding(name, "fail", str(error), "pip install '.[postgres]'")
        return
    if found.url.get_backend_name() == "sqlite" and not os.access(found.url.database or "", os.F_OK):
        yield Finding(name, "pass", f"{found.name}, which the first start makes.")
        return
    try:
        asyncio.run(found.try_out())
    except (SQLAlchemyError, OSError) as error:
        why = (str(getattr(error, "orig", None) or error).strip() or type(error).__name__).splitlines()[0]
        remedy = "Calls are answered without, and written down once it is there: look after records.url."
        yield Finding(name, "warn", f"{found.name}: {why}", remedy)
    else:
        yield Finding(name, "pass", f"{found.name} answers.")


def https(settings: Settings) -> Iterator[Finding]:
    http = settings.http
    if not http.enabled:
        return
    pages = settings.webrtc.enabled and not (http.loopback or http.tls or http.trusted_proxies)
    if pages:
        detail = "Browsers give the page a microphone over HTTPS alone, and http.tls is off."
        yield Finding("HTTPS", "warn", detail, "offhook serve --tls, with http.tls_cert and http.tls_key")
    served = [("HTTPS", http)] if http.tls else []
    served += [("SIP certificate", settings.sip)] if settings.sip.enabled and settings.sip.over_tls else []  # type: ignore[list-item]
    for name, section in served:
        if section.tls_cert is None:
            yield Finding(name, "warn", "The certificate is self-signed: peers have to be told of it.")
            continue
        try:
            found = Certificate(section, settings.cache_dir, name=name).health()
        except TlsError as error:
            yield Finding(name, "fail", str(error))
        else:
            verdict: Verdict = "pass" if found.state == "ready" else "warn"
            yield Finding(name, verdict, found.last_error or f"{found.device} is good {found.model}.")
    if http.loopback and not served and settings.webrtc.enabled:
        yield Finding("HTTPS", "pass", "Not needed: the page is served to this machine alone.")


def sums(settings: Settings) -> Iterator[Finding]:
    """Each byte of the weights that are here is read."""
    from models.catalog import Catalog

    catalog = Catalog(settings.cache_dir)
    right, unknown = 0, list[str]()
    for entry in catalog.entries():
        if entry.state != "ready":
            continue
        try:
            verdict = catalog.verify(entry.name)
        except (ModelError, OSError) as error:
            yield Finding("sums of weights", "fail", str(error), f"offhook models pull {entry.name}")
            continue
        if verdict == "unknown":
            unknown.append(entry.name)
        else:
            right += 1
    if unknown:
        detail = f"Nobody noted what was fetched of {', '.join(unknown)}."
        yield Finding("sums of weights", "warn", detail, f"offhook models pull {unknown[0]}")
    yield Finding("sums of weights", "pass", f"{right} models are as they should be.")


def _clock_state() -> int:
    """What adjtimex(2) returns; negative where it may not be asked."""
    ask = getattr(ctypes.CDLL(None), "adjtimex", None)
    return int(ask(ctypes.create_string_buffer(_TIMEX_BYTES))) if ask else -1
