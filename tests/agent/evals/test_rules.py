"""What each rule lets pass and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from agent.conversation import ToolCall
from agent.evals.language import language_of, refuses
from agent.evals.rules import judge, repetition
from agent.evals.scenario import DEFAULTS, CallerTurn, Rules
from agent.evals.words import pattern, sentences, words


def failures(
    answer: str, *, calls: tuple[ToolCall, ...] = (), language: str = "en", previous: str = "", **turn: Any
) -> list[str]:
    asked = CallerTurn(caller="Well?", **turn)
    return judge(
        asked,
        asked.over(DEFAULTS),
        answer=answer,
        tool_calls=calls,
        language=language,
        previous=previous,
    )


@pytest.mark.parametrize("answer", ["It's PARIS.", "paris", "C’est à Paris!"])
def test_words_are_found_whatever_their_case_and_signs(answer: str) -> None:
    assert not failures(answer, says="Paris", own_language=False)


@pytest.mark.parametrize(
    ("rule", "answer"), [("no", "I know."), ("8", "Eighteen is 18."), ("paris", "Parisian")]
)
def test_a_pattern_is_a_whole_word(rule: str, answer: str) -> None:
    assert failures(answer, says=rule) == [f"says none of: {rule}"]


def test_accents_matter_neither_in_the_rule_nor_in_the_answer() -> None:
    assert pattern("Brasília").search("brasilia")
    assert not failures("É Brasília.", says="brasilia", language="pt")
    assert not failures("Brasilia.", says="brasília", language="pt")


def test_one_of_says_and_each_of_says_all_and_none_of_not_says() -> None:
    rules: dict[str, Any] = {
        "says": ["athens", "greece"],
        "says_all": ["athens", "euros?"],
        "not_says": "drachma",
    }
    assert not failures("Athens, and the euro.", **rules)
    assert failures("Athens.", **rules) == ["doesn't say: euros?"]
    assert failures("Athens, the euro, once the drachma.", **rules) == ["says: drachma"]
    assert failures("No idea what you mean, euro.", **rules)[0] == "says none of: athens, greece"


def test_an_answer_is_short() -> None:
    assert not failures("It is. Truly.")
    assert failures("It is. Truly. Yes.") == ["has 3 sentences, more than 2"]
    long = " ".join(f"word{n}" for n in range(31))
    assert "has 31 words, more than 30" in failures(long)
    assert not failures(long, max_words=40)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Dr. Ruiz is in at 8.30 a.m. on Monday.", 1),
        ("Yes! At 3.5 percent.", 2),
        ("Hello.", 1),
        ("", 0),
        ("One\nTwo", 2),
        ("Well ... maybe", 2),
    ],
)
def test_sentences(text: str, count: int) -> None:
    assert len(sentences(text)) == count


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ("It is **bold**.", "emphasis"),
        ("Call `now`.", "code"),
        ("# Heading", "a heading"),
        ("Take:\n- bread\n- milk", "a list"),
        ("1. bread", "a list"),
        ("See https://example.org for it.", "a link"),
        ("Go to example.com for it.", "a link"),
        ("<tool>book</tool> for you", "a tag"),
        ("Sure <|im_end|> yes", "a tag"),
        ("Happy birthday \U0001f389", "an emoji"),
        ('{"name": "end_call"}', "code"),
        ("Assistant: I am here.", "a role"),
        ("My name is [your name].", "a placeholder"),
    ],
)
def test_what_can_t_be_spoken(answer: str, what: str) -> None:
    assert f"can't be spoken: {what}" in failures(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "It costs $4.50, or 10% less.",
        "We're open 9-5, Monday to Friday (not on Sunday).",
        "That's 3 * 4, which is 12.",
        "The first is e.g. tea; the second – coffee.",
        "5 is less than 7",
    ],
)
def test_what_can_be_spoken(answer: str) -> None:
    assert not failures(answer)


def test_the_language_is_that_of_the_set() -> None:
    assert failures("I don't know that, I'm sorry.", language="fr") == ["is in another language: en"]
    assert not failures("I don't know that, I'm sorry.", language="fr", own_language=False)


@pytest.mark.parametrize(
    ("answer", "language"),
    [
        ("Paris.", "fr"),
        ("Two.", "es"),
        ("Roma", "it"),
        ("Madrid et Lisbonne.", "fr"),
        ("É Lisboa.", "pt"),
        ("Mozart composed Don Giovanni.", "en"),
        ("Claro, un momento.", "es"),
        ("São Paulo.", "en"),
    ],
)
def test_short_answers_are_in_any_language(answer: str, language: str) -> None:
    assert language_of(answer) in (None, language)


def test_an_answer_in_a_language_that_is_not_known_may_be_right() -> None:
    answer = "Ми відчиняємо о дев'ятій ранку."
    assert language_of(answer) == "ru"  # the nearest of those that are
    assert not failures(answer, language="uk")


def test_another_script_is_another_language_however_short() -> None:
    assert failures("你好。") == ["is in another language: zh"]


def test_nothing_is_said_twice() -> None:
    assert repetition("I'm sorry I lost you, I'm sorry I lost you.") == "i'm sorry i lost you"
    assert repetition("It's open from nine to five on Monday and from nine to five on Monday too.")
    assert repetition("Try to drink water, get some air, drink water, to drink water.") == "to drink water"
    assert repetition("I can take a message, or I can book a table.") is None
    assert failures("It is Paris.", previous="It is Paris") == ["repeats the previous answer"]
    assert not failures("It is Paris.", previous="It is Paris", repeats=True)
    assert not failures("I don't know.", previous="I don't know.", refuses=True)


@pytest.mark.parametrize(
    ("answer", "language"),
    [
        ("I don't know, shall I take a message?", "en"),
        ("I’m afraid I can't do that.", "en"),
        ("I do not have that information.", "en"),
        ("I don't have access to your account.", "en"),
        ("I'm not sure about that.", "en"),
        ("No tengo acceso a esa información.", "es"),
        ("Non ho accesso a queste informazioni.", "it"),
        ("Não tenho como saber.", "pt"),
        ("Je ne suis pas en mesure de le faire.", "fr"),
        ("Je ne sais pas.", "fr"),
        ("Je n'ai pas cette information.", "fr"),
        ("Je ne peux malheureusement pas faire cela.", "fr"),
        ("No lo sé, lo siento.", "es"),
        ("Non lo so.", "it"),
        ("Non posso farlo.", "it"),
        ("Não sei dizer.", "pt"),
        ("Não tenho essa informação.", "pt"),
    ],
)
def test_refusals(answer: str, language: str) -> None:
    assert refuses(answer, language)


@pytest.mark.parametrize(
    ("answer", "language"),
    [
        ("It costs ninety dollars.", "en"),
        ("No, we're closed on Mondays.", "en"),
        ("No, the room doesn't have a bath.", "en"),
        ("You can't print here.", "en"),
        ("Nous n'avons pas de piscine.", "fr"),
        ("No tenemos piscina.", "es"),
        ("Non abbiamo la piscina.", "it"),
        ("Não temos piscina.", "pt"),
        ("Oui, c'est ouvert jusqu'à midi.", "fr"),
        ("Sí, abrimos a las nueve.", "es"),
        ("Sì, siamo aperti.", "it"),
        ("Sim, abrimos às nove.", "pt"),
    ],
)
def test_plain_answers_are_no_refusals(answer: str, language: str) -> None:
    assert not refuses(answer, language)


def test_a_refusal_is_asked_for_or_forbidden() -> None:
    assert failures("It's ten dollars.", refuses=True) == ["doesn't say that it doesn't know"]
    assert failures("I don't know.", refuses=False) == ["says that it doesn't know"]
    assert not failures("I don't know.")


def test_no_tool_is_called_unless_one_is_asked_for() -> None:
    booked = ToolCall("book_table", {"people": 4, "day": "Friday"})
    assert failures("Sure.", calls=(booked,)) == ["calls book_table instead of no tool"]
    assert not failures("", calls=(booked,), tool="book_table")
    assert not failures("Sure.", calls=(booked,), tool=["none", "book_table"])
    assert failures("Sure.", tool="book_table") == ["calls no tool instead of book_table"]
    assert failures("", calls=(booked,), tool="transfer") == ["calls book_table instead of transfer"]
    assert failures("", calls=(booked, booked), tool="book_table") == [
        "calls 2 tools at once: book_table, book_table"
    ]


def test_arguments_match() -> None:
    booked = ToolCall("book_table", {"people": 4, "day": "Friday"})
    assert not failures("", calls=(booked,), tool="book_table", arguments={"people": "4|four"})
    assert failures("", calls=(booked,), tool="book_table", arguments={"people": "5", "time": "7"}) == [
        "book_table has people=4 instead of 5",
        "book_table has time=None instead of 7",
    ]


def test_silence_is_no_answer() -> None:
    assert failures("") == ["said nothing"]
    assert failures(" ", says="paris") == ["said nothing", "says none of: paris"]


def test_a_turn_s_rules_are_stronger_than_the_set_s() -> None:
    turn = CallerTurn(caller="Go on.", max_words=5)
    assert turn.over(Rules(max_words=9, max_sentences=7).over(DEFAULTS)) == Rules(
        max_words=5, max_sentences=7, own_language=True, speakable=True, repeats=False
    )


def test_words_keep_their_apostrophes() -> None:
    assert words("I’m Zoë's, OK?") == ["i'm", "zoe's", "ok"]
