"""A conversation in text with the persona that answers calls."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from openai.types.chat import ChatCompletionMessageParam

from agent.http.admission import TextAdmission
from agent.http.contracts import LlmEndpoint, Models
from agent.http.conversations import Conversation, Conversations
from agent.http.problems import ProblemError, of_model
from config.llm import LlmSettings
from config.settings import TextSettings
from models.errors import ModelAway, ModelError, ModelLate, ModelOverloaded
from models.knowledge.recall import Recall
from models.llm.brevity import Brevity, last_answer
from models.llm.brief import Brief
from models.llm.discretion import Discretion, discreet
from models.llm.foreign import neutral_message

logger = logging.getLogger("offhook.http")

CHARS_PER_TOKEN = 3  # on the safe side for European languages


@dataclass
class Answer:
    """One answer while it is made; its tokens come from `Chat.tokens`."""

    conversation: Conversation
    model: str
    started: float = field(default_factory=time.monotonic)
    text: str = ""
    ttft_ms: float | None = None
    total_ms: float = 0.0
    complete: bool = False


class Chat:
    def __init__(
        self,
        models: Models,
        admission: TextAdmission,
        primer: Sequence[Mapping[str, str]],
        language: str,
        settings: LlmSettings,
        text: TextSettings,
        brief: Brief | None = None,
    ) -> None:
        """`brief` has what the persona's pages say, and what isn't recited."""
        self._models = models
        self._admission = admission
        self._primer = primer
        self._language = language
        self._brief = brief or Brief(primer, language)
        self._settings = settings
        self._persona_tokens: dict[str, int] = {}  # by the model that counts
        history_tokens = settings.num_ctx - settings.max_tokens
        self._conversations = Conversations(
            limit=text.conversations,
            ttl_s=text.conversation_ttl_s,
            history_chars=max(500, history_tokens * CHARS_PER_TOKEN - sum(len(m["content"]) for m in primer)),
        )

    def open(self, conversation: str | None) -> Answer:
        """Begin an answer. Raises ProblemError where there is no model or the conversation is busy."""
        try:
            endpoint = self._models.llm.endpoint
        except ModelError as error:
            raise of_model(error) from error
        found = self._conversations.open(conversation, time.monotonic())
        _require_idle(found)
        return Answer(found, endpoint.model)

    async def tokens(self, answer: Answer, text: str) -> AsyncGenerator[str, None]:
        """The answer's tokens. What was sent stays in the conversation, even if the reader leaves.

        Raises ProblemError if there is no place for the request, it is too long, the conversation has become
        busy, or the model fails.
        """
        conversation = answer.conversation
        try:
            await self._require_room(text)
        except ModelError as error:
            raise ProblemError(503, f"{error} GET /health says more.") from error
        _require_idle(conversation)  # another may have begun meanwhile
        with self._admission():
            conversation.answering = True
            self._conversations.add(conversation, "user", text)
            try:
                async for token in self._stream(conversation.messages, answer):
                    answer.text += token
                    yield token
                answer.complete = True
            finally:
                conversation.answering = False
                answer.total_ms = (time.monotonic() - answer.started) * 1000
                if answer.text.strip():
                    self._conversations.add(conversation, "assistant", answer.text)
                else:
                    conversation.messages.pop()

    async def _require_room(self, text: str) -> None:
        endpoint = self._models.llm.endpoint
        if endpoint.room is None:
            return
        if endpoint.model not in self._persona_tokens:
            persona = "\n".join(message["content"] for message in self._primer)
            self._persona_tokens[endpoint.model] = await endpoint.count(persona)
        limit = endpoint.room - self._persona_tokens[endpoint.model]
        if len(text.encode()) <= limit:  # no token is shorter than a byte
            return
        if (size := await endpoint.count(text)) > limit:
            raise ProblemError(
                422, f"text: it is {size} tokens; {endpoint.model} has room for {max(0, limit)} of them."
            )

    async def _told(
        self, messages: Sequence[Mapping[str, Any]], endpoint: LlmEndpoint
    ) -> Sequence[Mapping[str, Any]]:
        """With what the persona's pages say about the last of them."""
        plain = [neutral_message(message) for message in messages]
        if self._brief.knowledge is None:
            return plain
        recall = Recall("text")
        await recall.look_up(self._brief.knowledge, plain, tokens_s=endpoint.reads_tokens_s)
        return recall.told(plain)

    async def _stream(self, messages: list[ChatCompletionMessageParam], answer: Answer) -> AsyncIterator[str]:
        settings = self._settings
        chain = self._models.llm.chain()
        try:
            endpoint = chain.current
            answer.model = endpoint.model
            request = {
                "messages": [*self._primer, *await self._told(messages, endpoint)],
                "stream": True,
                "temperature": settings.temperature,
                "max_tokens": settings.max_tokens,
            }
            stream = chain.answer(
                request,
                keep=len(self._primer),
                brevity=lambda: Brevity(language=self._language, before=last_answer(messages)),
            )
            if self._brief.instructions is not None:
                discretion = Discretion(self._brief.instructions, self._brief.not_told, messages)
                stream = discreet(stream, discretion)
            async with aclosing(stream):
                async for chunk in stream:
                    token = chunk.choices[0].delta.content if chunk.choices else None
                    if not token:
                        continue
                    if answer.ttft_ms is None:
                        answer.ttft_ms = (time.monotonic() - answer.started) * 1000
                        answer.model = chain.current.model  # of several, whoever answers
                    yield token
        except ModelLate:
            raise ProblemError(504, "The language model took too long to go on. Try again.") from None
        except ModelOverloaded as error:
            logger.warning("%s", error)
            raise ProblemError(502, "The language model's server failed. Try again.") from error
        except ModelAway as error:
            logger.warning("%s", error)
            raise ProblemError(503, "The language model can't be reached. GET /health says more.") from error
        except ModelError as error:
            logger.warning("%s", error)
            raise ProblemError(502, "The language model failed to answer. Try again.") from error
        except Exception as error:  # a stream that has begun must tell its end, whatever that is
            logger.exception("an answer in text failed")
            raise ProblemError(500, "The answer failed. The log says why.") from error
        finally:
            chain.close()


def _require_idle(conversation: Conversation) -> None:
    if conversation.answering:
        raise ProblemError(
            409, "This conversation is being answered. Wait for the answer, or use another id."
        )
