"""The calls that we make: placed, watched, tried again, hung up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from agent.outbound.machine import Verdict
from agent.outbound.retries import Retries
from agent.outbound.session import OutboundSession, Script
from transports.call import CallGone, CallRefused, CallTransport, EndReason
from transports.outbound import LimitReached, NotPermitted, OutboundGuard, Permit
from transports.sip.outgoing import Failure, OutgoingCall, OutgoingHandler

logger = logging.getLogger("offhook.outbound")

KEPT = 200  # of those that are over
MOST_REDIRECTIONS = 3
BY_AGENT = "agent"

_ANSWERED_BY = {
    Verdict.HUMAN: "A person has answered.",
    Verdict.MACHINE: "An answering machine has.",
    Verdict.UNKNOWN: "Nobody has said anything.",
}

State = Literal["dialling", "ringing", "answered", "waiting", "over"]


class Dial(Protocol):
    def __call__(
        self,
        to: str,
        handler: OutgoingHandler,
        *,
        account: str,
        ring_timeout_s: float,
    ) -> Awaitable[OutgoingCall]: ...


class Host(Protocol):
    """What runs a session among all others, to its end. Raises CallRefused where there is no room."""

    def __call__(self, call: CallTransport, make: Callable[..., OutboundSession]) -> Awaitable[EndReason]: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call is for."""

    to: str
    script: Script
    ring_timeout_s: float
    account: str = ""
    retries: Retries = field(default_factory=Retries)


@dataclass(frozen=True, slots=True)
class Progress:
    state: State
    detail: str = ""
    at: float = field(default_factory=time.time)


class OutboundCall:
    """One call, from the wish for it until it is over, however often it is tried."""

    def __init__(self, plan: Plan, by: str) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.plan = plan
        self.by = by
        self.progress: list[Progress] = []
        self.attempts = 0
        self.session: OutboundSession | None = None  # of the attempt that is on, or was last
        self.session_id: str | None = None  # the same one's, for good
        self.answered_by: Verdict | None = None
        self.reason: EndReason | None = None  # once it is over
        self.status = 0  # SIP's, of an attempt that failed; 0 where none came
        self.hung_up = asyncio.Event()  # by whoever watches it
        self.gone = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def state(self) -> State:
        return self.progress[-1].state

    @property
    def detail(self) -> str:
        return self.progress[-1].detail

    def note(self, state: State, detail: str = "") -> None:
        self.progress.append(Progress(state, detail))
        self._changed.set()
        self._changed = asyncio.Event()
        if state == "over":
            self.gone.set()

    def was_answered_by(self, who: Verdict) -> None:
        self.answered_by = who
        self.note("answered", _ANSWERED_BY[who])

    def end(self, reason: EndReason, detail: str) -> None:
        """What is known of it stays; a recording, and what held the session, take too much room."""
        self.reason, self.session = reason, None
        self.plan = replace(self.plan, script=replace(self.plan.script, play=b""))
        self.note("over", detail)

    async def follow(self) -> AsyncGenerator[Progress, None]:
        """All that has happened and will, until it is over."""
        told = 0
        while True:
            while told < len(self.progress):
                told += 1
                yield self.progress[told - 1]
            if self.gone.is_set():
                return
            await self._changed.wait()

    async def hang_up(self) -> None:
        self.hung_up.set()
        if self.session:
            await self.session.hangup()


class OutboundCalls:
    """The directory of the calls that we make, with the last ones that are over."""

    def __init__(
        self, dial: Dial, host: Host, guard: OutboundGuard, accepting: Callable[[], tuple[bool, str]]
    ) -> None:
        self._dial = dial
        self._host = host
        self._guard = guard
        self._accepting = accepting
        self._calls: dict[str, OutboundCall] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def all(self) -> Sequence[OutboundCall]:
        """The oldest first."""
        return list(self._calls.values())

    def find(self, id: str) -> OutboundCall | None:
        return self._calls.get(id)

    async def place(self, plan: Plan, by: str) -> OutboundCall:
        """Call somebody, for `by`. Raises NotPermitted, also LimitReached; CallRefused if no line is free."""
        self._guard.permits(plan.to, plan.account)
        permit = await self._begin(by)
        call = OutboundCall(plan, by)
        self._calls[call.id] = call
        over = [one.id for one in self._calls.values() if one.reason]
        for id in over[: max(0, len(over) - KEPT)]:
            del self._calls[id]
        call.note("dialling")
        task = asyncio.create_task(self._run(call, permit), name=f"outbound-{call.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return call

    async def consult(
        self,
        to: str,
        handler: OutgoingHandler,
        *,
        account: str,
        ring_timeout_s: float,
    ) -> OutgoingCall:
        """Call, within the same limits, whoever is to take a caller's call over. As `Dial`."""
        permit = await self._guard.admit(BY_AGENT, _now())

        async def answered(_: CallTransport) -> None:
            self._guard.answered(permit, _now())

        async def run(call: OutgoingCall) -> None:
            call.add_event_handler(call.connected_event, answered)
            try:
                await handler(call)
            finally:
                self._guard.end(permit, _now())

        try:
            return await self._dial(to, run, account=account, ring_timeout_s=ring_timeout_s)
        except BaseException:  # also where the caller hangs up meanwhile
            self._guard.end(permit, _now())
            raise

    def drain(self) -> None:
        """Try nothing again."""
        for call in self.all():
            call.hung_up.set()

    async def close(self) -> None:
        """Wait until all is over, once their sessions have been ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _begin(self, by: str) -> Permit:
        accepting, why_not = self._accepting()
        if not accepting:
            raise CallRefused(why_not)
        return await self._guard.admit(by, _now())

    async def _run(self, call: OutboundCall, permit: Permit) -> None:
        reason, detail = EndReason.TRANSPORT_FAILURE, "It failed here; the log says why."
        try:
            while True:
                try:
                    reason, detail = await self._attempt(call, permit)
                finally:
                    self._guard.end(permit, _now())
                wait_s = call.plan.retries.wait_s(reason, call.attempts)
                if wait_s is None or call.hung_up.is_set():
                    break
                call.note("waiting", f"{detail} The next attempt is in {wait_s:g} s.")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(call.hung_up.wait(), wait_s)
                    break
                permit = await self._begin(call.by)
                call.note("dialling")
        except (LimitReached, CallRefused) as refused:
            detail = f"{detail} It isn't tried again: {refused}"
        except Exception:  # one call may die, the server not
            logger.exception("the outgoing call %s failed", call.id)
        finally:
            call.end(reason, detail)

    async def _attempt(self, call: OutboundCall, permit: Permit) -> tuple[EndReason, str]:
        """Dial, follow where it has moved to if that may be called, and see it out."""
        call.attempts += 1
        to, redirections = call.plan.to, 0
        while True:
            call.status = 0
            try:
                reason, failure = await self._dialled(call, permit, to)
            except CallGone as gone:
                return gone.reason, str(gone)
            except NotPermitted as error:  # the account is gone since
                return EndReason.NOT_REACHED, str(error)
            call.status = failure.status if failure else 0
            if failure is None:
                return reason, ""
            redirections += 1
            if (
                call.hung_up.is_set()
                or redirections > MOST_REDIRECTIONS
                or not self._may_follow(call, failure)
            ):
                return reason, failure.sentence
            to = failure.moved_to

    def _may_follow(self, call: OutboundCall, failure: Failure) -> bool:
        try:
            self._guard.permits(failure.moved_to, call.plan.account)
        except NotPermitted:
            return False
        return True

    async def _dialled(self, call: OutboundCall, permit: Permit, to: str) -> tuple[EndReason, Failure | None]:
        ended: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()

        async def ringing(_: CallTransport, early_media: bool) -> None:
            if call.state == "dialling":
                call.note("ringing", "It sounds before it is answered." if early_media else "")

        async def answered(_: CallTransport) -> None:
            self._guard.answered(permit, _now())
            call.note("answered")

        def make(transport: CallTransport, **named: Any) -> OutboundSession:
            session = call.session = OutboundSession(transport, call.plan.script, **named)
            call.session_id, call.answered_by = session.info.id, None
            session.on_answered_by = call.was_answered_by
            if call.hung_up.is_set():
                session.end(EndReason.OPERATOR_HANGUP)
            return session

        async def run(transport: OutgoingCall) -> None:
            transport.add_event_handler("on_dialout_ringing", ringing)
            transport.add_event_handler("on_dialout_answered", answered)
            reason = EndReason.TRANSPORT_FAILURE
            watching = asyncio.create_task(self._watch(call, permit))
            try:
                reason = await self._host(transport, make)
            except CallRefused as refused:  # the last line was taken since
                logger.info("the outgoing call %s is given up: %s", call.id, refused)
            finally:
                watching.cancel()
                ended.set_result(reason)

        dialled = await self._dial(
            to, run, account=call.plan.account, ring_timeout_s=call.plan.ring_timeout_s
        )
        reason = await ended
        return reason, dialled.failure

    async def _watch(self, call: OutboundCall, permit: Permit) -> None:
        """End the call when its minutes are used up."""
        while left_s := self._guard.left_s(permit, _now()):  # noqa: ASYNC110  # others use them up, too
            await asyncio.sleep(left_s)
        if call.session:
            await call.session.cut_off(EndReason.MAX_DURATION, call.session.persona.goodbye)


def _now() -> float:
    return asyncio.get_running_loop().time()
