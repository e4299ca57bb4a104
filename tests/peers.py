"""Real SIP peers for tests: sipp and Debian's baresip, and a server of ours for them to call."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import shutil
import socket
import wave
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray

from config.sip import SipSettings
from transports.call import CallGone, CallRefused, CallsStopped, CallTransport, EndReason, LinesBusy
from transports.sip.server import SipServer

SCENARIOS = Path(__file__).parent / "transports" / "sipp"
BARESIP_MODULES = Path("/usr/lib/baresip/modules")


def require_peer(program: str) -> str:
    """The path of a peer. A missing one is a skip, or a failure where OFFHOOK_REQUIRE_PEERS=1."""
    return shutil.which(program) or missing_peer(program)


def missing_peer(name: str) -> NoReturn:
    message = f"{name} isn't installed; see `make test`"
    if os.environ.get("OFFHOOK_REQUIRE_PEERS") == "1":
        pytest.fail(message)
    pytest.skip(message)


# None that the system hands out by itself, which might be taken before it is used, and none for RTP.
_PORTS = itertools.cycle(random.SystemRandom().sample(range(26_000, 30_000), 4_000))


def free_port(host: str = "127.0.0.1") -> int:
    """A port that is free on UDP and TCP, and isn't soon given again."""
    for port in _PORTS:
        with (
            contextlib.suppress(OSError),
            socket.socket() as tcp,
            socket.socket(type=socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind((host, port))
            udp.bind((host, port))
            return port
    raise AssertionError("there is always another")


# As Debian's baresip names them, and the WAV format that each needs, since it doesn't resample.
CODEC_SPECS = {"pcmu": "pcmu", "pcma": "pcma", "g722": "g722/16000/1", "opus": "opus/48000/2"}
WAV_FORMATS = {"pcmu": (8000, 1), "pcma": (8000, 1), "g722": (16000, 1), "opus": (48000, 2)}


class Reception:
    """A call handler that answers and then leaves the call to the test."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[CallTransport] = asyncio.Queue()
        self.connected: asyncio.Queue[CallTransport] = asyncio.Queue()
        self.ended: asyncio.Queue[EndReason] = asyncio.Queue()
        self.digits: asyncio.Queue[str] = asyncio.Queue()
        self.live: dict[str, CallTransport] = {}
        self.ring_s = 0.0
        self.full = False
        self.limited = False
        self.stopped = False
        self.divert_to: str | None = None

    async def __call__(self, call: CallTransport) -> None:
        if self.stopped:
            raise CallsStopped(divert_to=self.divert_to)
        if self.full:
            raise LinesBusy(divert_to=self.divert_to)
        if self.limited:
            raise CallRefused
        over = asyncio.Event()

        async def on_connected(_: CallTransport) -> None:
            self.connected.put_nowait(call)

        async def on_stopped(_: CallTransport, reason: EndReason) -> None:
            self.ended.put_nowait(reason)
            over.set()

        async def on_digit(_: CallTransport, digit: str) -> None:
            self.digits.put_nowait(digit)

        call.add_event_handler("on_dialin_connected", on_connected)
        call.add_event_handler("on_dialin_stopped", on_stopped)
        call.add_event_handler("on_dtmf_event", on_digit)
        self.calls.put_nowait(call)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), self.ring_s)
        self.live[call.info.call_id] = call
        with contextlib.suppress(CallGone):
            await call.answer()
        await over.wait()
        del self.live[call.info.call_id]


@contextlib.asynccontextmanager
async def sip_server(
    reception: Reception, *, max_calls: int = 5, **settings: Any
) -> AsyncIterator[tuple[str, int]]:
    """A `SipServer` in this process, on 127.0.0.1 if `host` doesn't say otherwise.

    `certificate` among the settings is a chain for TLS.
    """
    port, certificate = free_port(), settings.pop("certificate", None)
    values: dict[str, Any] = {"host": "127.0.0.1", "port": port} | settings
    server = SipServer(SipSettings(**values), max_calls, reception)
    if certificate:
        await server.certify(certificate)
    await server.start()
    try:
        yield "127.0.0.1", port
    finally:
        await server.close()


async def sipp(scenario: str, server: tuple[str, int], *options: str, calls: int = 1) -> str:
    """Run a scenario to its end; fails the test with sipp's own words if it fails."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(require_peer("sipp"), f"{server[0]}:{server[1]}", "-sf", SCENARIOS / f"{scenario}.xml"),
        *("-m", str(calls), "-i", server[0].strip("[]"), "-p", str(port), "-mp", str(free_port())),
        *("-timeout", "20", "-timeout_error", "-nostdin", "-trace_err", "-error_file", "/dev/stdout"),
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"TERM": "dumb"},
    )
    output, _ = await process.communicate()
    text = output.decode(errors="replace")
    assert process.returncode == 0, text[-3000:]
    return text


class Softphone:
    """Debian's baresip: speaks from a WAV file and records what it hears."""

    def __init__(self, folder: Path, control_port: int) -> None:
        self._folder = folder
        self._control_port = control_port

    async def command(self, command: str, params: str = "") -> None:
        """Any of baresip's commands, over its control socket."""
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._control_port)
            try:
                body = json.dumps({"command": command, "params": params, "token": "t"})
                writer.write(f"{len(body)}:{body},".encode())
                await writer.drain()
                await reader.readuntil(b"token")
            finally:
                writer.close()
                await writer.wait_closed()

    def heard(self) -> tuple[NDArray[np.int16], int]:
        """What came from the other side as s16 mono PCM, and its rate; complete once baresip has left."""
        return self._recorded("dec")

    def said(self) -> tuple[NDArray[np.int16], int]:
        """What it said itself, as `heard` gives the other side."""
        return self._recorded("enc")

    def _recorded(self, direction: str) -> tuple[NDArray[np.int16], int]:
        files = sorted(self._folder.glob(f"dump-*-{direction}.wav"))
        assert files, f"baresip recorded nothing: {sorted(p.name for p in self._folder.iterdir())}"
        with wave.open(str(files[0])) as file:
            channels, rate_hz = file.getnchannels(), file.getframerate()
            pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        return pcm.reshape(-1, channels)[:, 0], rate_hz


_MODULES = ("aufile", "aubridge", "g711", "g722", "opus", "sndfile", "account", "menu", "ctrl_tcp")


def _configure(folder: Path, more: tuple[str, ...], ca: Path | None, own: Path | None) -> int:
    """Write baresip's settings, with free ports. Returns that of its control socket."""
    control = free_port()
    modules = (*_MODULES, *more)
    (folder / "config").write_text(
        f"sip_listen 127.0.0.1:{free_port()}\nnet_interface lo\n"
        f"audio_source aufile,{folder}/says.wav\naudio_player aubridge,none\n"
        f"snd_path {folder}\nctrl_tcp_listen 127.0.0.1:{control}\n"
        f"module_path {BARESIP_MODULES}\n"
        + (f"sip_cafile {ca}\nsip_verify_server yes\n" if ca else "")
        + (f"sip_certificate {own}\n" if own else "")
        + "".join(
            f"{'module_app' if m in ('account', 'menu', 'ctrl_tcp') else 'module'} {m}.so\n" for m in modules
        )
    )
    return control


async def _start(program: str, folder: Path) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(program, "-4", "-n", "127.0.0.1", "-f", folder),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout
    try:
        async with asyncio.timeout(10):
            while b"ready" not in (line := await process.stdout.readline()):
                if not line:
                    raise ConnectionRefusedError
    except BaseException:
        await _stop(process)
        raise
    return process


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.communicate()


@contextlib.asynccontextmanager
async def softphone(
    folder: Path,
    dial: str,
    says: Callable[[int], NDArray[np.int16]],
    codec: str = "pcmu",
    mediaenc: str = "",
    ca: Path | None = None,
    own: Path | None = None,
    account: str = "<sip:softphone@127.0.0.1>;regint=0",
) -> AsyncIterator[Softphone]:
    """A baresip that calls the URI `dial`, or nobody where that is empty, and leaves at the end.

    It says `says(rate_hz)` (s16 mono PCM). `mediaenc` is as in its accounts. With `ca` it calls over TLS, and
    trusts what that has signed; `own` is a file with its certificate and key, for who calls it back.
    """
    program = require_peer("baresip")
    with wave.open(str(folder / "says.wav"), "wb") as file:
        rate_hz, channels = WAV_FORMATS[codec]
        file.setparams((channels, 2, rate_hz, 0, "NONE", ""))
        file.writeframes(np.repeat(says(rate_hz), channels).tobytes())
    if ca:
        account = account.replace(">", ";transport=tls>")
    (folder / "accounts").write_text(
        f"{account};audio_codecs={CODEC_SPECS[codec]}" + (f";mediaenc={mediaenc}\n" if mediaenc else "\n")
    )
    (folder / "contacts").write_text("")
    modules = ("srtp", "dtls_srtp") if mediaenc else ()

    async def dialled() -> tuple[Softphone, asyncio.subprocess.Process]:
        phone = Softphone(folder, _configure(folder, modules, ca, own))
        process = await _start(program, folder)
        try:
            if dial:
                await phone.command("dial", dial)
        except BaseException:
            await _stop(process)
            raise
        return phone, process

    # Now and then Debian's baresip stops in its own `dial`, or loses a port to another program.
    try:
        phone, process = await dialled()
    except (TimeoutError, ConnectionRefusedError):
        phone, process = await dialled()
    try:
        yield phone
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await phone.command("quit")
        async with asyncio.timeout(5):
            await process.communicate()
    finally:
        if process.returncode is None:
            await _stop(process)


@contextlib.asynccontextmanager
async def target(folder: Path, status: str) -> AsyncIterator[int]:
    """A sipp that answers one INVITE with `status`, as `200 OK`. Yields its port."""
    port = free_port()
    scenario = folder / "target.xml"  # sipp wants to read a number there
    text = (SCENARIOS / "target.xml").read_text().replace("[status]", status)
    if not status.startswith("2"):
        text = text.partition("  <!-- What follows")[0] + "</scenario>\n"
    scenario.write_text(text)
    process = await asyncio.create_subprocess_exec(
        *(require_peer("sipp"), "-sf", scenario, "-m", "1"),
        *("-i", "127.0.0.1", "-p", str(port), "-mp", str(free_port()), "-nostdin"),
        *("-timeout", "240", "-timeout_error", "-trace_err", "-error_file", "/dev/stdout"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"TERM": "dumb"},
    )
    try:
        await _listens(port)
        yield port
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _listens(port: int) -> None:
    """Wait until somebody has the UDP port."""
    async with asyncio.timeout(10):
        while True:
            with socket.socket(type=socket.SOCK_DGRAM) as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    return
            await asyncio.sleep(0.05)
