"""Whether calls are recorded, and for how long that is kept."""

from __future__ import annotations

from pydantic import Field

from config.phrases import Phrases
from config.section import FilePath, Section


class RecordingsSettings(Section):
    enabled: bool = Field(False, description="Record calls, from where the persona has said so.")
    listening: bool = Field(
        False, description="Let operators listen to live calls, from where the persona has said so."
    )
    folder: FilePath | None = Field(
        None, description="Where recordings are kept; recordings in state_dir if absent."
    )
    keep_days: int = Field(
        30, ge=1, le=36500, description="How long one is kept; no longer than records.keep_days."
    )
    most_mb: int = Field(10_000, ge=10, le=100_000_000, description="The oldest go while all are larger.")

    def announcement(self, phrases: Phrases) -> str:
        """What callers must be told; empty where there is nothing to tell."""
        if self.listening:
            return phrases.may_be_heard
        return phrases.may_be_recorded if self.enabled else ""
