"""SIP calls over UDP in several processes: every message of a call reaches the one that has it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from tests.peers import sipp, softphone
from tests.registrar import NUMBER, PASSWORD, USER, registrar
from tests.sip_caller import Caller
from tests.sip_worker import Several, several
from tests.transports.sip_calls import packets, phone, soon
from transports.sip.registration import State


@pytest.fixture
async def here() -> AsyncIterator[Several]:
    async with several() as found:
        yield found


@contextlib.asynccontextmanager
async def strict_phone(here: Several) -> AsyncIterator[Caller]:
    """Hears only what comes from where it calls."""
    async with phone(here.address) as caller:
        caller.sip.connect(here.address)
        yield caller


async def call_to_other(here: Several, caller: Caller) -> None:
    """A call that the other process answers."""
    answer = await caller.call()
    assert answer.status == 200
    assert f"@{here.address[0]}:{here.address[1]}>" in answer.header("Contact")
    caller.uri = answer.header("Contact").strip("<>").partition(">")[0]
    await packets(caller, 10)
    await here.until(0, 1)


async def test_calls_are_shared_and_stay_where_they_began(here: Several) -> None:
    async with strict_phone(here) as first, strict_phone(here) as second:
        for caller in (first, second):
            assert (await caller.call()).status == 200
            await packets(caller, 10)
        await here.until(1, 1)
        other = here.others[1]
        call = await other.told("call")
        assert (call["call_id"], call["remote"]) == (first.call_id, "127.0.0.1")
        assert here.dispatcher.owner(call["id"]) == 1
        for caller in (first, second):
            assert (await caller.bye()).status == 200
        assert (await other.told("ended"))["call_id"] == first.call_id
        await soon(here.reception.ended.get())
        await here.until(0, 0)


async def test_all_that_is_said_in_a_call_reaches_its_process(here: Several) -> None:
    async with strict_phone(here) as caller:
        await call_to_other(here, caller)
        caller.press(5)
        assert (await here.others[1].told("key"))["key"] == "5"
        answer = await caller.ask("INVITE", caller.sdp("sendonly"))
        assert answer.status == 200
        assert "a=recvonly" in answer.text
        caller.ack(answer)
        info = await caller.ask("INFO", "Signal=7\r\nDuration=160\r\n", content_type="application/dtmf-relay")
        assert info.status == 200
        assert (await here.others[1].told("key"))["key"] == "7"
        assert (await caller.ask("OPTIONS")).status == 200
        assert (await caller.bye()).status == 200
        await here.until(0, 0)


async def test_the_other_process_hangs_up_and_asks_by_the_shared_socket(here: Several) -> None:
    async with strict_phone(here) as caller:
        await call_to_other(here, caller)
        here.others[1].say("hold")
        invite = await soon(caller.receive())
        assert invite.startswith("INVITE ")
        assert f"Via: SIP/2.0/UDP {here.address[0]}:{here.address[1]};" in invite
        caller.answer_request(invite)
        assert (await soon(caller.receive())).startswith("ACK ")
        here.others[1].say("hang up")
        await soon(caller.serve())
        assert caller.requests == ["INVITE", "BYE"]
        await here.until(0, 0)


async def test_a_call_to_the_other_process_is_cancelled(here: Several) -> None:
    here.reception.ring_s = 30
    async with strict_phone(here) as caller:
        caller.user = "rings"
        caller.send_request("INVITE", caller.sdp())
        await here.until(0, 1)
        caller.cancel()
        assert {(await caller.final_answer()).status for _ in range(2)} == {200, 487}  # CANCEL's and INVITE's
        await here.until(0, 0)


@pytest.mark.peers
async def test_sipp_calls_many_times(here: Several) -> None:
    await sipp("call", here.address, "-r", "10", calls=30)
    await here.until(0, 0)


@pytest.mark.peers
async def test_a_softphone_hears_the_other_process(here: Several, tmp_path: Path) -> None:
    dial = f"sip:agent@{here.address[0]}:{here.address[1]}"
    async with softphone(tmp_path, dial, lambda rate_hz: np.zeros(rate_hz * 2, np.int16)):
        await here.until(0, 1)
        await here.others[1].told("connected")
    assert (await here.others[1].told("ended"))["reason"] == "caller_hangup"


@pytest.mark.peers
async def test_calls_of_an_account_are_shared_and_one_process_registers(tmp_path: Path) -> None:
    async with registrar(tmp_path) as port:
        account = {"server": f"127.0.0.1:{port}", "user": USER, "secret": PASSWORD}
        async with several(accounts={"provider": account}, allow=["192.0.2.0/24"]) as here:
            async with asyncio.timeout(30):
                while here.server.accounts[0].state is not State.REGISTERED:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            calling = asyncio.create_task(sipp("proxied", ("127.0.0.1", port), "-t", "u1", "-s", NUMBER))
            assert (await here.others[1].told("call"))["account"] == "provider"
            await calling
            assert (await here.others[1].told("ended"))["reason"] == "caller_hangup"


async def test_what_belongs_to_no_call_stays_with_who_listens(here: Several) -> None:
    async with strict_phone(here) as caller:
        assert (await caller.ask("OPTIONS")).status == 200
        here.server.tell_ready(False)
        assert (await caller.ask("OPTIONS")).status == 503


async def test_without_room_who_listens_refuses(here: Several) -> None:
    here.room, here.reception.full = False, True
    async with strict_phone(here) as caller:
        assert (await caller.call()).status == 486
    await here.until(0, 0)


async def test_who_is_asked_for_a_password_takes_no_room() -> None:
    users = {"alice": {"secret": PASSWORD}}
    async with (
        several(allow=["192.0.2.0/24"], auth={"users": users}) as here,
        strict_phone(here) as caller,
    ):
        assert (await caller.call()).status == 401
        async with asyncio.timeout(1):  # or it would count for two seconds
            while here.dispatcher._steering.pending:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert here.dispatcher._steering._refused == {caller.call_id}


async def test_a_dialog_of_a_process_that_died_is_unknown_and_new_calls_are_taken(here: Several) -> None:
    async with strict_phone(here) as caller, strict_phone(here) as next_one:
        await call_to_other(here, caller)
        here.others[1].process.kill()
        await here.until(0, 0)
        assert (await caller.bye()).status == 481
        assert (await next_one.call()).status == 200
        await next_one.bye()


async def test_processes_end_with_the_one_that_listens(here: Several) -> None:
    await here.dispatcher.leave(1)
    assert await asyncio.wait_for(here.others[1].process.wait(), 30) == 3
