"""What the agent may do besides what a call can."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import idna
from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from config.accounts import AccountName
from config.section import FilePath, Section, Url

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
OnInterruption = Literal["cancel", "finish"]
ArgumentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,100}$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{0,1000}$")]


def _host(value: str) -> str:
    try:
        return str(ip_network(value, strict=False)) if "/" in value else str(ip_address(value))
    except ValueError:
        with suppress(ValueError):
            if value and not set(value) & set("/:"):
                return _ascii(value)
        raise ValueError(
            "a list, each a host's name, an IP address or a network such as 192.168.0.0/16"
        ) from None


def _ascii(host: str) -> str:
    """As it goes over the wire: xn--bcher-kva.example for Bücher.example. Raises ValueError."""
    return host.lower() if host.isascii() else idna.encode(host.lower()).decode("ascii")


def _network(host: str) -> IPv4Network | IPv6Network | None:
    """None of a name."""
    try:
        return ip_network(host)
    except ValueError:
        return None


_READ: Mapping[str, Callable[[str], str | int | float]] = {"string": str, "integer": int, "number": float}


class ArgumentSettings(Section):
    type: Literal["string", "integer", "number", "boolean"] = Field("string", description="As JSON has it.")
    description: str = Field("", max_length=300, description="What it is, for the model.")
    required: bool = Field(True, description="Whether the caller is asked for it where it is missing.")
    enum: tuple[str, ...] = Field((), max_length=100, description="All that it may be.")
    minimum: float | None = Field(None, description="Of a number.")
    maximum: float | None = Field(None, description="Of a number.")
    pattern: str | None = Field(None, description="A regular expression that a string must match.")
    format: Literal["date", "time", "date-time", "phone", "email"] | None = Field(
        None, description="What a string is; ISO 8601 for the first three."
    )

    @property
    def choices(self) -> list[str | int | float]:
        """The enum's, as JSON has them."""
        return [_READ[self.type](one) for one in self.enum]

    @model_validator(mode="after")
    def _choices_of_its_type(self) -> Self:
        try:
            self.choices  # noqa: B018
        except (KeyError, ValueError):  # a boolean has no need of one
            raise ValueError(f"a mapping in which an enum has only values of its type, {self.type}") from None
        return self


class HttpToolSettings(Section):
    """A request that the model makes. `str` and `repr` don't show its token."""

    description: Text = Field(description="Tells the model when to use it.")
    url: Url = Field(description="With arguments in braces, behind the host: https://a.example/rooms/{room}.")
    method: Method = Field("GET", description="GET, POST, PUT, PATCH or DELETE.")
    arguments: dict[ArgumentName, ArgumentSettings] = Field(
        {},
        max_length=20,
        description="By their names. Those that the URL doesn't have are its query, or the JSON of what is "
        "posted, put or patched.",
    )
    headers: dict[HeaderName, HeaderValue] = Field({}, max_length=20, description="Sent with it; no secrets.")
    token: SecretStr | None = Field(None, description="Sent as Authorization: Bearer, or in `token_header`.")
    token_header: HeaderName | None = Field(None, description="A header that has the token alone: X-API-Key.")
    timeout_s: float = Field(10.0, ge=0.5, le=60, description="For the whole answer.")
    max_bytes: int = Field(100_000, ge=100, le=10_000_000, description="Longest answer that is read.")
    confirm: str = Field(
        "", max_length=300, description="What the caller is asked before, with arguments in braces."
    )
    on_interruption: OnInterruption | None = Field(
        None, description="What becomes of it: cancel or finish; null cancels a GET and finishes others."
    )
    answers: bool = Field(True, description="Whether the model says something about what comes back.")

    @property
    def host(self) -> str:
        return (urlsplit(self.url).hostname or "").lower()

    @model_validator(mode="after")
    def _placeholders(self) -> Self:
        if "{" in urlsplit(self.url).netloc:
            raise ValueError("a mapping in which a URL has no braces in its host")
        for key, template in (("url", self.url), ("confirm", self.confirm)):
            try:
                parts = [part for part in Formatter().parse(template) if part[1] is not None]
            except ValueError:
                raise ValueError(f"a mapping in which {key} has whole pairs of braces") from None
            for _, name, specification, conversion in parts:
                if specification or conversion:
                    raise ValueError(f"a mapping in which {key} has only names in its braces")
                if name not in self.arguments:
                    raise ValueError(f"a mapping in which {key} has no argument but its own, not {{{name}}}")
        return self


class McpServerSettings(Section):
    """A server that has tools: a command, or a URL. `str` and `repr` don't show its secrets."""

    command: tuple[Text, ...] = Field(
        (),
        max_length=100,
        description="Started with offhook, and spoken to by its stdin and stdout.",
    )
    env: dict[EnvironmentName, SecretStr] = Field(
        {}, max_length=100, description="The command's, besides PATH, HOME and the like; secrets, too."
    )
    url: Url | None = Field(None, description="Of one that runs elsewhere (streamable HTTP).")
    token: SecretStr | None = Field(None, description="Sent to the URL as Authorization: Bearer.")
    tools: tuple[Text, ...] = Field(
        ("*",),
        max_length=200,
        description="Which of its tools are had: names, or globs such as get_*.",
    )
    confirm: dict[Text, Annotated[str, StringConstraints(min_length=1, max_length=300)]] = Field(
        {},
        max_length=100,
        description="What the caller is asked before, by the tool's name there, with arguments in braces.",
    )
    timeout_s: float = Field(10.0, ge=0.5, le=60, description="For each call of a tool.")
    max_bytes: int = Field(
        1_000_000, ge=10_000, le=100_000_000, description="Longest message of its that is read."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("a mapping in which there is either command or url")
        if self.url and self.env:
            raise ValueError("a mapping in which env stands with command only")
        if self.command and self.token:
            raise ValueError("a mapping in which token stands with url only; a command takes secrets by env")
        return self


class ToolSettings(Section):
    folder: FilePath = Field(
        Path("~/.config/offhook/tools"),
        validate_default=True,
        description="Whose *.py have tools: async functions, which are run as part of offhook.",
    )
    http: dict[AccountName, HttpToolSettings] = Field(
        {}, max_length=100, description="Requests over HTTP as tools, by their names."
    )
    hosts: tuple[Annotated[str, AfterValidator(_host)], ...] = Field(
        (),
        max_length=1000,
        description="All that those may reach: names of hosts, addresses, networks. A private address only "
        "where it is in one of the latter, whatever its name.",
    )
    mcp: dict[AccountName, McpServerSettings] = Field(
        {},
        max_length=20,
        description="MCP servers, by names that come before those of their tools: shop_find_order.",
    )
    result_characters: int = Field(
        2000, ge=100, le=100_000, description="What a tool returns is cut to so many for the model."
    )

    def reaches(self, host: str) -> bool:
        """Whether requests may go to a host of this name, or with this address."""
        try:
            return _ascii(host) in self.hosts or self.lists_address(host)
        except ValueError:
            return False

    def lists_address(self, address: str) -> bool:
        """Whether it is in `hosts` as an address or in a network. Raises ValueError where it is none."""
        ip = ip_address(address)
        return any(ip in network for one in self.hosts if (network := _network(one)))

    @model_validator(mode="after")
    def _hosts_listed(self) -> Self:
        for name, one in self.http.items():
            if not self.reaches(one.host):
                raise ValueError(f"tools.http has {name}, whose host {one.host} tools.hosts must list.")
        return self
