"""Calls in which the caller's language, or the number called, decides who answers."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.session import CallSession
from agent.sessions import Sessions
from config.answering import load_personas
from config.persona import Persona, PersonaTurn
from config.settings import CallSettings, Settings
from config.turn import TurnSettings
from models.pool import ModelPool
from tests.agent.conversation_kit import PERSONA, FakeCall, Outcome, Says, answers, callers, converse
from transports.call import CallInfo, CallTransport, EndReason

FRENCH = Persona(
    name="Essai",
    language="fr-FR",
    voice="essai",
    greeting="Bonjour.",
    prompt="Sois bref.",
    goodbye="Au revoir.",
    goodbye_words=("au revoir",),
    idle_prompts=("Vous êtes là ?",),
    apology="Désolée.",
)
LONG = "one two three four five six seven eight nine ten eleven twelve."
REPLIES = {"Je voudrais réserver une table.": "Pour combien de personnes ?"}


def french(says: Says, *, fr: float = 0.99, en: float = 0.004) -> Says:
    return replace(says, speaks="fr", languages=(("en", en), ("fr", fr)))


def english(says: Says, *, en: float = 0.99, fr: float = 0.0003) -> Says:
    return replace(says, speaks="en", languages=(("en", en), ("fr", fr)))


TABLE = french(Says(2.0, 4.0, "Je voudrais réserver une table.", finished=0.95))


def prompts(outcome: Outcome) -> list[str]:
    return [str(context[0]["content"]) for context in outcome.contexts]


def voices(outcome: Outcome, persona: Persona) -> list[str]:
    return [text for voice, text in outcome.spoken if voice == persona.voice]


def test_who_speaks_french_first_is_answered_by_the_french_persona() -> None:
    outcome = converse([TABLE], REPLIES, lasts=8, others=[FRENCH])
    assert callers(outcome) == ["Je voudrais réserver une table."]
    assert answers(outcome) == ["Hello there.", "Pour combien de personnes ?"]
    assert set(prompts(outcome)) == {"Sois bref."}
    assert outcome.contexts[-1][1] == {"role": "assistant", "content": "Hello there."}
    assert voices(outcome, PERSONA) == ["Hello there."]
    assert "".join(voices(outcome, FRENCH)).replace(" ", "") == "Pourcombiendepersonnes?"
    assert outcome.at("agent starts", 1) - 4.0 <= 1.5
    assert not outcome.left


def test_who_speaks_english_stays_with_the_one_who_greeted() -> None:
    outcome = converse([english(Says(2.0, 3.5, "What is the weather like?"))], lasts=6, others=[FRENCH])
    assert callers(outcome) == ["What is the weather like?"]
    assert set(prompts(outcome)) == {"Be brief."}
    assert outcome.at("agent starts", 1) - 3.5 <= 0.4  # as with one language
    assert voices(outcome, FRENCH) == []


def test_an_answer_begun_in_the_wrong_language_is_never_heard() -> None:
    # While it is short it sounds English, and it is a sentence; then more comes.
    first = english(Says(2.0, 3.0, "Oh no.", completeness=0.3), en=0.9, fr=0.05)
    rest = french(Says(3.3, 5.5, "Je voudrais réserver une table."))
    outcome = converse([first, rest], {"Oh no.": "What happened to you?"}, lasts=10, others=[FRENCH])
    assert outcome.discarded >= 1
    assert "Be brief." in prompts(outcome)
    assert prompts(outcome)[-1] == "Sois bref."
    assert len(callers(outcome)) == 1
    assert callers(outcome)[0].endswith("Je voudrais réserver une table.")
    assert answers(outcome) == ["Hello there.", "Okay then."]


def test_the_same_words_are_answered_anew_in_another_language() -> None:
    # They are complete, and being answered, when what follows them makes the language another.
    script = [
        replace(english(Says(2.0, 3.2, "Taxi, taxi.")), speaks=None),
        replace(french(Says(3.2, 4.6, "")), speaks=None),
    ]
    outcome = converse(script, lasts=8, others=[FRENCH])
    assert callers(outcome) == ["Taxi, taxi."]
    assert prompts(outcome) == ["Be brief.", "Sois bref."]
    assert outcome.discarded == 1
    assert "".join(voices(outcome, FRENCH)).replace(" ", "") == "Okaythen."


@pytest.mark.parametrize("speculate", [True, False])
def test_a_short_bonjour_is_enough(speculate: bool) -> None:
    bonjour = french(Says(2.0, 2.5, "Bonjour."), fr=0.76, en=0.08)
    settings = Settings(turn=TurnSettings(speculate=speculate))
    outcome = converse([bonjour], lasts=6, settings=settings, others=[FRENCH])
    assert callers(outcome) == ["Bonjour."]
    assert set(prompts(outcome)) == {"Sois bref."}


def test_turns_that_leave_it_open_add_up() -> None:
    script = [
        replace(english(Says(start, start + 1.0, "Taxi, taxi."), en=0.5, fr=0.2), speaks=None)
        for start in (2.0, 5.0)
    ]
    outcome = converse(script, lasts=9, others=[FRENCH])
    assert (prompts(outcome)[0], prompts(outcome)[-1]) == ("Be brief.", "Sois bref.")


def test_hello_leaves_it_open() -> None:
    hello = english(Says(2.0, 2.5, "Hello?"), en=0.66, fr=0.008)
    later = french(Says(5.0, 7.0, "Je voudrais réserver une table."))
    outcome = converse([hello, later], REPLIES, lasts=11, others=[FRENCH])
    assert callers(outcome) == ["Hello?", "Je voudrais réserver une table."]
    assert answers(outcome) == ["Hello there.", "Okay then.", "Pour combien de personnes ?"]
    assert (prompts(outcome)[0], prompts(outcome)[-1]) == ("Be brief.", "Sois bref.")
    assert [message["content"] for message in outcome.contexts[-1][1:]] == [
        "Hello there.",
        "Hello?",
        "Okay then.",
        "Je voudrais réserver une table.",
    ]


@pytest.mark.parametrize("end", [1.7, 3.0])  # the agent gives up the floor behind the words, and before
def test_who_interrupts_the_greeting_in_french_is_answered_in_french(end: float) -> None:
    long = PERSONA.model_copy(update={"greeting": LONG})
    interrupting = french(Says(1.0, end, "Je voudrais réserver une table."))
    outcome = converse([interrupting], REPLIES, lasts=8, persona=long, others=[FRENCH])
    assert answers(outcome)[-1] == "Pour combien de personnes ?"
    assert set(prompts(outcome)) == {"Sois bref."}
    assert outcome.turns[0][2]


def test_who_nods_in_french_interrupts_no_french_answer() -> None:
    nod = french(Says(6.0, 6.4, "D'accord."))
    outcome = converse([TABLE, nod], {TABLE.text: LONG}, lasts=12, others=[FRENCH])
    assert answers(outcome) == ["Hello there.", LONG]
    assert callers(outcome) == [TABLE.text]


def test_what_is_murmured_over_the_agent_changes_nothing() -> None:
    script = [
        english(Says(2.0, 3.5, "Count to twelve, please.")),
        Says(5.5, 5.8, "ah", languages=(("en", 0.01), ("fr", 0.9))),
    ]
    outcome = converse(script, {"Count to twelve, please.": LONG}, lasts=12, others=[FRENCH])
    assert outcome.turns[2] == ("agent", LONG, False)
    assert voices(outcome, FRENCH) == []


def test_the_language_changes_again_when_the_caller_does() -> None:
    script = [
        english(Says(2.0, 4.0, "What is the weather like?")),
        french(Says(6.0, 7.5, "En français, s'il vous plaît.")),
        english(Says(10.0, 12.0, "What is the weather like?")),
    ]
    outcome = converse(script, lasts=16, others=[FRENCH])
    assert [prompt for prompt, _ in groupby(prompts(outcome))] == ["Be brief.", "Sois bref.", "Be brief."]


def test_everything_that_is_said_changes_with_the_language() -> None:
    settings = Settings(
        call=CallSettings(idle_prompt_s=4.0, idle_prompts=1), turn=TurnSettings(filler_after_ms=500)
    )
    persona = FRENCH.model_copy(update={"turn": PersonaTurn(filler="Un instant.")})
    replies = {"Je voudrais réserver une table.": "!slow Pour combien ?"}
    outcome = converse([TABLE], replies, lasts=60, settings=settings, others=[persona])
    said = " ".join(voices(outcome, FRENCH))
    for phrase in ("Un instant.", "Vous êtes là ?", "Au revoir."):
        assert phrase in said
    assert voices(outcome, PERSONA) == ["Hello there."]
    assert outcome.reason is EndReason.IDLE


@pytest.mark.parametrize(
    ("reply", "reason", "last"),
    [("!fail", EndReason.MODEL_FAILURE, "Désolée."), ("Oui.", EndReason.AGENT_HANGUP, "Au revoir.")],
)
def test_apologies_and_goodbyes_too(reply: str, reason: EndReason, last: str) -> None:
    again = french(Says(8.0, 9.5, TABLE.text))  # a second failure ends the call
    bye = french(Says(14.0, 15.5, "Au revoir !"))
    outcome = converse([TABLE, again, bye], {TABLE.text: reply}, lasts=30, others=[FRENCH])
    assert outcome.reason is reason
    assert answers(outcome)[-1] == last


def test_the_session_and_the_browser_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def send(_: FakeCall, message: dict[str, Any]) -> None:
        told.append(message["data"])

    told: list[dict[str, Any]] = []
    sessions: list[CallSession] = []
    monkeypatch.setattr(FakeCall, "carries_messages", True)
    monkeypatch.setattr(FakeCall, "send_message", send)
    converse([TABLE], lasts=8, others=[FRENCH], during=lambda session, _: sessions.append(session))
    assert sessions[0].persona is FRENCH
    assert [data for data in told if data["type"] == "persona"] == [
        {"type": "persona", "name": "Essai", "language": "fr-FR"}
    ]


async def test_the_number_called_decides_who_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    greeting: dict[str, list[str]] = {}

    class Session:
        def __init__(self, call: Any, *, personas: Any, **_: Any) -> None:
            greeting[call.info.called] = [persona.name for persona in personas]
            self.forgotten = SimpleNamespace(set=lambda: None)
            self.connected_at = None

        async def run(self) -> None:
            return

    monkeypatch.setattr("agent.sessions.CallSession", Session)
    settings = Settings(languages=("en", "fr"), numbers={"+33 1 23": "fr"})
    pool = cast(ModelPool, SimpleNamespace(llm=SimpleNamespace(accepting=(True, "")), away=""))
    sessions = Sessions(settings=settings, personas=load_personas(settings), pool=pool)
    sessions._ready = True
    for called in ("+33123", "33123", "agent", ""):
        await sessions.handle(cast(CallTransport, SimpleNamespace(info=CallInfo("sip", "alice", called))))
    assert greeting == {
        "+33123": ["Claire"],
        "33123": ["Claire"],
        "agent": ["Joe", "Claire"],
        "": ["Joe", "Claire"],
    }


async def test_what_every_persona_says_is_prepared_in_its_voice() -> None:
    class FakeVoices:
        def __init__(self) -> None:
            self.remembered: dict[tuple[str, ...], str] = {}

        async def remember(self, texts: list[str], *, voice: tuple[str, ...], language: str) -> None:
            self.remembered[voice] = self.remembered.get(voice, "") + " ".join(texts) + " "

    settings = Settings(languages=("en", "fr"))
    personas, voices = load_personas(settings), FakeVoices()
    pool = cast(ModelPool, SimpleNamespace(voices=voices))
    await Sessions(settings=settings, personas=personas, pool=pool).prepare()
    for persona in personas.all:
        for phrase in (persona.greeting, persona.goodbye, persona.apology, *persona.idle_prompts):
            assert phrase in voices.remembered[persona.voice]
