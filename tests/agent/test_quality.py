from __future__ import annotations

import pytest

from agent.quality import mos
from transports.call import MediaStats


@pytest.mark.parametrize(
    ("stats", "score"),
    [
        (MediaStats(1000, 0, 0.0, 0.0), 4.40),  # the E-model's best
        (MediaStats(1000, 0, 0.0, None), 4.40),
        (MediaStats(990, 10, 0.0, 0.0), 4.32),
        (MediaStats(1000, 0, 20.0, 600.0), 3.33),
        (MediaStats(500, 500, 0.0, 0.0), 1.59),
        (MediaStats(0, 0), 4.40),
        (MediaStats(1000), None),
        (MediaStats(), None),
    ],
)
def test_the_score(stats: MediaStats, score: float | None) -> None:
    assert mos(stats) == (None if score is None else pytest.approx(score, abs=0.02))
