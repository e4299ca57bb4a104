"""Times in seconds of the call; the agent has been speaking for a while unless said."""

from dataclasses import replace

import pytest

from agent.turn.barge_in import Action, BargeIn, Overlap


def act(policy: BargeIn, *steps: tuple[float, Overlap]) -> list[tuple[float, Action]]:
    """What the policy does at the given times, its doing nothing left out."""
    return [(t, a) for t, overlap in steps if (a := policy.decide(t, overlap)) is not Action.NOTHING]


def english(**settings: float) -> BargeIn:
    return BargeIn(language="en-US", **settings)  # type: ignore[arg-type]


def test_a_voice_holds_the_agent_at_once_and_its_words_interrupt() -> None:
    assert act(
        english(),
        (10.12, Overlap(speech_ms=120)),
        (10.40, Overlap(speech_ms=400)),
        (10.80, Overlap(speech_ms=800, words="what about")),
        (11.20, Overlap(speech_ms=1200, words="what about tomorrow")),
    ) == [(10.12, Action.HOLD), (11.20, Action.INTERRUPT)]


def test_short_words_interrupt_once_they_are_all_and_sure() -> None:
    words = Overlap(speech_ms=500, words="next please", logprob=-0.3)
    assert act(
        english(),
        (10.12, Overlap(speech_ms=120)),
        (10.60, words),
        (10.90, replace(words, silence_ms=250)),
    ) == [(10.12, Action.HOLD), (10.90, Action.INTERRUPT)]


@pytest.mark.parametrize("said", ["mm-hmm", "Right.", "Okay, yeah.", "uh-huh", "I see."])
def test_a_backchannel_resumes_within_a_second_of_the_hold(said: str) -> None:
    assert act(
        english(),
        (10.12, Overlap(speech_ms=120)),
        (10.50, Overlap(speech_ms=400, silence_ms=100, words=said)),
        (10.66, Overlap(speech_ms=400, silence_ms=260, words=said)),
    ) == [(10.12, Action.HOLD), (10.66, Action.RESUME)]


def test_a_cough_resumes_even_when_no_words_ever_come() -> None:
    policy = english()
    assert act(
        policy,
        (10.12, Overlap(speech_ms=120)),
        (10.60, Overlap(speech_ms=250, silence_ms=350)),
        (10.82, Overlap(speech_ms=250, silence_ms=570)),
        (11.00, Overlap(speech_ms=250, silence_ms=750)),
    ) == [(10.12, Action.HOLD), (10.82, Action.RESUME)]


@pytest.mark.parametrize(
    ("said", "speech_ms", "action"),
    [
        ("Make that three or cloth.", 1100, Action.INTERRUPT),
        ("In my month.", 1100, Action.RESUME),
        ("I am in my month.", 500, Action.RESUME),
    ],
)
def test_a_sentence_needn_t_be_heard_well(said: str, speech_ms: float, action: Action) -> None:
    spoken = Overlap(speech_ms=speech_ms, silence_ms=260, words=said, logprob=-0.6)
    assert act(english(), (10.12, Overlap(speech_ms=120)), (11.3, spoken))[-1][1] is action


def test_what_was_said_up_to_the_pause_is_waited_for_and_not_for_long() -> None:
    spoken = Overlap(speech_ms=970, words="make that three book", logprob=-0.6, partial=True)
    assert act(
        english(),
        (10.12, Overlap(speech_ms=120)),
        (11.30, replace(spoken, silence_ms=260)),
        (
            11.40,
            replace(spoken, silence_ms=360, words="make that three o'clock", logprob=-0.3, partial=False),
        ),
    ) == [(10.12, Action.HOLD), (11.40, Action.INTERRUPT)]
    assert act(
        english(),
        (10.12, Overlap(speech_ms=120)),
        (11.30, replace(spoken, silence_ms=260)),
        (11.64, replace(spoken, silence_ms=600)),
    ) == [(10.12, Action.HOLD), (11.64, Action.RESUME)]


def test_noise_that_goes_on_resumes_once_the_recognizer_hears_no_words_and_holds_no_more() -> None:
    assert act(
        english(),
        (10.12, Overlap(speech_ms=120)),
        (10.80, Overlap(speech_ms=800, words="")),
        (10.83, Overlap(speech_ms=830, words="")),
        (11.50, Overlap(speech_ms=1500, words="")),
        (12.50, Overlap(speech_ms=2500, words="")),
    ) == [(10.12, Action.HOLD), (10.83, Action.RESUME)]


def test_a_voice_that_goes_on_is_not_talked_over_while_its_words_are_unknown() -> None:
    assert act(
        english(),
        (10.12, Overlap(speech_ms=120)),
        (11.20, Overlap(speech_ms=1200)),
        (12.00, Overlap(speech_ms=2000)),
        (12.40, Overlap(speech_ms=2400, words="and that is why i call")),
    ) == [(10.12, Action.HOLD), (12.40, Action.INTERRUPT)]


def test_a_voice_that_goes_on_is_not_talked_over_while_its_words_are_doubtful() -> None:
    doubtful = Overlap(speech_ms=500, words="excuse me", logprob=-0.9)
    assert act(
        english(),
        (10.12, Overlap(speech_ms=120)),
        (10.50, doubtful),
        (11.10, replace(doubtful, speech_ms=1100)),
        (11.20, replace(doubtful, speech_ms=1200)),
    ) == [(10.12, Action.HOLD), (11.20, Action.INTERRUPT)]


@pytest.mark.parametrize("words", ["", "no"])
def test_after_a_sound_without_sure_words_more_is_waited_for(words: str) -> None:
    sound = Overlap(speech_ms=150, silence_ms=260, words=words, logprob=-0.9)
    assert act(
        english(),
        (10.12, Overlap(speech_ms=120)),
        (10.50, sound),
        (10.80, replace(sound, silence_ms=560)),
        (10.82, replace(sound, silence_ms=580)),
    ) == [(10.12, Action.HOLD), (10.82, Action.RESUME)]


@pytest.mark.parametrize("said", ["Stop.", "wait", "No, no.", "Hold on."])
def test_stop_words_interrupt_however_short(said: str) -> None:
    policy = english(min_words=3, min_ms=1000)
    assert act(
        policy, (10.12, Overlap(speech_ms=120)), (10.55, Overlap(speech_ms=350, silence_ms=80, words=said))
    ) == [(10.12, Action.HOLD), (10.55, Action.INTERRUPT)]


@pytest.mark.parametrize(("said", "action"), [("No.", Action.INTERRUPT), ("No, chat.", Action.RESUME)])
def test_stop_words_may_be_doubtful_if_they_are_all(said: str, action: Action) -> None:
    mumbled = Overlap(speech_ms=350, silence_ms=80, words=said, logprob=-0.7)
    later = replace(mumbled, silence_ms=500)
    assert act(english(), (10.12, Overlap(speech_ms=120)), (10.55, mumbled), (10.9, later))[-1][1] is action


def test_yes_answers_a_question_and_is_a_backchannel_elsewhere() -> None:
    answered = Overlap(speech_ms=300, silence_ms=300, words="Yes.", asked=True)
    assert act(english(), (10.12, Overlap(speech_ms=120)), (10.6, answered))[-1][1] is Action.INTERRUPT
    nodded = Overlap(speech_ms=300, silence_ms=300, words="Yes.")
    assert act(english(), (10.12, Overlap(speech_ms=120)), (10.6, nodded))[-1][1] is Action.RESUME


def test_where_sounds_may_be_scraps_more_words_are_not_waited_for() -> None:
    scrap = Overlap(speech_ms=80, silence_ms=260, words="", scraps=True)
    assert act(english(), (10.12, Overlap(speech_ms=80, scraps=True)), (10.42, scrap)) == [
        (10.12, Action.HOLD),
        (10.42, Action.RESUME),
    ]


def test_where_sounds_may_be_scraps_even_long_speech_must_be_sure() -> None:
    misheard = Overlap(speech_ms=1500, words="about the auditions", logprob=-0.6, scraps=True)
    assert act(english(), (10.12, Overlap(speech_ms=120, scraps=True)), (11.5, misheard)) == [
        (10.12, Action.HOLD)
    ]
    assert act(english(), (11.5, replace(misheard, logprob=-0.3))) == [(11.5, Action.INTERRUPT)]
    assert act(english(), (12.5, replace(misheard, speech_ms=2500))) == [(12.5, Action.INTERRUPT)]


def test_an_echo_never_holds_and_a_voice_over_it_does() -> None:
    assert act(
        english(),
        (10.12, Overlap(speech_ms=120, echo=0.9)),
        (10.60, Overlap(speech_ms=600, echo=0.9, words="how can I help you today")),
        (11.00, Overlap(speech_ms=1000, echo=0.2)),
    ) == [(11.00, Action.HOLD)]


def test_what_may_be_a_leak_never_holds_and_a_voice_that_goes_on_does() -> None:
    leak = Overlap(speech_ms=60, scraps=True, leaks=True)
    assert act(english(), (10.06, leak), (10.36, replace(leak, silence_ms=260, words=""))) == []
    assert act(english(), (10.06, leak), (10.12, replace(leak, speech_ms=120, leaks=False))) == [
        (10.12, Action.HOLD)
    ]


def test_a_hold_that_proves_to_be_echo_is_let_go() -> None:
    assert act(
        english(), (10.12, Overlap(speech_ms=120, echo=0.3)), (10.30, Overlap(speech_ms=300, echo=0.8))
    ) == [(10.12, Action.HOLD), (10.30, Action.RESUME)]


def test_words_that_come_after_the_agent_went_on_still_interrupt() -> None:
    assert act(
        english(),
        (10.12, Overlap(speech_ms=120)),
        (11.05, Overlap(speech_ms=500, silence_ms=500)),
        (11.40, Overlap(speech_ms=500, silence_ms=850, words="cancel that")),
    ) == [(10.12, Action.HOLD), (11.05, Action.RESUME), (11.40, Action.INTERRUPT)]


def test_a_persona_may_ask_for_more_words_or_time() -> None:
    short = Overlap(speech_ms=600, silence_ms=300, words="next please")
    assert act(english(min_words=3), (10.12, Overlap(speech_ms=120)), (10.7, short), (11.1, short)) == [
        (10.12, Action.HOLD),
        (10.7, Action.RESUME),
    ]


def test_nothing_interrupts_a_persona_without_barge_in() -> None:
    policy = BargeIn(language="en", enabled=False)
    assert act(policy, (10.12, Overlap(speech_ms=3000, words="stop"))) == []


@pytest.mark.parametrize(
    ("language", "said", "action"),
    [
        ("fr", "d'accord", Action.RESUME),
        ("fr", "Attendez !", Action.INTERRUPT),
        ("es", "Ajá, sí.", Action.RESUME),
        ("es", "espera", Action.INTERRUPT),
        ("de", "ja, genau", Action.RESUME),
        ("de", "Moment!", Action.INTERRUPT),
        ("it", "sì, capisco", Action.RESUME),
        ("it", "Aspetti!", Action.INTERRUPT),
        ("pt", "uhum, sim", Action.RESUME),
        ("pt", "peraí", Action.INTERRUPT),
        ("hi", "हाँ, ठीक है", Action.RESUME),
        ("hi", "रुकिए", Action.INTERRUPT),
        ("xx", "any word at all", Action.INTERRUPT),
    ],
)
def test_other_languages(language: str, said: str, action: Action) -> None:
    policy = BargeIn(language=language)
    end = Overlap(speech_ms=400, silence_ms=300, words=said)
    assert act(policy, (10.12, Overlap(speech_ms=120)), (10.7, end)) == [(10.12, Action.HOLD), (10.7, action)]


def test_doubtful_words_over_the_agent_are_none() -> None:
    policy = BargeIn(language="en")
    assert policy.decide(0.0, Overlap(speech_ms=100)) is Action.HOLD
    doubtful = Overlap(speech_ms=460, words="in a month", logprob=-0.9)
    assert policy.decide(0.4, doubtful) is Action.NOTHING
    assert policy.decide(0.8, replace(doubtful, silence_ms=260)) is Action.RESUME


@pytest.mark.parametrize("said", ["right", "i", ""])
def test_a_voice_that_comes_back_after_a_sound_is_heard_out(said: str) -> None:
    policy = english(min_words=2)
    assert act(
        policy,
        (10.12, Overlap(speech_ms=120)),
        (10.60, Overlap(speech_ms=200, silence_ms=280, words="" if not said else None)),
        (10.70, Overlap(speech_ms=580)),
        (11.00, Overlap(speech_ms=880, words=said)),
        (11.60, Overlap(speech_ms=1480, words="right but i want something else")),
    )[-1] == (11.60, Action.INTERRUPT)


def test_long_speech_may_be_doubtful() -> None:
    policy = BargeIn(language="en")
    policy.decide(0.0, Overlap(speech_ms=100))
    long = Overlap(speech_ms=1300, words="that is not what i want in to know", logprob=-0.8)
    assert policy.decide(1.3, long) is Action.INTERRUPT


@pytest.mark.parametrize(
    ("speech_ms", "continues", "action"),
    [(300, True, Action.INTERRUPT), (300, False, Action.RESUME), (120, True, Action.RESUME)],
)
def test_a_short_word_just_behind_a_turn_goes_on_with_it(
    speech_ms: float, continues: bool, action: Action
) -> None:
    policy = BargeIn(language="en")
    voice = Overlap(speech_ms=speech_ms, scraps=True, continues=continues)
    assert policy.decide(0.1, voice) is Action.HOLD
    assert policy.decide(0.6, replace(voice, words="Goodbye.", silence_ms=260, logprob=-0.2)) is action
