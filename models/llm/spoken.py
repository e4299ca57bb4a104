"""Reading the days, times and numbers that callers say: "half past seven on Friday", "six of us".

What can't be read for certain is None: two days, a day that is over, "some time next week". text2num reads
the number words; what stands around them is read here, because the libraries for dates that were tried on
spoken phrases either read few ("half past seven", "le trois mai") or made values up ("Sunday at one" became
the eleventh of January).
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime, time, timedelta
from itertools import pairwise

from text_to_num import alpha2digit

from models.llm.spoken_words import LANGUAGES
from models.llm.spoken_words.words import NOON, UNITS, Words

PAUSE = "pausepause"
_PAUSES = re.compile(r"[,.;!?](?=\s)")
LONGEST = 400  # characters; nobody needs more to say a day
# An hour without "in the evening" is the one within these, when people are asked to come or to call.
WAKING = (time(10), time(21, 59))
# "Nine hundred one two three" isn't 901, 2, 3 where it is dialled.
HUNDREDS = r"(?<=\bhundred)(?= +(?:0|one|two|three|four|five|six|seven|eight|nine|double|triple)\b)"
MOST_DIGITS = 15  # of a number that counts anything
A_DAY = 1440  # minutes
SMALL_HOURS = 300  # minutes: "two at night" is before five
DIGITAL = r"\b(?P<h>[01]?\d|2[0-4])[:h](?P<m>[0-5]\d)\b"
FRACTIONS = {"½": 0.5, "¼": 0.25, "¾": 0.75}
THREE_QUARTERS = r"(?:three|trois|tres?|3) (?:quarters|quarts|quarti|(?:cuartos|quartos)(?= de hora))"
FOR_TEXT2NUM = {
    "veintidos": "veintidós",
    "veintitres": "veintitrés",
    "veintiseis": "veintiséis",
    r"prima(?= d)": "innanzi",  # before, not the first
    "centesimi": "centimes",
}
# Between a word for before and the time, or for until and the time.
LEADING = (
    r"(?: (?:an?|un|1|the|about|around|at|de|del|della|dell'|delle|di|d'|do|da|das|dalle|dall'|dal|"
    r"a|al|all'|alle|ao|as|aux?|le|la|las|les|l'|el|il|os|o|dia|giorno|than|que))*"
)
RANGE = r"(?<![\d-])(\d\d?(?:[:h]\d\d|h)?)[-–—](\d\d?(?:[:h]\d\d|h)?)(?![\d-])"  # 8-10
PLURAL = r"\b(?:un[ao]s|umas|uns) (?=\w)"  # "some six people"
DAYS_OF = (  # the first day in "du 17 au 19 mars"
    r"\b(\d\d?)(?= ?(?:–|to|and|or|au|et|ou|al|a|y|e|o) ?(?:the |le |el |il |dia )?\d\d?"
    r"( of| de| di)? (MONTH)\b)"
)
ARTICLE = r"(?:une?|una|uno|uma?|one)"
PEOPLE = r"person|pessoa|adult|enfant|nin[oa]|bambin|crianca|bebe|neonato|child|kid|guest|baby"
GREETING = r"\b(?:good|buen[oa]s?|buon[oa]?|bo[am]|bonne?) ?(?:morning|afternoon|evening|\w+)"


def fold(text: str, language: str) -> str:
    """In lower case, without accents and punctuation, numbers as digits: as `spoken_words` is written."""
    words = LANGUAGES[language]
    said = plain(text[:LONGEST])
    for number, weekday in enumerate(words.weekdays.split()):  # before numbers: some are ordinals besides
        said = re.sub(rf"\b{weekday}s?\b", f"weekday{'abcdefg'[number]}", said)
    said = re.sub(rf"\b{THREE_QUARTERS}\b", "¾", said)
    said = re.sub(rf"\b(?:{words.half})\b", "½", said)
    said = re.sub(rf"\b(?:{words.quarter})\b", "¼", said)
    for written, meant in FOR_TEXT2NUM.items():
        said = re.sub(rf"\b{written}\b", meant, said)
    said = re.sub(r"\b(all|dall|dell|l)'", r"\1' ", said)
    digits: str = alpha2digit(said, language, 0)
    return " ".join(re.sub(r"(?<=\d)[ºª]", "", digits).split())


def plain(text: str) -> str:
    """In lower case, without accents, and without punctuation but in 19:30, 2.50 and 8–10."""
    said = unicodedata.normalize("NFD", text.lower().replace("’", "'"))
    said = "".join(letter for letter in said if not unicodedata.combining(letter))
    said = re.sub(r"\b([ap])\.? ?m\b\.?", r"\1m", said)
    said = re.sub(r"(?<=\d)(?=[ap]m\b)", " ", said)
    said = re.sub(RANGE, r"\1–\2", said)
    return " ".join(re.sub(r"[^\w\s:+'.,–]|(?<!\d)–|–(?!\d)|[.,:](?!\d)|(?<!\d)[.,:]", " ", said).split())


def day(text: str, language: str, today: date) -> date | None:
    """The day, from today on, that `text` names."""
    words = LANGUAGES[language]
    found, rest = _days(_folded(text, language), words, today)
    if len(found) != 1 or re.search(rf"\b(?:{words.vague}|{words.choice})\b", rest):
        return None
    return found.pop()


def names_day(text: str, language: str, today: date) -> bool:
    """Whether `text` names any day, for certain or not."""
    return bool(_days(_folded(text, language), LANGUAGES[language], today)[0])


def days(text: str, language: str, today: date) -> tuple[set[date], set[date]]:
    """All days that `text` names: those by date or by their distance, and those by weekday."""
    words, said = LANGUAGES[language], _folded(text, language)
    named, said = _relative(said, words, today)
    dates, said = _dates(said, words, today)
    return named | dates, _weekdays(said, words, today)[0]


def without_bounded_days(text: str, language: str) -> str | None:
    """`text` folded, without the days that aren't meant themselves: "before Friday", "the Friday after next".

    None where it names none of these.
    """
    words, said = LANGUAGES[language], _folded(text, language, pauses=True)
    for phrase in words.weeks_on:
        said = re.sub(phrase.replace("WEEKDAY", "weekday[a-g]"), " ", said)
    months = words.any_month
    named = rf"weekday[a-g]|\d\d?(?:st|nd|rd|th)\b|\d\d? (?:of |de |di )?(?:{months})\b|(?:{months}) \d"
    bounded = rf"\b(?:(?:{words.bound}){LEADING} (?:{named})|(?:weekday[a-g] )?after next\b)"
    rest, count = re.subn(bounded, " ", said)
    return rest if count else None


def without_moments(text: str, language: str) -> str:
    """`text` folded, without the days and times that it names: their numbers count nothing else."""
    words = LANGUAGES[language]
    said = _folded(_without_articles(plain(text[:LONGEST]), words, language), language)
    said = _days(said, words, date(2000, 1, 1))[1]
    for pattern in words.ahead:
        said = re.sub(pattern, " ", said)
    return _times(said, words)[1]


def _folded(text: str, language: str, *, pauses: bool = False) -> str:
    """`text` folded, without the ordinals and weekdays that are no days: "the second time"."""
    words = LANGUAGES[language]
    no_day = words.no_day.replace("MONTH", words.any_month)
    said = re.sub(rf"\b(?:{no_day})", " ", plain(_PAUSES.sub(f" {PAUSE} ", text[:LONGEST])))
    return fold(said if pauses else said.replace(PAUSE, " "), language)


def _days(said: str, words: Words, today: date) -> tuple[set[date], str]:
    """The days, and `said` without them."""
    found, said = _relative(said, words, today)
    dates, said = _dates(said, words, today)
    weekdays, said = _weekdays(said, words, today)
    return found | (dates or weekdays), said


def _relative(said: str, words: Words, today: date) -> tuple[set[date], str]:
    """The days that are so far away, and `said` without them."""
    found: set[date] = set()
    for pattern in words.ahead:
        for match in re.finditer(pattern, said):
            if (minutes := _minutes(match)) >= A_DAY:
                found.add(today + timedelta(minutes=minutes))
                said = said.replace(match[0], " ")
    for phrase, days in words.days.items():
        if re.search(rf"\b(?:{phrase})\b", said):
            found.add(today + timedelta(days=days))
            said = re.sub(rf"\b(?:{phrase})\b", " ", said)
    return found, said


def _dates(said: str, words: Words, today: date) -> tuple[set[date], str]:
    """The calendar days, and `said` without them."""
    found, next_month = set(), re.search(rf"\b(?:{words.next_month})\b", said)
    months = words.any_month
    said = re.sub(DAYS_OF.replace("MONTH", months), r"\1\2 \3", said)
    for pattern in words.dates:
        for match in re.finditer(pattern.replace("MONTH", months), said):
            groups = match.groupdict()
            month = next(
                (n for n, name in enumerate(words.months.split(), 1) if name == groups.get("mon")), None
            )
            said = said.replace(match[0], " ")  # even if there is no such day: it's no other day either
            if month is None and next_month:
                month = today.month % 12 + 1
            if (coming := _coming(int(groups["d"]), month, today)) is not None:
                found.add(coming)
    return found, said


def _coming(number: int, month: int | None, today: date) -> date | None:
    """The next day with that number, in any month where `month` is None."""
    for later in range(24 if month is None else 60):
        past = today.month - 1 + later
        year, this = today.year + past // 12, past % 12 + 1
        if month is not None and this != month:
            continue
        try:
            candidate = date(year, this, number)
        except ValueError:
            continue
        if candidate >= today:
            return candidate
    return None


def _weekdays(said: str, words: Words, today: date) -> tuple[set[date], str]:
    found = set()
    for phrase, weeks in words.weeks_on.items():
        for match in re.finditer(phrase.replace("WEEKDAY", "weekday([a-g])"), said):
            found.add(_coming_weekday(match[1], today) + timedelta(weeks=weeks))
            said = said.replace(match[0], " ")
    for letter in re.findall(r"\bweekday([a-g])\b", said):
        following = rf"\b(?:{words.next_week})\b"
        if re.search(following, said):
            said = re.sub(following, " ", said)
            monday = today - timedelta(days=today.weekday())
            found.add(monday + timedelta(days=7 + "abcdefg".index(letter)))
        else:
            found.add(_coming_weekday(letter, today))
    return found, said


def _coming_weekday(letter: str, today: date) -> date:
    """The next one, from tomorrow on: who means today says so."""
    ahead = ("abcdefg".index(letter) - today.weekday()) % 7
    return today + timedelta(days=ahead or 7)


def _minutes(match: re.Match[str]) -> int:
    number = match["n"]
    count = FRACTIONS.get(number) or (float(number) if number.isdigit() else 1.0)
    return round(count * UNITS[match["unit"]])


def clock(
    text: str,
    language: str,
    now: datetime,
    *,
    heard: str = "",
    within: tuple[time, time] = WAKING,
) -> time | None:
    """The time of day that `text` names.

    Whether eight is in the morning is told by `text`, else by what else was `heard`, else by `within`.
    """
    words, said = LANGUAGES[language], fold(text, language)
    for pattern in words.ahead:
        if (match := re.search(pattern, said)) and _minutes(match) < A_DAY:
            return (now + timedelta(minutes=_minutes(match))).time().replace(second=0, microsecond=0)
    found, said, _ = (
        ({(int(said), 0, said[0] == "0")}, "", False) if _hour_alone(said) else _times(said, words)
    )
    if len(found) != 1 or re.search(rf"\b(?:{words.choice})\b", said):
        return None
    hour, minute, exact = found.pop()
    total = (hour * 60 + minute) % A_DAY
    if exact or hour > 12:
        return time(total // 60, total % 60)
    total %= 720
    if re.search(rf"\b(?:{words.night})\b", said) and total < SMALL_HOURS:
        return _at(total)
    for told in (said, re.sub(GREETING, " ", fold(heard, language))):
        if re.search(rf"\b(?:{words.later})\b", told):
            return _at(total + 720)
        if re.search(rf"\b(?:{words.morning})\b", told):
            return _at(total)
    return next((_at(t) for t in (total, total + 720) if within[0] <= _at(t) <= within[1]), None)


def bare(text: str, language: str) -> bool:
    """Whether `text` is a number alone, which may be an hour or count people."""
    return fold(text, language).isdigit()


def _hour_alone(said: str) -> bool:
    return said.isdigit() and int(said) <= 24


def bounded(text: str, language: str) -> bool:
    """Whether `text` names times only as the ends of what is meant: "before ten", "between two and three"."""
    found, _, ends = _times(fold(text, language), LANGUAGES[language])
    return ends and not found


def _times(said: str, words: Words) -> tuple[set[tuple[int, int, bool]], str, bool]:
    """Hours, minutes and whether the hour can be no other; `said` without them; whether others were ends."""
    found = set()
    for phrase, hour in ((words.noon, NOON), (words.midnight, 24)):
        said = re.sub(rf"\b(?:{phrase})\b", words.sharp.format(hour), said)
    said = re.sub(r"(?<=[a-z\d] )(?:0|zero) (\d)(?! ?\d)", r"0\1", said)  # "ten zero five"
    said = re.sub(rf"\b(?=\d\d? (?:{PEOPLE}))", "| ", said)  # "midi douze personnes"
    open_ended = re.search(rf"\b(?:{words.open_ended})\b", said) is not None
    ends = open_ended
    for pattern in (r"\d[\d:h]*–\d[\d:h]*", *words.ranges):
        said, ranges = re.subn(pattern, " ", said)
        ends = ends or ranges > 0
    for pattern in (DIGITAL, *words.clock):
        for match in list(re.finditer(pattern, said)):
            groups = match.groupdict()
            hour, minute = int(groups["h"]), _part_of_hour(groups.get("m") or "0")
            if groups.get("minus"):
                minute = -_part_of_hour(groups["minus"])
            first = min(match.start(name) for name, value in groups.items() if value)
            if open_ended or re.search(rf"\b(?:{words.bound}){LEADING} ?$", match.string[:first]):
                ends = True
            else:
                found.add((hour, minute, groups["h"].startswith("0")))
            said = said.replace(match[0], " ", 1)
    return found, said.replace("|", " "), ends


def _at(minutes: int) -> time:
    return time(minutes // 60, minutes % 60)


def _part_of_hour(text: str) -> int:
    return round(FRACTIONS[text] * 60) if text in FRACTIONS else int(text)


def number(text: str, language: str) -> float | None:
    """The number that `text` names; people that are told one kind after the other are added up."""
    words, said = LANGUAGES[language], plain(text[:LONGEST])
    for phrase, count in words.counts.items():
        said = re.sub(rf"\b(?:{phrase})\b", str(count), said)
    said = fold(_without_articles(said, words, language), language)
    said = re.sub(rf"(?<=\d)(.*?\b(?:{words.added})) (?:{words.one}) (?=[a-z])", r"\1 1 ", said)
    found = list(re.finditer(r"\d+(?:[.,]\d+)?", said))
    if not found or either(said, language) or max(len(one[0]) for one in found) > MOST_DIGITS:
        return None
    between = [said[one.end() : other.start()] for one, other in pairwise(found)]
    values = [float(one[0].replace(",", ".")) for one in found]
    if all(re.search(rf"\b(?:{words.added})\b", gap) for gap in between):
        return sum(values)
    if not any(gap.strip() for gap in between) and all(len(one[0]) == 1 for one in found):
        return float("".join(one[0] for one in found))  # an order's number
    return None


def either(said: str, language: str) -> bool:
    """Whether folded words name numbers of which none is settled: "20 or 30", "between 20 and 30"."""
    words = LANGUAGES[language]
    few = r"(?: [^\W\d]+'?){0,3}"
    return bool(
        re.search(rf"\d–\d|\b(?:{words.between}){few} \d[\d.,]*{few} (?:{words.added}){few} \d", said)
        or re.search(rf"\d{few} (?:{words.choice}|{words.to}){few} \d", said)
    )


def _without_articles(said: str, words: Words, language: str) -> str:
    """`said` without the "une" of "une table", which text2num takes for a number."""
    said = re.sub(PLURAL, "", said)

    def article(match: re.Match[str]) -> str:
        counts = (
            match["added"] or re.match(PEOPLE, match["next"]) or fold(match["next"], language)[:1].isdigit()
        )
        return match[0] if counts else match["next"]

    return re.sub(rf"(?P<added>\b(?:{words.added}) )?\b{ARTICLE} (?P<next>\w+)", article, said)


def digits(text: str, language: str) -> str | None:
    """The digits of a telephone number, a plus before them where it is said."""
    said = dialled(text, language)
    together = "".join(re.findall(r"\d+", said))
    if not 3 <= len(together) <= 15:
        return None
    return f"+{together}" if re.match(r"\D*(?:\+|\bplus\b)", said) else together


def dialled(text: str, language: str) -> str:
    """`text` folded, the words of a telephone number as digits, "double five" among them."""
    # text2num would make twenty-seven of "twenty, seven".
    words, said = LANGUAGES[language], plain(re.sub(r"[,;](?!\d)", f" {PAUSE} ", text[:LONGEST]))
    said = re.sub(rf"\b(?:{words.zero})\b", " 0 ", said)
    said = re.sub(HUNDREDS, f" {PAUSE}", said)
    for word, times in words.repeated.items():
        said = re.sub(rf"\b{word}\s+(\w+)", lambda m, n=times: " ".join([m[1]] * n), said)  # type: ignore[misc]
    return " ".join(fold(said, language).replace(PAUSE, " ").replace("–", " ").split())


def without_dialled(text: str, language: str, fewest: int) -> str:
    """`text` as it is where it has no so many digits in a row; else folded, and without them."""
    said = dialled(text, language)
    return rest if (rest := re.sub(rf"(?<!\d)\d(?: ?\d){{{fewest - 1},}}", " ", said)) != said else text
