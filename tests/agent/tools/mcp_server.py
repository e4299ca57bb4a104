"""An MCP server of the package mcp, with faults: `stdio FOLDER`, or `http FOLDER PORT`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import uvicorn
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

FOLDER = Path(sys.argv[2])
NAMES = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
LAUGHS = {
    "type": "object",
    "$defs": {
        f"a{n}": {"properties": {name: {"$ref": f"#/$defs/a{n + 1}"} for name in "bc"}} for n in range(60)
    },
    "$ref": "#/$defs/a0",
}
COUNTS = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}


def declared(name: str, schema: dict[str, Any] = NOTHING, **more: Any) -> types.Tool:
    return types.Tool(name=name, description=f"Does {name}.", input_schema=schema, **more)


TOOLS = [
    declared("greet", NAMES),
    declared("count", output_schema=COUNTS),
    declared("miscount", output_schema=COUNTS),
    declared("slow"),
    declared("slow_reading", annotations=types.ToolAnnotations(read_only_hint=True)),
    declared("huge"),
    declared("endless"),
    declared("refuse"),
    declared("picture"),
    declared("die"),
    declared("secret"),
    declared("where.is", NAMES),
    declared("broken", {"type": "object", "properties": {"a": {"type": "strong"}}}),
    declared("talkative", {"type": "object", "description": "x" * 20_000}),
    declared("laughing", LAUGHS),
]


async def listed(_: Any, __: Any) -> types.ListToolsResult:
    return types.ListToolsResult(tools=TOOLS)


def text(said: str, **more: Any) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=said)], **more)


async def called(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    with (FOLDER / "called").open("a") as log:
        log.write(f"{params.name}\n")
    match params.name:
        case "greet" | "where.is":
            return text(f"Hello {(params.arguments or {})['name']}.")
        case "count":
            return text("2", structured_content={"count": 2})
        case "miscount":
            return text("two", structured_content={"count": "two"})
        case "slow" | "slow_reading":
            await asyncio.sleep(float(os.environ.get("SLOW_S", 1.5)))
            (FOLDER / params.name).touch()
            return text("Done.")
        case "huge":
            return text("x" * 300_000)
        case "endless":
            return text("x" * 100_000_000)
        case "refuse":
            return text("The shop is closed.", is_error=True)
        case "picture":
            return types.CallToolResult(
                content=[types.ImageContent(type="image", data="AAAA", mime_type="image/png")]
            )
        case "secret":
            return text(os.environ.get("SHOP_KEY", "none"))
        case _:
            os._exit(1)


async def main() -> None:
    server = Server("shop", on_list_tools=listed, on_call_tool=called)
    (FOLDER / "pid").write_text(str(os.getpid()))
    if sys.argv[1] == "stdio":
        async with stdio_server() as (reads, writes):
            await server.run(reads, writes, server.create_initialization_options())
    else:
        app = server.streamable_http_app()
        await uvicorn.Server(
            uvicorn.Config(app, host="127.0.0.1", port=int(sys.argv[3]), log_level="error")
        ).serve()


asyncio.run(main())
