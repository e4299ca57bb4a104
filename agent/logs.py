"""One log, of offhook's own lines.

Pipecat logs through loguru, at debug with every word that is said; only its errors are let in. Transcripts,
numbers called and keys are never logged.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, TextIO

from loguru import logger as loguru_logger

from config.redaction import without_credentials
from config.settings import LogSettings

if TYPE_CHECKING:
    from loguru import Message, Record


def set_up(settings: LogSettings, *, stream: TextIO | None = None) -> None:
    """Send everything to stderr, a line each: time, level, where, what."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Redacting("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("offhook").setLevel(settings.level.upper())
    logging.getLogger("baresip").setLevel("DEBUG" if settings.level == "debug" else "WARNING")
    loguru_logger.remove()
    loguru_logger.add(_from_loguru, level=settings.level.upper(), format="{message}", filter=_is_wanted)


class _Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_credentials(super().format(record))


def _is_wanted(record: Record) -> bool:
    name = record["name"] or ""
    return name.startswith("models") or record["level"].no >= logging.ERROR


def _from_loguru(message: Message) -> None:
    name = (message.record["name"] or "").partition(".")[0]
    logger = logging.getLogger("offhook.models" if name == "models" else name)
    logger.log(message.record["level"].no, "%s", message.record["message"])
