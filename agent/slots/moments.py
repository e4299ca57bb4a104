"""Days, times of day and durations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import MINYEAR, date, datetime, time, timedelta
from typing import ClassVar

from babel import Locale
from babel.dates import format_date, format_time, format_timedelta

from agent.slots.slot import Problem, settled
from agent.slots.words import SlotWords, code_of, plain_pattern, words_of
from models.llm import spoken
from models.llm.spoken_words import LANGUAGES
from models.reading.language import Language

_MORNING = (time(0), time(11, 59))
_LATER = (time(12), time(23, 59))
_OVER = {
    "en": r"yesterday|last (?:week|month|year|night|weekday[a-g])|ago",
    "fr": r"hier|derniere?|passee?|il y a",
    "es": r"ayer|pasad[oa](?! manana)|hace",
    "it": r"ieri|scors[oa]|passat[oa]|fa",
    "pt": r"ontem|passad[oa]|atras",
}
_VAGUE = {
    "en": r"weeks?|weekend|month|(?:some|any)time|whenever|any day|soon",
    "fr": r"semaines?|week end|mois|bientot|n'importe quand",
    "es": r"semanas?|mes|pronto|cualquier",
    "it": r"settiman[ae]|fine settimana|mese|presto|qualsiasi",
    "pt": r"semanas?|fim de semana|mes|breve|qualquer",
}
# Between a weekday and its number. "Monday the seventh" is heard as "Monday or 7".
_OF_MONTH = {
    "en": r"(?:the|(?P<misheard>or|of)) ",
    "fr": r"le ",
    "es": r"(?:(?:el )?dia|el) ",
    "it": r"il ",
    "pt": r"dia ",
}
# Behind a number that is the weekday's without such a word, and counts nothing: "mardi 18 à dix heures".
_BEHIND_DATE = (
    r" ?$| (?:at|for|please|would|is|if|a|al|alle|aux?|as|por|per|pour|para|s'il|si|se|va|est|es|e)\b"
)
# As which the first ten are heard behind "Monday the".
_ORDINALS_HEARD = {
    "en": "thirst|fast seconds? bird|turd force|fort|forth fist|fit sick|six service|servant|savage ate|aid "
    "night|knife tent|tense|tend"
}
_NO_DATE = (  # behind that number
    r"\d| ?(?:[:.]?\d|h(?:\b|\d)|[ap]m\b|o'? ?clock|heures?\b|horas?\b|ore\b|in the\b|[½¼]|[eyo] |"
    r"ou |et |or |d[ae] (?:la )?(?:manha|manana|tarde|noite|noche)\b|di (?:sera|mattina)\b)"
)
MOST_DAYS = 31  # of a month
LAST_HOUR = 12  # that may be meant by a number behind a weekday: "Friday seven"
FEW_WORDS = 5  # around an hour
_ISO = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b")
_NUMERIC = re.compile(r"(?<![\d:.,/])(\d{1,2})[/.](\d{1,2})(?:[/.](\d{4}|\d\d))?(?![\d:/])")
_YEAR = re.compile(r"(?<!\d)(20\d\d)(?!\d)")
_RUN_TOGETHER = re.compile(r"(?<![\d:.,+])(1[0-2]|[1-9])([0-5]\d)(?= ?[ap]\.? ?m\b)", re.IGNORECASE)
_AT_DIGITS = re.compile(r"(?<=\bat )(1[0-2]|[1-9])([0-5]\d)(?![\d:])", re.IGNORECASE)
_FOUR_DIGITS = re.compile(r"^\D*?(?<!\d)(2[0-3]|1\d|0?\d)[.h ]?([0-5]\d)\D*$")
_DOTTED = re.compile(r"(?<![\d.])(\d{1,2})\.([0-5]\d)(?= ?(?:[ap]\.? ?m\b|$|\D))", re.IGNORECASE)


@dataclass(frozen=True)
class Date:
    """A day from today on, `days_ahead` days at most."""

    days_ahead: int = 366
    kind: ClassVar[str] = "date"

    def read(self, words: str, *, language: str, now: datetime) -> date | Problem:
        return settled(words, language, lambda said: self._read(said, language, now.date()), retracts=True)

    def find(self, words: str, *, language: str, now: datetime) -> date | Problem | None:
        value = self.read(words, language=language, now=now)
        if isinstance(value, Problem) and value.reason in ("nothing", "vague"):
            return None
        return value

    def say(self, value: date, *, language: str) -> str:
        locale = Locale.parse(_locale(language))
        shortened = locale.datetime_skeletons["MMMEd"].pattern
        return format_date(value, re.sub("M+", "MMMM", re.sub("E+", "EEEE", shortened)), locale=locale)

    def _read(self, words: str, language: str, today: date) -> date | Problem:
        code = code_of(language)
        said = spoken.fold(words, code)
        if re.search(rf"\b(?:{_OVER[code]})\b", said):
            return Problem("past")
        if (unbounded := spoken.without_bounded_days(words, code)) is not None:
            meant = self._read(unbounded, language, today)  # "away until Tuesday, but the third is fine"
            return Problem("vague") if meant == Problem("nothing") else meant
        numeric, rest = _numeric(words, language, today)
        if numeric is not None:
            return self._fitting({numeric}, today)
        dates, weekdays = spoken.days(_YEAR.sub(" ", rest), code, today)
        if len(dates) == 1 and weekdays:
            if not any(one.weekday() == day.weekday() for one in dates for day in weekdays):
                return Problem("contradiction", tuple(sorted(dates | weekdays)))
            weekdays = set()
        elif not dates and len(weekdays) == 1 and (number := _numbering(said, code)):
            day, certain = weekdays.pop(), number[1]
            following = (day + timedelta(weeks=weeks) for weeks in range(5))
            numbered = next((one for one in following if one.day == number[0]), None)
            if numbered is None and certain:
                return Problem("contradiction", (day,))
            weekdays = {numbered or day}
        if (year := _YEAR.search(words)) and len(dates) == 1:
            dates = {_in_year(dates.pop(), int(year[1]))}
        found = dates or weekdays
        if found:
            return self._fitting(found, today)
        return Problem("vague" if re.search(rf"\b(?:{_VAGUE[code]})\b", said) else "nothing")

    def _fitting(self, found: set[date], today: date) -> date | Problem:
        if len(found) > 1:
            return Problem("several", tuple(sorted(found)))
        day = next(iter(found))
        if day < today:
            return Problem(
                "invalid" if day.year == MINYEAR else "past", () if day.year == MINYEAR else (day,)
            )
        return day if day <= today + timedelta(days=self.days_ahead) else Problem("range", (day,))


def _numeric(words: str, language: str, today: date) -> tuple[date | None, str]:
    """A date in figures, month or day first as the country has it, and the words without it."""
    if iso := _ISO.search(words):
        return _day(*map(int, iso.groups())), _ISO.sub(" ", words)
    if not (match := _NUMERIC.search(words)) or re.match(r"\s*[ap]\.?m", words[match.end() :], re.IGNORECASE):
        return None, words
    first, second = int(match[1]), int(match[2])
    month_first = Language(language).month_first and first <= 12
    month, number = (first, second) if month_first or second > 12 else (second, first)
    if match[3]:
        return _day(int(match[3]) % 100 + 2000, month, number), words
    if "." in match[0]:  # 7.30 is rather a time
        return None, words
    this = _day(today.year, month, number)
    return (this if this >= today or this.year == MINYEAR else _day(today.year + 1, month, number)), words


def _day(year: int, month: int, number: int) -> date:
    try:
        return date(year, month, number)
    except ValueError:
        return date.min  # there is none


def _numbering(said: str, code: str) -> tuple[int, bool] | None:
    """The number that a weekday has in its month, and whether it can mean nothing else."""
    people = plain_pattern(words_of(code).people)
    heard = said
    for ordinal, sounds in enumerate(_ORDINALS_HEARD.get(code, "").split(), 1):
        said = re.sub(rf"(?<=\bweekday[a-g] the )(?:{sounds})\b", str(ordinal), said)
    number = rf"(?P<day>\d\d?)(?!{_NO_DATE}| ?{people})"
    led = re.search(rf"\bweekday[a-g] {_OF_MONTH[code]}{number}", said)
    match = led or re.search(rf"\bweekday[a-g] {number}(?={_BEHIND_DATE})", said)
    if match is None or int(match["day"]) > MOST_DAYS:
        return None
    hour = not led and int(match["day"]) <= LAST_HOUR
    misheard = said != heard or match.groupdict().get("misheard")
    return int(match["day"]), not (hour or misheard)


def _in_year(day: date, year: int) -> date:
    return _day(year, day.month, day.day)


@dataclass(frozen=True)
class Time:
    """A time of day. Of two o'clock's two the one within `hours` is meant."""

    hours: Sequence[tuple[time, time]] = ((time(0), time(23, 59)),)
    kind: ClassVar[str] = "time"

    def read(self, words: str, *, language: str, now: datetime) -> time | Problem:
        known = words_of(language)
        words = _mended(words, {**known.misheard_parts, **known.misheard})

        def read(said: str) -> time | Problem:
            if alone := _FOUR_DIGITS.match(said):
                said = f"{alone[1]}:{alone[2]}"
            value = self._read(said, language, now)
            if isinstance(value, Problem) and value.reason == "nothing" and (hour := _hour(said, language)):
                return self._read(hour, language, now)
            return value

        return settled(words, language, read, retracts=True)

    def find(self, words: str, *, language: str, now: datetime) -> time | Problem | None:
        code = code_of(language)
        if spoken.bare(words, code):
            return None
        value = settled(words, language, lambda said: self._read(said, language, now))
        if isinstance(value, Problem) and value.reason in ("nothing", "vague"):
            return None
        return value

    def say(self, value: time, *, language: str) -> str:
        return str(format_time(value, "short", locale=_locale(language))).replace("\u202f", " ")

    def _read(self, words: str, language: str, now: datetime) -> time | Problem:
        code = code_of(language)
        said = _mended(words, words_of(language).misheard_parts)
        for written in (_RUN_TOGETHER, _AT_DIGITS, _DOTTED):
            said = written.sub(r"\1:\2", said)
        said = re.sub(r"\b(?:of )?20\d\d\b(?!:)", " ", said) if not spoken.bare(said, code) else said
        parts = re.split(rf"\b(?:{LANGUAGES[code].choice})\b", said)
        if len(parts) > 1:
            either = [self._times(part, code, now) for part in parts]
            named = tuple(sorted({self._meant(times) for times in either if times}))
            if len(named) > 1:
                return Problem("several", named)
        times = self._times(said, code, now)
        if not times:
            known = LANGUAGES[code]
            told = re.search(rf"\b(?:{known.morning}|{known.later})\b", spoken.fold(said, code))
            return Problem("vague" if told or spoken.bounded(said, code) else "nothing")
        open_ = [one for one in times if self._within(one)]
        if len(open_) == 1:
            return open_[0]
        return Problem("several", tuple(open_)) if open_ else Problem("range", tuple(times))

    def _times(self, said: str, code: str, now: datetime) -> list[time]:
        """The time that is named: two where it may be before or after noon."""
        both = {spoken.clock(said, code, now, within=half) for half in (_MORNING, _LATER)}
        return sorted(one for one in both if one is not None)

    def _meant(self, times: Sequence[time]) -> time:
        return next((one for one in times if self._within(one)), times[-1])

    def _within(self, one: time) -> bool:
        return any(begin <= one <= end for begin, end in self.hours)


@dataclass(frozen=True)
class Duration:
    """How long something lasts, between `least` and `most`."""

    least: timedelta = timedelta(minutes=1)
    most: timedelta = timedelta(days=30)
    kind: ClassVar[str] = "duration"

    def read(self, words: str, *, language: str, now: datetime) -> timedelta | Problem:
        return settled(words, language, lambda said: self._read(said, language))

    def find(self, words: str, *, language: str, now: datetime) -> timedelta | Problem | None:
        value = self.read(words, language=language, now=now)
        return None if isinstance(value, Problem) and value.reason == "nothing" else value

    def say(self, value: timedelta, *, language: str) -> str:
        locale = _locale(language)
        hours, rest = divmod(value, timedelta(hours=1))
        parts = [timedelta(hours=hours), rest] if hours and rest and value < timedelta(days=1) else [value]
        said = [format_timedelta(part, threshold=10, locale=locale) for part in parts]
        return " ".join(said)

    def _read(self, words: str, language: str) -> timedelta | Problem:
        code, known = code_of(language), words_of(language)
        said = spoken.fold(words, code)
        said = re.sub(rf"(?:{known.part_of_hour})\b", _minutes, said)
        said = re.sub(r"\b(\d+)h(\d\d)\b", r"\1 h \2", said)
        units = rf"{known.week}|{known.day}|{known.hour}|{known.minute}"
        said = re.sub(rf"\b(?:an?|une?|una|un'|uma) ?(?=(?:{plain_pattern(units)})\b)", "1 ", said)
        said = re.sub(rf"(?<!\d)(?<!\d )\b(?={plain_pattern(known.hour)} {known.and_half})", "1 ", said)
        if not re.search(rf"[\d½] ?(?:{plain_pattern(units)})\b", said):
            return Problem("nothing")
        if spoken.either(said, code):
            return Problem("vague")
        total = 0.0
        for unit, minutes in ((known.week, 10080), (known.day, 1440), (known.hour, 60), (known.minute, 1)):
            half = rf"({known.and_half})"
            pattern = rf"(\d+(?:[.,]\d+)?)(?: ?{half})? ?(?:{plain_pattern(unit)})\b(?: {half}(?! ?min))?"
            for match in re.finditer(pattern, said):
                number = float(match[1].replace(",", "."))
                total += (number + (0.5 if match[2] or match[3] else 0)) * minutes
        total += _beside_hours(said, known)
        length = timedelta(minutes=round(total))
        return length if self.least <= length <= self.most else Problem("range", (length,))


def _minutes(part_of_hour: re.Match[str]) -> str:
    fraction = next((one for one in part_of_hour[0] if one in spoken.FRACTIONS), "½")
    return f"{spoken.FRACTIONS[fraction] * 60:.0f} min"


def _beside_hours(said: str, known: SlotWords) -> int:
    """The minutes that are named without that word: "an hour thirty", "two hours less a quarter"."""
    hour, people = plain_pattern(known.hour), plain_pattern(known.people)
    amount = rf"(?:an? |une? |1 |le |um )?(?P<of>[¼¾]|[1-5]\d|5)(?![\d.,]| ?(?:{people}|{known.minute}\b))"
    match = re.search(rf"\d ?{hour} (?:(?:and|et|y|e) |(?P<less>{known.less}) )?{amount}", said)
    if match is None:
        return 0
    fraction = spoken.FRACTIONS.get(match["of"])
    minutes = round(fraction * 60) if fraction else int(match["of"])
    return -minutes if match["less"] else minutes


def _hour(words: str, language: str) -> str | None:
    """The one number among few words, where it may be an hour: "Nine sharp, then" with a word misheard."""
    no_hour, said = words_of(language).no_hour, spoken.fold(words, code_of(language))
    numbers = [word for word in said.split() if re.search(r"\d", word)]
    if not no_hour or len(numbers) != 1 or len(said.split()) > FEW_WORDS:
        return None
    if not re.fullmatch(r"[1-9]|1[0-2]", numbers[0]) or re.search(no_hour, re.sub(r"\d+", "#", said)):
        return None
    return numbers[0]


def _mended(words: str, misheard: Mapping[str, str]) -> str:
    """With what was meant in the place of what was understood."""
    for pattern, meant in misheard.items():
        words = re.sub(pattern, meant, words.strip(), flags=re.IGNORECASE)
    return words


def _locale(language: str) -> str:
    return Language(language).tag.replace("-", "_")
