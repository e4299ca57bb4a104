"""The `offhook` command, which makes the packages of plain names importable.

A checkout has them beside this one. A wheel has them in it, so that in site-packages no other project's
`config` or `models` takes their place.
"""

from __future__ import annotations

import sys
from pathlib import Path

_HERE = Path(__file__).parent
ROOT = _HERE if (_HERE / "agent").is_dir() else _HERE.parent
"""The folder that holds the packages."""


def main() -> None:
    sys.path.insert(0, str(ROOT))
    from agent.cli import app

    app()
