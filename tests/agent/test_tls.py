from __future__ import annotations

import datetime as dt
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from agent.tls import TlsError, self_signed, server_context
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


def test_a_damaged_certificate_is_made_anew(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path, now=NOW)
    key.write_text("nothing")
    self_signed(tmp_path, now=NOW)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)


def test_given_files_are_used_and_must_belong_together(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path / "one", now=NOW)
    _, stranger = self_signed(tmp_path / "two", now=NOW)
    server_context(HttpSettings(tls=True, tls_cert=cert, tls_key=key), tmp_path)
    with pytest.raises(TlsError, match="belong together"):
        server_context(HttpSettings(tls=True, tls_cert=cert, tls_key=stranger), tmp_path)
