"""A running server reads its settings again while a call is on."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.served import Served, aside, served, until
from tests.sip_caller import dialled
from tests.transports.sip_calls import packets, phone

pytestmark = pytest.mark.models


def reload(server: Served, says: str) -> None:
    """Have it read them, and wait until the log says what came of it."""
    server.process.send_signal(signal.SIGHUP)
    assert until(lambda: says in server.log.read_text(), 30), server.log.read_text()


async def test_sighup_changes_what_it_can_and_no_call_ends(tmp_path: Path) -> None:
    file = tmp_path / "offhook.yaml"
    file.write_text("sip:\n  users: []\n")
    async with (
        aside(served(tmp_path, OFFHOOK_CONFIG=str(file), OFFHOOK_LLM__BUNDLED="smollm2-135m")) as server,
        dialled(("127.0.0.1", server.sip)) as caller,
    ):
        await packets(caller, 5)
        file.write_text("sip:\n  users: [reception]\noutbound:\n  ring_timeout_s: 30\n")
        reload(server, "applied: sip.users\n")
        assert "need a restart: outbound.ring_timeout_s" in server.log.read_text()
        async with phone(("127.0.0.1", server.sip)) as other:
            assert (await other.call()).status == 404
        file.write_text("sip:\n  allow: nowhere\n")
        reload(server, "the settings stay as they were: sip.allow in offhook.yaml is")
        await packets(caller, 5)
        assert len(server.sessions()) == 1
