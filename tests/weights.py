"""The bundled weights, where `make install` puts them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from config.settings import Settings
from models.catalog import Catalog

CACHE = Path(os.environ.get("OFFHOOK_CACHE_DIR") or Settings().cache_dir).expanduser()


def require_weights(*names: str) -> Catalog:
    """A catalog that has them. Missing ones are a skip, or a failure where OFFHOOK_REQUIRE_PEERS=1."""
    catalog = Catalog(CACHE)
    missing = [name for name in names if not catalog.has(name)]
    if missing:
        message = f"not installed: {', '.join(missing)}; see `make test`"
        if os.environ.get("OFFHOOK_REQUIRE_PEERS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return catalog
