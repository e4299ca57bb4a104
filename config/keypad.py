"""What callers are asked to key in."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from config.section import Section


class Keypad(Section):
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)] = Field(
        description="What is entered: customer number."
    )
    prompt: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)] = Field(
        description="Said first: 'Please enter your customer number, then press hash.'"
    )
    max_keys: int = Field(20, ge=1, le=64, description="With so many it is complete.")
    min_keys: int = Field(1, ge=1, le=64, description="With fewer it counts as not entered.")
    terminator: Literal["#", "*", ""] = Field("#", description="The key that completes it; '' for none.")
    first_key_s: float = Field(10.0, ge=1, le=120, description="How long to wait for the first, once asked.")
    between_keys_s: float = Field(5.0, ge=0.5, le=60, description="And for each other; then it is complete.")
    secret: bool = Field(
        False,
        description="Posted to `webhook.url`, and kept from the model, the transcript, the log and the API.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.min_keys > self.max_keys:
            raise ValueError(f"has min_keys {self.min_keys}, which is more than max_keys, {self.max_keys}")
        return self

    def complete(self, keys: str) -> bool:
        """Whether no other key is waited for."""
        return len(keys) >= self.max_keys or (bool(self.terminator) and keys.endswith(self.terminator))

    def entered(self, keys: str) -> str | None:
        """What was entered by pressing `keys`; None for nothing that counts."""
        digits = keys.removesuffix(self.terminator) if self.terminator else keys
        return digits if len(digits) >= self.min_keys else None
