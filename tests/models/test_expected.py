"""Which words are taken of several hearings."""

import pytest

from models.expected import Ballot


def winner(*heard: str) -> str:
    ballot = Ballot(lambda text: text.lower() if text.isalpha() else None)
    for text in heard:
        ballot.add(text)
    return ballot.winner


@pytest.mark.parametrize(
    ("heard", "taken"),
    [
        (["Friday", "friday", "FRIDAY"], "Friday"),
        (["5", "friday", "Friday"], "friday"),
        (["Thursday", "Friday", "friday", "friday"], "Friday"),
        (["Thursday", "thursday", "Friday", "friday", "5"], "5"),  # too few agree: it is asked again
        (["Friday", "5", "6"], "5"),
        (["Thursday", "Friday"], "Thursday"),
        (["5", "6"], "5"),
        (["Thursday", "Friday", "", "5"], "5"),  # nobody says nothing
    ],
)
def test_what_nearly_all_mean(heard: list[str], taken: str) -> None:
    assert winner(*heard) == taken


def test_when_nothing_else_need_be_heard() -> None:
    ballot = Ballot(lambda text: text.lower() or None)
    assert not ballot.unanimous
    ballot.add("Yes")
    ballot.add("yes")
    assert ballot.unanimous
    ballot.add("")
    assert not ballot.unanimous
