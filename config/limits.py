"""How much one call may take of the models and tools; none is reached by people who talk."""

from __future__ import annotations

from pydantic import Field

from config.section import Section


class LimitSettings(Section):
    answers_per_minute: int = Field(
        90,
        ge=10,
        le=1000,
        description="That one call may ask of the language model, those begun early and dropped counted.",
    )
    answers: int = Field(3000, ge=10, le=1_000_000, description="And from its beginning to its end.")
    tokens: int = Field(
        2_000_000,
        ge=10_000,
        le=1_000_000_000,
        description="Of prompts and answers together that one call may take, as the models count them.",
    )
    tool_calls: int = Field(100, ge=1, le=10_000, description="Uses of tools in one call.")
    cost: float | None = Field(
        None,
        gt=0,
        description="What one call may cost, in the currency of llm.input_price and llm.output_price.",
    )
