"""What of an answer is spoken, however it is cut into pieces."""

from __future__ import annotations

import pytest

from models.llm.brevity import LONGEST_WORDS, Brevity, sentences


def brief(
    text: str, *, language: str = "en", before: str = "", size: int = 1000, cut_off: bool = False
) -> str:
    brevity = Brevity(language=language, before=before)
    said = ""
    for at in range(0, len(text), size):
        said += brevity.take(text[at : at + size])
    return (said + brevity.finish(cut_off=cut_off)).strip()


def in_all_pieces(text: str, **options: str) -> str:
    """However it is cut, the same is said."""
    said = {brief(text, size=size, language=options.get("language", "en"), before=options.get("before", ""))
            for size in (1, 2, 3, 5, 8, 1000)}  # fmt: skip
    assert len(said) == 1, said
    return said.pop()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("One. Two. Three.", "One. Two."),
        ("One! Two? Three.", "One! Two?"),
        ("Paris", "Paris"),
        ("No. We are closed. Sorry.", "No. We are closed."),
        ("42.", "42."),
        ("Well... let me see. That's fine. More.", "Well... let me see. That's fine."),
        ("Wait… I have it. It's Oslo.", "Wait… I have it. It's Oslo."),
        ("It's 3.5 miles. Dr. Smith opens at 9 a.m. on weekdays. More.",
         "It's 3.5 miles. Dr. Smith opens at 9 a.m. on weekdays."),
        ("St. John is here, e.g. today. J. R. R. Tolkien wrote it. More.",
         "St. John is here, e.g. today. J. R. R. Tolkien wrote it."),
        ("We close at 5 p.m. We open at 9 a.m. Come in.", "We close at 5 p.m. We open at 9 a.m."),
        ("It costs $1,250.50 in the U.S. market. Yes. No.", "It costs $1,250.50 in the U.S. market. Yes."),
    ],
)  # fmt: skip
def test_two_sentences_are_said(text: str, said: str) -> None:
    assert in_all_pieces(text) == said


@pytest.mark.parametrize(
    "text",
    [
        "Write to ann_b@example.com.",
        "See [our menu](https://example.com/a_b).",
        "It is 3 < 5.",
        "Dial *67.",
        "*67 hides it.",
        "Press # or *.",
        "Press * to go back",
        "5 * 3 is 15.",
    ],
)
def test_what_the_voice_reads_stays_as_it_is_written(text: str) -> None:
    assert in_all_pieces(text) == text


@pytest.mark.parametrize(
    ("language", "text", "said"),
    [
        (
            "es",
            "Abrimos de 9 a. m. a 5 p. m. en el n.º 5. ¿Vale? No.",
            "Abrimos de 9 a. m. a 5 p. m. en el n.º 5. ¿Vale?",
        ),
        ("it", "Al n. 5, ad es. lunedì. Va bene? No.", "Al n. 5, ad es. lunedì. Va bene?"),
        ("pt", "No n.º 5, p. ex. segunda. Pode ser? Não.", "No n.º 5, p. ex. segunda. Pode ser?"),
        ("fr", "Env. 20 min. de marche. Ça va ? Non.", "Env. 20 min. de marche. Ça va ?"),
        ("de", "Wir haben z. B. Pizza. Passt das? Nein.", "Wir haben z. B. Pizza. Passt das?"),
        ("de", "5. Mai um 10 Uhr.", "5. Mai um 10 Uhr."),
        ("de", "1. Pizza\n2. Pasta", "Pizza, Pasta"),
        ("de", "Von 10.30 bis 12.30. Das passt. Nein.", "Von 10.30 bis 12.30. Das passt."),
        ("de", "Es kostet 12. Das passt. Nein.", "Es kostet 12. Das passt."),
        ("de", "Im 2. Stock, am 5. Mai. Das passt. Nein.", "Im 2. Stock, am 5. Mai. Das passt."),
        ("de", "Es ist 3. Klasse, jeden 2. Montag. Ja. Nein.", "Es ist 3. Klasse, jeden 2. Montag. Ja."),
        ("en", "Mon/Wed/Fri. That fits. No.", "Mon/Wed/Fri. That fits."),
        ("en", "Open Fri. Dec. 25 and Sat. 9 to 5. Yes. No.", "Open Fri. Dec. 25 and Sat. 9 to 5. Yes."),
        ("fr", "lun/mer/ven. C'est bon. Non.", "lun/mer/ven. C'est bon."),
        ("fr", "M. Dupont est là. Mme. Durand aussi. Non.", "M. Dupont est là. Mme. Durand aussi."),
        ("es", "El Sr. García abre. ¿Y usted? No.", "El Sr. García abre. ¿Y usted?"),
        ("it", "Il Dott. Rossi c'è. Via Roma, n. 5. No.", "Il Dott. Rossi c'è. Via Roma, n. 5."),
        ("pt", "A Dra. Lima e a Av. Paulista. Sim. Não.", "A Dra. Lima e a Av. Paulista. Sim."),
        ("hi", "यह है। और यह भी। तीसरा।", "यह है। और यह भी।"),
    ],
)
def test_each_language_has_abbreviations_of_its_own(language: str, text: str, said: str) -> None:
    assert in_all_pieces(text, language=language) == said


@pytest.mark.parametrize("text", ["Really?! Yes! No.", 'He said "Really?" Yes. No.'])
def test_what_belongs_to_an_end_begins_no_sentence(text: str) -> None:
    for size in (1, 3, 1000):
        assert "Yes" in brief(text, size=size)
        assert "No" not in brief(text, size=size)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Here are some:\n\n1. **Eggs**\n2. Milk\n3. Bread\n", "Here are some: Eggs, Milk, Bread"),
        ("- one\n- two", "one, two"),
        ("* `one`\n* two_three", "one, two_three"),
        ("# Title\nIt's fine.", "Title, It's fine."),
        ("Fine 😀 thanks.", "Fine  thanks."),
        ("Paris.\n\n", "Paris."),
        ("- ", ""),
        ("1945 was the year", "1945 was the year"),
        ("It's *very* good, **2** times.", "It's very good, 2 times."),
        ("*67* is **67**.", "67 is 67."),
        ("4* hotel", "4 hotel"),
    ],
)
def test_marks_aren_t_spoken(text: str, said: str) -> None:
    assert in_all_pieces(text) == said


@pytest.mark.parametrize("text", ["Like this: ```python\nprint(1)\n```", "Like this: 你好。"])
def test_code_and_foreign_scripts_end_the_answer(text: str) -> None:
    assert brief(text) == "Like this:"


def test_nothing_is_said_twice() -> None:
    assert in_all_pieces("I lost you. I lost you. I lost you.") == "I lost you."
    assert in_all_pieces("I lost you! i lost you") == "I lost you!"


def test_the_second_sentence_isn_t_the_last_answer_s() -> None:
    before = "It's Paris. Can I help with anything else?"
    assert in_all_pieces("It's Oslo. Can I help with anything else?", before=before) == "It's Oslo."
    assert in_all_pieces("It's Oslo. Can I go?", before=before) == "It's Oslo. Can I go?"


def test_the_first_sentence_may_be_the_last_answer_s_since_something_must_be_said() -> None:
    assert in_all_pieces("It's Paris. Yes.", before="It's Paris.") == "It's Paris. Yes."


LONG = (
    "To get a stain out of a shirt, first blot it with a clean cloth, then apply a mixture of baking soda "
    "and water, let it sit for a few minutes, and then wash the shirt with cold water."
)


def test_a_long_sentence_ends_with_a_clause() -> None:
    said = in_all_pieces(LONG)
    assert said.endswith("baking soda and water.")
    assert len(said.split()) <= LONGEST_WORDS


def test_a_second_sentence_that_is_too_long_ends_with_a_clause_or_isn_t_begun() -> None:
    assert in_all_pieces("Use soda. " + LONG).endswith("baking soda and water.")
    assert in_all_pieces("Use soda. " + "word " * 40) == "Use soda."


def test_an_answer_that_was_cut_off_ends_with_a_clause() -> None:
    assert brief("It is big, and it is", cut_off=True, size=3) == "It is big, and it is."
    assert brief("It is big. It is also very", cut_off=True) == "It is big."


def test_the_first_words_pass_at_once() -> None:
    brevity = Brevity(language="en")
    assert [brevity.take(piece) for piece in ("The", " capital", " of")] == ["The", " capital", " of"]


def test_it_is_over_once_the_second_sentence_surely_is() -> None:
    brevity = Brevity(language="en")
    for piece in ("One", ".", " Two", "."):
        brevity.take(piece)
        assert not brevity.over
    brevity.take(" Three ")
    assert brevity.over
    assert brevity.take("four.") == ""
    assert brevity.finish() == ""


def test_a_question_mark_needs_no_proof() -> None:
    brevity = Brevity(language="en")
    assert brevity.take("It's open. Shall I book?") == "It's open. Shall I book?"
    assert brevity.over


def test_sentences_of_a_whole_text() -> None:
    assert sentences("Dr. Who? Yes. And so on", language="en") == ["Dr. Who?", "Yes.", "And so on"]
    assert sentences("") == []
