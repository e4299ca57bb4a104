"""The bundled language model that speaks, once it is up: its process, its slots, and what it knows ahead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
from loguru import logger
from openai.types.chat import ChatCompletionChunk

from config.llm import BundledLlm, LlmSettings
from models.capacity import available_memory_bytes, usable_cores
from models.errors import ModelError, WeightsError
from models.llm import bundled
from models.llm.acting import Acting, ActSlot
from models.llm.brevity import Brevity
from models.llm.brief import Brief, Message
from models.llm.chatml import turns
from models.llm.child import LlamaChild, State
from models.llm.endpoint import Endpoint, Kind
from models.llm.history import fit
from models.llm.primers import Primers, Slots
from models.llm.resident import JUDGE, Resident, candidates, too_slow

READY_S = 90.0
MEASUREMENTS = 3
ROOM_TO_TALK = 300  # tokens: some turns of a conversation
ROOM_TO_CHOOSE = 250  # the turns that a tool is chosen from
MEASURE_AGAIN_S = 1.5

Weights = Callable[[BundledLlm], Path | None]
"""The file of a bundled model, or None where it isn't installed. Reads files: called on a thread."""


# No penalty on repetition: it also keeps the model from saying what stands in the persona's facts, and has
# Vincent van Gogh paint the Mona Lisa. What is said twice is left out behind it.
SAMPLING = {"top_p": 0.9}


class Speaker(Endpoint):
    """`resident` in its process `child`. The last slot serves whoever has none; where the model calls tools,
    the one before is where all calls choose among them."""

    kind: Kind = "bundled"
    url = ""
    device = "cpu"

    def __init__(
        self, resident: Resident, child: LlamaChild, settings: LlmSettings, *, because: str = ""
    ) -> None:
        """`because`: why larger ones were passed over."""
        super().__init__()
        self.resident = resident
        self.child = child
        self.model = resident.title
        self.supports_tools = resident.calls_tools
        self.slots = Slots(child.slots - (2 if resident.calls_tools else 1))
        self.because = because
        # llm.max_tokens is within llm.num_ctx, but perhaps not within this model's context.
        self._longest = min(settings.max_tokens, child.slot_ctx // 2)
        self.room: int = child.slot_ctx - self._longest
        self._settings = settings
        self._primers = Primers(child)
        self._acts = ActSlot(self._primers, child.slots - 2) if resident.calls_tools else None

    @property
    def why(self) -> str:
        return self.speaks_because("")

    def speaks_because(self, reason: str) -> str:
        """`why`, where it answers in the place of another: `reason` is a sentence without its stop."""
        reasons = "; ".join(filter(None, (reason, self.because)))
        warning = f"; {self.resident.warning}" if self.resident.warning else ""
        speed = f"({self.child.answer_tokens_s:.0f} tokens/s)"
        return f"{reasons + ', so the' if reasons else 'The'} bundled {self.model} speaks {speed}{warning}."

    @property
    def state(self) -> State:  # type: ignore[override]
        return self.child.state

    @property
    def last_error(self) -> str | None:  # type: ignore[override]
        """The last trouble; it stays after the recovery."""
        return self.child.last_error or None

    @property
    def reads_tokens_s(self) -> float | None:
        return self.child.prompt_tokens_s or None

    @property
    def last_slot(self) -> int:
        return self.child.slots - 1

    def fit(self, params: Mapping[str, Any], *, keep: int, slot: int | None) -> dict[str, Any]:
        fitted = {**params, "model": self.model}
        fitted["max_tokens"] = min(params.get("max_tokens", self._longest), self._longest)
        fitted["messages"] = fit(params["messages"], self.room, keep=keep)
        fitted["extra_body"] = SAMPLING | {"id_slot": self.last_slot if slot is None else slot}
        if self._acts is None or self._settings.tools == "off":
            fitted.pop("tools", None)
            fitted.pop("tool_choice", None)
        return fitted

    def chat(
        self, params: Mapping[str, Any], *, acting: Acting | None = None, brevity: Brevity | None = None
    ) -> AsyncGenerator[ChatCompletionChunk, None]:
        return bundled.chat(self.child, params, acting=acting, brevity=brevity)

    async def count(self, text: str) -> int:
        try:
            answer = await self.child.http.post(f"{self.child.url}/tokenize", json={"content": text})
            answer.raise_for_status()
            return len(answer.json()["tokens"])
        except (httpx2.HTTPError, ValueError, LookupError):
            return await super().count(text)

    async def wait_ready(self, timeout_s: float) -> None:
        await self.child.wait_ready(timeout_s)

    async def close(self) -> None:
        await self.child.close()

    def acting(self, brief: Brief) -> Acting | None:
        """What chooses among tools in one call; None where the model is too small for them, or has none."""
        if self._acts is None or self._settings.tools == "off":
            return None
        return Acting(
            self._acts,
            language=brief.language,
            examples=brief.examples,
            primer=brief.primer,
            now=brief.now,
        )

    async def prepare(self, brief: Brief) -> None:
        """Read what is to be known of a persona and of its tools.

        Some ten seconds of two cores, once: it is kept for later starts.
        Raises ModelError for a persona that leaves no room for a conversation, or whose tools leave none to
        choose among them.
        """
        primer = turns(brief.primer)
        if (size := await self.count(primer)) > self.room - ROOM_TO_TALK:
            raise ModelError(
                f"The persona's prompt, facts and examples are {size} tokens; {self.model} has room for "
                f"{self.room - ROOM_TO_TALK}. Shorten them, or have a larger model answer (llm.url)."
            )
        await self.prime(0, brief.primer)
        if (acting := self.acting(brief)) is not None:
            for lesson in brief.lessons:
                await acting.learn(lesson)
            if brief.tools:
                room = self.child.slot_ctx - ROOM_TO_CHOOSE
                if (size := await self.count(acting.beginning(brief.tools))) > room:
                    raise ModelError(
                        f"What the persona's {len(brief.tools)} tools are for takes {size} tokens to say; "
                        f"{self.model} has room for {room}. Shorten their descriptions, give it fewer, or "
                        "have a larger model answer (llm.url)."
                    )
                await acting.prime(brief.tools)

    async def prime(self, slot: int, primer: Sequence[Message]) -> None:
        """Have a slot know the primer before the first question comes."""
        await self._primers.prime(slot, turns(primer))

    async def prime_last(self, primer: Sequence[Message]) -> None:
        """Have the last slot know the primer, now and whenever the process has been started again."""
        self.child.on_up = partial(self.prime, self.last_slot, primer)
        await self.child.on_up()

    def reader(self, slot: int) -> bundled.SlotReader:
        """What has a call's slot read ahead."""
        return bundled.SlotReader(self.child, slot)


async def _fast_enough(child: LlamaChild) -> bool:
    """Measured again where it isn't: whatever else starts at the same time may have held it up."""
    for _ in range(MEASUREMENTS - 1):
        if not too_slow(child.prompt_tokens_s, child.answer_tokens_s):
            return True
        await asyncio.sleep(MEASURE_AGAIN_S)
        await child.measure()
    return not too_slow(child.prompt_tokens_s, child.answer_tokens_s)


async def start_speaker(
    settings: LlmSettings,
    weights: Weights,
    judge: LlamaChild | None,
    *,
    states: Path | None,
    only_able: bool = False,
) -> Speaker:
    """Start the largest bundled model that is installed and that the machine bears.

    `judge`, the smallest one, is closed where it is to speak itself: it then needs a slot for each call.
    `only_able` leaves out those that come with a warning, unless one is asked for by name.
    Raises WeightsError where none is installed, ModelFailed where it doesn't come up.
    """
    wanted, passed_over = settings.bundled, list[str]()
    for resident in candidates(wanted, settings.largest, available_memory_bytes()):
        if only_able and wanted == "auto" and resident.warning:
            continue
        if resident is JUDGE and judge is not None:
            file: Path | None = judge.weights
            await judge.close()
        else:
            file = await asyncio.to_thread(weights, resident.name)
        if file is None:
            continue
        child = LlamaChild(
            file,
            adapter=resident.adapter_file,
            # A large one reads while the caller speaks, and what it writes is awaited: it takes what the
            # other models leave, by its low priority.
            threads=settings.threads or (0 if resident is JUDGE else min(8, usable_cores())),
            slots=resident.slots,
            slot_ctx=resident.slot_ctx,
            states=states,
        )
        try:
            await child.start()
            await child.wait_ready(READY_S)
            if wanted != "auto" or resident is JUDGE or await _fast_enough(child):
                return Speaker(resident, child, settings, because="; ".join(passed_over))
        except BaseException:
            await child.close()
            raise
        passed_over.append(f"{resident.title} is too slow here ({child.answer_tokens_s:.0f} tokens/s)")
        logger.warning(f"{passed_over[-1]}.")
        await child.close()
    if wanted == "auto":
        raise WeightsError("no bundled model is installed")
    raise WeightsError(f"the bundled {wanted} isn't installed")
