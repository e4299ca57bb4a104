from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import errno
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from starlette.types import Receive, Scope, Send

from agent.http.server import HttpServer
from agent.tls import Certificate, TlsError, self_signed
from config.settings import HttpSettings

NOW = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)


def test_a_fresh_certificate_is_kept_and_its_key_is_private(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path, now=NOW)
    first = cert.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert self_signed(tmp_path, now=NOW + dt.timedelta(days=300))[0].read_bytes() == first
    names = x509.load_pem_x509_certificate(first).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert "localhost" in names.value.get_values_for_type(x509.DNSName)


def test_a_certificate_near_its_end_is_renewed(tmp_path: Path) -> None:
    first = self_signed(tmp_path, now=NOW)[0].read_bytes()
    assert self_signed(tmp_path, now=NOW + dt.timedelta(days=390))[0].read_bytes() != first


def test_a_certificate_of_a_clock_that_was_ahead_is_made_anew(tmp_path: Path) -> None:
    first = Certificate(HttpSettings(tls=True), tmp_path, now=NOW + dt.timedelta(days=300))
    assert first.refresh(NOW)
    served = x509.load_pem_x509_certificate((tmp_path / "tls" / "cert.pem").read_bytes())
    assert served.not_valid_before_utc < NOW


def test_a_folder_that_cant_be_written_to_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TlsError, match="Make cache_dir writable"):
        Certificate(HttpSettings(tls=True), tmp_path / "file")


def test_a_damaged_certificate_is_made_anew(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path, now=NOW)
    key.write_text("nothing")
    self_signed(tmp_path, now=NOW)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)


def test_given_files_are_used_and_must_belong_together(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path / "one", now=NOW)
    _, stranger = self_signed(tmp_path / "two", now=NOW)
    Certificate(HttpSettings(tls=True, tls_cert=cert, tls_key=key), tmp_path)
    with pytest.raises(TlsError, match="belong together"):
        Certificate(HttpSettings(tls=True, tls_cert=cert, tls_key=stranger), tmp_path)


def given(folder: Path, now: dt.datetime = NOW) -> Certificate:
    """One whose files are in `folder`."""
    cert, key = self_signed(folder, now=now)
    return Certificate(HttpSettings(tls=True, tls_cert=cert, tls_key=key), folder)


async def served_number(port: int) -> int:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    del reader
    return x509.load_der_x509_certificate(certificate).serial_number


async def test_a_changed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    certificate = given(tmp_path / "live")
    server = HttpServer(app, host="127.0.0.1", port=0, ssl=certificate.context)
    await server.start()
    first = await served_number(server.port)
    new_cert, new_key = self_signed(tmp_path / "new", now=NOW)
    (tmp_path / "live" / "cert.pem").write_bytes(new_cert.read_bytes())
    certificate.refresh(NOW)
    assert "belong together" in (certificate.health(NOW).last_error or "")
    assert await served_number(server.port) == first
    (tmp_path / "live" / "key.pem").write_bytes(new_key.read_bytes())
    certificate.refresh(NOW)
    assert certificate.health(NOW).last_error is None
    assert await served_number(server.port) != first
    await server.stop(1)


def test_one_that_couldnt_be_read_is_taken_once_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever mends that may change no file: its owner alone, or how many are open."""
    certificate = given(tmp_path)
    self_signed(tmp_path, now=NOW + dt.timedelta(days=390))

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(ssl.SSLContext, "load_cert_chain", refuse)
        assert not certificate.refresh(NOW)
    assert "Permission denied" in (certificate.health(NOW).last_error or "")
    assert certificate.refresh(NOW)
    assert certificate.health(NOW).last_error is None


async def test_one_that_isnt_taken_is_offered_again(tmp_path: Path) -> None:
    certificate = given(tmp_path)
    outcomes: list[str | None] = [None, "SIP keeps the old certificate: no."]

    async def take() -> str | None:
        return outcomes.pop()

    certificate.on_change = take
    await certificate.look()
    assert len(outcomes) == 2
    self_signed(tmp_path, now=NOW + dt.timedelta(days=390))
    await certificate.look()
    assert certificate.health(NOW).last_error == "SIP keeps the old certificate: no."
    await certificate.look()
    assert certificate.health(NOW).last_error is None
    assert not outcomes


async def test_a_peer_that_only_opens_tls_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    monkeypatch.setattr("agent.http.server.HEADERS_S", 0.2)
    server = HttpServer(app, host="127.0.0.1", port=0, ssl=given(tmp_path).context)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    await server.stop(1)


def test_health_says_two_weeks_ahead_that_it_ends(tmp_path: Path) -> None:
    certificate = given(tmp_path)
    assert certificate.health(NOW + dt.timedelta(days=380)).state == "ready"
    soon = certificate.health(NOW + dt.timedelta(days=385))
    assert soon.state == "degraded"
    assert "ends in 12 days. Renew it" in (soon.last_error or "")
    assert "ended on 2027-06-02" in (certificate.health(NOW + dt.timedelta(days=400)).last_error or "")


def test_one_of_our_own_is_renewed_while_it_is_served(tmp_path: Path) -> None:
    certificate = Certificate(HttpSettings(tls=True), tmp_path, now=NOW)
    later = NOW + dt.timedelta(days=390)
    certificate.refresh(later)
    assert certificate.health(later).state == "ready"


def test_one_that_cant_be_renewed_now_is_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks after it goes on, and so does a reload."""
    certificate = Certificate(HttpSettings(), tmp_path, now=NOW)
    late = NOW + dt.timedelta(days=390)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("agent.tls._write", full)
        assert not certificate.refresh(late)
    health = certificate.health(late)
    assert health.state == "degraded"
    assert health.last_error
    assert "No space left on device" in health.last_error
    assert certificate.refresh(late)
    assert certificate.health(late).state == "ready"
