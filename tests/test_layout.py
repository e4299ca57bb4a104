"""offhook's packages have plain names, so nothing that it depends on may claim them."""

from __future__ import annotations

import importlib
import logging
import pkgutil
from importlib.metadata import distributions
from pathlib import Path

import transports

ROOT = Path(__file__).parent.parent
OURS = ("config", "models", "transports", "agent", "bench")


def test_no_dependency_claims_our_names() -> None:
    claims = {
        (distribution.name, file.parts[0])
        for distribution in distributions()
        if distribution.name != "offhook"
        for file in distribution.files or ()
        if file.parts[0].partition(".")[0] in (*OURS, "tests")
    }

    assert claims == set()


def test_our_packages_are_the_ones_imported() -> None:
    found = {name: Path(str(importlib.import_module(name).__file__)).parent for name in OURS}

    assert found == {name: ROOT / name for name in OURS}


def test_every_pin_is_exact() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()

    assert [line for line in lines if line and not line.startswith("#") and "==" not in line] == []


def test_log_level_holds_for_every_transport() -> None:
    names = [module.name for module in pkgutil.walk_packages(transports.__path__, "transports.")]
    loggers = {name: getattr(importlib.import_module(name), "logger", None) for name in names}

    told = {name: logger for name, logger in loggers.items() if logger is not None}
    assert told
    for logger in told.values():
        assert isinstance(logger, logging.Logger)
        assert logger.name.startswith("offhook.")
