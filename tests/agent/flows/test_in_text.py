"""Flows in a conversation in text, behind the real service and context, with a scripted model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any, cast

from agent.calendar.appointments import appointments
from agent.calendar.tools import CalendarTools
from agent.dialogue import Dialogue
from agent.flows.hints import MOST_LIKELY
from agent.tools.toolbox import Toolbox
from config.calendar import CalendarSettings
from config.flow import load_flow
from config.llm import LlmSettings
from config.persona import load_persona
from models.llm.language_model import Llm
from tests.agent.conversation_kit import Outcome
from tests.agent.flows.kit import TABLE, Restaurant, persona
from tests.agent.scripted_llm import ScriptedLlm
from tests.models.fake_openai import CallTool, FakeOpenAI, Say
from tests.ollama_server import served


def scripted(replies: dict[str, str] | None = None) -> Any:
    return cast(Any, ScriptedLlm(replies or {}, Outcome(), None))


async def talk(*said: str, at: Restaurant, replies: dict[str, str] | None = None) -> Sequence[str]:
    """What is answered, turn by turn."""
    async with Dialogue(scripted(replies), persona(), toolbox=at.toolbox) as dialogue:
        return [" ".join((await dialogue.answer(text)).text.split()) for text in said]


@asynccontextmanager
async def talking(model: FakeOpenAI, at: Restaurant) -> AsyncIterator[Dialogue]:
    """To a model elsewhere."""
    async with served(model.app) as url:
        llm = Llm(LlmSettings(url=f"{url}/v1", model="scripted"), weights=None, environ={})
        await llm.start()
        try:
            async with Dialogue(llm, persona(), toolbox=at.toolbox) as dialogue:
                yield dialogue
        finally:
            await llm.close()


async def test_a_table_is_asked_for_read_back_and_booked() -> None:
    nora = Restaurant()
    heard = await talk(
        "Hi, I'd like to book a table.", "Tomorrow.", "At seven", "Four", "Ann Miller.", "No", "Yes.", at=nora
    )
    assert heard[:5] == [
        "For which day?",
        "At what time?",
        "For how many people?",
        "Under what name?",
        "What's your number?",
    ]
    assert heard[5].startswith("A table for 4 on ")
    assert heard[5].endswith(" at 7:00 PM, for Ann Miller. Is that right?")
    assert heard[6] == "It's booked. See you then, Ann Miller!"
    assert len(nora.asked) == 1
    assert [(one["time"], one["people"], one["name"]) for one in nora.booked] == [
        ("19:00", "4", "Ann Miller")
    ]
    assert "phone" not in nora.booked[0]


async def test_what_is_said_at_once_is_not_asked_for() -> None:
    nora = Restaurant()
    heard = await talk(
        "A table for four on Friday at seven please, my name is Ann.", "I don't know.", "Yes", at=nora
    )
    assert heard[0] == "What's your number?"
    assert "for 4 on Friday" in heard[1]
    assert len(nora.booked) == 1


async def test_a_correction_is_read_back_anew() -> None:
    nora = Restaurant()
    heard = await talk(
        "A table for four on Friday at seven please, my name is Ann, 212 555 0123.",
        "No, Saturday.",
        "Actually make it five people.",
        "Yes, that's right.",
        at=nora,
    )
    assert "Saturday" in heard[1]
    assert heard[2].startswith("A table for 5 on Saturday")
    assert heard[3] == "It's booked. See you then, Ann!"
    assert [one["people"] for one in nora.booked] == ["5"]


async def test_a_question_is_answered_by_the_model_and_the_flow_goes_on() -> None:
    nora = Restaurant()
    heard = await talk(
        "I want to book a table",
        "Do you have a car park?",
        "Friday",
        at=nora,
        replies={"Do you have a car park?": "There is one behind the house."},
    )
    assert heard[1] == "There is one behind the house. For which day?"
    assert heard[2] == "At what time?"


async def test_who_is_not_understood_three_times_is_handed_over() -> None:
    heard = await talk("Book a table please", "Blue.", "Green.", "Yellow.", at=Restaurant())
    assert heard[1] == "Sorry, I didn't understand that. Which day is it for, please?"
    assert heard[3].startswith("I'd rather leave this to somebody here.")


async def test_a_time_that_is_full_is_asked_for_again() -> None:
    nora = Restaurant(full=("19:00",))
    heard = await talk("A table for two on Friday at seven.", "Then at nine.", "Ann", at=nora)
    assert heard[0] == "At 7:00 PM we're full; nine would be possible. At what time?"
    assert heard[1] == "Under what name?"
    assert [one["time"] for one in nora.asked] == ["19:00", "21:00"]


async def test_what_a_tool_says_at_length_is_not_taken_for_done() -> None:
    nora = Restaurant(full=("19:00",), remark="x" * 5000)
    (heard,) = await talk("A table for two on Friday at seven.", at=nora)
    assert heard == "At 7:00 PM we're full; nine would be possible. At what time?"


async def test_the_same_is_booked_once_however_often_it_is_agreed_to() -> None:
    nora = Restaurant()
    wish = "A table for four on Friday at seven please, my name is Ann, 212 555 0123."
    heard = await talk(wish, "Yes.", wish, "Yes.", at=nora)
    assert heard[1] == heard[3] == "It's booked. See you then, Ann!"
    assert len(nora.booked) == 1


async def test_what_was_cancelled_may_be_booked_again() -> None:
    nora = Restaurant()
    wish = "A table for four on Friday at seven please, my name is Ann, 212 555 0123."
    heard = await talk(wish, "Yes.", "Cancel my table.", "Yes.", wish, "Yes.", at=nora)
    assert heard[3] == "It's cancelled."
    assert heard[5] == "It's booked. See you then, Ann!"
    assert (len(nora.asked), len(nora.booked), len(nora.cancelled)) == (2, 2, 1)
    assert nora.booked[0]["key"] != nora.booked[1]["key"]


async def test_a_recognizer_is_told_what_is_asked_for() -> None:
    async with Dialogue(scripted(), persona(), toolbox=Restaurant().toolbox) as dialogue:
        hints = [dialogue.expected.hint]
        for text in ("Book a table.", "Friday", "Seven", "Two", "Ann", "No", "Yes"):
            await dialogue.answer(text)
            hints.append(dialogue.expected.hint)
    opens, day, time, *rest, confirms, more = hints
    assert opens == "Could we eat at your place on Sunday?"
    assert "Tuesday" in day
    assert "AM" in time
    assert rest == ["", "", rest[2]]
    assert "half past" in confirms  # as in "no, at half past ten"
    assert more == "No, thanks. That's all."


async def test_a_recognizer_is_told_whose_appointments_there_are(tmp_path: Path) -> None:
    """The soonest last, which it believes most; as many as it can hear apart."""
    desk = appointments(CalendarSettings(hours=("mon-sun 9:00-18:00",)), tmp_path)
    begin = datetime.combine(desk.now().date() + timedelta(days=1), time(9))
    for number in range(MOST_LIKELY + 2):
        await desk.book(str(number), begin + timedelta(hours=0.5 * number), name=f"Name {number}")
    box = Toolbox(CalendarTools(desk).tools())
    async with Dialogue(scripted(), load_persona("receptionist"), toolbox=box) as dialogue:
        await dialogue.answer("I'd like to cancel my appointment.")
        async with asyncio.timeout(5):
            while not dialogue.expected.hint:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        names = dialogue.expected.hint.split(", ")
        assert names == [f"Name {number}" for number in reversed(range(MOST_LIKELY))]


async def test_what_is_offered_is_taken_by_its_place(tmp_path: Path) -> None:
    desk = appointments(CalendarSettings(hours=("mon-sun 9:00-18:00",)), tmp_path)
    day = desk.now().date() + timedelta(days=3)
    begins = [datetime.combine(day + timedelta(days=later), time(10)) for later in (0, 1)]
    for begin in begins:
        await desk.book(begin.isoformat(), begin, name="Ann Miller")
    box = Toolbox(CalendarTools(desk).tools())
    async with Dialogue(scripted(), load_persona("receptionist"), toolbox=box) as dialogue:
        said = [
            (await dialogue.answer(text)).text
            for text in (
                "I'd like to move my appointment. My name is Ann Miller.",
                "The second one, please.",
                f"To {day:%B %d} at ten.",  # which the other has
                "The later one.",
                "Yes.",
            )
        ]
        assert "Which one do you mean?" in said[0]
        assert "What day would you like instead?" in said[1]
        assert "That's taken. I have" in said[2]
        assert "at 10:30" in said[3]
    assert {one.begin for one in await desk.find()} == {begins[0], begins[0] + timedelta(minutes=30)}


async def test_days_are_read_by_the_calendars_time(tmp_path: Path) -> None:
    desk = appointments(CalendarSettings(), tmp_path)
    desk.now = lambda: datetime(2026, 3, 11, 15, 20)
    box = Toolbox(CalendarTools(desk).tools(), now=desk.now)
    async with Dialogue(scripted(), load_persona("receptionist"), toolbox=box) as dialogue:
        await dialogue.answer("I'd like to book an appointment for tomorrow at ten in the morning.")
        await dialogue.answer("Ann Baker.")
        await dialogue.answer("212 555 0199.")
        await dialogue.answer("Yes, please.")
    assert [one.begin for one in await desk.find()] == [datetime(2026, 3, 12, 10)]


async def test_a_recognizer_may_compare_what_it_hears_by_what_it_means_here() -> None:
    async with Dialogue(scripted(), persona(), toolbox=Restaurant().toolbox) as dialogue:
        await dialogue.answer("Book a table.")
        reads = dialogue.expected.reads
        assert reads
        assert reads("On Friday.") == reads("Friday, please!") != reads("Thursday.")
        assert reads("Are you open on Friday?") not in (None, reads("Friday."))
        assert reads("Once he's there.") is None
        assert reads("Monday, Tuesday.") is None  # one of them may be the hint's
        for text in ("Friday", "Seven", "Two", "Ann"):
            await dialogue.answer(text)
        reads = dialogue.expected.reads
        assert reads
        assert reads("212 555 0123") == reads("two one two, five five five, oh one two three")
        assert reads("212 55 0123") is None  # a digit wasn't heard


async def test_who_drawls_what_is_waited_for_isnt_taken_to_sing() -> None:
    async with Dialogue(scripted(), persona(), toolbox=Restaurant().toolbox) as dialogue:
        wanted = dialogue.expected.wanted
        assert wanted
        assert wanted("Um, I'd like to, uh, book a table.")
        assert not wanted("Hello, is it me you're looking for?")
        await dialogue.answer("Book a table.")
        wanted = dialogue.expected.wanted
        assert wanted
        assert wanted("Um, on Friday.")
        assert wanted("Well, the 3rd or so, I'd say.")
        assert not wanted("Yesterday, all my troubles seemed so far away.")


async def test_what_is_secret_is_shown_to_nobody_but_the_tool() -> None:
    flow = load_flow(TABLE)
    hidden = flow.slots["phone"].model_copy(update={"secret": True})
    flow = flow.model_copy(update={"slots": {**flow.slots, "phone": hidden}})
    nora = Restaurant()
    async with Dialogue(scripted(), persona(flow), toolbox=nora.toolbox) as dialogue:
        await dialogue.answer("A table for four on Friday at seven please, my name is Ann, 212 555 0123.")
        assert dialogue.flow == {
            "task": "book",
            "step": "sure",
            "waits_for": "yes",
            "slots": {
                "day": nora.asked[0]["day"],
                "time": "19:00",
                "people": 4,
                "name": "Ann",
                "phone": "***",
            },
        }
        reply = await dialogue.answer("Yes")
    assert nora.booked[0]["phone"] == "+12125550123"
    assert [call.arguments["phone"] for call in reply.tool_calls] == ["***"]


async def test_a_task_that_the_model_finds_is_begun() -> None:
    """What isn't said in so many words is the model's to choose, which calls a task as if it were a tool."""
    says = "Could four of us eat with you on Friday at seven?"
    fake = FakeOpenAI(CallTool("book", {}))
    nora = Restaurant()
    async with talking(fake, nora) as dialogue:
        assert (await dialogue.answer(says)).text == "Under what name?"
    assert nora.asked[0]["people"] == "4"
    offered = {tool["function"]["name"] for tool in fake.requests[0]["tools"]}
    assert offered == {"end_call", "take_message", "book", "cancel"}


async def test_a_model_elsewhere_says_by_a_schema_what_code_can_not_tell() -> None:
    fake = FakeOpenAI(
        Say(('{"choice": "answers"}',)),
        Say(('{"time": "the usual hour, eight"}',)),
        Say(('{"choice": "doesn\'t know"}',)),
    )
    nora = Restaurant()
    async with talking(fake, nora) as dialogue:
        await dialogue.answer("I want to book a table for Friday")
        await dialogue.answer("My wife likes it the same as ever")
        asked_again = await dialogue.answer("She'll have to tell me herself")
    schema = fake.requests[0]["response_format"]["json_schema"]["schema"]
    assert "wants a person" in schema["properties"]["choice"]["enum"]
    assert dialogue.flow is not None
    assert dialogue.flow["waits_for"] == "time"  # none of it was among their words
    assert asked_again.text == "Sorry, I didn't understand that. At what time?"


async def test_a_model_s_guess_that_it_was_a_yes_acts_on_nothing() -> None:
    fake = FakeOpenAI(Say(('{"choice": "agrees"}',)))
    nora = Restaurant()
    async with talking(fake, nora) as dialogue:
        await dialogue.answer("A table for four on Friday at seven, my name is Ann, 212 555 0123.")
        again = await dialogue.answer("You could say so, couldn't you.")
    assert again.text.startswith("Sorry, I didn't understand that. A table for 4")
    assert not nora.booked
