"""One log, of offhook's own lines.

Pipecat logs through loguru, at debug with every word that is said; only its errors are let in. Transcripts,
numbers called and keys are never logged.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from loguru import logger as loguru_logger

from config.redaction import without_credentials
from config.settings import LogSettings

if TYPE_CHECKING:
    from loguru import Message, Record


# Whose doing a line is, for whatever runs on behalf of a call or a request.
call_id: ContextVar[str] = ContextVar("call_id", default="")
request_id: ContextVar[str] = ContextVar("request_id", default="")
trace_id: ContextVar[str] = ContextVar("trace_id", default="")  # in hexadecimal, where calls are traced

_SYSLOG = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}


def set_up(settings: LogSettings, *, stream: TextIO | None = None) -> None:
    """Send everything to stderr, a line each: time, level, where, what; as `log.format` says.

    systemd's journal has times of its own, and takes the level from the beginning of a line.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    if settings.format == "json":
        handler.setFormatter(_Json())
    elif "JOURNAL_STREAM" in os.environ and stream is None:
        handler.setFormatter(_Journal("%(name)s: %(message)s"))
    else:
        handler.setFormatter(_Text("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    set_level(settings)


def set_level(settings: LogSettings) -> None:
    """What is logged from now on."""
    logging.getLogger("offhook").setLevel(settings.level.upper())
    logging.getLogger("baresip").setLevel("DEBUG" if settings.level == "debug" else "WARNING")
    loguru_logger.remove()
    loguru_logger.add(_from_loguru, level=settings.level.upper(), format="{message}", filter=_is_wanted)


def _at(record: logging.LogRecord) -> str:
    """With its date and zone."""
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


class _Redacting(logging.Formatter):
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return _at(record)

    def format(self, record: logging.LogRecord) -> str:
        return without_credentials(super().format(record))


class _Text(_Redacting):
    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        for name, id in (("request", request_id.get()), ("trace", trace_id.get())):
            line += f" [{name} {id}]" if id else ""
        return line


class _Journal(_Text):
    def format(self, record: logging.LogRecord) -> str:
        level = f"<{_SYSLOG.get(record.levelno, 6)}>"
        return "\n".join(level + line for line in super().format(record).splitlines())


class _Json(_Redacting):
    def format(self, record: logging.LogRecord) -> str:
        line = {"at": _at(record), "level": record.levelname.lower(), "logger": record.name}
        line |= {"call": call_id.get(), "request": request_id.get(), "trace": trace_id.get()}
        line["message"] = without_credentials(record.getMessage())
        if record.exc_info:
            line["exception"] = without_credentials(self.formatException(record.exc_info))
        return json.dumps({name: value for name, value in line.items() if value}, ensure_ascii=False)


def _is_wanted(record: Record) -> bool:
    name = record["name"] or ""
    return name.startswith("models") or record["level"].no >= logging.ERROR


def _from_loguru(message: Message) -> None:
    name = (message.record["name"] or "").partition(".")[0]
    logger = logging.getLogger("offhook.models" if name == "models" else name)
    logger.log(message.record["level"].no, "%s", message.record["message"])
