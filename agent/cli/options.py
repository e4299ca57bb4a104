"""The options that commands share, and how they become settings.

def serve(config: ConfigFile = None, settings: Set = None, sip_port: SipPort = None) -> None:
    loaded = load_settings(config, settings, {"sip.port": sip_port})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from config.errors import ConfigError
from config.sources import Loaded, load

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        envvar="OFFHOOK_CONFIG",
        help="The settings file; offhook.yaml in the working directory by default.",
        show_default=False,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        help="Set any key, as in --set llm.model=qwen3. May be repeated.",
        show_default=False,
    ),
]
SipHost = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Address to take SIP calls on.", show_default=False)
]
SipPort = Annotated[
    int | None, typer.Option(metavar="PORT", help="Port to take SIP calls on.", show_default=False)
]
HttpHost = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Address to serve HTTP on.", show_default=False)
]
HttpPort = Annotated[
    int | None, typer.Option(metavar="PORT", help="Port to serve HTTP on.", show_default=False)
]
PersonaName = Annotated[
    str | None,
    typer.Option(
        "--persona",
        "-p",
        metavar="NAME",
        help="Who answers: a name or a YAML file. More of them: --set languages=en,fr, --set numbers=600=fr.",
        show_default=False,
    ),
]
LogLevel = Annotated[
    str | None, typer.Option(metavar="LEVEL", help="debug, info, warning or error.", show_default=False)
]
Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where the server's HTTP API is; where the settings say by default.",
        show_default=False,
    ),
]


def load_settings(
    config: Path | None, settings: Sequence[str] | None, flags: Mapping[str, object] | None = None
) -> Loaded:
    """All sources together. A flag of its own (`flags`, by dotted key) is stronger than --set.

    Raises ConfigError, which the `offhook` command turns into one sentence and exit code 2.
    """
    own = {key: value for key, value in (flags or {}).items() if value is not None}
    return load(config, _assignments(settings or ()) | own)


def _assignments(texts: Sequence[str]) -> dict[str, object]:
    assigned: dict[str, object] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {text} can't be used; it must be KEY=VALUE, as in --set sip.port=5070.")
        assigned[key.strip()] = value.strip()
    return assigned
