"""`/docs`: the OpenAPI document as one page, without a script and without another host."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from agent.http.contracts import JsonObject

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; } a { color: inherit; }
details { border: 1px solid var(--line); border-radius: 8px; margin: .5rem 0; padding: .5rem .9rem; }
summary { cursor: pointer; } summary span { opacity: .75; }
code, pre { font: .86em/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: .7rem; border-radius: 6px; overflow-x: auto; }
b.verb { display: inline-block; min-width: 4.2em; font: 600 .8em ui-monospace, monospace; }
table { border-collapse: collapse; width: 100%; } td { padding: .25rem .6rem .25rem 0; vertical-align: top; }
"""
_VERBS = ("get", "post", "put", "delete", "patch")


def reference_page(openapi: JsonObject) -> str:
    """The page. Made from the document alone, so it can't fall behind it."""
    info = openapi["info"]
    groups: dict[str, list[str]] = {tag["name"]: [] for tag in openapi.get("tags", [])}
    for path, operations in openapi["paths"].items():
        for verb in _VERBS:
            if verb in operations:
                operation = operations[verb]
                tag = (operation.get("tags") or ["Other"])[0]
                groups.setdefault(tag, []).append(_operation(openapi, verb, path, operation))
    about = {tag["name"]: tag.get("description", "") for tag in openapi.get("tags", [])}
    body = "".join(
        f"<h2>{escape(name)}</h2>{_prose(about.get(name, ''))}{''.join(entries)}"
        for name, entries in groups.items()
        if entries or about.get(name)
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style>"
        f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>"
        f"{_prose(info.get('description', ''))}"
        '<p>The same as a document for tools: <a href="/openapi.json">openapi.json</a>.</p>'
        f"{body}</html>"
    )


def _operation(openapi: JsonObject, verb: str, path: str, operation: JsonObject) -> str:
    parts = [_prose(operation.get("description", ""))]
    if parameters := operation.get("parameters"):
        rows = [(f"{p['name']} ({p['in']})", p.get("description", "")) for p in parameters]
        parts.append(_table(rows))
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>Send <code>{escape(media)}</code></p>{_sample(openapi, content)}")
    for status, response in operation.get("responses", {}).items():
        media = ", ".join(response.get("content", {})) or "no body"
        parts.append(f"<p><b>{escape(status)}</b> {escape(response['description'])} ({escape(media)})</p>")
        if status.startswith("2"):
            parts.extend(_sample(openapi, content) for content in response.get("content", {}).values())
    return (
        f'<details id="{escape(operation["operationId"])}"><summary><b class="verb">{verb.upper()}</b> '
        f"<code>{escape(path)}</code> <span>{escape(operation.get('summary', ''))}</span></summary>"
        f"{''.join(parts)}</details>"
    )


def _sample(openapi: JsonObject, content: JsonObject) -> str:
    schema = content.get("schema")
    if not schema or schema.get("format") == "binary":
        return ""
    value = content.get("example", example(openapi, schema))
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return f"<pre>{escape(text)}</pre>{_table(_fields(openapi, schema))}"


def _fields(openapi: JsonObject, schema: JsonObject) -> list[tuple[str, str]]:
    properties = _resolve(openapi, schema).get("properties", {})
    return [(name, field["description"]) for name, field in properties.items() if "description" in field]


def example(openapi: JsonObject, schema: JsonObject, depth: int = 0) -> Any:
    """A value that fits `schema`, from its examples and defaults where it has them."""
    schema = _resolve(openapi, schema)
    if schema.get("examples"):
        return schema["examples"][0]
    if "default" in schema:
        return schema["default"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return example(openapi, schema["anyOf"][0], depth)
    kind = schema.get("type")
    if kind == "object":
        if depth > 4:
            return {}
        fields = schema.get("properties", {})
        return {name: example(openapi, field, depth + 1) for name, field in fields.items()}
    if kind == "array":
        return [example(openapi, schema["items"], depth + 1)] if "items" in schema else []
    if schema.get("format") == "date-time":
        return "2026-01-31T09:30:00Z"
    return {"string": "…", "integer": 1, "number": 1.0, "boolean": True}.get(str(kind))


def _resolve(openapi: JsonObject, schema: JsonObject) -> JsonObject:
    while "$ref" in schema:
        schema = openapi["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def _table(rows: list[tuple[str, str]]) -> str:
    cells = (f"<tr><td><code>{escape(name)}</code></td><td>{escape(about)}</td></tr>" for name, about in rows)
    return f"<table>{''.join(cells)}</table>" if rows else ""


def _prose(text: str) -> str:
    """Paragraphs and `code`, the only markup that our descriptions use."""
    out = []
    for paragraph in text.strip().split("\n\n"):
        pieces = escape(paragraph).split("`")
        spans = (f"<code>{piece}</code>" if i % 2 else piece for i, piece in enumerate(pieces))
        out.append(f"<p>{''.join(spans)}</p>")
    return "".join(out) if text else ""
