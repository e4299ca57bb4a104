from dataclasses import replace

import pytest

from agent.turn import words
from agent.turn.endpointing import HEAR_AGAIN_MS, MORE_TIME_MS, Endpointer, Expects, Heard, expects
from agent.turn.lexicon import lexicon
from agent.turn.patience import Patience
from config.turn import TurnSettings

SURE_MS, UNSURE_MS, HANGING_MS = 200, 1000, 1600


@pytest.fixture
def policy() -> Endpointer:
    turn = TurnSettings(sure_silence_ms=SURE_MS, unsure_silence_ms=UNSURE_MS, hanging_silence_ms=HANGING_MS)
    return Endpointer(turn, goodbyes=("goodbye", "bye bye"))


FINISHED = Heard(
    silence_ms=200, finished=0.97, completeness=0.9, transcript="What's the weather like in Berlin today?"
)
CUT = Heard(silence_ms=200, finished=0.03, completeness=0.001, transcript="I would like to book a table for")


def test_a_finished_question_is_answered_after_the_shortest_silence(policy: Endpointer) -> None:
    verdict = policy.decide(FINISHED)
    assert verdict.now
    assert verdict.sure
    assert verdict.reason == "sure"
    early = policy.decide(replace(FINISHED, silence_ms=64))
    assert not early.now
    assert early.remaining_ms == pytest.approx(SURE_MS - 64)


def test_a_sentence_in_the_middle_waits(policy: Endpointer) -> None:
    verdict = policy.decide(CUT)
    assert verdict.wait_ms >= UNSURE_MS
    assert not verdict.sure


@pytest.mark.parametrize("missing", ["finished", "completeness", "transcript"])
def test_a_late_signal_is_done_without(policy: Endpointer, missing: str) -> None:
    gone = {missing: None} if missing != "transcript" else {"transcript": None, "completeness": None}
    finished = policy.decide(replace(FINISHED, **gone))  # type: ignore[arg-type]
    cut = policy.decide(replace(CUT, **gone))  # type: ignore[arg-type]
    assert finished.probability > cut.probability + 0.3
    assert cut.wait_ms >= UNSURE_MS


def test_with_no_signal_at_all_the_wait_lies_between(policy: Endpointer) -> None:
    assert policy.decide(Heard(silence_ms=0)).wait_ms == UNSURE_MS


def test_completeness_counts_only_where_it_was_measured(policy: Endpointer) -> None:
    heard = Heard(silence_ms=200, finished=0.9, transcript="Wie hoch ist der Berg?", language="de")
    assert policy.decide(heard) == policy.decide(replace(heard, completeness=0.001))


SAID = (
    FINISHED,
    CUT,
    Heard(silence_ms=0),
    Heard(silence_ms=0, finished=0.6, completeness=0.3, transcript="We went there"),
    Heard(silence_ms=0, finished=0.9, completeness=0.9, transcript="Yes, please."),
)


@pytest.mark.parametrize(
    ("name", "value"), [("sure_silence_ms", 300), ("unsure_silence_ms", 1100), ("hanging_silence_ms", 2000)]
)
def test_a_wait_that_is_set_changes_no_other(policy: Endpointer, name: str, value: int) -> None:
    turn = TurnSettings(sure_silence_ms=SURE_MS, unsure_silence_ms=UNSURE_MS, hanging_silence_ms=HANGING_MS)
    changed = Endpointer(turn.model_copy(update={name: value}))
    before = {policy.decide(heard).wait_ms for heard in SAID}
    after = {changed.decide(heard).wait_ms for heard in SAID}
    assert before == {SURE_MS, UNSURE_MS, HANGING_MS}
    assert after == before - {getattr(turn, name)} | {value}


def test_a_goodbye_has_no_way_back(policy: Endpointer) -> None:
    heard = Heard(silence_ms=200, finished=0.99, completeness=0.99, transcript="Bye-bye.")
    assert policy.decide(heard).wait_ms == 700


def test_a_line_that_sounds_on_is_waited_for(policy: Endpointer) -> None:
    verdict = policy.decide(FINISHED)
    assert verdict.over(SURE_MS, sounds=False)
    assert not verdict.over(SURE_MS, sounds=True)
    assert verdict.over(HANGING_MS, sounds=True)


def test_who_went_on_where_they_sounded_finished_is_believed_less(policy: Endpointer) -> None:
    patience = Patience()
    for _ in range(3):
        patience.resumed(900, policy.decide(FINISHED, patience).probability)
    verdict = policy.decide(FINISHED, patience)
    assert verdict.probability < policy.decide(FINISHED).probability
    assert policy.decide(replace(CUT, finished=0.5), patience).wait_ms > 1000


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
    heard = Heard(silence_ms=200, finished=0.99, completeness=0.9, transcript=text, language=language)
    assert policy.decide(heard).wait_ms == HANGING_MS


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
    heard = Heard(silence_ms=200, finished=0.99, completeness=0.99, transcript=text, language=language)
    assert policy.decide(heard).wait_ms == MORE_TIME_MS


@pytest.mark.parametrize(
    "text",
    ["My number is oh two.", "It's 0 4 1, 5.", "My number is 415-555", "That's spelled K A T.", "07, 55"],
)
def test_dictation_gets_time(policy: Endpointer, text: str) -> None:
    heard = Heard(silence_ms=200, finished=0.95, completeness=0.95, transcript=text)
    assert policy.decide(heard).wait_ms == HANGING_MS


def test_a_whole_telephone_number_waits_less(policy: Endpointer) -> None:
    heard = Heard(silence_ms=200, finished=0.95, transcript="My number is 0151 234 5678.")
    assert policy.decide(heard).wait_ms == UNSURE_MS


def test_many_digits_before_other_words_take_no_time() -> None:
    said = ", ".join(str(number % 10) for number in range(60))
    assert words.dictated(f"{said}, okay", lexicon("en")) == 0
    assert words.dictated(said, lexicon("en")) == 60


@pytest.mark.parametrize("text", ["A table for two, please.", "Tomorrow at 10.", "It costs 12.50."])
def test_a_number_in_a_sentence_is_not_dictation(policy: Endpointer, text: str) -> None:
    heard = Heard(silence_ms=200, finished=0.95, completeness=0.9, transcript=text)
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
    heard = Heard(silence_ms=400, finished=0.5, completeness=0.02, transcript=text, language=language)
    assert policy.decide(heard).now


def test_after_one_word_there_may_be_a_comma(policy: Endpointer) -> None:
    heard = Heard(silence_ms=200, completeness=0.9, transcript="Yes.", expects=Expects.YES_NO)
    assert policy.decide(heard).remaining_ms == 200
    assert policy.decide(replace(heard, transcript="Yes, please.")).now


GUESSED = replace(FINISHED, finished=0.3, transcript="My name is Anna N.", word_logprob=-2.0)


def test_a_last_word_that_was_guessed_may_be_none(policy: Endpointer) -> None:
    verdict = policy.decide(GUESSED)
    assert (verdict.wait_ms, verdict.reason) == (UNSURE_MS, "guessed word")
    assert policy.decide(replace(GUESSED, finished=0.97)).now  # they sound finished all the same


def test_what_isnt_surely_whole_is_to_be_heard_again(policy: Endpointer) -> None:
    assert policy.decide(GUESSED).hear_again_ms == HEAR_AGAIN_MS
    assert policy.decide(replace(FINISHED, finished=0.3)).hear_again_ms == HEAR_AGAIN_MS
    assert policy.decide(FINISHED).hear_again_ms is None


def test_thank_you_may_go_on(policy: Endpointer) -> None:
    heard = Heard(silence_ms=200, finished=0.06, completeness=0.1, transcript="Thank you.")
    assert policy.decide(heard).wait_ms == UNSURE_MS
    assert policy.decide(replace(heard, expects=Expects.YES_NO)).wait_ms == SURE_MS


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
    assert asked.wait_ms == HANGING_MS


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
