"""Tools of MCP servers: one session with each, which all calls share, and which comes back by itself.

Pipecat's client isn't used: it registers its tools with a model by itself, past what asks the caller, checks
arguments and keeps records, and tells errors as results.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO, cast

import httpx2
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema

from agent.tools import relay
from agent.tools.bounded import BoundedTransport
from agent.tools.schemas import checks, plain, require_arguments
from agent.tools.tool import Arguments, CallFacts, Tool, ToolFailed
from config.tools import McpServerSettings
from models.pool import ComponentHealth

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult
    from mcp.types import Tool as Declared

START_S = 10.0  # that the start of the server waits for them
CONNECT_S = 30.0  # a command may have to be fetched first
LOOK_S = 30.0  # between two looks at what it has, and whether it is there
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
MOST_TOOLS = 200
DECLARED_CHARACTERS = 20_000  # of one of them, which a model reads whole
TOLD_CHARACTERS = 300  # of what is wrong
NAME_CHARACTERS = 64  # as OpenAI's API has it
GONE = "The server of this tool can't be reached."
FAILED = "The server of this tool failed; whether it was done isn't known."
_MISSING = "the package mcp isn't there; install it with pip install 'offhook[mcp]'"

logger = logging.getLogger("offhook.tools")


class McpServers:
    """Those of the settings, by their names."""

    def __init__(self, settings: Mapping[str, McpServerSettings]) -> None:
        self._servers = [McpServer(name, one) for name, one in settings.items()]

    @property
    def tools(self) -> Iterator[Tool]:
        """What they had when they were last seen."""
        names = set[str]()
        for tool in (tool for server in self._servers for tool in server.tools):
            if tool.name not in names:
                names.add(tool.name)
                yield tool

    def may_have(self, name: str) -> bool:
        """Whether a tool of this name would be one of theirs."""
        return any(name.startswith(server.prefix) for server in self._servers)

    def asks_first(self, name: str) -> bool:
        """Whether the caller is asked before one of this name, so far as the settings say."""
        return any(server.asks_first(name) for server in self._servers)

    async def start(self) -> None:
        """Returns when each has been tried, or after some seconds; it goes on trying. Raises nothing."""
        await asyncio.gather(*(server.start() for server in self._servers))

    def health(self, taken: Collection[str], wanted: Collection[str]) -> list[ComponentHealth]:
        """`taken` are names that others' tools have, `wanted` those that personas name."""
        names, parts = set(taken), []
        for server in self._servers:
            parts.append(server.health(names, [name for name in wanted if name not in names]))
            names |= {tool.name for tool in server.tools}
        return parts

    async def close(self) -> None:
        await asyncio.gather(*(server.close() for server in self._servers))


class McpServer:
    def __init__(self, name: str, settings: McpServerSettings) -> None:
        self.prefix = f"{name}_"
        self.tools: Sequence[Tool] = ()
        self._name = name
        self._settings = settings
        self._client: Client | None = None
        self._error: str | None = None
        self._refused: Sequence[str] = ()
        self._listed: list[Declared] = []
        self._tried = asyncio.Event()
        self._doubted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def asks_first(self, name: str) -> bool:
        return any(self._offered(one) == name for one in self._settings.confirm)

    def _offered(self, name: str) -> str:
        return re.sub(r"[^A-Za-z0-9_-]", "_", self.prefix + name)[:NAME_CHARACTERS]

    async def start(self) -> None:
        self._task = asyncio.create_task(self._keep(), name=f"mcp-{self._name}")
        try:
            async with asyncio.timeout(START_S):
                await self._tried.wait()
        except TimeoutError:
            self._error = f"it didn't answer within {START_S:g} s"

    async def close(self) -> None:
        """Ends its process."""
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})

    def health(self, taken: Collection[str], wanted: Collection[str]) -> ComponentHealth:
        error = self._error
        if error is None and self._client:
            own = [tool.name for tool in self.tools]
            twice = [f"another tool has the name of its {name}" for name in own if name in taken]
            absent = [name for name in wanted if name.startswith(self.prefix) and name not in own]
            without = [f"a persona has the tool {name}, which it doesn't have" for name in absent]
            error = "; ".join([*self._refused, *twice, *without]) or None
        where = self._settings.url or self._settings.command[0]
        remedy = "Its tools fail until it is back; it is tried again by itself." if self._error else None
        state = "degraded" if error else "ready" if self._client else "loading"
        return ComponentHealth(f"mcp {self._name}", state, "", where, error, 0, remedy=remedy)

    # The session is opened and closed in one task, which anyio wants.

    async def _keep(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                async with asyncio.timeout(CONNECT_S) as connecting, self._session() as client:
                    await self._look(client)
                    connecting.reschedule(None)
                    self._client, self._error, pause_s = client, None, FIRST_PAUSE_S
                    self._tried.set()
                    await self._watch(client)
            except Exception as error:  # whatever a server does, calls go on
                if (task := asyncio.current_task()) and task.cancelling():
                    raise asyncio.CancelledError from error  # which anyio loses beside other errors
                self._error = _why(error)
            finally:
                self._client = None
            self._tried.set()
            logger.warning(
                "the MCP server %s can't be reached (%s); tried again in %g s",
                self._name,
                self._error,
                pause_s,
            )
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Client]:
        try:
            from mcp import Client
            from mcp.client.stdio import StdioServerParameters, stdio_client
            from mcp.client.streamable_http import streamable_http_client
        except ModuleNotFoundError:
            raise ConnectionError(_MISSING) from None
        wanted = self._settings
        if wanted.url is None:
            env = {name: secret.get_secret_value() for name, secret in wanted.env.items()}
            path = env.get("PATH", os.environ.get("PATH"))
            if shutil.which(wanted.command[0], path=path) is None:
                raise ConnectionError(f"{wanted.command[0]} can't be run; it isn't there")
            own = "-I", "-S", relay.__file__, str(os.getpid()), str(wanted.max_bytes)
            process = StdioServerParameters(command=sys.executable, args=[*own, *wanted.command], env=env)
            # By itself it takes what sys.stderr was when the package was loaded: perhaps no file any more.
            log = cast(TextIO, sys.__stderr__)
            async with Client(stdio_client(process, log), cache=None) as client:
                yield client
            return
        headers = {"Authorization": f"Bearer {wanted.token.get_secret_value()}"} if wanted.token else {}
        # A call is given up before its answer is, which would end the session.
        patience = httpx2.Timeout(CONNECT_S, read=CONNECT_S + wanted.timeout_s)
        async with (
            httpx2.AsyncClient(
                headers=headers, timeout=patience, transport=BoundedTransport(wanted.max_bytes)
            ) as http,
            Client(
                streamable_http_client(wanted.url, http_client=http, max_sse_event_size=wanted.max_bytes),
                cache=None,
            ) as client,
        ):
            yield client

    async def _watch(self, client: Client) -> None:
        """Returns never; raises what shows that it is gone."""
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._doubted.wait()
            except TimeoutError:
                pass
            self._doubted.clear()
            async with asyncio.timeout(LOOK_S):
                await self._look(client)

    async def _look(self, client: Client) -> None:
        found: list[Declared] = []
        cursor: str | None = None
        while True:
            page = await client.list_tools(cursor=cursor)
            found += page.tools
            cursor = page.next_cursor
            if cursor is None or len(found) > MOST_TOOLS:
                break
        if found != self._listed:
            self._listed = found
            self._take(found)

    def _take(self, found: Sequence[Declared]) -> None:
        tools, refused = [], []
        for declared in found[:MOST_TOOLS]:
            if any(fnmatchcase(declared.name, glob) for glob in self._settings.tools):
                try:
                    tools.append(self._tool(declared))
                except ValueError as error:
                    refused.append(f"its tool {declared.name[:60]} can't be used: {error}")
        had = {declared.name for declared in found}
        absent = [name for name in self._settings.confirm if name not in had]
        refused += [f"confirm names {name}, which it doesn't have" for name in absent]
        self.tools, self._refused = tools, refused
        for reason in refused:
            logger.warning("the MCP server %s: %s", self._name, reason)

    def _tool(self, declared: Declared) -> Tool:
        """Raises ValueError with what is wrong with it."""
        length = len(declared.description or "") + len(json.dumps(declared.input_schema))
        if length > DECLARED_CHARACTERS:
            raise ValueError(f"its declaration has more than {DECLARED_CHARACTERS} characters")
        schema = plain(declared.input_schema)
        confirm = self._settings.confirm.get(declared.name, "")
        require_arguments(confirm, schema)
        reads = declared.annotations is not None and declared.annotations.read_only_hint
        return Tool(
            FunctionSchema(
                self._offered(declared.name),
                " ".join((declared.description or declared.title or declared.name).split()),
                schema.get("properties", {}),
                schema.get("required", []),
            ),
            partial(self._run, declared.name),
            check=checks(schema),
            timeout_s=self._settings.timeout_s,
            confirm=confirm,
            on_interruption="cancel" if reads else "finish",
            source=f"tools.mcp.{self._name}",
        )

    async def _run(self, name: str, arguments: Arguments, _: CallFacts) -> Any:
        if self._client is None:
            raise ToolFailed(GONE)
        try:
            result = await self._client.call_tool(name, dict(arguments))
        except asyncio.CancelledError:
            self._doubted.set()  # it may have taken too long
            raise
        except Exception as error:  # of the package and all that it stands on
            self._doubted.set()
            logger.warning("the MCP server %s: %s failed: %s", self._name, name, type(error).__name__)
            said = str(getattr(error, "message", ""))  # the protocol's errors have one
            raise ToolFailed(f"{FAILED} {said[:TOLD_CHARACTERS]}".rstrip()) from error
        return _told(result)


def _told(result: CallToolResult) -> Any:
    """What it says. Raises ToolFailed where that is an error."""
    text = "\n".join(one.text for one in result.content if one.type == "text")
    if result.is_error:
        raise ToolFailed(text[:TOLD_CHARACTERS] or "It failed.")
    if isinstance(result.structured_content, dict):
        return result.structured_content
    if not text and result.content:
        raise ToolFailed("The server's answer isn't text.")
    return text


def _why(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return "it doesn't answer in time"
    return f"{type(error).__name__}: {error}".partition("\n")[0][:200] if str(error) else type(error).__name__
