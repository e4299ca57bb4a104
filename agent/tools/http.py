"""Tools that are requests over HTTP, declared in the settings, to hosts that these list and no others."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from functools import cache, partial
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import quote

import httpx2
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pydantic_core import from_json

from agent.tools.schemas import checks
from agent.tools.tool import Arguments, CallFacts, Tool, ToolFailed, WrongArguments
from config.errors import ConfigError
from config.tools import ArgumentSettings, HttpToolSettings, ToolSettings

MOST_REDIRECTS = 3
TOLD_CHARACTERS = 200  # of what comes with a refusal
_REDIRECTS = {301, 302, 303, 307, 308}
_CONNECTIONS = httpx2.Limits(max_connections=20, max_keepalive_connections=5, keepalive_expiry=30.0)


class HttpTools:
    """`close` them when no call uses them any more, nor those that came `before` and share connections."""

    def __init__(self, settings: ToolSettings, before: HttpTools | None = None) -> None:
        self._settings = settings
        # One a host: a connection that was made to another's name isn't to be used for it.
        self.clients: dict[str, httpx2.AsyncClient] = before.clients if before else {}

    def tools(self) -> Iterator[Tool]:
        """Raises ConfigError."""
        for name, one in self._settings.http.items():
            schema = {
                "type": "object",
                "properties": {key: _property(about) for key, about in one.arguments.items()},
                "required": [key for key, about in one.arguments.items() if about.required],
            }
            try:
                check = checks(schema)
            except ValueError as error:
                raise ConfigError(f"The tool {name} in tools.http: {error}.") from error
            yield Tool(
                FunctionSchema(name, one.description, schema["properties"], schema["required"]),  # type: ignore[arg-type]
                partial(self._run, one),
                check=check,
                timeout_s=one.timeout_s,
                confirm=one.confirm,
                on_interruption=one.on_interruption or ("cancel" if one.method == "GET" else "finish"),
                answers=one.answers,
                source="tools.http",
            )

    async def close(self) -> None:
        for client in self.clients.values():
            await client.aclose()

    async def _run(self, tool: HttpToolSettings, arguments: Arguments, _: CallFacts) -> Any:
        url, rest = _filled(tool.url, arguments)
        headers = dict(tool.headers)
        if tool.token is not None:
            token = tool.token.get_secret_value()
            if tool.token_header is None:
                headers["Authorization"] = f"Bearer {token}"
            else:
                headers[tool.token_header] = token
        posts = tool.method in ("POST", "PUT", "PATCH")
        content: dict[str, Any] = {"json": rest} if posts else {}
        try:
            return await self._answer(
                tool, httpx2.URL(url).copy_merge_params({} if posts else rest), headers, content
            )
        except httpx2.HTTPError as error:
            raise ToolFailed(f"The server doesn't answer: {type(error).__name__}.") from None

    async def _answer(
        self, tool: HttpToolSettings, url: httpx2.URL, headers: Mapping[str, str], content: Mapping[str, Any]
    ) -> Any:
        method: str = tool.method
        for _ in range(MOST_REDIRECTS + 1):
            host = url.raw_host.decode("ascii")
            address = await self._address(url.scheme, host, url.port)
            request = self._client(host).build_request(
                method,
                url.copy_with(host=address),
                headers={**headers, "Host": url.netloc.decode("ascii"), "Accept-Encoding": "identity"},
                extensions={"sni_hostname": host},
                **content,
            )
            answer = await self._client(host).send(request, stream=True)
            try:
                if answer.status_code not in _REDIRECTS:
                    return await _read(answer, tool.max_bytes)
                to = url.join(answer.headers.get("Location", ""))
            except httpx2.InvalidURL:
                raise ToolFailed("The server redirects to what is no address.") from None
            finally:
                await answer.aclose()
            if method != "GET" and answer.status_code != 303:
                raise ToolFailed("The server answers with a redirect.")
            if to.scheme != url.scheme and to.scheme != "https":
                raise ToolFailed("The server redirects to what isn't HTTPS.")
            if to.netloc != url.netloc:  # whose the token isn't
                headers = {"Accept": headers.get("Accept", "*/*")}
            url, method, content = to, "GET", {}
        raise ToolFailed("The server redirects again and again.")

    async def _address(self, scheme: str, host: str, port: int | None) -> str:
        """One of the host's that may be reached. Connecting to it, nobody can put another in its place."""
        if scheme not in ("http", "https") or not self._settings.reaches(host):
            raise ToolFailed("The server redirects to a host that isn't allowed.")
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)
        except OSError:
            raise ToolFailed("The server's name isn't known.") from None
        for *_, sockaddr in found:
            address = str(sockaddr[0])
            if _is_public(address) or self._settings.lists_address(address):
                return address
        raise ToolFailed("The server has a private address, which isn't allowed.")

    def _client(self, host: str) -> httpx2.AsyncClient:
        if host not in self.clients:
            self.clients[host] = httpx2.AsyncClient(
                timeout=None, verify=tls(), trust_env=False, limits=_CONNECTIONS
            )
        return self.clients[host]


async def _read(answer: httpx2.Response, max_bytes: int) -> Any:
    """What it says, as JSON's values or as text."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if (
        answer.headers.get("Content-Encoding", "identity").lower() != "identity"
    ):  # it might unpack to any length
        raise ToolFailed("The server's answer is packed, which wasn't asked for.")
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > max_bytes:
            raise ToolFailed(f"The server's answer is longer than {max_bytes} bytes.")
    readable = kind.startswith("text/") or kind.endswith("json") or not body
    text = body.decode(answer.encoding or "utf-8", "replace") if readable else ""
    if answer.status_code >= 300:
        said = " ".join(text.split())[:TOLD_CHARACTERS]
        raise ToolFailed(f"The server answers HTTP {answer.status_code}{': ' if said else '.'}{said}")
    if not readable:
        raise ToolFailed(f"The server answers with {kind[:60] or 'an unknown type'}, which isn't text.")
    if kind.endswith("json"):
        try:
            return from_json(text)
        except ValueError:
            raise ToolFailed("The server's answer isn't JSON.") from None
    return text


def _filled(url: str, arguments: Arguments) -> tuple[str, dict[str, Any]]:
    """The URL with its arguments, and those that it doesn't have."""
    rest = dict(arguments)

    def fill(placeholder: re.Match[str]) -> str:
        rest.pop(placeholder[1], None)
        value = _text(arguments.get(placeholder[1], ""))
        if value and not value.strip("."):  # would be another place's address
            raise WrongArguments(f"{placeholder[1]}: only dots")
        return quote(value, safe="")

    return re.sub(r"\{(\w+)\}", fill, url), rest


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _property(about: ArgumentSettings) -> dict[str, Any]:
    said = about.model_dump(exclude_none=True, exclude_defaults=True, exclude={"required"})
    return {"type": about.type, **said, **({"enum": about.choices} if about.enum else {})}


def _is_public(address: str) -> bool:
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return ip.is_global and not ip.is_multicast


@cache
def tls() -> ssl.SSLContext:
    """Made once: it takes longer than a packet may wait."""
    return httpx2.create_ssl_context()
