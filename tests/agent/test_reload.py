"""The settings are read again while a call is on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from baresip.errors import BaresipError

from agent import reload
from agent.cli.serve import _reload_on_signal
from agent.reload import LIVE, plan
from agent.server import Server
from agent.service_manager import ServiceManager
from agent.tools.tool import CallFacts
from agent.tools.toolbox import Toolbox
from config.answering import Personas, load_personas
from config.errors import ConfigError
from config.keys import KEYS
from config.persona import load_persona
from config.settings import Settings
from models.llm.brief import Brief
from tests.peers import Reception, free_port
from tests.sip_callee import callee
from tests.sip_caller import Caller, dialled
from tests.transports.sip_calls import packets, phone, soon
from transports.outbound import NotPermitted
from transports.sip.server import SipServer


def settings(**sections: Any) -> Settings:
    return Settings.model_validate(sections)


class Running:
    """A server with a telephone line and no models, and a call that was on before anything was reloaded."""

    def __init__(self, server: Server, wanted: list[Settings], at: tuple[str, int], caller: Caller) -> None:
        self.server, self.wanted, self.at, self.caller = server, wanted, at, caller

    async def reload(self, **sections: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
        sip = {"host": self.at[0], "port": self.at[1]} | sections.pop("sip", {})
        self.wanted[0] = settings(sip=sip, **sections)
        reloaded = await self.server.reload()
        await packets(self.caller, 5)  # of the call, which goes on
        return reloaded.applied, reloaded.needs_restart

    async def is_answered(self, host: str, within_s: float = 15.0) -> bool:
        """Whether a call from there is."""
        async with phone(self.at, host=host) as caller:
            try:
                answer = await asyncio.wait_for(caller.call(), within_s)
            except TimeoutError:
                return False
            if answer.status == 200:
                await caller.bye()
            return answer.status == 200


@contextlib.asynccontextmanager
async def running(monkeypatch: pytest.MonkeyPatch, **sections: Any) -> AsyncIterator[Running]:
    at = "127.0.0.1", free_port()
    first = settings(sip={"host": at[0], "port": at[1], **sections.pop("sip", {})}, **sections)
    wanted = [first]
    server = Server(first, load_personas(first), lambda: wanted[0])
    remembered: list[object] = []

    async def remember(*given: object) -> None:
        remembered.append(given)

    monkeypatch.setattr(server.sessions, "remember", remember)
    reception = Reception()
    server.sip = SipServer(first.sip, 5, reception, outbound=server._guard)
    await server.sip.start()
    try:
        async with dialled(at) as caller:
            await soon(reception.connected.get())
            yield Running(server, wanted, at, caller)
            assert reception.live
    finally:
        await server.sip.close()


def test_the_table_names_keys() -> None:
    for name in LIVE:
        assert any(key == name or key.startswith(f"{name}.") for key in KEYS), name


def test_what_has_changed_is_applied_or_needs_a_restart() -> None:
    wanted = settings(
        log={"level": "debug"}, sip={"port": 5070, "allow": ["192.0.2.0/24"]}, call={"max_calls": 3}
    )
    planned = plan(Settings(), wanted)
    assert planned.reloaded.applied == ("log.level", "sip.allow")
    assert planned.reloaded.needs_restart == ("sip.port", "call.max_calls")
    assert planned.settings == settings(log={"level": "debug"}, sip={"allow": ["192.0.2.0/24"]})
    again = plan(planned.settings, wanted)  # until the restart
    assert (again.reloaded.applied, again.reloaded.needs_restart) == ((), ("sip.port", "call.max_calls"))


def test_a_key_is_changed_and_neither_given_nor_taken_away() -> None:
    one, other = ({"api_key": letter * 20} for letter in "ab")
    assert plan(settings(http=one), settings(http=other)).reloaded.applied == ("http.api_key",)
    assert plan(settings(http=one), Settings()).reloaded.needs_restart == ("http.api_key",)
    assert plan(Settings(), settings(http=one)).reloaded.needs_restart == ("http.api_key",)


def test_what_fits_only_with_the_rest_is_refused() -> None:
    account = {"pbx": {"server": "192.0.2.1", "user": "a"}}
    both = settings(sip={"accounts": account}, routes=[{"account": "pbx", "refuse": "busy"}])
    with pytest.raises(ConfigError, match="routes has the account pbx"):
        plan(both, Settings(), without=reload.ANSWERING)


async def test_who_may_call(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch, sip={"allow": ["127.0.0.1"]}) as one:
        assert not await one.is_answered("127.0.0.2", 1.5)
        assert (await one.reload(sip={"allow": ["127.0.0.0/8"]}))[0] == ("sip.allow",)
        assert await one.is_answered("127.0.0.2")


async def test_a_call_with_who_may_not_call_any_more_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch, sip={"allow": ["127.0.0.0/8"]}) as one:
        await one.reload(sip={"allow": ["127.0.0.2"]})
        assert (await soon(one.caller.ask("OPTIONS"))).status == 200
        assert not await one.is_answered("127.0.0.1", 1.5)
        assert not await one.is_answered("127.0.0.3", 1.5)
        assert await one.is_answered("127.0.0.2")
        assert one.server.sip
        assert list(one.server.sip._door.heard()) == ["127.0.0.2/32", "127.0.0.1"]
        assert one.server.sip._door.forget(())
        assert list(one.server.sip._door.heard()) == ["127.0.0.2/32"]


async def test_who_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as one:
        assert (await one.reload(sip={"users": ["reception"]}))[0] == ("sip.users",)
        assert not await one.is_answered("127.0.0.1", 1.5)
        await one.reload()
        assert await one.is_answered("127.0.0.1")


async def test_who_may_put_us_through_and_whom_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as one, callee() as colleague:
        caller = one.caller

        async def refer() -> int:
            return (await caller.ask("REFER", headers=f"Refer-To: <{colleague.address}>\r\n")).status

        assert await refer() == 603
        sip = {"accept_refer": "trusted", "trusted_peers": ["127.0.0.1"]}
        assert (await one.reload(sip=sip))[0] == ("sip.trusted_peers", "sip.accept_refer")
        assert await refer() == 403
        assert (await one.reload(sip=sip, outbound={"allow": ["600@127.0.0.1:*"]}))[0] == ("outbound.allow",)
        assert await refer() == 202
        colleague.reply(await colleague.invited(), "486 Busy Here")


async def test_accounts_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as one:
        accounts = {"pbx": {"server": "127.0.0.3", "user": "a", "registers": False}}
        assert (await one.reload(sip={"accounts": accounts}))[0] == ("sip.accounts",)
        assert one.server.sip
        assert [state.name for state in one.server.sip.accounts] == ["pbx"]
        await one.reload()
        assert one.server.sip.accounts == []


async def test_accounts_that_cant_be_had_leave_those_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(*_: object) -> None:
        raise BaresipError("the stack is busy")

    async with running(monkeypatch) as one:
        account = {"server": "127.0.0.3", "user": "a", "registers": False}
        await one.reload(sip={"accounts": {"pbx": account}})
        assert one.server.sip
        monkeypatch.setattr(one.server.sip._accounts, "_create", busy)
        with pytest.raises(ConfigError, match="the stack is busy"):
            await one.reload(sip={"accounts": {"other": account}})
        assert [state.name for state in one.server.sip.accounts] == ["pbx"]


async def test_accounts_that_come_while_all_is_loading_are_there_from_the_start() -> None:
    first, accounts = Settings(), {"pbx": {"server": "127.0.0.3", "user": "a", "registers": False}}
    server = Server(first, load_personas(first), lambda: settings(sip={"accounts": accounts}))
    server.sip = SipServer(first.sip, 5, Reception(), outbound=server._guard)
    assert (await server.reload()).applied == ("sip.accounts",)
    assert list(server.sip._settings.accounts) == ["pbx"]


async def test_what_may_be_called(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as one:
        guard = one.server._guard
        guard.begin("key", 0.0)  # counts on
        with pytest.raises(NotPermitted, match="Nothing may be called"):
            guard.permits("sip:600@pbx")
        await one.reload(outbound={"allow": ["6*@pbx"], "max_calls": 1})
        guard.permits("sip:600@pbx")
        with pytest.raises(NotPermitted, match="1 outgoing calls are on"):
            guard.begin("key", 0.0)


async def test_who_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "us.yaml"

    def write(greeting: str, **more: str) -> str:
        persona = load_persona("en").model_copy(update={"greeting": greeting, **more})
        file.write_text(persona.model_dump_json(exclude_none=True))
        return str(file)

    async with running(monkeypatch) as one:
        assert (await one.reload(persona=write("Good morning.")))[0] == ("persona",)
        assert one.server.sessions._personas.default.greeting == "Good morning."
        assert (await one.reload(persona=write("Good evening.")))[0] == ("personas",)
        assert one.server.sessions._personas.default.greeting == "Good evening."
        assert (await one.reload(persona=write("Good evening.")))[0] == ()
        # In a language for which nothing is loaded:
        assert await one.reload(persona="fr") == ((), ("persona",))
        assert await one.reload(persona=write("Bonsoir.", language="fr")) == ((), ("personas",))
        assert one.server.sessions._personas.default.greeting == "Good evening."


TOOL = """
async def find_order() -> str:
    \"\"\"Find it.\"\"\"
    return "on its way"
"""


async def test_what_can_be_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    persona = tmp_path / "us.yaml"
    file = tmp_path / "tools" / "orders.py"
    file.parent.mkdir()

    def write(*tools: str) -> str:
        chosen = load_persona("en").model_copy(update={"tools": tools})
        persona.write_text(chosen.model_dump_json(exclude_none=True))
        return str(persona)

    async def done(box: Toolbox | None, name: str = "find_order") -> object:
        assert box
        outcome = await box.call(name, {}, call=CallFacts())
        return outcome.result or outcome.error

    async with running(monkeypatch, tools={"folder": file.parent}) as one:

        async def reload(*tools: str, **more: Any) -> tuple[str, ...]:
            given = {"folder": file.parent, **more}
            return (await one.reload(persona=write(*tools), tools=given))[0]

        calls = one.server.sessions
        assert await reload() == ("persona",)
        before = calls._toolbox  # of a call that goes on
        file.write_text(TOOL)
        assert await reload("find_order") == ("personas", "tools")
        assert await done(calls._toolbox) == "on its way"
        assert await done(before) == "There is no tool find_order."
        first = calls._toolbox
        file.write_text(TOOL.replace("on its way", "lost"))
        assert await reload("find_order") == ("tools",)
        assert await done(calls._toolbox) == "lost"
        assert await done(first) == "on its way"
        assert "find_order" in one.server.metrics.known
        assert await reload("find_order") == ()

        file.write_text(TOOL.replace("return", "retrun"))
        with pytest.raises(ConfigError, match=r"orders\.py can't be read: line 4"):
            await reload("find_order")
        assert await done(calls._toolbox) == "lost"
        file.unlink()
        with pytest.raises(ConfigError, match="the tool find_order, which isn't there"):
            await reload("find_order")
        assert await done(calls._toolbox) == "lost"

        http = {"find_order": {"description": "Find it.", "url": "http://192.0.2.1/"}}
        applied = await reload("find_order", http=http, hosts=["192.0.2.1"])
        assert applied == ("tools.http", "tools.hosts", "tools")
        assert calls._toolbox
        (tool,) = [tool for tool in calls._toolbox.tools if tool.name == "find_order"]
        assert tool.source == "tools.http"


async def test_how_long_calls_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as one:
        assert (await one.reload(call={"max_duration_s": 10}))[0] == ("call.max_duration_s",)
        assert one.server.sessions._settings.call.max_duration_s == 10


async def test_what_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("offhook")
    before = logger.level
    try:
        async with running(monkeypatch) as one:
            assert (await one.reload(log={"level": "error"}))[0] == ("log.level",)
            assert logger.level == logging.ERROR
    finally:
        logger.setLevel(before)


async def test_what_cant_be_used_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(monkeypatch) as one:
        before = one.server.settings
        with pytest.raises(ConfigError, match=r"nobody\.yaml"):
            await one.reload(persona="nobody.yaml", sip={"users": ["reception"]})
        assert one.server.settings == before
        assert await one.is_answered("127.0.0.1")
        await one.server.reload_or_tell()
        assert "the settings stay as they were" in caplog.text


async def test_another_process_takes_no_persona_that_it_cant_speak_as(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(monkeypatch) as one:
        server = one.server
        shorter = settings(call={"max_duration_s": 10}).call
        wanted = server.settings.model_copy(update={"call": shorter})
        await server.follow(wanted, load_personas(settings(persona="fr")))
        assert (server.persona.language, server.settings.call) == ("en", shorter)
        changed = server.persona.model_copy(update={"greeting": "Good morning."})
        await server.follow(wanted, Personas((changed,)))
        assert server.persona.greeting == "Good morning."


async def test_pages_are_learnt_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    learnt: list[str] = []

    def learn(briefs: Sequence[Brief]) -> None:
        learnt.extend(one.language for one in briefs)

    async with running(monkeypatch) as one:
        monkeypatch.setattr(one.server.pool, "learn", learn)
        changed = one.server.persona.model_copy(update={"greeting": "Good morning."})
        await one.server.follow(one.server.settings, Personas((changed,)))
    assert learnt == ["en"]


async def test_a_signal_has_them_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as one:
        read = asyncio.Event()

        async def reload_or_tell() -> None:
            read.set()

        monkeypatch.setattr(one.server, "reload_or_tell", reload_or_tell)
        _reload_on_signal(one.server, ServiceManager())
        try:
            signal.raise_signal(signal.SIGHUP)
            await soon(read.wait())
        finally:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
