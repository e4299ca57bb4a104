"""What is measured: an offhook server of our own, one that already runs, or a stock bot."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import httpx2
import yaml

from bench.caller.api import API_KEY, api_headers
from bench.caller.script import Transport
from bench.texts import LONG_GREETING
from config.settings import Settings
from config.sources import load

READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 40.0
TWILIO_TOKEN = "OFFHOOK_CARRIERS__TWILIO__SECRET"
ACCOUNTS = "OFFHOOK_SIP__ACCOUNTS"
NOBODY = "192.0.2.1"  # RFC 5737
MOST_CALLS = 20  # of the scenarios at once, at least
ROOT = Path(__file__).resolve().parents[1]

PersonaName = Literal["default", "talker"]


class SubjectError(Exception):
    """What should be measured doesn't start. The message holds its last words."""


@dataclass(frozen=True, slots=True)
class Running:
    """Where to call, and where to ask about the calls, if anywhere.

    `environment` is what a caller needs to know besides its own: the API key, Twilio's auth token.
    """

    target: str
    api: str | None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """What its API wants of whoever asks."""
        return api_headers({**os.environ, **self.environment})


class Subject(Protocol):
    name: str

    def running(
        self, persona: PersonaName, transports: Sequence[Transport]
    ) -> contextlib.AbstractAsyncContextManager[Running]:
        """Ready to be called over all of `transports`, each of which it serves."""

    def can_be(self, persona: PersonaName) -> bool:
        """Whether it can be given this persona."""

    def serves(self, transport: Transport) -> bool: ...


class Target:
    """A server that somebody else runs. Its persona is what it is.

    `target` is where it speaks SIP, `api` its HTTP address, as Twilio would have it.
    """

    def __init__(self, target: str | None, api: str | None = None) -> None:
        self.name = target or api or ""
        self._sip = target is not None
        self._running = Running(target or "", api)

    @contextlib.asynccontextmanager
    async def running(self, persona: PersonaName, transports: Sequence[Transport]) -> AsyncIterator[Running]:
        yield self._running

    def can_be(self, persona: PersonaName) -> bool:
        return persona == "default"

    def serves(self, transport: Transport) -> bool:
        return self._sip if transport == "sip" else self._running.api is not None


class OffhookServer:
    """`offhook serve` in its own process, on free loopback ports, with the settings that hold here."""

    def __init__(
        self, config: Path | None, persona: str = "en", keep: Path | None = None, calls: int = 0
    ) -> None:
        """It bears so many `calls`. What it prints is kept in the folder `keep`, if one is given."""
        self.name = "offhook"
        self._calls = calls
        self._config = config
        self._persona = persona
        self._keep = keep
        self._besides: Mapping[str, str] = {}  # settings
        self._log = "server"

    def can_be(self, persona: PersonaName) -> bool:
        return True

    def serves(self, transport: Transport) -> bool:
        return True

    @contextlib.asynccontextmanager
    async def running(self, persona: PersonaName, transports: Sequence[Transport]) -> AsyncIterator[Running]:
        sip_port, http_port = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
        api = f"http://127.0.0.1:{http_port}"
        secret = {API_KEY: secrets.token_hex(16)}
        if "twilio" in transports:
            secret[TWILIO_TOKEN] = secrets.token_hex(16)
        command = [sys.executable, "-c", "from agent.cli import app; app()", "serve"]
        if self._config is not None:
            command += ["--config", str(self._config)]
        settings = load(self._config, {}).settings
        with tempfile.TemporaryDirectory(prefix="offhook-bench-") as folder:
            environment = _environment(
                {
                    "OFFHOOK_PERSONA": persona_file(self._persona, persona, Path(folder)),
                    "OFFHOOK_SIP__PORT": str(sip_port),
                    "OFFHOOK_HTTP__PORT": str(http_port),
                    "OFFHOOK_CALL__MAX_CALLS": str(max(MOST_CALLS, self._calls, settings.call.wanted or 0)),
                    **_loopback(),
                    **_nobodys(settings, folder),
                    **_settings(transports, api),
                    **self._besides,
                    **secret,
                }
            )
            log = (self._keep or Path(folder)) / f"{self._log}-{persona}.log"
            async with process(command, environment, log) as server:
                await _ready(f"{api}/readyz", server, log)
                yield Running(f"127.0.0.1:{sip_port}", api, secret)


class OffhookApart(OffhookServer):
    """The same on a node without weights: the models are in a process of `offhook models serve`."""

    def __init__(
        self, config: Path | None, persona: str = "en", keep: Path | None = None, calls: int = 0
    ) -> None:
        super().__init__(config, persona, keep, calls)
        self.name = "offhook (models apart)"
        self._log = "server-apart"

    @contextlib.asynccontextmanager
    async def running(self, persona: PersonaName, transports: Sequence[Transport]) -> AsyncIterator[Running]:
        port, key = free_port(socket.SOCK_STREAM), secrets.token_hex(16)
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "offhook", "models", "serve", "--persona", self._persona]
        if self._config is not None:
            command += ["--config", str(self._config)]
        with tempfile.TemporaryDirectory(prefix="offhook-bench-") as folder:
            environment = _environment(
                {
                    "OFFHOOK_STATE_DIR": folder,
                    "OFFHOOK_HTTP__HOST": "127.0.0.1",
                    "OFFHOOK_HTTP__PORT": str(port),
                    "OFFHOOK_HTTP__TLS": "false",
                    API_KEY: key,
                }
            )
            log = (self._keep or Path(folder)) / f"models-{persona}.log"
            async with process(command, environment, log) as models:
                await _ready(f"{url}/readyz", models, log)
                self._besides = {"OFFHOOK_CACHE_DIR": f"{folder}/none", "OFFHOOK_LLM__MODEL": "any"}
                for part in ("LLM", "STT", "TTS"):
                    self._besides |= {
                        f"OFFHOOK_{part}__URL": f"{url}/v1",
                        f"OFFHOOK_{part}__API_KEY": key,
                    }
                async with super().running(persona, transports) as running:
                    yield running


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """The process's with `own` in it, and nothing that sets the same: no secret's file, no single account."""
    kept = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in own}
    if ACCOUNTS in own:
        kept = {name: value for name, value in kept.items() if not name.startswith(f"{ACCOUNTS}__")}
    return {**kept, "PYTHONPATH": str(ROOT), **own}


def _loopback() -> dict[str, str]:
    """So that the bench's callers get through, whatever is set, and its questions over HTTP."""
    return {
        "OFFHOOK_SIP__ENABLED": "true",
        "OFFHOOK_SIP__HOST": "127.0.0.1",
        "OFFHOOK_SIP__USERS": "[]",
        "OFFHOOK_SIP__ALLOW": "127.0.0.0/8",
        "OFFHOOK_SIP__TLS": "false",
        "OFFHOOK_SIP__TLS_CERT": "null",
        "OFFHOOK_SIP__TLS_KEY": "null",
        "OFFHOOK_SIP__MEDIA_ENCRYPTION": "optional",
        "OFFHOOK_CALL__MAX_PER_SOURCE": "null",
        "OFFHOOK_HTTP__ENABLED": "true",
        "OFFHOOK_HTTP__HOST": "127.0.0.1",
        "OFFHOOK_HTTP__TLS": "false",
    }


def _nobodys(settings: Settings, folder: str) -> dict[str, str]:
    """So that nothing reaches the records, webhooks, nodes and providers of a server with these settings."""
    away: dict[str, object] = {"server": NOBODY, "proxy": None, "registers": False, "addresses": []}
    accounts = {name: {"user": one.user, **away} for name, one in settings.sip.accounts.items()}
    return {
        "OFFHOOK_STATE_DIR": folder,
        "OFFHOOK_RECORDS__URL": f"sqlite:///{folder}/calls.db",
        "OFFHOOK_RECORDINGS__FOLDER": f"{folder}/recordings",
        "OFFHOOK_WEBHOOK__CALLS": "false",
        "OFFHOOK_CLUSTER__ENABLED": "false",
        "OFFHOOK_TELEMETRY__OTLP_ENDPOINT": "null",
        ACCOUNTS: json.dumps(accounts),
    }


def _settings(transports: Sequence[Transport], api: str) -> dict[str, str]:
    """What a server needs for these besides SIP."""
    found = {}
    if "webrtc" in transports:
        found["OFFHOOK_WEBRTC__ENABLED"] = "true"
    if "twilio" in transports:
        found |= {"OFFHOOK_CARRIERS__ENABLED": '["twilio"]', "OFFHOOK_CARRIERS__PUBLIC_URL": api}
    return found


class StockBot:
    """`bench/stock/bot.py`: Pipecat's own services and turn-taking on the same weights."""

    def __init__(self, variant: Literal["smart-turn", "timeout"], config: Path | None) -> None:
        """`config`: the settings file of the offhook that it is compared with."""
        self.name = f"stock ({variant})"
        self._variant = variant
        self._config = config

    def can_be(self, persona: PersonaName) -> bool:
        return True

    def serves(self, transport: Transport) -> bool:
        return transport == "sip"

    @contextlib.asynccontextmanager
    async def running(self, persona: PersonaName, transports: Sequence[Transport]) -> AsyncIterator[Running]:
        sip_port, http_port = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
        with tempfile.TemporaryDirectory(prefix="offhook-bench-") as folder:
            command = [
                sys.executable,
                "-m", "bench.stock.bot",
                "--turns", self._variant,
                "--persona", persona_file("en", persona, Path(folder)),
                "--sip-port", str(sip_port),
                "--http-port", str(http_port),
            ]  # fmt: skip
            if self._config is not None:
                command += ["--config", str(self._config)]
            log = Path(folder) / "bot.log"
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            async with process(command, environment, log) as bot:
                api = f"http://127.0.0.1:{http_port}"
                await _ready(f"{api}/readyz", bot, log)
                yield Running(f"127.0.0.1:{sip_port}", api)


def persona_file(base: str, persona: PersonaName, folder: Path) -> str:
    """The name or path of the persona: `base` itself, or `base` with a long greeting."""
    if persona == "default":
        return base
    source = Path(base) if base.endswith((".yaml", ".yml")) else ROOT / "config" / "personas" / f"{base}.yaml"
    document = {**yaml.safe_load(source.read_text()), "greeting": LONG_GREETING}
    path = folder / "talker.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True))
    return str(path)


@contextlib.asynccontextmanager
async def process(
    command: list[str], environment: dict[str, str], log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs `command` for the length of the block; what it prints goes to `log`."""
    with log.open("wb") as output:
        child = await asyncio.create_subprocess_exec(*command, env=environment, stdout=output, stderr=output)
    try:
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
            try:
                await asyncio.wait_for(child.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                child.kill()
                await child.wait()


async def _ready(url: str, child: asyncio.subprocess.Process, log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    async with httpx2.AsyncClient(trust_env=False) as client:
        while time.monotonic() < deadline:
            if child.returncode is not None:
                raise SubjectError(f"It ended with code {child.returncode}:\n{_last_words(log)}")
            with contextlib.suppress(httpx2.HTTPError):
                if (await client.get(url, timeout=2.0)).status_code == 200:
                    return
            await asyncio.sleep(0.1)
    raise SubjectError(f"It wasn't ready within {READY_TIMEOUT_S:.0f} s:\n{_last_words(log)}")


def _last_words(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-12:])


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
