from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from agent.cli.serve import STOP_S
from config.settings import CallSettings
from tests.peers import require_peer

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "offhook.service"

pytestmark = pytest.mark.peers


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [require_peer("systemd-analyze"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_it_is_exposed_as_little_as_it_can_be() -> None:
    told = analyze("security", "--offline=true", "--threshold=30", str(UNIT))
    exposure = re.search(r"exposure level for offhook.service: ([\d.]+)", told.stdout)
    assert told.returncode == 0, told.stdout
    assert exposure
    assert float(exposure[1]) <= 3.0


def test_systemd_knows_what_stands_in_it(tmp_path: Path) -> None:
    unit = tmp_path / "offhook.service"  # with a program that is there
    unit.write_text(UNIT.read_text().replace("/opt/offhook/bin/offhook", "/bin/true"))
    told = analyze("verify", "--man=no", str(unit))
    assert (told.returncode, told.stderr) == (0, "")


def test_a_stop_takes_no_longer_than_it_waits_for() -> None:
    """Until offhook has asked for more."""
    (minutes,) = re.findall(r"^TimeoutStopSec=(\d+)min$", UNIT.read_text(), re.M)
    assert int(minutes) * 60 >= CallSettings().drain_s + STOP_S
