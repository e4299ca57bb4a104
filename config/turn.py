"""When a turn of the caller's is over, and when the agent's is."""

from __future__ import annotations

from itertools import pairwise
from typing import Self

from pydantic import Field, model_validator

from config.section import Section


class TurnSettings(Section):
    sure_silence_ms: int = Field(
        200, ge=80, le=3000, description="Silence after words that sound whole, until they are answered."
    )
    unsure_silence_ms: int = Field(
        1270, ge=80, le=4000, description="The same where it can't be told whether more is to come."
    )
    hanging_silence_ms: int = Field(
        1600, ge=80, le=6000, description="The same where more is to come: 'I would like a'."
    )
    speculate: bool = Field(True, description="Work on the answer before the turn is surely over.")
    barge_in: bool = Field(True, description="The caller may interrupt.")
    barge_in_min_ms: int = Field(
        1200,
        ge=0,
        le=3000,
        description="Speech this long interrupts for good; shorter where its words are sure.",
    )
    barge_in_min_words: int = Field(1, ge=1, le=10, description="Fewer words never interrupt for good.")
    echo_guard: bool = Field(True, description="Ignore the agent's own voice coming back.")
    filler: str | None = Field(
        None, description="Said when an answer takes long; null is the language's 'One moment.', '' nothing."
    )
    filler_after_ms: int = Field(3500, ge=300, le=10000, description="How long an answer may take before it.")
    answer_timeout_s: float = Field(
        25.0, ge=2, le=120, description="A question that isn't answered by then is asked for again."
    )

    @model_validator(mode="after")
    def _ordered_silences(self) -> Self:
        names = ("sure_silence_ms", "unsure_silence_ms", "hanging_silence_ms")
        for shorter, longer in pairwise(names):
            if getattr(self, shorter) > getattr(self, longer):
                raise ValueError(
                    f"turn.{shorter} is {getattr(self, shorter)}; "
                    f"it must be at most turn.{longer}, which is {getattr(self, longer)}."
                )
        return self
