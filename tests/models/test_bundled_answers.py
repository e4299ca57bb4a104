"""What the bundled language model says as the shipped personas."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from config.persona import Persona, load_persona
from models.llm import bundled
from models.llm.brevity import LONGEST_WORDS, Brevity, sentences
from models.llm.child import LlamaChild
from models.llm.speaker import SAMPLING

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="package")]

UNKNOWN = r"(don't|do not) know|not sure|message|call you back"


async def answers(child: LlamaChild, persona: Persona, callers: Sequence[str]) -> list[str]:
    conversation: list[dict[str, str]] = []
    said = [""]
    for caller in callers:
        conversation.append({"role": "user", "content": caller})
        params = {
            "model": "bundled",
            "messages": [*persona.primer, *conversation],
            "temperature": 0.0,
            "max_tokens": 160,
            "extra_body": SAMPLING | {"cache_prompt": True},
        }
        brevity = Brevity(language=persona.language, before=said[-1])
        chunks = [chunk async for chunk in bundled.chat(child, params, brevity=brevity)]
        said.append("".join(chunk.choices[0].delta.content or "" for chunk in chunks).strip())
        conversation.append({"role": "assistant", "content": said[-1]})
    return said[1:]


@pytest.mark.parametrize(
    ("name", "exchanges"),
    [
        (
            "en",
            [
                ("what is the capital of france", "paris"),
                ("and of spain", "madrid"),
            ],
        ),
        ("fr", [("quelle est la capitale de l'espagne", "madrid")]),
        pytest.param(
            *("es", [("cuál es la capital de francia", "parís"), ("y la de italia", "roma")]),
            marks=pytest.mark.soak,
        ),
        pytest.param(
            *("it", [("quanti giorni ha un anno bisestile", "366|trecentosessantasei")]),
            marks=pytest.mark.soak,
        ),
        pytest.param(
            *("pt", [("qual é a capital da frança", "paris"), ("e da itália", "roma")]),
            marks=pytest.mark.soak,
        ),
        (
            "restaurant",
            [
                ("where are you", "12|twelve|mill"),
                ("do you have live music", UNKNOWN),
                ("what is your wifi password", UNKNOWN),
            ],
        ),
    ],
)
async def test_the_answers_hold_what_was_asked(
    qwen: LlamaChild, name: str, exchanges: list[tuple[str, str]]
) -> None:
    persona = load_persona(name)

    said = await answers(qwen, persona, [caller for caller, _ in exchanges])

    for answer, (_, wanted) in zip(said, exchanges, strict=True):
        assert re.search(wanted, answer.lower()), said
        assert len(answer.split()) <= LONGEST_WORDS
        assert len(sentences(answer, language=persona.language)) <= 2


async def test_an_answer_that_is_over_stops_the_model(qwen: LlamaChild) -> None:
    messages = [{"role": "user", "content": "Count from one to one hundred, each number in a sentence."}]
    params = {"model": "bundled", "messages": messages, "max_tokens": 400}

    chunks = [chunk async for chunk in bundled.chat(qwen, params, brevity=Brevity(language="en"))]

    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert len(said.split()) <= LONGEST_WORDS
    assert chunks[-1].choices[0].finish_reason == "stop"
