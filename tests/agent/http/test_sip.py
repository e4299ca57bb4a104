"""The SIP line over HTTP and from the command line, on a server that takes real calls."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner, Result

from agent.cli import app as offhook
from agent.http.app import create_app
from agent.http.sip import sip_router
from config.accounts import AccountSettings
from config.settings import HttpSettings, Settings
from config.sip import SipSettings
from tests.agent.http.conftest import Serve
from tests.agent.http.fakes import FakeCalls, FakeModels
from tests.peers import Reception, free_port
from tests.sip_caller import Caller, dialled
from tests.waiting import until
from transports.sip.server import SipServer

KEY = "s3cret-s3cret-s3cret"
SCANNER = "127.0.0.66"


@pytest.fixture
async def sip() -> AsyncIterator[SipServer]:
    nobody = AccountSettings(server=f"127.0.0.1:{free_port()}", user="1001", transport="tcp")
    trunk = AccountSettings(server="192.0.2.10", user="600", registers=False)
    settings = SipSettings(
        host="127.0.0.1", port=free_port(), ban_exempt=(), accounts={"provider": nobody, "pbx": trunk}
    )
    server = SipServer(settings, 5, Reception())
    await server.start()
    yield server
    await server.close()


@pytest.fixture
def at(sip: SipServer) -> tuple[str, int]:
    return "127.0.0.1", sip._settings.port


@pytest.fixture
async def client(serve: Serve, sip: SipServer) -> httpx2.AsyncClient:
    settings = Settings(http=HttpSettings.model_validate({"api_key": KEY}))
    app = create_app(
        settings=settings,
        calls=FakeCalls(),
        models=FakeModels(),
        bans=lambda: sip.bans,
        accounts=lambda: sip.accounts,
        routers=[sip_router(sip)],
    )
    client = await serve(app)
    client.headers["X-API-Key"] = KEY
    return client


async def run(client: httpx2.AsyncClient, *words: str) -> Result:
    """The command, which talks with the server of the test."""
    base = str(client.base_url).rstrip("/")
    return await asyncio.to_thread(
        CliRunner().invoke,
        offhook,
        ["sip", *words, "--url", base],
        env={"OFFHOOK_HTTP__API_KEY": KEY, "COLUMNS": "160"},
    )


async def ban(sip: SipServer, at: tuple[str, int]) -> None:
    scanner = Caller(at, SCANNER)
    scanner.send_request("OPTIONS", headers="User-Agent: friendly-scanner\r\n")
    scanner.close()
    await until(lambda: bool(sip.bans))


async def test_accounts_are_shown(client: httpx2.AsyncClient, sip: SipServer) -> None:
    await until(lambda: sip.accounts[0].last_error is not None)
    provider, trunk = (await client.get("/health")).json()["accounts"]
    assert (provider["name"], provider["state"], provider["expires_in_s"]) == ("provider", "failed", None)
    assert "nobody listens at 127.0.0.1" in provider["last_error"]
    assert (trunk["state"], trunk["last_error"]) == ("trunk", None)
    shown = (await run(client, "accounts")).stdout.splitlines()
    assert shown[0].startswith(f"provider  failed at {provider['server']}: nobody listens at")
    assert shown[1] == "pbx  trunk at 192.0.2.10"
    await sip.apply_accounts({})
    assert (await run(client, "accounts")).stdout == "There are no accounts (sip.accounts).\n"


async def test_bans_are_shown_and_ended(
    client: httpx2.AsyncClient, sip: SipServer, at: tuple[str, int]
) -> None:
    assert (await client.get("/health")).json()["banned"] == []
    await ban(sip, at)
    [shown] = (await client.get("/health")).json()["banned"]
    assert (shown["address"], shown["why"]) == (SCANNER, "it is a scanner")
    assert 590 < shown["seconds_left"] <= 600
    assert (await client.get("/api/v1/sip/bans")).json()["bans"][0]["address"] == SCANNER
    assert f"{SCANNER}  " in (await run(client, "bans")).stdout

    assert (await run(client, "unban", SCANNER)).stdout == f"{SCANNER} is heard again.\n"
    again = await run(client, "unban", SCANNER)
    assert (again.exit_code, "isn't banned" in again.stderr) == (1, True)
    assert (await run(client, "bans")).stdout == "Nobody is banned.\n"
    phone = Caller(at, SCANNER)
    phone.send_request("OPTIONS")
    assert (await phone.final_answer()).status == 200
    phone.close()


async def test_a_call_is_traced(client: httpx2.AsyncClient, at: tuple[str, int], tmp_path: Path) -> None:
    async with dialled(at, user="33123456789") as caller:
        pass
    async with dialled(at):
        pass
    messages = (await client.get("/api/v1/sip/trace", params={"call": caller.call_id})).json()["messages"]
    assert [m["text"].split()[0] for m in messages if not m["sent"]] == ["INVITE", "ACK", "BYE"]
    assert "33123456789" not in str(messages)
    messages = (
        await client.get("/api/v1/sip/trace", params={"call": caller.call_id, "numbers": True})
    ).json()
    assert "33123456789" in str(messages)
    everything = (await client.get("/api/v1/sip/trace")).json()["messages"]
    assert len({m["call_id"] for m in everything}) == 2

    ladder = (await run(client, "trace", caller.call_id)).stdout
    assert "--> INVITE sip:user1@127.0.0.1" in ladder
    assert "<-- 200 Answering for 1 INVITE (SDP)" in ladder
    assert "--> BYE" in ladder
    assert "33123456789" not in ladder
    full = (await run(client, "trace", caller.call_id, "--full", "--numbers")).stdout
    assert "From: <sip:caller@127.0.0.1>;tag=" in full
    assert "33123456789" in full

    file = tmp_path / "call.pcap"
    assert (await run(client, "trace", caller.call_id, "--pcap", str(file))).exit_code == 0
    assert struct.unpack("<IHH", file.read_bytes()[:8]) == (0xA1B2C3D4, 2, 4)
    assert file.read_bytes().count(b"SIP/2.0") >= 10


async def test_what_there_is_no_trace_of_is_said(client: httpx2.AsyncClient) -> None:
    result = await run(client, "trace", "nobody")
    assert result.exit_code == 1
    assert result.stderr == "offhook: the server keeps no messages of nobody.\n"


@pytest.mark.parametrize("url", ["{host}", "http://{host}/api/v1/"])
async def test_a_server_may_be_named_by_its_address_or_its_api(client: httpx2.AsyncClient, url: str) -> None:
    given = url.format(host=client.base_url.netloc.decode())
    environment = {"OFFHOOK_HTTP__API_KEY": KEY}
    result = await asyncio.to_thread(
        CliRunner().invoke, offhook, ["sip", "bans", "--url", given], env=environment
    )
    assert result.stdout == "Nobody is banned.\n"


async def test_no_server_is_said() -> None:
    result = CliRunner().invoke(offhook, ["sip", "bans", "--url", f"http://127.0.0.1:{free_port()}"])
    assert result.exit_code == 1
    assert "no server answers" in result.stderr


async def test_a_wrong_key_is_said(client: httpx2.AsyncClient) -> None:
    base = str(client.base_url)
    result = await asyncio.to_thread(
        CliRunner().invoke, offhook, ["sip", "bans", "--url", base], env={"OFFHOOK_HTTP__API_KEY": "x" * 20}
    )
    assert result.exit_code == 1
    assert "http.api_key" in result.stderr


async def test_nobody_without_the_key_sees_a_trace(client: httpx2.AsyncClient) -> None:
    del client.headers["X-API-Key"]
    for path in ("trace", "bans", "accounts"):
        assert (await client.get(f"/api/v1/sip/{path}")).status_code == 401
    assert (await client.delete("/api/v1/sip/bans/192.0.2.1")).status_code == 401
