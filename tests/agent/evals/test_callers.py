"""What callers who react say next, and how the calendar is held against what they wanted."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest

from agent.calendar.booking import Booking
from agent.evals.callers import (
    CallerSet,
    Conversation,
    Entry,
    load_caller_sets,
    open_day,
    say_day,
    score,
    shard,
)
from config.errors import ConfigError

FRIDAY = date(2026, 3, 13)
SET = CallerSet.model_validate(
    {
        "name": "Desk",
        "persona": "receptionist",
        "asks": {
            "anything_else": "anything else",
            "day": "what day",
            "time": "what time",
            "again": "say it again",
            "spell": "spell",
            "keys": "keypad",
            "phone": "number",
            "confirm": "shall i",
        },
        "otherwise": {"anything_else": "No.", "other": "Sorry?"},
        "callers": [
            {
                "name": "one",
                "days": {"a": 1},
                "opens": "Hello.",
                "entries": [{"day": "a", "at": "10:00", "name": "Ann Hall", "phone": "+12125550123"}],
                "answers": {
                    "day": ["{a}.", "{a:date}."],
                    "time": {"says": "Ten.", "breaks_in": "Eleven."},
                    "confirm": ["No, at eleven.", "Yes."],
                },
            }
        ],
    }
)


def talk() -> Conversation:
    return Conversation(SET, SET.callers[0], FRIDAY)


def said(conversation: Conversation, heard: str) -> str | None:
    reply = conversation.reply(heard)
    return reply.text if reply else None


def test_each_question_has_its_answers_and_the_last_one_again() -> None:
    conversation = talk()
    assert conversation.begin().text == "Hello."
    assert [said(conversation, "What day would you like?") for _ in range(3)] == [
        "Monday.",
        "March sixteenth.",
        "March sixteenth.",
    ]


def test_they_say_again_what_wasnt_understood_and_not_for_ever() -> None:
    conversation = talk()
    conversation.begin()
    assert said(conversation, "Could you say it again?") == "Hello."
    assert said(conversation, "What day?") == "Monday."
    assert [said(conversation, "Please say it again.") for _ in range(3)] == ["Monday.", "Monday.", None]


def test_they_say_again_what_they_wanted_and_not_that_they_heard_nothing() -> None:
    conversation = talk()
    assert said(conversation, "Well.") == "Sorry?"
    assert said(conversation, "Please say it again.") == "Hello."


def test_they_spell_their_name() -> None:
    assert said(talk(), "Could you spell your name?") == "Ann Hall. H, A, L, L."


def test_they_key_in_their_number() -> None:
    reply = talk().reply("Please enter it on the keypad. Or say it once more.")
    assert reply
    assert (reply.text, reply.keys) == ("DTMF: 2125550123#", "2125550123#")


def test_they_say_their_number() -> None:
    assert said(talk(), "What's your number?") == "two, one, two, five, five, five, zero, one, two, three."


def test_they_object_to_another_number_than_theirs() -> None:
    conversation = talk()
    right, wrong = "Tuesday, December 8 at 10:00 AM, telephone (212) 555-0123.", "telephone (212) 555-0133."
    assert said(conversation, f"{right} Shall I book it?") == "No, at eleven."
    objection = "No, the number is two, one, two, five, five, five, zero, one, two, three."
    assert said(conversation, f"{wrong} Shall I book it?") == objection
    assert said(conversation, "telephone (215) 555-0123. Shall I book it?") == objection
    assert said(conversation, f"{right} Shall I book it?") == "Yes."


def test_a_correction_that_was_not_understood_is_said_again() -> None:
    conversation = talk()
    assert said(conversation, "At ten. Shall I book it?") == "No, at eleven."
    assert said(conversation, "Sorry, I didn't understand that. At ten. Shall I book it?") == "No, at eleven."
    assert said(conversation, "At eleven. Shall I book it?") == "Yes."


def test_what_broke_in_and_was_not_understood_is_said_again() -> None:
    conversation = talk()
    assert said(conversation, "What time?") == "Ten."
    assert said(conversation, "Sorry, I didn't understand that. At ten. Shall I book it?") == "Eleven."
    assert said(conversation, "At eleven. Shall I book it?") == "No, at eleven."


def test_the_last_sentence_that_asks_counts() -> None:
    reply = talk().reply("On what day? I mean, at what time? We're open all day.")
    assert reply
    assert (reply.text, reply.breaks_in) == ("Ten.", "Eleven.")


def test_who_has_said_no_to_anything_else_hangs_up() -> None:
    conversation = talk()
    assert said(conversation, "Well.") == "Sorry?"
    assert said(conversation, "Is there anything else?") == "No."
    assert said(conversation, "Well.") is None


@pytest.mark.parametrize(
    ("number", "day"), [(0, FRIDAY), (1, date(2026, 3, 16)), (5, date(2026, 3, 20)), (6, date(2026, 3, 23))]
)
def test_open_days_are_monday_to_friday(number: int, day: date) -> None:
    assert open_day(FRIDAY, number) == day


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("weekday", "Friday"),
        ("date", "March thirteenth"),
        ("of", "the thirteenth of March"),
        ("number", "the thirteenth"),
        ("full", "Friday the thirteenth"),
    ],
)
def test_days_are_said(form: str, words: str) -> None:
    assert say_day(FRIDAY, form) == words


def booking(at: int, phone: str = "+12125550199") -> Booking:
    begin = datetime.combine(FRIDAY, time(at))
    return Booking(f"{at}", begin, begin + timedelta(minutes=30), "Ann", phone)


@pytest.mark.parametrize(
    ("found", "failures"),
    [
        ([booking(10)], []),
        ([], ["nothing is booked for Friday 10:00"]),
        ([booking(10), booking(10)], ["Friday 10:00 is booked 2 times"]),
        ([booking(10), booking(11)], ["Friday 13 11:00 is booked, which nobody wanted"]),
        ([booking(10, "1")], ["the number is 1, not +12125550199"]),
    ],
)
def test_the_calendar_is_held_against_what_was_wanted(found: list[Booking], failures: list[str]) -> None:
    entry = Entry.model_validate({"day": "a", "at": "10:00", "name": "Ann", "phone": "+12125550199"})
    assert score([entry], {"a": FRIDAY}, found) == failures


def test_some_callers_of_some_files(tmp_path: Path) -> None:
    (tmp_path / "desk.yaml").write_text(
        "persona: receptionist\nasks: {day: day}\ncallers:\n"
        "  - {name: one, opens: Hello.}\n  - {name: two, opens: Hello.}\n"
    )
    (tmp_path / "scenarios.yaml").write_text("scenarios: []\n")
    assert [len(found.callers) for found in load_caller_sets(tmp_path)] == [2]
    [found] = load_caller_sets(tmp_path, ["desk/two"])
    assert [caller.name for caller in found.callers] == ["two"]
    assert load_caller_sets(tmp_path, ["other"]) == []


def test_callers_are_dealt_out_among_parts(tmp_path: Path) -> None:
    for stem, count in (("a", 3), ("b", 2)):
        callers = "".join(f"  - {{name: '{stem}{n}', opens: Hello.}}\n" for n in range(count))
        (tmp_path / f"{stem}.yaml").write_text(f"persona: x\nasks: {{day: day}}\ncallers:\n{callers}")
    sets = load_caller_sets(tmp_path)
    parts = [[c.name for found in shard(sets, f"{n}/3") for c in found.callers] for n in (1, 2, 3)]
    assert parts == [["a0", "b0"], ["a1", "b1"], ["a2"]]
    for wrong in ("0/3", "4/3", "one"):
        with pytest.raises(ConfigError, match="first of three"):
            shard(sets, wrong)


@pytest.mark.parametrize(
    ("caller", "problem"),
    [
        ("{name: one, opens: 'On {b}.'}", "names the day b, which isn't in its days"),
        ("{name: one}", "callers.0.opens"),
    ],
)
def test_what_a_file_lacks(tmp_path: Path, caller: str, problem: str) -> None:
    (tmp_path / "desk.yaml").write_text(f"persona: x\nasks: {{day: day}}\ncallers: [{caller}]\n")
    with pytest.raises(ConfigError, match=problem):
        load_caller_sets(tmp_path)
