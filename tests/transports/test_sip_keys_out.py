"""Keys that we press."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest

from tests.peers import Reception, sip_server
from tests.sip_caller import TELEPHONE_EVENT, Caller
from tests.transports.sip_calls import phone, soon
from transports.call import CallTransport

ALL = "0123456789*#ABCD"


def events(caller: Caller) -> str:
    """The keys in the RTP that the caller got: one for each timestamp, its end told, too."""
    told: dict[int, list[bytes]] = {}
    for packet in caller.received:
        if packet.payload_type == TELEPHONE_EVENT:
            told.setdefault(packet.rtp_timestamp, []).append(packet.payload)
    assert all(any(payload[1] & 0x80 for payload in payloads) for payloads in list(told.values())[:-1])
    return "".join(ALL[payloads[0][0]] for payloads in told.values())


async def test_every_key_is_pressed_once_as_an_event(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        await caller.call()
        call: CallTransport = await soon(reception.connected.get())
        await soon(call.send_keys(ALL), 15)
        async with asyncio.timeout(5):
            while len(events(caller)) < len(ALL):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert events(caller) == ALL
        await caller.bye()
    assert "0123456789" not in re.sub(r"\W", "", caplog.text)


async def test_every_key_is_told_by_info_where_no_events_are_agreed() -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        caller.formats, caller.attributes = "0", ()
        await caller.call()
        call: CallTransport = await soon(reception.connected.get())
        pressing = asyncio.create_task(call.send_keys(ALL))
        told = ""
        async with asyncio.timeout(15):
            while len(told) < len(ALL):
                text = await caller.receive()
                if text.startswith("INFO"):
                    assert "Content-Type: application/dtmf-relay" in text
                    told += text.partition("Signal=")[2][0]
                caller.answer_request(text)
        await soon(pressing)
        assert told == ALL
        assert events(caller) == ""
        await caller.bye()
