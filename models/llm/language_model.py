"""The language model that all calls share: who may answer, whether they are well, and how they are asked."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from loguru import logger

from config.llm import LlmEndpointSettings, LlmSettings
from models.errors import ModelError, ModelUnloaded, WeightsError
from models.llm.acting import Acting
from models.llm.brief import Brief, Message
from models.llm.bundled import SlotReader
from models.llm.chain import Chain
from models.llm.child import LlamaChild, State
from models.llm.completeness import Completeness
from models.llm.endpoint import Endpoint
from models.llm.primers import Slots
from models.llm.remote import RemoteEndpoint
from models.llm.resident import JUDGE
from models.llm.service import CallLlmService
from models.llm.speaker import Speaker, Weights, start_speaker
from models.llm.where import ollama_url

JUDGE_SLOTS = 4


class Llm:
    """`weights` finds the bundled models, or is None where they aren't wanted. `states` is the folder
    where what they know of prompts is kept.

    Who may answer, the best first: what `llm.url` names, or else an Ollama on this machine; `llm.fallbacks`;
    and the bundled model. The smallest bundled one runs whenever it is there: it tells finished sentences
    from unfinished ones, whoever speaks.
    """

    def __init__(
        self,
        settings: LlmSettings,
        *,
        weights: Weights | None,
        states: Path | None = None,
        environ: Mapping[str, str] | None = None,
        max_calls: int = 1,
    ) -> None:
        self.settings = settings
        self._weights = weights or (lambda _: None)
        self._states = states
        self._environ = os.environ if environ is None else environ
        self._max_calls = max_calls
        self._endpoints: list[Endpoint] = []
        self._filling: asyncio.Task[None] | None = None
        self._started = False
        self._briefs: Sequence[Brief] = ()
        self.slots = Slots(0)
        self.speaker: Speaker | None = None
        self.completeness = Completeness()

    @property
    def started(self) -> bool:
        """Whether it is known who answers."""
        return self._started and bool(self._endpoints)

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """Who may answer, the best first."""
        return self._endpoints

    @property
    def endpoint(self) -> Endpoint:
        """Who answers now."""
        if not self.started:
            raise ModelUnloaded("The language model hasn't been started.")
        return next((one for one in self._endpoints if one.state == "ready"), self._wanted)

    @property
    def _wanted(self) -> Endpoint:
        """Who should answer."""
        missed = (one for one in self._endpoints if not isinstance(one, RemoteEndpoint) or one.wanted)
        return next(missed, self._endpoints[0])

    @property
    def child(self) -> LlamaChild | None:
        """The bundled model's process, where there is one."""
        return self.speaker.child if self.speaker is not None else None

    @property
    def state(self) -> State | Literal["degraded"]:
        """`degraded` where another one answers than should."""
        if not self._started:
            return "loading"
        if (
            self.endpoint.state == "ready"
            and self.endpoint is not self._wanted
            and self._wanted.state != "ready"
        ):
            return "degraded"
        return self.endpoint.state

    @property
    def last_error(self) -> str | None:
        if not self._started or not self._endpoints:
            return None
        return self._wanted.last_error or self.endpoint.last_error

    @property
    def why(self) -> str:
        """A sentence for the operator: who answers now, and why."""
        if self.speaker is None or self.endpoint is not self.speaker:
            return self.endpoint.why
        return self.speaker.speaks_because(self._reason)

    @property
    def _reason(self) -> str:
        """Why the best doesn't answer, without a stop."""
        return (self._endpoints[0].last_error or "").rstrip(".")

    @property
    def oldest_s(self) -> float:
        """Since the oldest answer was asked for that hasn't begun."""
        now = time.monotonic()
        return now - min((at for one in self._endpoints for at in one.awaited), default=now)

    @property
    def device(self) -> str:
        return self.endpoint.device if self.started else ""

    @property
    def judges_itself(self) -> bool:
        """Whether the model that speaks is also the one that knows finished sentences."""
        return self.child is not None and self.child is self.completeness.child

    @property
    def reads_along(self) -> bool:
        """Whether a large model on this machine reads while the caller speaks, and needs the cores for it."""
        return self._started and self.endpoint is self.speaker and not self.judges_itself

    @property
    def tools(self) -> bool:
        """Whether anyone who may answer is offered tools."""
        if self.settings.tools == "auto":
            return any(one.supports_tools for one in self._endpoints)
        return self.settings.tools == "on"

    @property
    def down(self) -> bool:
        """Whether nobody answers any call."""
        return all(one.state != "ready" for one in self._endpoints)

    @property
    def accepting(self) -> tuple[bool, str]:
        """Whether somebody would answer one more call, and a sentence that says why not."""
        well = [one for one in self._endpoints if one.state == "ready"]
        if not well:
            reason = self.last_error or "It is loading."
            return False, f"No language model answers. {reason}"
        if all(one.full for one in well):
            return False, f"The language model bears no more calls. {self.endpoint.why}"
        return True, ""

    async def start(self, briefs: Sequence[Brief] = ()) -> None:
        """Find, load and warm; `briefs` are read ahead, so that no call waits for that.

        Where somebody else answers, the bundled model comes up behind this. Raises ModelError where nobody
        can answer, unless `llm.fallback` is never: then that may change.
        """
        self._briefs = briefs if self.settings.tools != "off" else [replace(one, tools=()) for one in briefs]
        judge = await asyncio.to_thread(self._weights, JUDGE.name)
        if judge is not None:
            self.completeness.child = LlamaChild(judge, slots=JUDGE_SLOTS)
            await self.completeness.child.start()
        well = any(remote.state == "ready" for remote in await self.start_remote())
        if self.settings.fallback == "bundled":
            if well:
                self._filling = asyncio.create_task(self._fall_back(), name="llm-fallback")
            else:
                await self._start_bundled()
        self._started = True
        logger.info(f"Language model: {self.why}")

    async def start_remote(self) -> Sequence[RemoteEndpoint]:
        """Find and load those on servers alone. Returns them, whether they are well or not."""
        remotes = self._remote_endpoints()
        self._endpoints = [*remotes]
        await asyncio.gather(*(remote.start() for remote in remotes))
        return remotes

    async def close(self) -> None:
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
        for endpoint in self._endpoints:
            await endpoint.close()
        if self.completeness.child is not None:
            await self.completeness.child.close()

    def service(self, call_id: str, brief: Brief, **asks: Any) -> CallLlmService:
        """One call's share. `asks`: what `CallLlmService` asks of the call, `is_wanted` and `turn_stands`."""
        return CallLlmService(self, brief, call_id=call_id, **asks)

    def chain(self) -> Chain:
        """Who answers one call; to be closed at its end."""
        return Chain(self._endpoints, self.settings)

    def acting(self, brief: Brief) -> Acting | None:
        """What chooses tools for a bundled model in one call; None where the model does so itself."""
        return self.speaker.acting(brief) if self.speaker is not None else None

    async def prime(self, slot: int, primer: Sequence[Message]) -> None:
        """Have a slot of the bundled server know the primer before the first question comes."""
        if self.speaker is not None:
            await self.speaker.prime(slot, primer)

    def reader(self, slot: int) -> SlotReader | None:
        """What has a slot of the bundled server read ahead, where there is one."""
        return self.speaker.reader(slot) if self.speaker is not None else None

    def _remote_endpoints(self) -> list[RemoteEndpoint]:
        settings = self.settings
        asked_for = settings.url is not None or "model" in settings.model_fields_set
        first = LlmEndpointSettings(
            url=settings.url or ollama_url(self._environ),
            model=settings.model,
            api_key=settings.api_key,
            input_price=settings.input_price,
            output_price=settings.output_price,
        )

        def remote(where: LlmEndpointSettings, named_by: str | None, wanted: bool) -> RemoteEndpoint:
            return RemoteEndpoint(
                where,
                settings,
                named_by=named_by,
                wanted=wanted,
                briefs=self._briefs,
                max_calls=self._max_calls,
            )

        return [
            remote(first, "llm.url" if settings.url is not None else None, asked_for),
            *(remote(where, "llm.fallbacks", True) for where in settings.fallbacks),
        ]

    async def _fall_back(self) -> None:
        """Have the bundled model ready to take over. Who answers now is none the worse if it can't be."""
        try:
            await self._start_bundled(only_able=True)
        except ModelError as error:
            logger.debug(f"No bundled model will take over: {error}")

    async def _start_bundled(self, *, only_able: bool = False) -> None:
        judge = self.completeness.child
        try:
            speaker = await start_speaker(
                self.settings, self._weights, judge, states=self._states, only_able=only_able
            )
        except WeightsError as error:
            if self.settings.url is not None or self.settings.fallbacks:
                return  # those may come
            raise WeightsError(
                f"{self._reason}, and {error}. Start Ollama and pull {self.settings.model}, set llm.url, or "
                "run 'offhook models pull' with the name of a bundled model, such as qwen2.5-coder-1.5b."
            ) from None
        self._adopt(speaker)
        for brief in self._briefs:
            await speaker.prepare(brief)
        if self._briefs:  # who has no slot talks to the first persona
            await speaker.prime_last(self._briefs[0].primer)

    def _adopt(self, speaker: Speaker) -> None:
        self.speaker, self.slots = speaker, speaker.slots
        if speaker.resident is JUDGE:
            self.completeness.child = speaker.child
        self._endpoints.append(speaker)
