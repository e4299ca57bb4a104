"""Which language model answers."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from config.section import BaseUrl, Section

BundledLlm = Literal["qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b", "smollm2-135m"]  # the largest first


Price = Annotated[float, Field(ge=0, le=10_000)]


class LlmEndpointSettings(Section):
    """A language model on a server."""

    url: BaseUrl = Field(description="An Ollama, or the /v1 of an OpenAI-compatible endpoint.")
    model: str = Field(min_length=1, description="The model's name there.")
    api_key: SecretStr | None = Field(None, description="Sent there.")
    input_price: Price = Field(0.0, description="Of a million tokens of prompts, for limits.cost.")
    output_price: Price = Field(0.0, description="Of a million tokens of answers.")


class LlmSettings(Section):
    url: BaseUrl | None = Field(
        None,
        description="An Ollama, or the /v1 of an OpenAI-compatible endpoint; unset, an Ollama on this "
        "machine answers if it has llm.model.",
    )
    model: str = Field("llama3.2", description="Asked of Ollama or of the endpoint at llm.url.")
    api_key: SecretStr | None = Field(None, description="Sent to the endpoint at llm.url.")
    input_price: Price = Field(
        0.0, description="What a million tokens of prompts cost there, for limits.cost."
    )
    output_price: Price = Field(0.0, description="And a million tokens of answers.")
    fallbacks: tuple[LlmEndpointSettings, ...] = Field(
        (),
        max_length=8,
        description="Who answers where the one before is down or late: url, model, api_key and prices.",
    )
    fallback: Literal["bundled", "never"] = Field(
        "bundled", description="Who answers where none of those does; never refuses calls instead."
    )
    fallback_after_s: float = Field(
        4.0, ge=0.2, le=60, description="An answer that begins later is asked of the next in line."
    )
    bundled: Literal["auto"] | BundledLlm = Field(
        "auto",
        description="Which bundled model speaks where no other does; auto takes the largest that is "
        "installed and that the machine bears.",
    )
    largest: BundledLlm = Field("qwen2.5-coder-1.5b", description="The largest that llm.bundled: auto takes.")
    temperature: float = Field(0.2, ge=0, le=2, description="0 always says the likeliest word.")
    max_tokens: int = Field(160, ge=8, le=4096, description="Longest answer.")
    num_ctx: int = Field(
        4096,
        ge=512,
        le=131072,
        description="Tokens of context; a change reloads the model. A bundled one always has 2048 a call, "
        "smollm2-135m 1536.",
    )
    threads: int = Field(
        0, ge=0, le=64, description="Of the bundled model; 0 uses what is fastest, at most eight."
    )
    tools: Literal["auto", "on", "off"] = Field(
        "auto", description="auto offers tools to every model that can use them; SmolLM2 is too small."
    )
    first_token_timeout_s: float = Field(
        8.0, ge=0.5, le=120, description="An answer that begins later counts as failed."
    )

    @model_validator(mode="after")
    def _room_for_the_conversation(self) -> Self:
        if self.max_tokens > self.num_ctx // 2:
            raise ValueError(
                f"llm.max_tokens is {self.max_tokens}; it must be at most half of llm.num_ctx, which is "
                f"{self.num_ctx}: the other half is for what was said before."
            )
        return self
