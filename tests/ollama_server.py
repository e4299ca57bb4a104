"""A server that speaks Ollama's documented HTTP API in front of the bundled llama.cpp server.

It stands in for Ollama in tests. What it doesn't do: hold real Ollama weights; every model that it
lists is the bundled one, and a pull only reports progress before the name appears.
Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from models.llm.child import LlamaChild

VERSION = "0.12.0"
DATE = "2026-01-01T00:00:00Z"
LAYER_BYTES = 1_000_000


Trouble = Literal["refuse", "busy", "gone", "nonsense", "break off", "hang", "stall", "slow"]
SLOW_S = 1.0


class OllamaServer:
    """`loaded` keeps every context size that a model was loaded with, `chats` every chat request.

    As the real one does, it holds one model at a time, answers as many at once as it has `places`, lets a
    model go five minutes after a request that doesn't say otherwise, and gives a load up when whoever caused
    it leaves.
    """

    def __init__(
        self, child: LlamaChild, models: Sequence[str] = ("llama3.2:latest",), *, places: int = 8
    ) -> None:
        self.models = list(models)
        self.capabilities = ["completion", "tools"]
        self.template = "{{ .System }}{{ .Prompt }}"
        self.size_vram = 0
        self.load_s = 0.0
        self.load_error = ""
        self.pull_error = ""  # half-way
        self.most_ctx = 131072
        self.keeps = True
        self.loads_given_up = 0
        self.loaded: list[int | None] = []
        self.looks = 0  # at what is loaded
        self.running: tuple[str, int | None, datetime] | None = None
        self.chats: list[dict[str, Any]] = []
        self.trouble: list[Trouble] = []  # for the next chats, one each
        self._loading = asyncio.Lock()
        self._places = asyncio.Semaphore(places)
        self._child = child
        self.app = FastAPI()
        for path, endpoint, methods in (
            ("/api/version", self.version, ["GET"]),
            ("/api/tags", self.tags, ["GET"]),
            ("/api/ps", self.ps, ["GET"]),
            ("/api/show", self.show, ["POST"]),
            ("/api/pull", self.pull, ["POST"]),
            ("/api/generate", self.generate, ["POST"]),
            ("/api/chat", self.chat, ["POST"]),
            ("/v1/models", self.v1_models, ["GET"]),
            ("/v1/chat/completions", self.v1_chat, ["POST"]),
        ):
            self.app.add_api_route(path, endpoint, methods=methods, response_model=None)

    def unload(self) -> None:
        """As when another model takes its place, or its time is over."""
        self.running = None

    @property
    def loading(self) -> bool:
        return self._loading.locked()

    @property
    def conversations(self) -> list[dict[str, Any]]:
        """The chats that aren't trials: those that may write more than a few tokens."""
        return [chat for chat in self.chats if predict(chat) > 6]

    async def version(self) -> dict[str, str]:
        return {"version": VERSION}

    async def tags(self) -> dict[str, Any]:
        return {"models": [self._model(name) for name in self.models]}

    async def ps(self) -> dict[str, Any]:
        self.looks += 1
        if self.running is None:
            return {"models": []}
        name, num_ctx, expires = self.running
        more = {"size_vram": self.size_vram, "context_length": num_ctx, "expires_at": expires.isoformat()}
        return {"models": [self._model(name) | more]}

    async def show(self, request: Request) -> Response:
        body = await request.json()
        if not self._has(body["model"]):
            return self._missing(body["model"])
        about = {"details": {"family": "llama"}, "model_info": {}, "template": self.template}
        return JSONResponse(about | {"capabilities": self.capabilities})

    async def pull(self, request: Request) -> Response:
        name = (await request.json())["model"]
        if name == "nosuchmodel":
            return stream([{"error": "pull model manifest: file does not exist"}])
        layer = {"digest": "sha256:0", "total": LAYER_BYTES}
        if self.pull_error:
            half = {"status": "pulling 0", **layer, "completed": LAYER_BYTES // 2}
            return stream([{"status": "pulling manifest"}, half, {"error": self.pull_error}])
        self.models.append(name if ":" in name else f"{name}:latest")
        return stream(
            [
                {"status": "pulling manifest"},
                {"status": "pulling 0", **layer},
                {"status": "pulling 0", **layer, "completed": LAYER_BYTES // 2},
                {"status": "pulling 0", **layer, "completed": LAYER_BYTES},
                {"status": "verifying sha256 digest"},
                {"status": "success"},
            ]
        )

    async def generate(self, request: Request) -> Response:
        body = await request.json()
        if not self._has(body["model"]):
            return self._missing(body["model"])
        if (failure := await self._load(body, request)) is not None:
            return failure
        done = {"model": body["model"], "created_at": DATE, "response": "", "done": True}
        if not body.get("prompt"):
            return JSONResponse(done | {"done_reason": "load"})
        answer = await self._child.http.post(
            f"{self._child.url}/completion", json={"prompt": body["prompt"], "n_predict": predict(body)}
        )
        return JSONResponse(done | {"response": answer.json()["content"], "done_reason": "stop"})

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        if not self._has(body["model"]):
            return self._missing(body["model"])
        if (failure := await self._load(body, request)) is not None:
            return failure
        self.chats.append(body)
        trouble = self.trouble.pop(0) if self.trouble else None
        refusals = {"refuse": 500, "busy": 503, "gone": 404}
        if trouble in refusals:
            return JSONResponse({"error": f"can't: {body}"}, status_code=refusals[trouble])
        return StreamingResponse(self._chat_lines(body, trouble), media_type="application/x-ndjson")

    async def v1_models(self) -> dict[str, Any]:
        return {"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]}

    async def v1_chat(self, request: Request) -> Response:
        body = await request.json()
        if not self._has(body["model"]):
            return self._missing(body["model"])
        kind = "text/event-stream" if body.get("stream") else "application/json"
        return StreamingResponse(self._relay(body), media_type=kind)

    async def _chat_lines(self, body: dict[str, Any], trouble: Trouble | None) -> AsyncIterator[bytes]:
        if trouble == "nonsense":
            yield b"<html>not Ollama</html>\n"
            return
        async with self._places:
            async for line in self._answer(body):
                if trouble == "hang":
                    await asyncio.Event().wait()
                if trouble == "slow":
                    await asyncio.sleep(SLOW_S)
                    trouble = None
                yield line
                if trouble == "break off":
                    raise ConnectionResetError("told to")
                if trouble == "stall":
                    await asyncio.Event().wait()

    async def _answer(self, body: dict[str, Any]) -> AsyncIterator[bytes]:
        request = {
            "messages": body["messages"],
            "max_tokens": predict(body),
            "temperature": body.get("options", {}).get("temperature", 0.8),
            "stream": True,
        }
        head = {"model": body["model"], "created_at": DATE}
        words = 0
        url = f"{self._child.url}/v1/chat/completions"
        async with self._child.http.stream("POST", url, json=request) as answer:
            async for line in answer.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                choices = json.loads(line[6:]).get("choices")
                content = choices[0]["delta"].get("content") if choices else None
                if content:
                    words += 1
                    message = {"role": "assistant", "content": content}
                    yield ndjson(head | {"message": message, "done": False})
        message = {"role": "assistant", "content": ""}
        counts = {"prompt_eval_count": 1, "eval_count": words}
        yield ndjson(head | counts | {"message": message, "done": True, "done_reason": "stop"})

    async def _relay(self, body: dict[str, Any]) -> AsyncIterator[bytes]:
        url = f"{self._child.url}/v1/chat/completions"
        async with self._child.http.stream("POST", url, json=body) as answer:
            async for data in answer.aiter_bytes():
                yield data

    async def _load(self, body: dict[str, Any], request: Request) -> Response | None:
        """What stands in the way of it; None once the model is loaded."""
        num_ctx = body.get("options", {}).get("num_ctx")
        num_ctx = min(num_ctx, self.most_ctx) if num_ctx else num_ctx
        name = next(name for name in self.models if name in (body["model"], f"{body['model']}:latest"))
        async with self._loading:
            if self.running is None or self.running[:2] != (name, num_ctx):
                until = asyncio.get_running_loop().time() + self.load_s
                while asyncio.get_running_loop().time() < until:
                    if await request.is_disconnected():
                        self.loads_given_up += 1
                        return JSONResponse({"error": "client connection closed"}, status_code=499)
                    await asyncio.sleep(0.01)
                if self.load_error:
                    return JSONResponse({"error": self.load_error}, status_code=500)
                self.loaded.append(num_ctx)
            kept = (
                timedelta(days=36500) if self.keeps and body.get("keep_alive") == -1 else timedelta(minutes=5)
            )
            self.running = name, num_ctx, datetime.now(UTC) + kept
        return None

    def _has(self, model: str) -> bool:
        return model in self.models or f"{model}:latest" in self.models

    def _model(self, name: str) -> dict[str, Any]:
        return {"name": name, "model": name, "modified_at": DATE, "size": LAYER_BYTES, "details": {}}

    def _missing(self, model: str) -> Response:
        return JSONResponse({"error": f"model '{model}' not found"}, status_code=404)


def predict(body: dict[str, Any]) -> int:
    return int(body.get("options", {}).get("num_predict", 64))


def ndjson(line: dict[str, Any]) -> bytes:
    return json.dumps(line).encode() + b"\n"


def stream(lines: Sequence[dict[str, Any]]) -> Response:
    async def body() -> AsyncIterator[bytes]:
        for line in lines:
            yield ndjson(line)

    return StreamingResponse(body(), media_type="application/x-ndjson")


@asynccontextmanager
async def served(app: Any, port: int = 0) -> AsyncIterator[str]:
    """Serve an ASGI application on a loopback port, any that is free; yields its address."""
    listener = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=1)
    )
    task = asyncio.create_task(server._serve([listener]))
    try:
        while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()
