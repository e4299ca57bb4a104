"""`offhook models serve`: the models for nodes that have none."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from typing import TYPE_CHECKING

from rich.console import Console

from agent.cli.options import ConfigFile, HttpHost, HttpPort, LogLevel, PersonaName, Set, load_settings
from agent.cli.serve import EXIT_CANNOT_START, STOP_S, stop_on_signals
from config.answering import load_personas
from config.packages import require_one_onnxruntime

if TYPE_CHECKING:
    from config.answering import Personas
    from config.settings import Settings

logger = logging.getLogger("offhook")


def serve(
    config: ConfigFile = None,
    settings: Set = None,
    http_host: HttpHost = None,
    http_port: HttpPort = None,
    persona: PersonaName = None,
    log_level: LogLevel = None,
) -> None:
    """Serve the models by OpenAI's API, without a telephone line, until told to stop.

    Nodes ask them where llm.url, stt.url and tts.url name this server's /v1. The settings of the http section
    say where it listens and which key it wants; the personas, whose voices and languages are loaded.
    """
    flags = {"http.host": http_host, "http.port": http_port, "persona": persona, "log.level": log_level}
    loaded = load_settings(config, settings, flags).settings
    require_one_onnxruntime()
    raise SystemExit(asyncio.run(_serve(loaded, load_personas(loaded))))


def _tell_to_restart() -> None:
    """Instead of ending, by which all nodes would lose their models."""
    logger.warning("settings aren't read again here: restart it for those that have changed")


async def _serve(settings: Settings, personas: Personas) -> int:
    began, console = time.monotonic(), Console(stderr=True)
    with console.status("Starting ...") as status:
        from agent import logs
        from agent.http.server import ListenError
        from agent.model_server import ModelServer
        from agent.service_manager import ServiceManager
        from agent.tls import TlsError
        from models.errors import ModelError

        logs.set_up(settings.log)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _tell_to_restart)
        server, manager = ModelServer(settings, personas), ServiceManager()

        def on_progress(what: str) -> None:
            status.update(f"Loading ... {what}")
            manager.starting(what)

        try:
            await server.start(on_progress)
        except (ModelError, ListenError, TlsError) as error:
            console.print(f"offhook: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
            await server.close(drain_s=0)
            return EXIT_CANNOT_START
    scheme, http = "https" if settings.http.tls else "http", settings.http
    console.print(
        f"[bold green]The models are ready[/bold green] [dim]({time.monotonic() - began:.1f} s)[/dim]"
    )
    console.print(f"llm.url, stt.url, tts.url: {scheme}://{http.host}:{http.port}/v1", highlight=False)
    stop = stop_on_signals()
    manager.ready()
    watching = asyncio.create_task(manager.watch(lambda: "Ready."), name="service manager")
    await stop.wait()
    drain_s = settings.call.drain_s
    manager.stopping(drain_s + STOP_S)
    await server.close(drain_s=drain_s)
    watching.cancel()
    return 0
