"""Three nodes behind Kamailio, over one PostgreSQL: what a user of theirs notices of updates."""

from __future__ import annotations

import pytest

from bench.cluster import CALLERS, FRONT, update
from tests.transports.netns import inside, star


@pytest.mark.soak
@pytest.mark.netns
@pytest.mark.peers
@pytest.mark.timeout(400)
async def test_no_call_fails_while_nodes_are_updated() -> None:
    with star(3, CALLERS, FRONT) as (middle, *nodes), inside(middle):
        answered_ms, failed = await update(nodes, 1)
    assert len(answered_ms) > 20
    assert failed == {}
