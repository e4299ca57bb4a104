"""Schemas of strangers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agent.tools.schemas import checks, plain, require_arguments


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


def test_what_refers_to_itself_is_plain_from_there_on() -> None:
    menu = {
        "type": "object",
        "description": "A menu.",
        "properties": {"title": {"type": "string"}, "part": {"$ref": "#/$defs/Menu"}},
    }
    schema = plain({"properties": {"menu": {"$ref": "#/$defs/Menu"}}, "$defs": {"Menu": menu}})
    part = {"type": "object", "description": "A menu."}
    menu["properties"] = {"title": {"type": "string"}, "part": part}
    assert schema == {"properties": {"menu": menu}}
    given = {"menu": {"title": "Lunch", "part": {"part": {}}}}
    assert checks(schema)(given) == given


def test_values_in_it_are_no_schemas() -> None:
    schema = {"properties": {"page": {"default": {"title": "Home", "properties": 3}}}}
    assert plain(schema) == schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": None},
        {"type": "object", "properties": {"a": {"anyOf": True}}},
        {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": True}},
        {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": []},
    ],
)
def test_what_is_no_schema_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="its schema is none"):
        checks(plain(schema))


@pytest.mark.parametrize("question", ["For {day:%A}?", "For {day!r}?"])
def test_a_question_has_only_names_in_its_braces(question: str) -> None:
    with pytest.raises(ValueError, match="may have only names in its braces"):
        require_arguments(question, {"properties": {"day": {"type": "string"}}})
