"""Listens for SIP calls and hands each to a `CallHandler`."""

from __future__ import annotations

import asyncio
import logging
import re
import resource
import socket
import sys
from collections.abc import Callable

from baresip.call import Call
from baresip.config import Config
from baresip.errors import BaresipError
from baresip.runtime import Runtime
from baresip.ua import UserAgent

from config.settings import SipSettings
from transports.call import CallHandler, CallInfo, CallRefused
from transports.sip import packet_filter
from transports.sip.call import SipCall, user_of
from transports.sip.errors import SipError
from transports.sip.native import Stack
from transports.sip.pump import Pump
from transports.sip.sender import Feeder

CODECS = {"opus": "opus/16000/1", "g722": "g722/16000/1", "pcmu": "pcmu", "pcma": "pcma"}
WATCH_INTERVAL_S = 10.0
PING_TIMEOUT_S = 5.0
STRANGERS_LOG_INTERVAL_S = 60.0
# With the default of 5 ms, the feeder misses its moment when the event loop computes for 40 ms.
GIL_SWITCH_INTERVAL_S = 0.001
# A call holds RTP, RTCP and timers; the models, HTTP and carriers need some as well.
_FILES_PER_CALL = 16
_FILES_ELSE = 1024
_NO_INTERFACE = "offhook-none"  # matches nothing: the stack starts without a socket
_URI_USER = re.compile(r"\b(sips?:|tel:)[^@\s<>;]+@?")

logger = logging.getLogger("offhook.sip")


class SipServer:
    """One SIP stack, on its own native thread. Only one can run in a process at a time."""

    def __init__(
        self,
        settings: SipSettings,
        max_calls: int,
        handler: CallHandler,
        on_dead: Callable[[], None] | None = None,
    ) -> None:
        """`on_dead` is called once if the SIP thread dies: no call can be taken in this process again."""
        self._settings = settings
        self._max_calls = max_calls
        self._handler = handler
        self._on_dead = on_dead
        self._runtime: Runtime | None = None
        self._stack: Stack | None = None
        self._pump = Pump()
        self._feeder = Feeder()
        self._sockets: list[socket.socket] = []
        self._calls: dict[SipCall, asyncio.Task[None]] = {}
        self._watch: asyncio.Task[None] | None = None
        self._dead = False

    @property
    def listening(self) -> bool:
        return self._runtime is not None and not self._dead

    async def start(self) -> None:
        """Listen. Raises SipError (PortInUse, NoAddress) with nothing left open."""
        _redact(logging.getLogger("baresip.native"))
        _redact(logging.getLogger("baresip.native.sip"))
        _raise_file_limit(self._max_calls * _FILES_PER_CALL + _FILES_ELSE)
        sys.setswitchinterval(min(sys.getswitchinterval(), GIL_SWITCH_INTERVAL_S))
        try:
            runtime = Runtime()
            runtime.on_dead = self._died  # type: ignore[assignment]  # declared by its default, None
            await runtime.start(self._config())
            self._runtime = runtime
            self._stack = Stack(runtime)
            self._stack.rtp.preferred = self._settings.codecs
            await self._listen()
            agent = await UserAgent.create(runtime, self._account())
            agent.on_incoming(self._on_incoming)
        except SipError:
            await self.close()
            raise
        except (BaresipError, OSError, ValueError) as error:
            await self.close()
            raise SipError(f"the SIP stack did not start: {error}") from error
        self._feeder.start()
        self._watch = asyncio.create_task(self._watch_stack(), name="sip-watch")

    async def close(self) -> None:
        """Hang up what is left and stop."""
        for call in list(self._calls):
            await call.hangup()
        tasks = list(self._calls.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._watch:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
        await self._pump.close()
        if self._feeder.started:
            await asyncio.to_thread(self._feeder.close)
        runtime, self._runtime = self._runtime, None
        if runtime is not None and not self._dead:
            try:
                await runtime.close()
            except BaresipError as error:
                logger.error("the SIP stack did not stop: %s", error)  # noqa: TRY400
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()

    def _config(self) -> Config:
        first, last = self._settings.rtp_ports
        return Config(
            net_interface=_NO_INTERFACE,
            max_concurrent_calls=self._max_calls,
            expose_headers=("To",),
            extra_config_text=(
                f"rtp_ports {first}-{last}\n"
                # Who listens is a machine, which doesn't mind when a packet comes. The stack's buffer costs
                # 15 to 50 ms, and loses 2 to 16% of speech at 40 to 80 ms of jitter, measured.
                "audio_jitter_buffer_type off\n"
                # Otherwise every answered call puts the others on hold.
                "call_hold_other_calls no\n"
                # Speech, at the pipeline's rate: mono at 20 kbit/s instead of stereo at 80 to 100.
                "opus_samplerate 16000\nopus_stereo no\nopus_sprop_stereo no\nopus_bitrate 32000\n"
                "opus_inbandfec yes\nopus_application voip\nopus_complexity 5\n"
            ),
        )

    def _account(self) -> str:
        codecs = ",".join(CODECS[name] for name in self._settings.codecs)
        return (
            # No transport parameter: with one, calls over the other transport get 404.
            "<sip:offhook@127.0.0.1>;regint=0;answermode=manual;catchall=yes;dtmfmode=rtpevent"
            f";audio_codecs={codecs}"
            # A REFER gets 501. Otherwise the stack accepts it with 202, and nobody here carries it out.
            ";call_transfer=no"
            # Without a value: no video at all. Otherwise the stack sends a re-INVITE after each ACK to
            # settle it, since VP8 is compiled in.
            ";video_codecs"
        )

    async def _listen(self) -> None:
        programs = {
            family: packet_filter.compile_filter(self._settings.allow, family)
            for family in (socket.AF_INET, socket.AF_INET6)
        }
        assert self._stack is not None
        self._sockets = await self._stack.listen(
            self._settings.host,
            self._settings.port,
            lambda sock: packet_filter.attach(sock, programs[socket.AddressFamily(sock.family)]),
        )

    def _on_incoming(self, call: Call) -> None:
        assert self._stack is not None
        info = CallInfo(
            transport="sip",
            caller=user_of(call.peer or ""),
            called=user_of(call.headers.get("To", "")),
            call_id=call.call_id or "",
        )
        sip_call = SipCall(
            call,
            info,
            pump=self._pump,
            feeder=self._feeder,
            rtp_timeout_s=self._settings.rtp_timeout_s,
            stack=self._stack,
        )
        task = asyncio.create_task(self._serve(call, sip_call), name=f"sip-{info.id}")
        self._calls[sip_call] = task
        task.add_done_callback(lambda _: self._calls.pop(sip_call, None))

    async def _serve(self, native_call: Call, call: SipCall) -> None:
        try:
            stack = self._stack
            assert stack is not None
            if self._settings.users and call.info.called not in self._settings.users:
                await stack.reject(call.info.call_id, 404, "Not Found")
                return
            call.located(await stack.remote_address(call.info.call_id))
            if not call.over:  # cancelled at once: nobody has to know
                await self._handler(call)
        except CallRefused:
            try:
                await native_call.reject()
            except BaresipError as error:
                logger.debug("call %s: refusing failed: %s", call.info.id, error)
        except Exception:
            logger.exception("call %s failed", call.info.id)
        finally:
            await call.hangup()
            await call.settle()

    async def _watch_stack(self) -> None:
        """Notice a stack that hangs, and tell how many packets strangers sent."""
        told = dropped = sum(map(packet_filter.dropped, self._sockets))
        quiet_until = 0.0
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            dropped = sum(map(packet_filter.dropped, self._sockets))
            if dropped > told and loop.time() >= quiet_until:
                logger.warning(
                    "dropped %d packets from addresses that sip.allow doesn't list", dropped - told
                )
                told, quiet_until = dropped, loop.time() + STRANGERS_LOG_INTERVAL_S
            if self._stack is not None:
                try:
                    await self._stack.ping(PING_TIMEOUT_S)
                except BaresipError:
                    self._died()
                    return

    def _died(self) -> None:
        if self._dead:
            return
        self._dead = True
        logger.critical("the SIP stack has stopped working; this process can take no more SIP calls")
        for call in list(self._calls):
            call.fail()
        if self._on_dead:
            self._on_dead()


def _raise_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def _redact(native: logging.Logger) -> None:
    """Keep the numbers of callers and called out of the native stack's log lines."""
    if not native.filters:
        native.addFilter(_without_users)


def _without_users(record: logging.LogRecord) -> bool:
    record.msg, record.args = _URI_USER.sub(r"\1…@", record.getMessage()), None
    return True
