"""What the processes of one server tell each other: whatever peers and telephones call themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from transports.sip.link import Link

MOST_CALLS, LONGEST_CALL_ID = 200, 512


@pytest.fixture
def ends() -> Iterator[tuple[Link, Link]]:
    here, socket = Link.pair()
    there = Link(socket)
    yield here, there
    here.close()
    there.close()


def test_all_calls_fit_however_long_their_ids_are(ends: tuple[Link, Link]) -> None:
    """One that is cut short ends the other process, with its calls."""
    here, there = ends
    calls = {str(n).zfill(LONGEST_CALL_ID): "5c1f7e20b9d3" for n in range(MOST_CALLS)}
    assert here.tell("live", calls=calls)
    said = there.hear()
    assert said
    assert said.head == {"calls": calls}


def test_what_is_too_long_isnt_told_and_ends_nothing(ends: tuple[Link, Link]) -> None:
    here, there = ends
    assert not here.tell("known", telephones={"alice": "x" * (1 << 20)})
    assert there.hear() is None
    assert here.tell("takes_calls", takes=True)
    said = there.hear()
    assert said
    assert said.kind == "takes_calls"


def test_a_datagram_arrives_as_it_was(ends: tuple[Link, Link]) -> None:
    here, there = ends
    datagram = bytes(range(256)) * 255
    assert here.tell("datagram", datagram, address="192.0.2.1", source=("192.0.2.9", 5060))
    said = there.hear()
    assert said
    assert said.payload == datagram


def test_the_end_of_the_other_is_noticed(ends: tuple[Link, Link]) -> None:
    here, there = ends
    here.close()
    with pytest.raises(EOFError):
        there.hear()
