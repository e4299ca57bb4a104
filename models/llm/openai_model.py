"""One model on a server that speaks OpenAI's API: vLLM, llama.cpp's server, Groq and others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import openai
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletionChunk

from config.llm import LlmSettings
from models.errors import ModelAway, ModelFailed, ModelOverloaded
from models.llm.brief import Brief
from models.llm.dialect import Dialect
from models.llm.endpoint import Kind
from models.llm.probe import thinks_first

QUESTION_S = 3.0
TRIAL_S = 30.0
MOST_LESSONS = 8  # in the refusals of one question
LATER_STATUS = frozenset({408, 425, 429, 502, 503, 504})
GREETING = {"role": "assistant", "content": "Hello, how can I help?"}
QUESTION = {"role": "user", "content": "Hello."}


class OpenAiModel:
    """A `Driver`."""

    kind: Kind = "openai"

    def __init__(
        self,
        url: str,
        model: str,
        settings: LlmSettings,
        http: httpx2.AsyncClient,
        *,
        api_key: str | None,
        briefs: Sequence[Brief],
    ) -> None:
        """`http` stays its owner's to close."""
        self.url = url
        self.model = model
        self.device = ""
        self.supports_tools = True
        self.calls_borne: int | None = None
        self.proven = False
        self.thinks_first = False
        self._tells_ends = False  # by the reason why an answer has ended; not every server does
        self._briefs = briefs
        self._settings = settings
        self._dialect = Dialect()
        self._client = AsyncOpenAI(
            api_key=api_key or "none",
            base_url=url,
            max_retries=0,
            timeout=httpx2.Timeout(None, connect=QUESTION_S),
            http_client=http,
        )

    @property
    def note(self) -> str:
        return self._dialect.described

    async def get_ready(self, *, idle: bool, on_loading: Callable[[str], None]) -> None:
        try:
            with self._told():
                async with asyncio.timeout(QUESTION_S):
                    await self._client.models.list()
        except ModelOverloaded as busy:
            # Who asks to come back later is there; a gateway that doesn't may have lost the server behind it.
            if not self.proven or busy.retry_after_s is None:
                raise
        except ModelAway:
            raise
        except ModelFailed:  # not every server lists its models; what it refuses, the trial tells
            pass
        if not self.proven:
            await self._try()

    def chat(self, params: Mapping[str, Any]) -> AsyncGenerator[ChatCompletionChunk, None]:
        return self._watched(params, self._require_end)

    def _trial(self, params: Mapping[str, Any]) -> AsyncGenerator[ChatCompletionChunk, None]:
        return self._watched(params, self._note_end)

    def _require_end(self, ended: bool | None) -> None:
        if self._tells_ends and ended is False:  # as where a gateway loses the server behind it
            raise ModelAway(f"{self.url} ended an answer without a reason.")

    def _note_end(self, ended: bool | None) -> None:
        self._tells_ends = bool(ended)

    async def _watched(
        self, params: Mapping[str, Any], told: Callable[[bool | None], None]
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """An answer; `told` whether the server said that it ends, None where it said nothing at all."""
        ended = None
        async with aclosing(self._streamed(params)) as chunks:
            async for chunk in chunks:
                ended = ended or _ends(chunk)
                yield chunk
        told(ended)

    async def _streamed(self, params: Mapping[str, Any]) -> AsyncGenerator[ChatCompletionChunk, None]:
        for _ in range(MOST_LESSONS):
            asked = self._dialect.apply(params)
            try:
                with self._told():
                    stream: AsyncStream[ChatCompletionChunk] = await self._client.chat.completions.create(
                        **asked
                    )
                break
            except _Refused as refused:
                learnt_meanwhile = asked != self._dialect.apply(params)  # from another call's refusal
                if not (learnt_meanwhile or self._dialect.learn(refused.said, params)):
                    raise ModelFailed(str(refused)) from None
        else:
            raise ModelFailed(f"{self.url} refuses every form of the request.")
        try:
            with self._told(nonsense=ModelAway):  # a proxy's page, or an error of once: to be asked again
                async for chunk in stream:
                    yield chunk
        finally:
            await stream.close()  # which is what stops the generation

    async def still_loaded(self) -> bool:
        return True

    async def _try(self) -> None:
        """A conversation as they begin, to see what of it is refused, and to have the first persona read."""
        first = self._briefs[0] if self._briefs else Brief(())
        params: dict[str, Any] = {
            "model": self.model,
            "messages": [*first.primer, GREETING, QUESTION],
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": self._settings.temperature,
            "max_tokens": 1,
        }
        if first.tools:
            params["tools"] = list(first.tools)
        try:
            async with asyncio.timeout(TRIAL_S), aclosing(self._trial(params)) as answer:
                async for _ in answer:
                    pass
        except TimeoutError:
            raise ModelAway(f"{self.url} takes more than {TRIAL_S:.0f} s to answer.") from None
        self.thinks_first = await thinks_first(self._trial, self.model)
        self.proven = True

    @contextmanager
    def _told(self, *, nonsense: type[ModelFailed] = ModelFailed) -> Iterator[None]:
        """Has every failure be a ModelFailed, and `nonsense` what isn't the API's.

        None repeats what the server says: it may quote the caller.
        """
        try:
            yield
        except (openai.AuthenticationError, openai.PermissionDeniedError):
            raise ModelFailed(f"{self.url} refuses llm.api_key.") from None
        except openai.NotFoundError:
            raise ModelFailed(f"{self.url} doesn't have {self.model}: set llm.model, or llm.url.") from None
        except openai.APIStatusError as error:
            raise self._refusal(error) from None
        except (openai.APIConnectionError, httpx2.TransportError) as error:
            cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
            raise ModelAway(f"{self.url} doesn't answer: {type(cause or error).__name__}.") from None
        except TimeoutError:
            raise ModelAway(f"{self.url} doesn't answer.") from None
        except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:
            raise nonsense(f"{self.url} answers what isn't OpenAI's API: {type(error).__name__}.") from None

    def _refusal(self, error: openai.APIStatusError) -> ModelFailed:
        status = error.status_code
        if status in LATER_STATUS:
            after = retry_after_s(error.response.headers.get("retry-after"))
            if status == 429 and after is None:
                after = 0.0
            return ModelOverloaded(f"{self.url} is busy (HTTP {status}).", retry_after_s=after)
        if status in (400, 422):
            return _Refused(f"{self.url} refuses the request (HTTP {status}).", error.message)
        if status >= 500:
            return ModelOverloaded(f"{self.url} failed (HTTP {status}).")
        return ModelFailed(f"{self.url} refuses the request (HTTP {status}).")


def _ends(chunk: ChatCompletionChunk) -> bool:
    return any(choice.finish_reason for choice in chunk.choices or ())


class _Refused(ModelFailed):
    """`said` may repeat the request, so it stays in here."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


def retry_after_s(value: str | None) -> float | None:
    """An HTTP Retry-After header in seconds. Source: RFC 9110, section 10.2.3."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
