"""What gets into the log, and what doesn't."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextvars import copy_context
from datetime import datetime

import pytest
from loguru import logger as loguru_logger

from agent import logs
from config.settings import LogSettings


@pytest.fixture
def settings() -> LogSettings:
    return LogSettings()


@pytest.fixture
def log(settings: LogSettings) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    names = ("", "offhook", "baresip")
    before = list(root.handlers), {name: logging.getLogger(name).level for name in names}
    written = io.StringIO()
    logs.set_up(settings, stream=written)
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


def test_a_line_has_its_date_and_zone(log: io.StringIO) -> None:
    logging.getLogger("offhook.test").warning("It rains.")
    at, level, rest = log.getvalue().split(maxsplit=2)
    assert datetime.fromisoformat(at).tzinfo is not None
    assert (level, rest) == ("WARNING", "offhook.test: It rains.\n")


@pytest.mark.parametrize("settings", [LogSettings(format="json")])
def test_json_names_the_call_and_the_request(log: io.StringIO) -> None:
    logger = logging.getLogger("offhook.test")

    def fail() -> None:
        logs.call_id.set("9f2c51d07a3e")
        logs.request_id.set("r1")
        try:
            raise ValueError("http://me:hush@gpu-box/v1")
        except ValueError:
            logger.exception("it failed:\ntwice")

    logger.info("nobody's")
    copy_context().run(fail)
    first, second = (json.loads(line) for line in log.getvalue().splitlines())
    assert datetime.fromisoformat(first.pop("at")).tzinfo is not None
    assert first == {"level": "info", "logger": "offhook.test", "message": "nobody's"}
    assert (second["call"], second["request"], second["level"]) == ("9f2c51d07a3e", "r1", "error")
    assert second["message"] == "it failed:\ntwice"
    assert "ValueError: http://gpu-box/v1" in second["exception"]


def test_the_journal_is_told_the_level(monkeypatch: pytest.MonkeyPatch, log: io.StringIO) -> None:
    del log  # puts back what this sets up
    monkeypatch.setenv("JOURNAL_STREAM", "8:12345")
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    logs.set_up(LogSettings())
    logging.getLogger("offhook.test").error("one\ntwo")
    assert written.getvalue() == "<3>offhook.test: one\n<3>two\n"
