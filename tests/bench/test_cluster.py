"""Three nodes behind Kamailio, over one PostgreSQL: what a user of theirs notices of faults and updates."""

from __future__ import annotations

import pytest

from bench.cluster.faults import survive, update
from bench.cluster.nodes import CALLERS, FRONT
from tests.transports.netns import inside, star

pytestmark = [pytest.mark.soak, pytest.mark.netns, pytest.mark.peers]


@pytest.mark.timeout(400)
async def test_no_call_fails_while_nodes_are_updated() -> None:
    with star(3, CALLERS, FRONT) as (middle, *nodes), inside(middle):
        answered_ms, failed = await update(nodes, 1)
    assert len(answered_ms) > 20
    assert failed == {}


@pytest.mark.timeout(600)
async def test_calls_survive_what_dies() -> None:
    with star(3, CALLERS, FRONT) as (middle, *nodes), inside(middle):
        found = await survive(nodes, 6)
    assert found.killed == 6
    assert max(found.next_s) < 2
    assert found.closed_s < 30
    assert found.drained > 0
    assert (found.drained_cut, found.sent_to_it) == (0, 0)
    assert found.away > 0
    assert (found.away_cut, found.missing) == (0, 0)
