"""A language model that may answer, wherever it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Literal

from openai.types.chat import ChatCompletionChunk

from models.errors import ModelFailed
from models.llm.acting import Acting
from models.llm.brevity import Brevity
from models.llm.child import State
from models.llm.history import estimate

Kind = Literal["ollama", "openai", "bundled"]


class Endpoint(ABC):
    """`Llm` starts it, watches none of it, and asks it while it is `ready`.

    `url` is Ollama's root, the /v1 of an OpenAI-compatible server, or empty for the bundled model.
    """

    kind: Kind
    url: str
    model: str
    device = ""  # what it runs on, as far as that is known
    supports_tools = False
    state: State = "loading"
    last_error: str | None = None
    thinks_first = False  # its answers begin with thoughts that no tag opens
    room: int | None = None  # tokens that a conversation may have before an answer; None where nobody knows
    prices = (0.0, 0.0)  # of a million tokens read and written
    calls_borne: int | None = None  # how many calls at once get answers in time; None where nothing is known

    def __init__(self) -> None:
        self.calls = 0  # that it answers now
        self.awaited: list[float] = []  # monotonic: when answers were asked for that haven't begun

    @property
    @abstractmethod
    def why(self) -> str:
        """A sentence for the operator: what it is, and why it is asked."""

    @abstractmethod
    def fit(self, params: Mapping[str, Any], *, keep: int, slot: int | None) -> dict[str, Any]:
        """An OpenAI chat completion's parameters as this one takes them, with history that fits.

        The first `keep` messages stay. `slot` is the call's place in the bundled model.
        """

    @abstractmethod
    def chat(
        self, params: Mapping[str, Any], *, acting: Acting | None = None, brevity: Brevity | None = None
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        """Stream an answer to what `fit` made. Raises ModelFailed.

        `acting` and `brevity` are for the bundled models, which are told what to do and when to stop.
        """

    @abstractmethod
    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until asking again makes sense. Raises ModelFailed where that takes too long."""

    @abstractmethod
    async def close(self) -> None: ...

    async def count(self, text: str) -> int:
        """How many tokens the model reads it as; an estimate where it can't be asked."""
        return estimate(text)

    @property
    def reads_tokens_s(self) -> float | None:
        """How fast it reads a prompt; None where nobody waits for that."""
        return None

    def about_to_ask(self) -> None:  # noqa: B027  # not everyone has to prepare
        """A caller begins to speak, so that an answer will soon be asked for."""

    def failed(self, error: ModelFailed) -> None:  # noqa: B027  # nor looks after itself
        """It gave no answer in time, or none at all, to somebody who needed one."""

    @property
    def full(self) -> bool:
        return self.calls_borne is not None and self.calls >= self.calls_borne
