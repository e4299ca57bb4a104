"""Schemas of strangers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agent.tools.schemas import checks


async def test_a_schema_has_nothing_fetched(tmp_path: Path) -> None:
    asked = list[bytes]()

    async def answer(reads: asyncio.StreamReader, writes: asyncio.StreamWriter) -> None:
        asked.append(await reads.readuntil(b"\r\n\r\n"))
        body = b'{"type": "string"}'
        writes.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writes.drain()
        writes.close()

    (tmp_path / "schema.json").write_text(json.dumps({"type": "string"}))
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for place in (f"http://127.0.0.1:{port}/schema.json", (tmp_path / "schema.json").as_uri()):
            schema: dict[str, Any] = {"type": "object", "properties": {"a": {"$ref": place}}}
            with pytest.raises(ValueError, match=r"its schema is none: .* nothing is fetched for it"):
                await asyncio.to_thread(checks, schema)
    assert not asked
