"""The language model that all calls share: which one, whether it is well, and how it is asked."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
from loguru import logger
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from openai.types.chat import ChatCompletionChunk

from config.settings import LlmSettings
from models.errors import ModelFailed, WeightsError
from models.llm import bundled
from models.llm.acting import Acting
from models.llm.brevity import Brevity
from models.llm.brief import Brief, Message
from models.llm.child import ONE_REQUEST, LlamaChild, State
from models.llm.completeness import Completeness
from models.llm.endpoint import LlmEndpoint, choose, nearby, ollama_url
from models.llm.history import fit
from models.llm.ollama import Ollama, PullProgress, chat_request
from models.llm.primers import Slots
from models.llm.resident import JUDGE
from models.llm.service import CallLlmService
from models.llm.speaker import Speaker, Weights, start_speaker

LOAD_S = 300.0  # a large model from a slow disk
HEARTBEAT_S = 5.0
# No penalty on repetition: it also keeps the model from saying what stands in the persona's facts, and has
# Vincent van Gogh paint the Mona Lisa. What is said twice is left out behind it.
BUNDLED_SAMPLING = {"top_p": 0.9}
# No proxy, whatever the environment names.
DIRECT: Mapping[str, None] = {"http://": None, "https://": None}
JUDGE_SLOTS = 4


class Llm:
    """`weights` finds the bundled models, or is None where they aren't wanted. `states` is the folder
    where what they know of prompts is kept.

    The smallest of them runs whenever it is there: with another model speaking it still tells finished
    sentences from unfinished ones.
    """

    def __init__(
        self,
        settings: LlmSettings,
        *,
        weights: Weights | None,
        states: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.settings = settings
        self._weights = weights or (lambda _: None)
        self._states = states
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
        self.speaker: Speaker | None = None
        self.completeness = Completeness()

    @property
    def endpoint(self) -> LlmEndpoint:
        if self._endpoint is None:
            raise ModelFailed("The language model hasn't been started.")
        return self._endpoint

    @property
    def child(self) -> LlamaChild | None:
        """The bundled model's process, where that speaks."""
        return self.speaker.child if self.speaker is not None else None

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
    def judges_itself(self) -> bool:
        """Whether the model that speaks is also the one that knows finished sentences."""
        return self.child is not None and self.child is self.completeness.child

    @property
    def reads_along(self) -> bool:
        """Whether a large model on this machine reads while the caller speaks, and needs the cores for it."""
        return self.speaker is not None and not self.judges_itself

    @property
    def tools(self) -> bool:
        """Whether the model is offered tools."""
        if self.settings.tools == "auto":
            return self.endpoint.supports_tools
        return self.settings.tools == "on"

    async def start(self, briefs: Sequence[Brief] = (), tools: Sequence[Mapping[str, Any]] = ()) -> None:
        """Choose, load and warm; `briefs` and `tools` are read ahead, so that no call waits for that.

        Raises ModelError when the chosen model can't be used.
        """
        judge = await asyncio.to_thread(self._weights, JUDGE.name)
        if judge is not None:
            self.completeness.child = LlamaChild(judge, slots=JUDGE_SLOTS)
            await self.completeness.child.start()
        chosen = await choose(self.settings, environ=self._environ, http=self._http)
        if isinstance(chosen, LlmEndpoint):
            self._endpoint = chosen
            await self._start_remote()
        else:
            await self._start_bundled(chosen, briefs, tools if self.settings.tools != "off" else ())
        logger.info(f"Language model: {self.endpoint.why}")

    async def close(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            await asyncio.gather(self._heartbeat, return_exceptions=True)
        for child in {self.child, self.completeness.child} - {None}:
            assert child is not None
            await child.close()
        if self._client is not None:
            await self._client.close()
        await self._http.aclose()
        self._remote_state = "down"

    def service(self, call_id: str, brief: Brief) -> CallLlmService:
        """One call's share."""
        return CallLlmService(self, brief, call_id=call_id)

    def acting(self, brief: Brief) -> Acting | None:
        """What chooses tools for a bundled model in one call; None where the model does so itself."""
        return self.speaker.acting(brief) if self.speaker is not None and self.tools else None

    async def chat(
        self, params: dict[str, Any], *, acting: Acting | None = None, brevity: Brevity | None = None
    ) -> AsyncIterator[ChatCompletionChunk]:
        """Open the stream of an answer to an OpenAI chat completion's parameters.

        `acting` and `brevity` are for the bundled models, which are told what to do and when to stop.
        """
        endpoint = self.endpoint
        if endpoint.kind == "bundled" and self.child is not None:
            return bundled.chat(self.child, params, acting=acting, brevity=brevity)
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

    def fit(self, params: dict[str, Any], *, slot: int | None, keep: int) -> dict[str, Any]:
        """The parameters with what the endpoint needs besides: history that fits, and the call's slot.

        The first `keep` messages stay. The bundled server's last slot serves whoever has none.
        """
        context = self.settings.num_ctx
        if self.endpoint.kind == "bundled" and self.speaker is not None:
            context = self.speaker.child.slot_ctx
            extra = BUNDLED_SAMPLING | {"id_slot": self.speaker.last_slot if slot is None else slot}
            params["extra_body"] = extra | (params.get("extra_body") or {})
        # llm.max_tokens is within llm.num_ctx, but perhaps not within the bundled model's context.
        longest = min(self.settings.max_tokens, context // 2)
        if "max_tokens" in params:
            params["max_tokens"] = min(params["max_tokens"], longest)
        params["messages"] = fit(params["messages"], context - longest, keep=keep)
        return params

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until asking again makes sense. Raises ModelFailed if that takes too long."""
        if self.endpoint.kind == "bundled" and self.child is not None:
            await self.child.wait_ready(timeout_s)

    async def prime(self, slot: int, primer: Sequence[Message]) -> None:
        """Have a slot of the bundled server know the primer before the first question comes."""
        if self.speaker is not None:
            await self.speaker.prime(slot, primer)

    async def read_ahead(
        self, messages: Sequence[Message], words: str, *, slot: int, over: bool = False
    ) -> None:
        """Have a slot of the bundled server read the conversation and what the caller has said by now.

        `over`: it may be all that they say.
        """
        if self.speaker is not None:
            await self.speaker.read_ahead(messages, words, slot=slot, over=over)

    def pull(self) -> AsyncGenerator[PullProgress, None]:
        """Have Ollama fetch the configured model."""
        url = self.settings.url
        root = url.rstrip("/").removesuffix("/v1") if url else ollama_url(self._environ)
        return Ollama(root, self._http).pull(self.settings.model)

    async def _start_bundled(
        self, reason: str, briefs: Sequence[Brief], tools: Sequence[Mapping[str, Any]]
    ) -> None:
        """`reason`: why no other model speaks."""
        try:
            speaker, passed_over = await start_speaker(
                self.settings,
                self._weights,
                self.completeness.child,
                states=self._states,
            )
        except WeightsError as error:
            raise WeightsError(
                f"{reason}, and {error}. Start Ollama and pull {self.settings.model}, set llm.url, or run "
                "'offhook models pull' with the name of a bundled model, such as qwen2.5-coder-1.5b."
            ) from None
        self.speaker, child = speaker, speaker.child
        if speaker.resident is JUDGE:
            self.completeness.child = child
        self.slots = speaker.slots
        self.device = "cpu"
        self._endpoint = LlmEndpoint(
            kind="bundled",
            url="",
            model=speaker.resident.title,
            why=f"{'; '.join(filter(None, (reason, passed_over)))}, so the bundled {speaker.resident.title} "
            f"speaks ({child.answer_tokens_s:.0f} tokens/s)"
            + (f"; {speaker.resident.warning}." if speaker.resident.warning else "."),
            supports_tools=speaker.resident.calls_tools,
        )
        self._client = AsyncOpenAI(
            api_key=child.api_key,
            base_url="http://127.0.0.1/v1",
            max_retries=0,
            default_headers=ONE_REQUEST,
            http_client=DefaultAsyncHttpxClient(trust_env=False, verify=False),
        )
        for brief in briefs:
            await speaker.prepare(brief, tools)
        if briefs:  # who has no slot talks to the first persona
            await speaker.prime_last(briefs[0].primer)

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
