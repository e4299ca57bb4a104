from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.admission import Load
from agent.observer import Observed, Observer
from agent.sessions import Sessions
from config.answering import Personas, load_personas
from config.persona import load_persona
from config.settings import Settings
from models.pool import ModelPool
from transports.call import CallInfo, CallRefused, CallsStopped, CallTransport, EndReason, MediaStats

POOL = cast(ModelPool, SimpleNamespace(llm=SimpleNamespace(accepting=(True, ""), down=False), away=""))


async def test_only_latency_needs_a_language_model(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = list[str]()

    def session(call: CallTransport, **_: Any) -> Any:
        async def run() -> None:
            tried.append(call.info.called)

        return SimpleNamespace(run=run, forgotten=asyncio.Event(), connected_at=None)

    monkeypatch.setattr("agent.sessions.CallSession", session)
    without = cast(
        ModelPool, SimpleNamespace(llm=SimpleNamespace(accepting=(False, "No model."), down=True), away="")
    )
    personas = load_personas(Settings())
    sessions = Sessions(settings=Settings(), personas=personas, pool=without)
    sessions._ready = True
    names = ("echo", "tone", "keys", "repeat", "quality")
    calls = {
        name: cast(CallTransport, SimpleNamespace(info=CallInfo("sip", "alice", name)))
        for name in (*names, "agent", "latency")
    }
    for name in names:
        await sessions.handle(calls[name])
    assert tried == list(names)
    for name in ("agent", "latency"):
        with pytest.raises(CallRefused, match="No model"):
            await sessions.handle(calls[name])


async def test_a_call_is_gone_when_its_session_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    over = asyncio.Event()

    def session(*_: Any, **__: Any) -> Any:
        return SimpleNamespace(run=over.wait, forgotten=asyncio.Event(), half_open=False, connected_at=None)

    monkeypatch.setattr("agent.sessions.CallSession", session)
    sessions = Sessions(settings=Settings(), personas=Personas((load_persona("en"),)), pool=POOL)
    sessions._ready = True
    call = SimpleNamespace(info=CallInfo("sip", "alice", "agent"))
    await sessions.gone(call.info.id)  # it isn't there yet

    running = asyncio.create_task(sessions.handle(cast(CallTransport, call)))
    await asyncio.sleep(0)
    gone = asyncio.create_task(sessions.gone(call.info.id))
    await asyncio.sleep(0)
    assert not gone.done()
    over.set()
    await gone
    assert not sessions.live()
    await running


class Forgetful(Observer):
    """Fails at `at`; notes what it was told."""

    def __init__(self, at: str = "") -> None:
        self._at = at
        self.told: list[object] = []

    def began(self, call: Observed) -> None:
        self._note("began")

    def ended(self, call: Observed, reason: EndReason, stats: MediaStats) -> None:
        self._note("ended", reason, stats)

    def _note(self, what: str, *more: object) -> None:
        self.told += [what, *more]
        if what == self._at:
            raise RuntimeError(what)


@pytest.mark.parametrize("fails", ["began", "ended", "stats"])
async def test_who_watches_and_fails_keeps_no_line(fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> EndReason:
        return EndReason.IDLE

    async def stats() -> MediaStats:
        if fails == "stats":
            raise RuntimeError(fails)
        return MediaStats(1)

    def session(*_: Any, **__: Any) -> Any:
        return SimpleNamespace(
            run=run,
            forgotten=asyncio.Event(),
            half_open=False,
            connected_at=None,
            media_stats=stats,
            tell=lambda _: None,
        )

    monkeypatch.setattr("agent.sessions.CallSession", session)
    watching = Forgetful()
    sessions = Sessions(
        settings=Settings(),
        personas=Personas((load_persona("en"),)),
        pool=POOL,
        observers=[Forgetful(fails), watching],
    )
    sessions._ready = True
    await sessions.handle(cast(CallTransport, SimpleNamespace(info=CallInfo("sip", "alice", "agent"))))
    assert watching.told == ["began", "ended", EndReason.IDLE, MediaStats(None if fails == "stats" else 1)]
    assert not sessions.live()
    await sessions.drain(1)


async def test_a_peer_that_is_new_may_call_as_often_as_there_are_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At once, if it acknowledges: what is refused is the second half of calls that it doesn't."""
    acknowledges = True

    def session(call: CallTransport, **_: Any) -> Any:
        made = SimpleNamespace(
            info=call.info,
            forgotten=asyncio.Event(),
            half_open=False,
            connected=asyncio.Event(),
            connected_at=None,
        )

        async def run() -> EndReason:
            await asyncio.sleep(0.05)
            if acknowledges:
                made.connected.set()
                made.connected_at = 1.0
            await asyncio.sleep(0.4)
            return EndReason.CALLER_HANGUP

        made.run = run
        return made

    monkeypatch.setattr("agent.sessions.CallSession", session)
    monkeypatch.setattr("agent.sessions.PROOF_S", 0.2)
    settings = Settings.model_validate({"call": {"max_calls": 4}})
    sessions = Sessions(settings=settings, personas=Personas((load_persona("en"),)), pool=POOL)
    sessions._ready = True

    async def burst(remote: str) -> list[BaseException | None]:
        infos = [CallInfo("sip", "alice", "agent", remote=remote) for _ in range(4)]
        calls = [cast(CallTransport, SimpleNamespace(info=info)) for info in infos]
        return await asyncio.gather(*map(sessions.handle, calls), return_exceptions=True)

    assert await burst("192.0.2.1") == [None] * 4
    acknowledges = False
    assert [type(one) for one in await burst("192.0.2.9")] == [type(None)] * 2 + [CallRefused] * 2
    assert not sessions._proving


async def test_a_call_that_is_never_acknowledged_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        def __init__(self, call: CallTransport, **_: Any) -> None:
            self.info = call.info
            self.half_open = False
            self.connected_at = None
            self.forgotten = asyncio.Event()
            self.ended: list[EndReason] = []
            made.append(self)

        async def run(self) -> None:
            while not self.ended:  # noqa: ASYNC110
                await asyncio.sleep(0)

        def end(self, reason: EndReason) -> None:
            self.ended.append(reason)

    made: list[Session] = []
    monkeypatch.setattr("agent.sessions.CallSession", Session)
    settings = Settings.model_validate({"call": {"max_calls": 2}})
    sessions = Sessions(settings=settings, personas=Personas((load_persona("en"),)), pool=POOL)
    sessions._ready = True

    def call() -> asyncio.Task[None]:
        info = CallInfo("sip", "alice", "agent")
        return asyncio.create_task(sessions.handle(cast(CallTransport, SimpleNamespace(info=info))))

    running = [call(), call()]
    await asyncio.sleep(0)
    with pytest.raises(CallRefused):
        await call()
    made[0].half_open = made[1].half_open = True
    assert sessions.accepting == (True, "")
    running.append(call())
    await running[0]
    assert [one.ended for one in made] == [[EndReason.CALLER_GONE], [], []]
    for one in made[1:]:
        one.end(EndReason.CALLER_HANGUP)
    await asyncio.gather(*running)


@pytest.mark.parametrize("cause", ["draining", "loading", "down"])
async def test_calls_are_sent_elsewhere_while_none_is_taken(cause: str) -> None:
    llm = SimpleNamespace(accepting=(cause != "down", ""), down=cause == "down")
    pool = cast(ModelPool, SimpleNamespace(llm=llm, away=""))
    sessions = Sessions(settings=Settings(), personas=Personas((load_persona("en"),)), pool=pool)
    sessions._ready = cause != "loading"
    if cause == "draining":
        await sessions.drain(0)
    with pytest.raises(CallsStopped):
        await sessions.handle(cast(CallTransport, SimpleNamespace(info=CallInfo("sip", "alice", "agent"))))


async def test_calls_are_sent_elsewhere_while_there_is_too_much_to_do() -> None:
    settings = Settings.model_validate({"call": {"divert_to": "sip:200@192.0.2.10"}})
    sessions = Sessions(settings=settings, personas=Personas((load_persona("en"),)), pool=POOL)
    sessions._ready = True
    sessions.admission.weigh(Load(loop_lag_s=1.0), 0.0)
    with pytest.raises(CallsStopped, match="the event loop is 1000 ms late") as refused:
        await sessions.handle(cast(CallTransport, SimpleNamespace(info=CallInfo("sip", "alice", "agent"))))
    assert refused.value.divert_to == "sip:200@192.0.2.10"
    assert not sessions.stopped
