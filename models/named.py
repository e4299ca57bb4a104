"""What a model's name is the name of: a policy, without I/O."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

Named = Literal["bundled", "voice", "speech-to-text", "language-model"]

VOICE = re.compile(r"[a-z]{2,3}_[A-Z]{2}-\w+-(x_low|low|medium|high)")
# Those of Systran's on the hub, as faster-whisper knows them, and what they are called elsewhere.
WHISPER = re.compile(
    r"(tiny|base|small|medium)(\.en)?|large(-v[1-3])?|(large-v3-)?turbo|distil-(small\.en|medium\.en|large-v[23](\.5)?)"
)
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
OLLAMA = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+){0,3}(:[\w.-]+)?")


def named(name: str, bundled: Collection[str]) -> list[Named]:
    """What `name` may be, none where it is no model's name; `bundled` are the names of bundled models."""
    if name in bundled:
        return ["bundled"]
    if VOICE.fullmatch(name):
        return ["voice"]
    if WHISPER.fullmatch(name):
        return ["speech-to-text"]
    if REPOSITORY.fullmatch(name):
        return ["speech-to-text", "language-model"]
    return ["language-model"] if OLLAMA.fullmatch(name) else []
