"""A call that asks to take the place of another (RFC 3891), as a PBX does that puts somebody through."""

from __future__ import annotations

import pytest

from tests.peers import Reception, free_port, sip_server
from tests.sip_callee import callee
from tests.sip_caller import dialled
from tests.transports.sip_calls import heard_both_ways, phone, soon
from tests.transports.test_sip_dialling import dial, dialler
from transports.call import EndReason
from transports.sip.referral import Replaces


async def test_who_names_a_call_takes_its_place() -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller, phone(server) as other:
        await soon(reception.connected.get())
        replaces = f"{caller.call_id};from-tag={caller.tag};to-tag={caller.to_tag}"
        answer = await other.invite(headers=f"Replaces: {replaces}\r\n")
        other.ack(answer)
        assert answer.status == 200
        await soon(caller.serve())
        assert caller.requests == ["BYE"]
        assert await soon(reception.ended.get()) is EndReason.TRANSFERRED
        caller.ended.set()
        await heard_both_ways(other, answer, reception)


@pytest.mark.parametrize(
    ("replaces", "status"),
    [
        ("Replaces: {0.call_id};to-tag=a;from-tag=b\r\n", 481),
        ("Replaces: {0.call_id};to-tag={0.to_tag};from-tag=b\r\n", 481),
        ("Replaces: {0.call_id};to-tag={0.tag};from-tag={0.to_tag}\r\n", 481),
        ("Replaces: another;to-tag={0.to_tag};from-tag={0.tag}\r\n", 481),
        ("Replaces: {0.call_id};to-tag={0.to_tag};from-tag={0.tag};early-only\r\n", 486),
        ("Replaces: {0.call_id}\r\n", 400),
        ("Replaces: {0.call_id};to-tag={0.to_tag}\r\n", 400),
        ("Replaces: {0.call_id};to-tag={0.to_tag};to-tag=a;from-tag={0.tag}\r\n", 400),
        ("Replaces: {0.call_id};to-tag={0.to_tag};from-tag={0.tag}\r\n" * 2, 400),
    ],
)
async def test_who_does_not_know_it_ends_nobodys_call(replaces: str, status: int) -> None:
    reception = Reception()
    async with sip_server(reception) as server, dialled(server) as caller, phone(server) as other:
        await soon(reception.connected.get())
        answer = await other.call(headers=replaces.format(caller))
        assert answer.status == status
        assert (await caller.ask("OPTIONS")).status == 200
        assert reception.ended.empty()


async def test_whom_we_called_may_put_us_through() -> None:
    reception = Reception()
    port = free_port()
    async with (
        dialler(reception, port=port) as server,
        callee() as colleague,
        phone(("127.0.0.1", port)) as other,
    ):
        _, dialling = await dial(server, colleague.address)
        await colleague.invited()
        await colleague.accept()
        await soon(dialling.answered.wait())
        replaces = f"{colleague.call_id};to-tag={colleague.to_tag};from-tag={colleague.tag}"
        answer = await other.invite(headers=f"Replaces: {replaces}\r\n")
        other.ack(answer)
        assert answer.status == 200
        assert await soon(dialling.stopped) is EndReason.TRANSFERRED
        await heard_both_ways(other, answer, reception)


def test_who_has_no_tag_is_named_by_a_zero() -> None:
    assert Replaces.parse("a@b;To-Tag=1;from-tag=0") == Replaces("a@b", ("1", "0"), early_only=False)
