"""What the agent may do besides what a call can."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from config.section import FilePath, Section


class ToolSettings(Section):
    folder: FilePath = Field(
        Path("~/.config/offhook/tools"),
        validate_default=True,
        description="Whose *.py have tools: async functions, which are run as part of offhook.",
    )
    result_characters: int = Field(
        2000, ge=100, le=100_000, description="What a tool returns is cut to so many for the model."
    )
