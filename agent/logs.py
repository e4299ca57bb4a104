"""One log, of offhook's own lines.

Pipecat logs through loguru, at debug with every word that is said; only its warnings are let in, and
only below `debug`'s level is anything of the SIP stack's. Transcripts, numbers called and keys are never
logged.
"""

from __future__ import annotations

import logging
import sys

from loguru import logger as loguru_logger

from config.settings import LogSettings


def set_up(settings: LogSettings, *, stream: object = None) -> None:
    """Send everything to stderr, a line each: time, level, where, what."""
    handler = logging.StreamHandler(stream or sys.stderr)  # type: ignore[arg-type]
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("offhook").setLevel(settings.level.upper())
    logging.getLogger("baresip").setLevel("DEBUG" if settings.level == "debug" else "WARNING")
    loguru_logger.remove()
    loguru_logger.add(
        lambda message: logging.getLogger("pipecat").log(
            message.record["level"].no, "%s", message.record["message"]
        ),
        level="ERROR",
        format="{message}",
    )
