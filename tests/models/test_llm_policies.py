"""The language model's pure parts: no network, no process, times stated."""

import json
import math
from typing import Any

import pytest

from models.llm.backoff import Backoff
from models.llm.completeness import clean, ends
from models.llm.history import fit
from models.llm.ollama import chat_request, named, ollama_message
from models.llm.where import nearby, ollama_url


def test_a_single_crash_costs_no_wait() -> None:
    backoff = Backoff()
    backoff.ready(0.0)
    assert backoff.failed(5.0) == 0.0


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(first_s=1.0, longest_s=5.0)
    assert [backoff.failed(0.0) for _ in range(6)] == [0.0, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_waiting_goes_on_for_days() -> None:
    backoff = Backoff(longest_s=10.0)
    assert {backoff.failed(0.0) for _ in range(20_000)} >= {0.0, 10.0}


def test_crashes_in_a_row_are_hopeless_and_a_long_life_forgives_them() -> None:
    backoff = Backoff(stable_s=30.0, give_up_after=2)
    backoff.failed(0.0)
    assert not backoff.hopeless
    backoff.ready(1.0)
    backoff.failed(30.9)
    assert backoff.hopeless
    backoff.ready(31.0)
    assert backoff.failed(61.0) == 0.0
    assert not backoff.hopeless


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8000", "http://127.0.0.1:8000"),
        (":8000", "http://127.0.0.1:8000"),
        ("box", "http://box:11434"),
        ("http://box", "http://box:80"),
        ("https://box/ollama/", "https://box:443/ollama"),
        ("[::1]:9", "http://[::1]:9"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(value: str, url: str) -> None:
    assert ollama_url({"OLLAMA_HOST": value} if value else {}) == url


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("http://localhost:11434", True),
        ("http://[::1]:8000/v1", True),
        ("https://192.168.1.5/v1", True),
        ("http://gpu-box:8000/v1", True),
        ("https://api.example.com/v1", False),
        ("http://203.0.113.7/v1", False),
    ],
)
def test_which_servers_are_nearby(url: str, near: bool) -> None:
    assert nearby(url) is near


def test_a_model_without_a_tag_means_latest() -> None:
    assert named("llama3.2", ["qwen3:4b", "llama3.2:latest"]) == "llama3.2:latest"
    assert named("llama3.2:1b", ["llama3.2:latest"]) is None
    assert named("localhost:5000/me/model", ["localhost:5000/me/model:latest"]) == (
        "localhost:5000/me/model:latest"
    )


def test_history_keeps_the_prompt_and_the_end() -> None:
    messages = [{"role": "system", "content": "be kind"}]
    messages += [{"role": "user", "content": f"{n:03}" * 30} for n in range(40)]
    kept = fit(messages, 800, keep=1)
    assert kept[0] == messages[0]
    assert kept[-1] == messages[-1]
    assert len(kept) < len(messages)
    assert fit(messages, 100_000) == messages


def test_history_is_cut_in_blocks_so_that_the_prompt_cache_survives_a_turn() -> None:
    messages = [{"role": "user", "content": f"{n:03}" * 30} for n in range(60)]
    starts = [fit(messages[:n], 800)[0]["content"] for n in range(30, 60)]
    assert len(set(starts)) <= 5


def test_history_keeps_the_last_message_even_if_it_does_not_fit() -> None:
    assert fit([{"role": "user", "content": "a" * 9999}], 10) == [{"role": "user", "content": "a" * 9999}]


def test_history_begins_with_no_result_of_a_tool_whose_call_was_cut_away() -> None:
    turn: list[dict[str, Any]] = [
        {"role": "user", "content": "Book it." * 40},
        {"role": "assistant", "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "Booked." * 40, "tool_call_id": "1"},
        {"role": "assistant", "content": "It is booked." * 20},
        {"role": "assistant", "content": "Are you there?"},
    ]
    messages = [{"role": "assistant", "content": "Hello."}, *turn * 10]
    starts = [fit(messages[:n], 800)[0] for n in range(1, len(messages) + 1)]
    assert starts.count(turn[1]) > 0
    assert turn[2] not in starts


def test_the_recognizer_s_punctuation_is_no_evidence() -> None:
    assert clean("  I'd like  to ... ") == "I'd like to"
    assert clean("?!") == ""


def test_the_end_of_the_sentence_is_a_sum_over_tokens() -> None:
    tokens = [(".", 0.5), ("?\n", 0.2), ("", 0.1), (" the", 0.1), (",", 0.1)]
    top = [{"token": token, "logprob": math.log(p)} for token, p in tokens]
    assert ends({"completion_probabilities": [{"top_logprobs": top}]}) == pytest.approx(0.8)


def test_tool_calls_are_told_to_ollama_in_its_own_form() -> None:
    function = {"name": "hang_up", "arguments": json.dumps({"reason": "done"})}
    asked = {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": function}]}
    result = {"role": "tool", "tool_call_id": "c1", "content": "ok"}
    assert ollama_message(asked, []) == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"function": {"name": "hang_up", "arguments": {"reason": "done"}}}],
    }
    assert ollama_message(result, [asked, result])["tool_name"] == "hang_up"


def test_every_request_to_ollama_names_the_same_context_size() -> None:
    request = chat_request(
        {"model": "m", "messages": [], "max_tokens": 9, "temperature": 0.5}, num_ctx=4096, think=None
    )
    assert request["options"] == {"num_ctx": 4096, "num_predict": 9, "temperature": 0.5}
    assert request["keep_alive"] == -1
    assert "think" not in request
