from __future__ import annotations

import pytest

from agent.quality import mos
from transports.call import MediaStats


@pytest.mark.parametrize(
    ("stats", "codec", "score"),
    [
        (MediaStats(1000, 0, 0.0, 0.0), "pcmu", 4.40),  # the E-model's best
        (MediaStats(1000, 0, 0.0, None), "pcmu", 4.40),
        (MediaStats(990, 10, 0.0, 0.0), "pcmu", 3.81),  # without concealment one lost in a hundred is heard
        (MediaStats(990, 10, 0.0, 0.0), "opus", 4.32),
        (MediaStats(1000, 0, 20.0, 600.0), "pcmu", 3.33),
        (MediaStats(500, 500, 0.0, 0.0), "PCMA/8000", 1.0),
        (MediaStats(0, 0), "pcmu", 4.40),
        (MediaStats(1000), "PCMU/8000", None),
        (MediaStats(), "", None),
    ],
)
def test_the_score(stats: MediaStats, codec: str, score: float | None) -> None:
    assert mos(stats, codec) == (None if score is None else pytest.approx(score, abs=0.02))
