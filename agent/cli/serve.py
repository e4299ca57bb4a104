"""`offhook serve`: answer the phone."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated

import ifaddr
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agent.cli.options import (
    ConfigFile,
    HttpHost,
    HttpPort,
    LogLevel,
    PersonaName,
    Set,
    SipHost,
    SipPort,
    load_settings,
)
from config.answering import load_personas
from config.packages import require_one_onnxruntime
from config.redaction import without_credentials

if TYPE_CHECKING:
    from agent.server import Server
    from agent.service_manager import ServiceManager
    from config.answering import Personas
    from config.persona import Persona
    from config.settings import Settings
    from models.pool import ComponentHealth, ModelPool

EXIT_CANNOT_START = 1
EXIT_SIP_DIED = 3
STOP_S = 60.0  # behind the calls: goodbyes, recordings, models
SHOWN_NUMBERS = 5  # of one persona


def serve(
    config: ConfigFile = None,
    settings: Set = None,
    sip_host: SipHost = None,
    sip_port: SipPort = None,
    http_host: HttpHost = None,
    http_port: HttpPort = None,
    persona: PersonaName = None,
    tls: Annotated[
        bool | None, typer.Option("--tls/--no-tls", help="Serve HTTPS.", show_default=False)
    ] = None,
    log_level: LogLevel = None,
) -> None:
    """Answer the phone, until told to stop.

    SIGTERM or Ctrl-C lets calls finish for call.drain_s seconds; a second one stops at once. SIGHUP reads the
    settings again.
    """
    flags = {
        "sip.host": sip_host,
        "sip.port": sip_port,
        "http.host": http_host,
        "http.port": http_port,
        "http.tls": tls,
        "persona": persona,
        "log.level": log_level,
    }

    def load() -> Settings:
        return load_settings(config, settings, flags).settings

    loaded = load()
    require_one_onnxruntime()
    personas = load_personas(loaded)
    code = asyncio.run(_serve(loaded, personas, load))
    gc.collect()  # soxr's binding names each object that the end of the process finds in a cycle
    raise typer.Exit(code)


async def _serve(settings: Settings, personas: Personas, again: Callable[[], Settings]) -> int:
    started = time.monotonic()
    console = Console(stderr=True)
    with console.status("Starting ...") as status:
        from agent import logs
        from agent.http.server import ListenError
        from agent.server import Server, SipDied
        from agent.service_manager import ServiceManager
        from agent.tls import TlsError
        from models.errors import ModelError
        from transports.sip.errors import SipError

        logs.set_up(settings.log)
        server = Server(settings, personas, again)
        manager = ServiceManager()

        def on_progress(what: str) -> None:
            status.update(f"Loading ... {what}")
            manager.starting(what)

        try:
            await server.start(on_progress)
        except (ModelError, SipError, ListenError, TlsError) as error:
            console.print(f"offhook: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
            await server.close(drain_s=0)
            return EXIT_CANNOT_START
    _introduce(console, server, time.monotonic() - started)
    stop = stop_on_signals()
    _reload_on_signal(server, manager)
    manager.ready()
    watching = asyncio.create_task(manager.watch(lambda: _status(server)), name="service manager")
    try:
        await server.wait(stop)
    except SipDied as error:
        console.print(f"offhook: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        await server.close(drain_s=0)
        return EXIT_SIP_DIED
    calls, drain_s = len(server.sessions.live()), server.settings.call.drain_s
    if calls:
        console.print(f"Stopping: {calls} calls may go on for {drain_s:.0f} s ...")
    manager.stopping(drain_s + STOP_S)
    await server.close(drain_s=drain_s)
    watching.cancel()
    console.print("Stopped.")
    return 0


def stop_on_signals() -> asyncio.Event:
    """The event that a first signal sets; a second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop_or_exit() -> None:
        if stop.is_set():
            os._exit(EXIT_CANNOT_START)  # without seeing anything to its end
        stop.set()

    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop_or_exit)
    return stop


def _reload_on_signal(server: Server, manager: ServiceManager) -> None:
    reloading: set[asyncio.Task[None]] = set()

    async def read_again() -> None:
        manager.reloading()
        await server.reload_or_tell()
        manager.ready()

    def reload() -> None:
        task = asyncio.create_task(read_again(), name="reload")
        reloading.add(task)
        task.add_done_callback(reloading.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


def _status(server: Server) -> str:
    """A line for the service manager."""
    sessions = server.sessions
    accepting, why_not = sessions.accepting
    calls = len(sessions.live()) + sessions.elsewhere()
    return f"{calls} of {sessions.admission.max_calls} lines busy. {'' if accepting else why_not}".strip()


def _hosts(host: str) -> list[str]:
    """By what names this server is reached, as URIs have them, the nearest first."""
    hosts = [host]
    if host in ("0.0.0.0", "::"):  # every IPv4 address, every address
        ips = [ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips]
        every = [ip if isinstance(ip, str) else ip[0] for ip in ips]
        # Link-local ones need a scope, which URIs don't have.
        hosts = [ip for ip in every if not ip.startswith("fe80:") and (host == "::" or ":" not in ip)]
        hosts.sort(key=lambda ip: not ip_address(ip).is_loopback)
    return [f"[{host}]" if ":" in host else host for host in hosts]


def _personas(personas: Personas) -> list[tuple[str, str]]:
    """Who answers, and which numbers of their own they have."""

    def named(persona: Persona) -> str:
        return f"{persona.name} ({persona.language})"

    choice = ", or ".join(map(named, personas.candidates))
    rows = [("Persona", choice if len(personas.candidates) == 1 else f"{choice}, as the caller speaks")]
    for persona in dict.fromkeys(personas.by_number.values()):
        numbers = [number for number, one in personas.by_number.items() if one == persona]
        more = f" and {len(numbers) - SHOWN_NUMBERS} more" if len(numbers) > SHOWN_NUMBERS else ""
        rows.append(("", f"{named(persona)} on {', '.join(numbers[:SHOWN_NUMBERS])}{more}"))
    return rows


def _tests(personas: Personas) -> str:
    """What may be dialled to test the line: the tests' names, and the numbers that operators gave them."""
    given = [f"{number} ({test})" for number, test in personas.tests.items() if number != test]
    more = [f"and {len(given) - SHOWN_NUMBERS} more"] if len(given) > SHOWN_NUMBERS else []
    return "  ".join([*personas.test_names, *given[:SHOWN_NUMBERS], *more])


def _runs(component: ComponentHealth) -> str:
    """The model, what it runs on, how precisely, and how large it is."""
    what = " on ".join(part for part in (component.model, component.device) if part)
    size = component.weights_bytes and f"{component.weights_bytes / 1e6:.0f} MB"
    return ", ".join(part for part in (what, component.precision, size) if part)


def _gpu(pool: ModelPool) -> str | None:
    """None where there is no GPU, and nothing installed that would need one."""
    from models import cuda

    gpu = pool.gpu()
    if gpu is None:
        none = f"none, so that everything runs on the processor. {pool.devices.no_gpu}"
        return none if cuda.installed() else None
    used, memory = (
        "?" if size is None else f"{size / 1e9:.1f}" for size in (gpu.used_bytes, gpu.memory_bytes)
    )
    return f"{gpu.name}, {used} of {memory} GB used, driver {gpu.driver}"


def _introduce(console: Console, server: Server, took_s: float) -> None:
    """Say what to dial and what answers."""
    sip, http = server.settings.sip, server.settings.http
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    if server.sip:
        where = "" if sip.port == 5060 else f":{sip.port}"
        dial = "  ".join(f"sip:agent@{host}{where}" for host in _hosts(sip.host))
        table.add_row("Dial", escape(dial))  # an IPv6 address's brackets are no markup
        if sip.over_tls:
            encrypted = f"sip:agent@{_hosts(sip.host)[0]}:{sip.tls_port};transport=tls"
            table.add_row("", escape(encrypted))
    if server.http:
        here = escape(f"{'https' if http.tls else 'http'}://{_hosts(http.host)[0]}:{server.http.port}")
        table.add_row("Browser", f"{here}/")
        table.add_row("Operators", f"{here}/ops")
        table.add_row("Control", f"{here}/health  {here}/docs")
    for what, who in _personas(server.personas):
        table.add_row(what, escape(who))
    if server.personas.tests:
        table.add_row("Line tests", escape(_tests(server.personas)))
    for component in server.pool.health():
        table.add_row(component.name.capitalize(), f"{_runs(component)} [dim]{component.state}[/dim]")
        if component.note:
            table.add_row("", f"[yellow]{escape(component.note)}[/yellow]")
    table.add_row("", f"[dim]{escape(without_credentials(server.pool.llm.why))}[/dim]")
    table.add_row("Lines", escape(server.sessions.admission.capacity))
    if gpu := _gpu(server.pool):
        table.add_row("GPU", escape(gpu))
    console.print(f"[bold green]offhook is ready[/bold green] [dim]({took_s:.1f} s)[/dim]")
    console.print(table)
