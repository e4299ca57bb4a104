"""What gets into the log, and what doesn't."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from loguru import logger as loguru_logger

from agent import logs
from config.settings import LogSettings


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    names = ("", "offhook", "baresip")
    before = list(root.handlers), {name: logging.getLogger(name).level for name in names}
    written = io.StringIO()
    logs.set_up(LogSettings(), stream=written)
    yield written
    loguru_logger.remove()
    root.handlers[:] = before[0]
    for name, level in before[1].items():
        logging.getLogger(name).setLevel(level)


def test_credentials_in_urls_are_left_out_of_messages_and_tracebacks(log: io.StringIO) -> None:
    logger = logging.getLogger("offhook.test")
    logger.warning("%s doesn't answer", "http://me:hush@gpu-box/v1")
    try:
        raise ValueError("http://me:hush@gpu-box/v1")
    except ValueError:
        logger.exception("it failed")
    assert "hush" not in log.getvalue()
    assert log.getvalue().count("http://gpu-box/v1") == 3  # the traceback shows the line too
