"""What is learnt from a server's refusals, and how it is asked from then on."""

from __future__ import annotations

from typing import Any

import pytest

from models.llm.dialect import Dialect, alternating, without_system

TOOLS = [{"type": "function", "function": {"name": "end_call"}}]


def message(role: str, content: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


GREETED = [message("system", "Be kind."), message("assistant", "Hello."), message("user", "Hi.")]


def asked(**more: Any) -> dict[str, Any]:
    return {
        "messages": GREETED,
        "max_tokens": 9,
        "temperature": 0.2,
        "tools": TOOLS,
        "tool_choice": "auto",
        **more,
    }


@pytest.mark.parametrize(
    ("refusal", "gone"),
    [
        ('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set', "tools"),
        ("This model does not support tools", "tools"),
        ("Unsupported value: 'temperature' does not support 0.2 with this model.", "temperature"),
        ("Unrecognized request argument supplied: chat_template_kwargs", "chat_template_kwargs"),
        ("Extra inputs are not permitted: stream_options", "stream_options"),
    ],
)
def test_what_a_refusal_names_is_left_out(refusal: str, gone: str) -> None:
    dialect, params = Dialect(), asked(stream_options={"include_usage": True})
    assert gone in {**dialect.apply(params), **dialect.apply(params)["extra_body"]}
    assert dialect.learn(refusal, params)
    taken = dialect.apply(params)
    assert gone not in {**taken, **taken.get("extra_body", {})}
    assert ("tool_choice" in taken) == (gone != "tools")


@pytest.mark.parametrize(
    "refusal",
    [
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
        "'max_tokens' is too large: 512. This model's maximum context length is 4096 tokens.",
        "the request exceeds the available context size, try increasing it",
        "Prompt is too long for the tool",
    ],
)
def test_one_conversation_that_is_too_long_teaches_nothing(refusal: str) -> None:
    dialect = Dialect()
    assert not dialect.learn(refusal, asked())
    assert dialect == Dialect()


def test_max_tokens_goes_by_its_newer_name() -> None:
    dialect = Dialect()
    refusal = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
    )
    assert dialect.learn(refusal, asked())
    assert dialect.apply(asked())["max_completion_tokens"] == 9
    assert "max_tokens" not in dialect.apply(asked())
    assert dialect.learn("max_tokens isn't known", asked())  # then without it
    assert "max_completion_tokens" not in dialect.apply(asked())


@pytest.mark.parametrize(
    "refusal",
    [
        "Conversation roles must alternate user/assistant/user/assistant/...",
        "After the optional system message, conversation roles must alternate user and assistant roles",
        "Expected last role User or Tool; first message must be user",
    ],
)
def test_roles_alternate_where_they_must(refusal: str) -> None:
    dialect = Dialect()
    assert dialect.learn(refusal, asked())
    roles = [one["role"] for one in dialect.apply(asked())["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


def test_a_system_message_is_the_user_s_where_there_is_no_such_role() -> None:
    dialect = Dialect()
    assert dialect.learn("System role not supported", asked())
    assert dialect.apply(asked())["messages"] == [
        message("user", "Be kind."),
        message("assistant", "Hello."),
        message("user", "Hi."),
    ]


def test_a_refusal_without_a_reason_is_guessed_at_and_comes_to_an_end() -> None:
    dialect = Dialect()
    tries = 0
    while dialect.learn("Bad Request", asked()):
        tries += 1
    assert 3 <= tries <= 6


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([message("assistant", "A.")], [message("user", "Hello."), message("assistant", "A.")]),
        (
            [
                message("user", "a"),
                message("user", "b"),
                message("assistant", "A"),
                message("assistant", "B"),
            ],
            [message("user", "a\nb"), message("assistant", "A\nB")],
        ),
    ],
)
def test_messages_of_one_side_become_one(before: list[Any], after: list[Any]) -> None:
    assert alternating(before) == after


def test_later_system_messages_are_part_of_what_the_user_says() -> None:
    told = [message("user", "a"), message("system", "Ask for the day.")]
    assert without_system(told) == [message("user", "a\nAsk for the day.")]


def test_a_tool_s_result_is_told_in_words_where_there_are_no_tools() -> None:
    dialect = Dialect(refused={"tools"})
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages = [
        message("user", "Look."),
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "A cat."},
    ]
    assert [one["role"] for one in dialect.apply(asked(messages=messages))["messages"]] == [
        "user",
        "assistant",
        "user",
    ]
