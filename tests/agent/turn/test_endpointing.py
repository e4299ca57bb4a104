from dataclasses import replace

import pytest

from agent.turn.endpointing import MORE_TIME_MS, Endpointer, Expects, Heard, expects

SHORTEST_MS, LONGEST_MS = 200, 1600


@pytest.fixture
def policy() -> Endpointer:
    return Endpointer(min_silence_ms=SHORTEST_MS, max_silence_ms=LONGEST_MS)


FINISHED = Heard(
    silence_ms=200, acoustic=0.97, completeness=0.9, transcript="What's the weather like in Berlin today?"
)
CUT = Heard(silence_ms=200, acoustic=0.03, completeness=0.001, transcript="I would like to book a table for")


def test_a_finished_question_is_answered_after_the_shortest_silence(policy: Endpointer) -> None:
    assert policy.decide(FINISHED).now
    early = policy.decide(replace(FINISHED, silence_ms=64))
    assert not early.now
    assert early.remaining_ms == pytest.approx(SHORTEST_MS - 64)


def test_a_sentence_in_the_middle_waits(policy: Endpointer) -> None:
    assert policy.decide(CUT).wait_ms >= 800


@pytest.mark.parametrize("missing", ["acoustic", "completeness", "transcript"])
def test_a_late_signal_is_done_without(policy: Endpointer, missing: str) -> None:
    gone = {missing: None} if missing != "transcript" else {"transcript": None, "completeness": None}
    finished = policy.decide(replace(FINISHED, **gone))  # type: ignore[arg-type]
    cut = policy.decide(replace(CUT, **gone))  # type: ignore[arg-type]
    assert finished.wait_ms <= 600
    assert cut.wait_ms > finished.wait_ms + 100


def test_with_no_signal_at_all_the_wait_lies_between(policy: Endpointer) -> None:
    assert SHORTEST_MS < policy.decide(Heard(silence_ms=0)).wait_ms < LONGEST_MS


@pytest.mark.parametrize("language", ["es", "xx"])
def test_completeness_is_asked_only_where_it_was_measured(policy: Endpointer, language: str) -> None:
    heard = Heard(silence_ms=200, acoustic=0.9, transcript="¿Cuál es la montaña más alta?", language=language)
    assert policy.decide(heard) == policy.decide(replace(heard, completeness=0.001))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("I'd like a table and", "en"),
        ("So I was thinking, um", "en"),
        ("Could you tell me the", "en"),
        ("Je voudrais une table et", "fr"),
        ("Quiero una mesa para", "es"),
        ("Ich möchte einen Tisch und", "de"),
        ("Vorrei un tavolo per", "it"),
        ("Queria uma mesa para", "pt-BR"),
        ("मुझे एक टेबल चाहिए और", "hi"),
    ],
)
def test_a_hanging_word_waits_however_finished_it_sounds(
    policy: Endpointer, text: str, language: str
) -> None:
    heard = Heard(silence_ms=200, acoustic=0.99, completeness=0.9, transcript=text, language=language)
    assert policy.decide(heard).wait_ms == LONGEST_MS


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Hold on a second.", "en"),
        ("Sure, let me check my calendar.", "en"),
        ("Un instant, s'il vous plaît.", "fr"),
        ("Espere un momento.", "es"),
        ("Einen Moment bitte.", "de"),
        ("Aspetti un attimo.", "it"),
        ("Só um minutinho.", "pt-BR"),
        ("एक मिनट रुकिए।", "hi"),
    ],
)
def test_a_caller_who_asks_for_time_gets_seconds(policy: Endpointer, text: str, language: str) -> None:
    heard = Heard(silence_ms=200, acoustic=0.99, completeness=0.99, transcript=text, language=language)
    assert policy.decide(heard).wait_ms == MORE_TIME_MS


@pytest.mark.parametrize(
    "text",
    ["My number is oh two.", "It's 0 4 1, 5.", "My number is 415-555", "That's spelled K A T.", "07, 55"],
)
def test_dictation_gets_time(policy: Endpointer, text: str) -> None:
    heard = Heard(silence_ms=200, acoustic=0.95, completeness=0.95, transcript=text)
    assert policy.decide(heard).wait_ms == LONGEST_MS


def test_a_whole_telephone_number_waits_less(policy: Endpointer) -> None:
    heard = Heard(silence_ms=200, acoustic=0.95, transcript="My number is 0151 234 5678.")
    assert policy.decide(heard).wait_ms == (SHORTEST_MS + LONGEST_MS) / 2


@pytest.mark.parametrize("text", ["A table for two, please.", "Tomorrow at 10.", "It costs 12.50."])
def test_a_number_in_a_sentence_is_not_dictation(policy: Endpointer, text: str) -> None:
    heard = Heard(silence_ms=200, acoustic=0.95, completeness=0.9, transcript=text)
    assert policy.decide(heard).wait_ms <= 400


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Yes.", "en"),
        ("No, thank you.", "en"),
        ("Bye.", "en"),
        ("Oui.", "fr"),
        ("Sí, claro.", "es"),
        ("Va bene.", "it"),
        ("Tá bom.", "pt"),
        ("जी हाँ।", "hi"),
    ],
)
def test_short_answers_are_short_turns(policy: Endpointer, text: str, language: str) -> None:
    heard = Heard(silence_ms=400, acoustic=0.02, completeness=0.02, transcript=text, language=language)
    assert policy.decide(heard).now


def test_after_one_word_there_may_be_a_comma(policy: Endpointer) -> None:
    heard = Heard(silence_ms=200, completeness=0.9, transcript="Yes.", expects=Expects.YES_NO)
    assert policy.decide(heard).remaining_ms == 200
    assert policy.decide(replace(heard, transcript="Yes, please.")).now


def test_a_last_word_that_was_guessed_may_be_none(policy: Endpointer) -> None:
    heard = replace(FINISHED, transcript="My name is Anna N.", word_logprob=-2.0)
    assert policy.decide(heard).wait_ms > 800
    assert policy.decide(replace(heard, word_logprob=-0.5)).now


def test_a_guessed_word_is_to_be_heard_again_once(policy: Endpointer) -> None:
    heard = replace(FINISHED, transcript="My name is Anna N.", word_logprob=-2.0)
    assert policy.decide(heard).hear_again_ms == 400
    assert policy.decide(replace(heard, silence_ms=400)).hear_again_ms is None
    assert policy.decide(replace(heard, word_logprob=-0.5)).hear_again_ms is None


def test_who_takes_the_floor_gets_to_say_more_than_no(policy: Endpointer) -> None:
    heard = Heard(silence_ms=400, completeness=0.9, transcript="No.", interrupts=True)
    assert not policy.decide(heard).now
    assert policy.decide(replace(heard, silence_ms=500)).now
    assert policy.decide(replace(heard, expects=Expects.YES_NO)).now  # asked, they answer early


@pytest.mark.parametrize("said", ["415.", "Four one five", "K"])
def test_a_number_that_was_asked_for_gets_time(policy: Endpointer, said: str) -> None:
    heard = Heard(silence_ms=200, completeness=0.9, transcript=said)
    asked = policy.decide(replace(heard, expects=Expects.DICTATION))
    assert asked.reason == "dictates"
    assert asked.wait_ms == 1600


def test_the_wait_never_leaves_the_configured_span() -> None:
    policy = Endpointer(min_silence_ms=300, max_silence_ms=700)
    for step in range(101):
        heard = Heard(silence_ms=0, acoustic=step / 100, completeness=step / 100, transcript="We went there")
        assert 300 <= policy.decide(heard).wait_ms <= 700


@pytest.mark.parametrize(
    ("said", "language", "expected"),
    [
        ("Good morning. Would you like to book a table?", "en", Expects.YES_NO),
        ("What is your telephone number?", "en", Expects.DICTATION),
        ("What can I do for you?", "en", Expects.ANYTHING),
        ("I have booked it.", "en", Expects.ANYTHING),
        ("Quel est votre numéro?", "fr", Expects.DICTATION),
        ("", "en", Expects.ANYTHING),
    ],
)
def test_what_the_agent_asked_for(said: str, language: str, expected: Expects) -> None:
    assert expects(said, language) is expected
