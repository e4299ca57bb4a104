"""A language model on a server that isn't ours: found, made ready, and watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx2
from loguru import logger
from openai import DefaultAsyncHttpxClient
from openai.types.chat import ChatCompletionChunk

from config.llm import LlmEndpointSettings, LlmSettings
from config.redaction import without_credentials
from models.errors import ModelAway, ModelError, ModelFailed, ModelLate, ModelOverloaded
from models.llm.acting import Acting
from models.llm.brevity import Brevity
from models.llm.brief import Brief
from models.llm.endpoint import Endpoint, Kind
from models.llm.history import fit
from models.llm.ollama import not_running
from models.llm.ollama_model import OllamaModel
from models.llm.openai_model import OpenAiModel
from models.llm.where import OLLAMA_PORT, mounts

BEAT_S = 5.0
PROBE_S = 3.0


class Driver(Protocol):
    """Speaks to one kind of server about one model."""

    kind: Kind
    url: str
    model: str
    device: str
    supports_tools: bool
    thinks_first: bool
    calls_borne: int | None
    proven: bool  # false once an answer didn't come: then being there isn't enough, it has to answer

    @property
    def note(self) -> str:
        """What the operator should know besides."""

    async def get_ready(self, *, idle: bool, on_loading: Callable[[str], None]) -> None:
        """See that the model is there, loaded, and has read what calls begin with; quick where it is so.

        `idle` where no call would be held up. Raises ModelFailed with what is wrong and what to do.
        """

    def chat(self, params: Mapping[str, Any]) -> AsyncGenerator[ChatCompletionChunk, None]: ...
    async def still_loaded(self) -> bool: ...


class RemoteEndpoint(Endpoint):
    """`wanted` where somebody asked for it: then it is trouble when it isn't there.

    Looks every few seconds whether the server is there, what it is, and whether the model is still loaded.
    """

    def __init__(
        self,
        where: LlmEndpointSettings,
        settings: LlmSettings,
        *,
        named_by: str | None,
        wanted: bool = True,
        briefs: Sequence[Brief] = (),
        max_calls: int = 1,
    ) -> None:
        """`named_by` is the setting that names it; None for an Ollama that is asked because it is there."""
        super().__init__()
        # Until it answers, its port tells.
        self.kind = "openai" if named_by and urlsplit(where.url).port != OLLAMA_PORT else "ollama"
        self.url = where.url
        self.model = where.model
        self.room: int = settings.num_ctx - settings.max_tokens
        self.prices = (where.input_price, where.output_price)
        self.wanted = wanted
        self._where = where
        self._settings = settings
        self._named_by = named_by
        self._briefs = briefs
        self._max_calls = max_calls
        # One for all drivers: answers outlive the one that they were asked of.
        self._http = DefaultAsyncHttpxClient(timeout=10.0, mounts=mounts(where.url))
        self._driver: Driver | None = None
        self._beating: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def why(self) -> str:
        if self.state != "ready" or self._driver is None:
            return f"{(self.last_error or f'{self.url} is {self.state}').rstrip('.')}."
        if self._named_by is None:
            why = f"Ollama at {self.url} has {self.model}."
        elif self.kind == "ollama":
            why = f"{self._named_by} names the Ollama at {self.url}, which has {self.model}."
        else:
            why = f"{self._named_by} names {self.url}."
        return without_credentials(f"{why} {self._driver.note}".rstrip())

    async def start(self) -> None:
        """Look for the first time, however long a load takes, and from then on again and again."""
        await self._look()
        self._beating = asyncio.create_task(self._beat(), name=f"llm-beat-{self.url}")

    async def close(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        self._driver = None
        await self._http.aclose()
        self._set("down", self.last_error)

    def fit(self, params: Mapping[str, Any], *, keep: int, slot: int | None) -> dict[str, Any]:
        fitted = {**params, "model": self.model}
        fitted["messages"] = fit(params["messages"], self.room, keep=keep)
        if not self.supports_tools or self._settings.tools == "off":
            fitted.pop("tools", None)
            fitted.pop("tool_choice", None)
        return fitted

    async def chat(
        self, params: Mapping[str, Any], *, acting: Acting | None = None, brevity: Brevity | None = None
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        if (driver := self._driver) is None or self.state != "ready":
            raise ModelAway(self.last_error or f"{self.url} isn't ready.")
        if not await driver.still_loaded():
            # A chat would load it, but one that is given up has the server give the load up, too.
            self._set("loading", f"{self.model} is no longer loaded at {self.url}; it is being loaded again.")
            self._wake.set()
            raise ModelAway(self.last_error or "")
        async for chunk in driver.chat(params):
            yield chunk

    async def wait_ready(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while self.state != "ready":
                    await self._changed.wait()
        except TimeoutError:
            raise ModelAway(self.last_error or f"{self.url} isn't ready.") from None

    def about_to_ask(self) -> None:
        # Nothing is to be made ready behind OpenAI's API, and providers count what they are asked.
        if self._driver is not None and self._driver.kind == "ollama" and self.state == "ready":
            self._wake.set()

    def failed(self, error: ModelFailed) -> None:
        if isinstance(error, ModelOverloaded) or self.state != "ready":
            return
        if self._driver is not None:
            self._driver.proven = False
        if isinstance(error, (ModelAway, ModelLate)):
            self._set("down", str(error))
        self._wake.set()

    async def _beat(self) -> None:
        while True:
            try:
                async with asyncio.timeout(BEAT_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self._look()
            except Exception as error:  # the watch must go on
                logger.exception("A language model couldn't be looked after")
                self._set("down", f"{self.url}: {type(error).__name__}")

    async def _look(self) -> None:
        try:
            driver = self._driver or await self._find()
            self._driver = driver
            await driver.get_ready(idle=self.calls == 0, on_loading=lambda what: self._set("loading", what))
        except ModelError as error:
            if isinstance(error, ModelAway):  # what comes back may be another server
                self._driver = None
            self._set("down", str(error))
            return
        self.wanted = True  # it was there: from now on it is missed
        self.kind, self.url, self.model = driver.kind, driver.url, driver.model
        self.device, self.supports_tools = driver.device, driver.supports_tools
        self.thinks_first, self.calls_borne = driver.thinks_first, driver.calls_borne
        self._set("ready", None)

    async def _find(self) -> Driver:
        """What answers there. Raises ModelAway where nothing does."""
        root = self._where.url.rstrip("/").removesuffix("/v1")
        key = self._where.api_key.get_secret_value() if self._where.api_key is not None else None
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            answer = await self._http.get(f"{root}/api/version", headers=headers, timeout=PROBE_S)
        except httpx2.TransportError as error:
            if self._named_by is None and not self.wanted:
                raise ModelAway(f"No Ollama answers at {root}") from None
            if self.kind == "ollama":
                raise ModelAway(not_running(root)) from None
            raise ModelAway(f"{self._where.url} doesn't answer: {type(error).__name__}.") from None
        if answer.status_code >= 500:
            raise ModelAway(f"{self._where.url} answers HTTP {answer.status_code}.")
        if _is_ollama(answer):
            return OllamaModel(
                root,
                self._where.model,
                self._settings,
                self._http,
                api_key=key,
                briefs=self._briefs,
                max_calls=self._max_calls,
            )
        if self._named_by is None:
            raise ModelAway(f"What answers at {root} isn't Ollama.")
        return OpenAiModel(
            self._where.url.rstrip("/"),
            self._where.model,
            self._settings,
            self._http,
            api_key=key,
            briefs=self._briefs,
        )

    def _set(self, state: Any, error: str | None) -> None:
        if state != self.state:
            level = "INFO" if state == "ready" else "WARNING" if self.wanted else "DEBUG"
            logger.log(level, f"Language model {self.model} at {self.url}: {state}. {error or ''}".rstrip())
        elif state == "loading" and error != self.last_error:
            logger.info(error or "")
        self.state, self.last_error = state, error and without_credentials(error)
        self._changed.set()
        self._changed = asyncio.Event()


def _is_ollama(answer: httpx2.Response) -> bool:
    try:
        return answer.status_code == 200 and isinstance(answer.json()["version"], str)
    except (ValueError, KeyError, TypeError):
        return False
