"""The language model that all calls share: which one, whether it is well, and how it is asked."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
from loguru import logger
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from openai.types.chat import ChatCompletionChunk

from config.settings import LlmSettings
from models.errors import ModelFailed
from models.llm import bundled
from models.llm.brevity import Brevity
from models.llm.child import ONE_REQUEST, LlamaChild, State
from models.llm.completeness import Completeness
from models.llm.endpoint import LlmEndpoint, choose, nearby, ollama_url
from models.llm.history import fit
from models.llm.ollama import Ollama, PullProgress, chat_request
from models.llm.service import CallLlmService

LOAD_S = 300.0  # a large model from a slow disk
READY_S = 30.0
HEARTBEAT_S = 5.0
# No penalty on repetition: it also keeps the model from saying what stands in the persona's facts, and has
# Vincent van Gogh paint the Mona Lisa. What is said twice is left out behind it.
BUNDLED_SAMPLING = {"top_p": 0.9}
# No proxy, whatever the environment names.
DIRECT: Mapping[str, None] = {"http://": None, "https://": None}


class Slots:
    """The child's places for conversations, each with its own prompt cache."""

    def __init__(self, count: int) -> None:
        self._free = list(range(count))

    def take(self) -> int | None:
        """None when all are taken: the server then picks one for each request."""
        return self._free.pop(0) if self._free else None

    def give_back(self, slot: int) -> None:
        self._free.append(slot)


class Llm:
    """`weights` is the bundled model's GGUF file, or None where it isn't installed.

    The bundled server runs whenever its weights are there: with another model speaking it still
    tells finished sentences from unfinished ones.
    """

    def __init__(
        self, settings: LlmSettings, *, weights: Path | None, environ: Mapping[str, str] | None = None
    ) -> None:
        self.settings = settings
        self.slots = Slots(0)
        self.device = ""  # what the model runs on, as far as that is known
        self._environ = os.environ if environ is None else environ
        # Who sets a proxy has distant servers in mind; what is said to one nearby doesn't pass through it.
        self._mounts = DIRECT if nearby(settings.url or ollama_url(self._environ)) else None
        self._http = httpx2.AsyncClient(timeout=10.0, mounts=self._mounts)
        self._endpoint: LlmEndpoint | None = None
        self._client: AsyncOpenAI | None = None
        self._remote_state: State = "loading"
        self._remote_error: str | None = None
        self._heartbeat: asyncio.Task[None] | None = None
        self._primed: dict[str, str] = {}
        self.child = LlamaChild(weights, threads=settings.threads) if weights is not None else None
        self.completeness = Completeness(self.child)

    @property
    def endpoint(self) -> LlmEndpoint:
        if self._endpoint is None:
            raise ModelFailed("The language model hasn't been started.")
        return self._endpoint

    @property
    def client(self) -> AsyncOpenAI:
        if self._client is None:
            raise ModelFailed("The language model hasn't been started.")
        if self.child is not None and self.endpoint.kind == "bundled":
            self._client.base_url = f"{self.child.url}/v1"
        return self._client

    @property
    def state(self) -> State:
        if self._endpoint is None:
            return "loading"
        if self.endpoint.kind == "bundled" and self.child is not None:
            return self.child.state
        return self._remote_state

    @property
    def last_error(self) -> str | None:
        """The last trouble; with the bundled model it stays after the recovery."""
        if self._endpoint is not None and self.endpoint.kind != "bundled":
            return self._remote_error
        return (self.child.last_error or None) if self.child is not None else None

    @property
    def tools(self) -> bool:
        """Whether the model is offered tools."""
        if self.settings.tools == "auto":
            return self.endpoint.supports_tools
        return self.settings.tools == "on"

    async def start(self, *, prompts: tuple[str, ...] = ()) -> None:
        """Choose, load and warm; `prompts` are read ahead, so that no call waits for that.

        Raises ModelError when the chosen model can't be used.
        """
        if self.child is not None:
            await self.child.start()
        self._endpoint = await choose(
            self.settings, bundled=self.child is not None, environ=self._environ, http=self._http
        )
        logger.info(f"Language model: {self._endpoint.why}")
        if self._endpoint.kind == "bundled":
            await self._start_bundled(prompts)
        else:
            await self._start_remote()

    async def close(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            await asyncio.gather(self._heartbeat, return_exceptions=True)
        if self.child is not None:
            await self.child.close()
        if self._client is not None:
            await self._client.close()
        await self._http.aclose()
        self._remote_state = "down"

    def service(self, call_id: str, *, prompt: str, language: str | None = None) -> CallLlmService:
        return CallLlmService(self, call_id=call_id, prompt=prompt, language=language)

    async def chat(
        self, params: dict[str, Any], *, brevity: Brevity | None = None
    ) -> AsyncIterator[ChatCompletionChunk]:
        """Open the stream of an answer to an OpenAI chat completion's parameters.

        `brevity` is for the bundled models, which don't know when to stop.
        """
        endpoint = self.endpoint
        if endpoint.kind == "bundled" and self.child is not None and not params.get("tools"):
            return bundled.chat(self.child, params, brevity)
        if endpoint.kind != "ollama":
            stream: AsyncIterator[ChatCompletionChunk] = await self.client.chat.completions.create(**params)
            return stream
        request = chat_request(
            params,
            num_ctx=self.settings.num_ctx,
            max_tokens=params["max_tokens"],
            temperature=self.settings.temperature,
            think=False if endpoint.thinks else None,
        )
        return Ollama(endpoint.url, self._http).chat(request)

    def fit(self, params: dict[str, Any], *, slot: int | None) -> dict[str, Any]:
        """The parameters with what the endpoint needs besides: history that fits, and the call's slot."""
        context = self.settings.num_ctx
        if self.endpoint.kind == "bundled" and self.child is not None:
            context = self.child.slot_ctx
            extra = BUNDLED_SAMPLING | {"cache_prompt": True, "id_slot": -1 if slot is None else slot}
            params["extra_body"] = extra | (params.get("extra_body") or {})
        # llm.max_tokens is within llm.num_ctx, but perhaps not within the bundled model's context.
        longest = min(self.settings.max_tokens, context // 2)
        if "max_tokens" in params:
            params["max_tokens"] = min(params["max_tokens"], longest)
        params["messages"] = fit(params["messages"], context - longest)
        return params

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until asking again makes sense. Raises ModelFailed if that takes too long."""
        if self.endpoint.kind == "bundled" and self.child is not None:
            await self.child.wait_ready(timeout_s)

    async def prime(self, slot: int, prompt: str) -> None:
        """Have a slot of the bundled server know the prompt before the first question comes.

        The prompt is read once; other slots get it from a saved copy (2 ms instead of 4 ms a token).
        """
        child = self.child
        if child is None or self.endpoint.kind != "bundled":
            return
        name = hashlib.sha256(prompt.encode()).hexdigest()[:32]
        try:
            if name in self._primed:
                answer = await child.http.post(
                    f"{child.url}/slots/{slot}?action=restore", json={"filename": name}
                )
                answer.raise_for_status()
                return
            messages = [{"role": "system", "content": prompt}]
            request = {"messages": messages, "max_tokens": 1, "id_slot": slot, "cache_prompt": True}
            answer = await child.http.post(f"{child.url}/v1/chat/completions", json=request)
            answer.raise_for_status()
            answer = await child.http.post(f"{child.url}/slots/{slot}?action=save", json={"filename": name})
            answer.raise_for_status()
            self._primed[name] = name
        except httpx2.HTTPError as error:
            # Only speed is lost: the first answer reads the prompt itself.
            logger.debug(f"The prompt wasn't read ahead: {type(error).__name__}")

    def pull(self) -> AsyncGenerator[PullProgress, None]:
        """Have Ollama fetch the configured model."""
        url = self.settings.url
        root = url.rstrip("/").removesuffix("/v1") if url else ollama_url(self._environ)
        return Ollama(root, self._http).pull(self.settings.model)

    async def _start_bundled(self, prompts: tuple[str, ...]) -> None:
        assert self.child is not None
        self.slots = Slots(self.child.slots - 1)  # the last is for completeness
        self.device = "cpu"
        self._client = AsyncOpenAI(
            api_key=self.child.api_key,
            base_url="http://127.0.0.1/v1",
            max_retries=0,
            default_headers=ONE_REQUEST,
            http_client=DefaultAsyncHttpxClient(trust_env=False, verify=False),
        )
        await self.child.wait_ready(READY_S)
        for prompt in prompts:
            await self.prime(0, prompt)

    async def _start_remote(self) -> None:
        endpoint, key = self.endpoint, self.settings.api_key
        self._client = AsyncOpenAI(
            api_key=key.get_secret_value() if key is not None else "none",
            base_url=endpoint.url if endpoint.kind == "openai" else f"{endpoint.url}/v1",
            max_retries=0,
            http_client=DefaultAsyncHttpxClient(mounts=self._mounts),
        )
        if endpoint.kind == "ollama":
            ollama = Ollama(endpoint.url, self._http)
            await ollama.load(endpoint.model, num_ctx=self.settings.num_ctx, timeout_s=LOAD_S)
            self.device = await ollama.device(endpoint.model)
        if await self._remote_answers():
            self._remote_state = "ready"
        else:
            self._remote_state = "down"
        self._heartbeat = asyncio.create_task(self._beat(), name="llm-heartbeat")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            self._remote_state = "ready" if await self._remote_answers() else "down"

    async def _remote_answers(self) -> bool:
        """Whether the server is there; any HTTP answer but a server error says so."""
        endpoint, key = self.endpoint, self.settings.api_key
        path = "/api/version" if endpoint.kind == "ollama" else "/models"
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key is not None else {}
        try:
            answer = await self._http.get(endpoint.url + path, headers=headers, timeout=3.0)
        except httpx2.TransportError as error:
            self._remote_error = f"{endpoint.url} doesn't answer: {type(error).__name__}."
            return False
        if answer.status_code in (401, 403):
            self._remote_error = f"{endpoint.url} refuses llm.api_key."
            return False
        if answer.status_code >= 500:
            self._remote_error = f"{endpoint.url} answers HTTP {answer.status_code}."
            return False
        self._remote_error = None
        return True
