"""Grouping, conversations and segments: policies whose tests state the time."""

from __future__ import annotations

from agent.http.conversations import Conversations
from agent.http.grouping import TokenGroups
from agent.http.upload import CHUNK_MS, spoken_ms


def groups(tokens: list[str], size: int) -> list[str]:
    policy = TokenGroups(size)
    sent = [policy.push(token) for token in tokens]
    return [group for group in [*sent, policy.flush()] if group]


def test_the_first_token_is_never_held_back() -> None:
    assert TokenGroups(8).push("Hi") == "Hi"


def test_leading_white_space_waits_for_the_first_word() -> None:
    assert groups(["\n", "Hi", " there"], 4) == ["\nHi", " there"]


def test_groups_end_by_size_or_with_the_sentence() -> None:
    tokens = ["It", " is", " late", ".", " Good", " night", " to", " all"]
    assert groups(tokens, 3) == ["It", " is late.", " Good night to", " all"]


def test_the_least_recently_used_conversation_goes_first() -> None:
    store = Conversations(limit=2, ttl_s=100, history_chars=1000)
    first = store.open("a", 0)
    store.open("b", 1)
    assert store.open("a", 2) is first
    store.open("c", 3)
    assert len(store) == 2
    assert store.open("a", 4) is first


def test_an_idle_conversation_is_forgotten() -> None:
    store = Conversations(limit=10, ttl_s=100, history_chars=1000)
    first = store.open("a", 0)
    assert store.open("a", 100) is first
    assert store.open("a", 201) is not first


def test_a_long_conversation_loses_its_beginning() -> None:
    store = Conversations(limit=1, ttl_s=100, history_chars=10)
    conversation = store.open(None, 0)
    for text in ("12345", "67890", "abc"):
        store.add(conversation, "user", text)
    assert [message.get("content") for message in conversation.messages] == ["67890", "abc"]


def voiced(*spans_ms: tuple[int, int], length_ms: int) -> list[float]:
    chunks = range(0, length_ms, CHUNK_MS)
    return [0.9 if any(start <= at < end for start, end in spans_ms) else 0.1 for at in chunks]


def test_segments_part_at_pauses_and_keep_a_margin() -> None:
    found = spoken_ms(voiced((640, 1600), (2560, 3200), length_ms=4000))
    assert found == [(480, 1760), (2400, 3360)]


def test_short_pauses_dont_part_and_clicks_dont_count() -> None:
    assert spoken_ms(voiced((0, 640), (960, 1600), length_ms=1920)) == [(0, 1760)]
    assert spoken_ms(voiced((640, 672), length_ms=1920)) == []


def test_no_segment_is_longer_than_the_recognizer_hears() -> None:
    found = spoken_ms([0.9] * (40_000 // CHUNK_MS))
    assert max(end - start for start, end in found) <= 14_100
    assert found[0][0] == 0
    assert found[-1][1] == 40_000 // CHUNK_MS * CHUNK_MS
