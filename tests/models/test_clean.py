"""What is said and done of what models write; every text also in every way of being cut."""

from __future__ import annotations

import random

import pytest

from models.llm.clean import Cleaner, speakable

TOOLS = ("end_call", "book_table")


def cleaned(
    written: str, *, pieces: list[str] | None = None, thinks_first: bool = False
) -> tuple[str, list[tuple[str, str]]]:
    cleaner = Cleaner(TOOLS, thinks_first=thinks_first)
    said = "".join([*(cleaner.take(piece) for piece in pieces or [written]), cleaner.finish()])
    return said.strip(), [(call.name, call.arguments) for call in cleaner.calls]


def in_every_way(written: str, *, thinks_first: bool = False) -> tuple[str, list[tuple[str, str]]]:
    """Whole, in single characters and in random pieces: the same each time."""
    whole = cleaned(written, thinks_first=thinks_first)
    assert cleaned(written, pieces=list(written), thinks_first=thinks_first) == whole
    dice = random.Random(1)
    for _ in range(20):
        cuts = sorted(dice.sample(range(len(written) + 1), min(4, len(written))))
        pieces = [written[a:b] for a, b in zip([0, *cuts], [*cuts, len(written)], strict=True)]
        assert cleaned(written, pieces=pieces, thinks_first=thinks_first) == whole
    return whole


@pytest.mark.parametrize(
    "written",
    [
        "<think>They want Paris.</think>Paris.",
        "<think>\nThey want Paris.\n</think>\n\nParis.",
        "<thinking>Is it Lyon? No.</thinking> Paris.",
        "[THINK]They want Paris.[/THINK]Paris.",
        "◁think▷They want Paris.◁/think▷Paris.",
        "<think></think>Paris.",
        "<think>\n\n</think>\n\n<answer>Paris.</answer>",
        "<|channel|>analysis<|message|>It.<|end|><|start|>assistant<|channel|>final<|message|>Paris.",
        "Paris.<think>Was that right?",
        "Paris.<|im_end|>\n<|im_start|>user\nAnd Lyon?",
        "Paris.</s><s>[INST] And Lyon?",
        "Paris.<end_of_turn>\n<start_of_turn>user\nhi",
        "Paris.\nUser: And Lyon?\nAssistant: Lyon.",
        "Assistant: Paris.",
        "\x00Pa\x1b[31mris\x1b[0m.\u200b",
        "\x1b]0;title\x07Paris.",
    ],
)
def test_only_the_answer_is_said(written: str) -> None:
    assert in_every_way(written) == ("Paris.", [])


def test_thoughts_that_no_tag_opens() -> None:
    assert in_every_way("They want it.\n</think>\nParis.", thinks_first=True) == ("Paris.", [])
    cleaner = Cleaner()
    cleaner.take("They want it.\n</think>\nParis.")
    assert cleaner.closed_unopened


def test_thoughts_that_never_end_leave_nothing() -> None:
    assert in_every_way("<think>Well, let me see") == ("", [])


@pytest.mark.parametrize(
    "written",
    [
        '{"name": "end_call", "parameters": {}}',
        '{"name": "end_call", "arguments": {}}',
        '{"name": "end_call", "arguments": "{}"}',
        '{"name": "end_call"}',
        '```json\n{"name": "end_call", "arguments": {}}\n```',
        '```\n{"name": "end_call", "arguments": {}}\n```',
        '{{"name": "end_call", "arguments": {}}}',
        '<tools>\n{"name": "end_call", "arguments": {}}\n</tools>',
        '<tools>{"name": "end_call", "arguments": {}}',
        '<tool_call>\n{"name": "end_call", "arguments": {}}\n</tool_call>',
        '<tool_call>{"name": "end_call", "arguments": {}}',
        "<function=end_call>{}</function>",
        '[TOOL_CALLS] [{"name": "end_call", "arguments": {}}]',
        "[TOOL_CALLS]end_call{}",
        '<|python_tag|>{"name": "end_call", "parameters": {}}',
        '[{"name": "end_call", "arguments": {}}]',
        '{"type": "function", "function": {"name": "end_call", "arguments": "{}"}}',
        '{"tool_calls": [{"function": {"name": "end_call", "arguments": {}}}]}',
        '{"function": "end_call", "args": {}}',
        '{"name": "functions.end_call", "arguments": {}}',
        "end_call()",
        "[end_call()]",
    ],
)
def test_calls_of_tools_that_are_written_are_made(written: str) -> None:
    assert in_every_way(written) == ("", [("end_call", "{}")])
    assert in_every_way(f"Goodbye then. {written}") == ("Goodbye then.", [("end_call", "{}")])
    unknown = written.replace("end_call", "sing_song")
    if "()" not in written:
        assert in_every_way(unknown) == ("", [])


def test_arguments_are_kept() -> None:
    wanted = [("book_table", '{"name": "Zoé {A}", "people": 4}')]
    assert in_every_way('{"name": "book_table", "arguments": {"name": "Zoé {A}", "people": 4}}') == (
        "",
        wanted,
    )
    assert in_every_way('book_table(name="Zoé {A}", people=4)') == ("", wanted)


@pytest.mark.parametrize(
    "said",
    [
        "Two is less than three: 2 < 3, and a_b.",
        "I end every call with a smile (really).",
        "Use {name} there.",
        "It's [probably] five.",
        "Write `x` here.",
        "Call me at end_call, or don't.",
        "Ça va ? 你好 😀",
        "user: the word",
    ],
)
def test_what_only_looks_like_it_is_said(said: str) -> None:
    assert in_every_way(said) == (said, [])


def test_code_that_calls_nothing_stays_for_readers() -> None:
    written = "Here:\n```python\nprint({'a': 1})\n```\nDone."
    assert in_every_way(written) == (written, [])


def test_halves_of_a_character_are_joined() -> None:
    assert cleaned("", pieces=["Hi \ud83d", "\ude00 there"]) == ("Hi 😀 there", [])
    assert cleaned("", pieces=["Hi \ud83d", " there", "\ude00"]) == ("Hi  there", [])


def test_text_isn_t_held_longer_than_it_must_be() -> None:
    cleaner = Cleaner(TOOLS)
    assert cleaner.take("Good") == "Good"
    assert cleaner.take(" day, <") == " day, "
    assert cleaner.take(" 5") == "< 5"


@pytest.mark.parametrize(
    ("text", "is_it"), [("...", False), (" \n", False), ("", False), ("5", True), ("é", True)]
)
def test_what_a_voice_can_say(text: str, is_it: bool) -> None:
    assert speakable(text) == is_it
