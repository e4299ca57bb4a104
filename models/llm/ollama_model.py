"""One model on an Ollama server: loaded with our context size, kept, and knowing what calls begin with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import ollama
from openai.types.chat import ChatCompletionChunk

from config.llm import LlmSettings
from models.errors import ModelAway, ModelFailed
from models.llm.brief import Brief
from models.llm.endpoint import Kind
from models.llm.ollama import Ollama, chat_request, named
from models.llm.probe import thinks_first
from models.llm.recommend import CALLS_PER_PLACE, places

LOAD_S = 300.0  # a large model from a slow disk
PRIME_S = 120.0  # a long persona on a slow machine
FRESH_S = 1.0  # for so long a model that was loaded is taken to be so still
TRIAL_S = 60.0
TRIAL_TOKENS = 6
PROOF_S = 15.0
# An answer that isn't ours lets the model go again, after five minutes unless told otherwise.
KEPT = timedelta(days=30)
HELLO = {"role": "user", "content": "Hello."}


class OllamaModel:
    """A `Driver`. Every load is a request of its own, which nobody who waits for an answer can cancel."""

    kind: Kind = "ollama"

    def __init__(
        self,
        url: str,
        model: str,
        settings: LlmSettings,
        http: httpx2.AsyncClient,
        *,
        api_key: str | None,
        briefs: Sequence[Brief],
        max_calls: int,
    ) -> None:
        """`http` stays its owner's to close."""
        self.url = url
        self.model = model
        self.device = ""
        self.supports_tools = False
        self.calls_borne: int | None = None
        self._ollama = Ollama(url, http, api_key=api_key)
        self._settings = settings
        self._briefs = list(briefs)
        self._max_calls = max_calls
        self.thinks_first = False
        self.proven = True  # until an answer doesn't come
        self._partly = False  # only part of it is on the GPU
        self._think: bool | str | None = None
        self._found = False
        self._primed = False
        self._tried = False
        self._context: int | None = None  # with which it is loaded by us
        self._kept = True  # whether it tells that it keeps what it was asked to
        self._loaded_at = 0.0  # monotonic: when it was last known to be loaded

    async def get_ready(self, *, idle: bool, on_loading: Callable[[str], None]) -> None:
        loaded = await self._ollama.running(self.model) if self._found else None
        if loaded is None:  # it may have been removed, or be another by now
            await self._find()
            loaded = await self._ollama.running(self.model)
        if loaded is None or self._other_context(loaded):
            on_loading(f"{self.model} is being loaded at {self.url}.")
            loaded = await self._load()
        elif self._kept and not _kept(loaded):
            # Somebody else asked it, and it has forgotten what calls begin with.
            loaded = await self._load()
        self._loaded_at = time.monotonic()
        self._tell_device(loaded)
        if not self.proven:
            async for _ in self._ask([HELLO], max_tokens=1, deadline_s=PROOF_S):
                pass
            self.proven, self._primed = True, False
        if idle and not self._tried:
            await self._try_places()
            if self._think is not None:
                self.thinks_first = await thinks_first(self.chat, self.model)
            self._primed = False
        if idle and not self._primed:
            on_loading(f"{self.model} reads what calls begin with, at {self.url}.")
            await self._prime()

    def chat(self, params: Mapping[str, Any]) -> AsyncGenerator[ChatCompletionChunk, None]:
        return self._ollama.chat(chat_request(params, num_ctx=self._settings.num_ctx, think=self._think))

    async def still_loaded(self) -> bool:
        if time.monotonic() - self._loaded_at < FRESH_S:
            return True
        loaded = await self._ollama.running(self.model)
        if loaded is None or self._other_context(loaded):
            return False
        self._loaded_at = time.monotonic()
        return True

    async def _find(self) -> None:
        name = named(self.model, await self._ollama.models())
        if name is None:
            raise ModelFailed(
                f"Ollama at {self.url} doesn't have {self.model}: "
                f"fetch it with '{self._ollama.fetched_by} {self.model}', or set llm.model."
            )
        shown = await self._ollama.show(name)
        able = frozenset(shown.capabilities or ())
        if able and "completion" not in able:
            raise ModelFailed(
                f"{name} at {self.url} can't hold a conversation: it is made for {', '.join(sorted(able))}. "
                "Set llm.model to one that chats, such as llama3.2."
            )
        if _without_template(shown):
            raise ModelFailed(
                f"{name} at {self.url} has no chat template, so that it doesn't know who speaks. "
                "Set llm.model to an instruct model, such as llama3.2."
            )
        self.model, self._found = name, True
        self.supports_tools = "tools" in able
        if "thinking" in able:
            # gpt-oss always thinks; it can be told to think little.
            family = (shown.details.family or "") if shown.details else ""
            self._think = "low" if family.startswith("gptoss") else False

    def _other_context(self, loaded: ollama.ProcessResponse.Model) -> bool:
        """Whether somebody else loaded it. A model may bear less context than it is asked to."""
        return loaded.context_length not in (None, 0, self._context or self._settings.num_ctx)

    async def _load(self) -> ollama.ProcessResponse.Model | None:
        """Load it, or have it kept if it is. Returns how it is loaded then."""
        self._primed = False
        try:
            await self._ollama.load(self.model, num_ctx=self._settings.num_ctx, timeout_s=LOAD_S)
        except ModelAway:
            raise
        except ModelFailed as error:
            raise ModelFailed(
                f"{str(error).rstrip('.')}. {self.model} can't be loaded: set llm.model to a smaller one "
                f"('offhook models recommend'), lower llm.num_ctx, or fetch it again with "
                f"'{self._ollama.fetched_by} {self.model}'."
            ) from None
        loaded = await self._ollama.running(self.model)
        if loaded is not None:
            self._context, self._kept = loaded.context_length, _kept(loaded)
        return loaded

    def _tell_device(self, loaded: ollama.ProcessResponse.Model | None) -> None:
        if loaded is None or loaded.size_vram is None or not loaded.size:
            return
        share = loaded.size_vram / loaded.size
        self.device = "cpu" if share <= 0 else "gpu" if share >= 1 else f"gpu ({share:.0%} of it) and cpu"
        self._partly = 0 < share < 1

    @property
    def note(self) -> str:
        notes = []
        if self._partly:
            notes.append(
                "Only part of it fits on the GPU, so answers are slow: take a smaller model or llm.num_ctx."
            )
        if self.calls_borne is not None and self.calls_borne < self._max_calls:
            notes.append(
                f"It answers one caller at a time, which does for {self.calls_borne} calls; "
                f"call.max_calls is {self._max_calls}: "
                f"start Ollama with OLLAMA_NUM_PARALLEL={places(self._max_calls)}."
            )
        return " ".join(notes)

    async def _try_places(self) -> None:
        """Ask two things at once, and see whether the second waits for the end of the first."""
        times = await asyncio.gather(self._trial("Count to nine."), self._trial("Name five colours."))
        (_, first_ended), (second_began, _) = sorted(times)
        self.calls_borne = CALLS_PER_PLACE if second_began >= first_ended else None
        self._tried = True

    async def _trial(self, question: str) -> tuple[float, float]:
        """When an answer began and ended."""
        messages = [{"role": "user", "content": question}]
        began = None
        async for _ in self._ask(messages, max_tokens=TRIAL_TOKENS, deadline_s=TRIAL_S):
            began = began or time.monotonic()
        ended = time.monotonic()
        return began or ended, ended

    async def _prime(self) -> None:
        """Have it read each persona, as calls begin with it; with one place only the last would stay."""
        briefs = self._briefs if self.calls_borne is None else self._briefs[:1]
        for brief in reversed(briefs):
            asked = [*brief.primer, HELLO]
            async for _ in self._ask(asked, max_tokens=1, deadline_s=PRIME_S, tools=brief.tools):
                pass
        self._primed = True
        self._loaded_at = time.monotonic()

    async def _ask(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        max_tokens: int,
        deadline_s: float,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        params: dict[str, Any] = {"model": self.model, "messages": messages, "temperature": 0.0}
        if self.supports_tools and tools:
            params["tools"] = list(tools)
        request = chat_request(
            params, num_ctx=self._settings.num_ctx, think=self._think, max_tokens=max_tokens
        )
        try:
            async with asyncio.timeout(deadline_s), aclosing(self._ollama.chat(request)) as answer:
                async for chunk in answer:
                    yield chunk
        except TimeoutError:
            raise ModelAway(
                f"{self.model} at {self.url} takes more than {deadline_s:.0f} s to answer."
            ) from None


def _kept(loaded: ollama.ProcessResponse.Model) -> bool:
    return loaded.expires_at is not None and loaded.expires_at > datetime.now(UTC) + KEPT


def _without_template(shown: ollama.ShowResponse) -> bool:
    """Newer models may have a renderer in Ollama itself in place of a template."""
    return (shown.template or "").strip() == "{{ .Prompt }}" and "RENDERER" not in (shown.modelfile or "")
