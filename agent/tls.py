"""Certificates for HTTPS and for SIP over TLS: the operator's, or one of our own making.

Browsers give the microphone to secure pages only; a self-signed certificate makes one after the reader
has accepted it once, so it is kept, and stays the same from start to start.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import ifaddr
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from models.pool import ComponentHealth

VALID_FOR = dt.timedelta(days=397)  # the longest that browsers take
RENEW_BEFORE = dt.timedelta(days=14)
LOOK_S = 30.0  # between looks at the files

logger = logging.getLogger("offhook.tls")


class TlsError(Exception):
    """The certificate can't be used; the message says what to do."""


class Files(Protocol):
    """Settings: the files given, or neither for one of our own."""

    @property
    def tls_cert(self) -> Path | None: ...
    @property
    def tls_key(self) -> Path | None: ...


class Certificate:
    """What is served with TLS: `context`, into which the files are loaded again when they change."""

    def __init__(
        self, settings: Files, cache_dir: Path, *, name: str = "certificate", now: dt.datetime | None = None
    ) -> None:
        """`name` is its component's in health. Raises TlsError."""
        now = now or dt.datetime.now(dt.UTC)
        self._name = name
        self.on_change: Callable[[], Awaitable[str | None]] | None = None  # returns why it isn't taken
        self._own = None
        if settings.tls_cert is not None and settings.tls_key is not None:
            self._cert, self._key = settings.tls_cert.expanduser(), settings.tls_key.expanduser()
        else:
            self._own = cache_dir.expanduser() / "tls"
            try:
                self._cert, self._key = self_signed(self._own, now=now)
            except OSError as exc:
                raise TlsError(
                    f"A certificate can't be written to {self._own}: {exc.strerror or exc}. "
                    "Make cache_dir writable, or name files with tls_cert and tls_key."
                ) from exc
        self._loaded = self._stamp()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._served = self._load(self.context)
        self._error: str | None = None
        self._not_taken: str | None = None

    async def keep(self) -> None:
        """Look for changes, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Take what has changed."""
        if (self.refresh(dt.datetime.now(dt.UTC)) or self._not_taken) and self.on_change:
            before, self._not_taken = self._not_taken, await self.on_change()
            if self._not_taken not in (None, before):
                logger.warning("%s", self._not_taken)

    def refresh(self, now: dt.datetime) -> bool:
        """Whether the files were loaded, since they aren't what was; one of our own is renewed in time.

        Files that can't be used, such as a new certificate whose key isn't there yet, leave the old pair.
        """
        if self._own is not None and not _good_at(self._served, now):
            try:
                self_signed(self._own, now=now)
            except OSError as error:  # once there is room again, it is renewed
                self._fail(f"A new one can't be written to {self._own}: {error.strerror or error}.")
                return False
        stamp = self._stamp()
        if stamp == self._loaded:
            self._error = None
            return False
        try:
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            self._served = self._load(self.context)
        except TlsError as error:
            self._fail(str(error))
            return False  # and tried again, since what was wrong may not have been in the files
        self._loaded, self._error = stamp, None
        logger.info("the %s has changed; the new one ends on %s", self._name, self._ends.date())
        return True

    @property
    def _ends(self) -> dt.datetime:
        return self._served.not_valid_after_utc

    def _fail(self, why: str) -> None:
        if why != self._error:
            logger.warning("the old %s stays: %s", self._name, why)
        self._error = why

    def health(self, now: dt.datetime | None = None) -> ComponentHealth:
        """`degraded`, with what to do, where it ends within two weeks or a new one can't be used."""
        days = (self._ends - (now or dt.datetime.now(dt.UTC))) / dt.timedelta(days=1)
        error = self._error or self._not_taken
        if days <= RENEW_BEFORE.days and error is None:
            when = f"ends in {days:.0f} days" if days > 0 else f"ended on {self._ends.date()}"
            error = f"The certificate {self._cert} {when}. Renew it; the new one is taken without a restart."
        state = "ready" if error is None else "degraded"
        return ComponentHealth(self._name, state, str(self._cert), f"until {self._ends.date()}", error, 0)

    @property
    def chain(self) -> bytes:
        """PEM: the certificate, what it is signed by, its key."""
        return self._cert.read_bytes() + b"\n" + self._key.read_bytes()

    def _load(self, context: ssl.SSLContext) -> x509.Certificate:
        """Raises TlsError."""
        try:
            context.load_cert_chain(self._cert, self._key)
            return x509.load_pem_x509_certificate(self._cert.read_bytes())
        except (OSError, ssl.SSLError, ValueError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else None
            raise TlsError(
                f"The certificate {self._cert} and its key {self._key} can't be used: {why or exc}. "
                "Both must be readable PEM files that belong together."
            ) from exc

    def _stamp(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(self._cert), _stamp(self._key)]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def self_signed(folder: Path, *, now: dt.datetime) -> tuple[Path, Path]:
    """The kept certificate and its key, made anew when it nears its end or this machine's names changed."""
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    names, addresses = _own_names(), _own_addresses()
    if not _still_good(cert_file, key_file, names, addresses, now):
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        _write(
            key_file,
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
            mode=0o600,
        )
        certificate = _certificate(key, names, addresses, now)
        _write(cert_file, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return cert_file, key_file


def _certificate(
    key: ec.EllipticCurvePrivateKey, names: set[str], addresses: set[str], now: dt.datetime
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "offhook")])
    alternatives: list[x509.GeneralName] = [x509.DNSName(n) for n in sorted(names)]
    alternatives += [x509.IPAddress(ipaddress.ip_address(a)) for a in sorted(addresses)]
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _still_good(
    cert_file: Path, key_file: Path, names: set[str], addresses: set[str], now: dt.datetime
) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
        known = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    return (
        key.public_key() == certificate.public_key()
        and _good_at(certificate, now)
        and names <= set(known.get_values_for_type(x509.DNSName))
        and addresses <= {str(a) for a in known.get_values_for_type(x509.IPAddress)}
    )


def _good_at(certificate: x509.Certificate, now: dt.datetime) -> bool:
    """Also none of the future's, which a clock made that was ahead."""
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEW_BEFORE


def _own_names() -> set[str]:
    host = socket.gethostname()
    return {"localhost", host} if host.isascii() and host else {"localhost"}


def _own_addresses() -> set[str]:
    found = {"127.0.0.1", "::1"}
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            address = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            if not ipaddress.ip_address(address).is_link_local:
                found.add(address)
    return found


def _write(file: Path, content: bytes, *, mode: int) -> None:
    """Whole or not at all, and never readable by more than `mode` says."""
    part = file.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(content)
    part.replace(file)
