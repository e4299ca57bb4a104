"""Dates and times of day, in the manner of the country."""

from __future__ import annotations

import re
from datetime import date

from babel import Locale
from babel.dates import format_date

from models.reading.language import Language
from models.reading.rules import DASH, SPACE, Rule, alternatives, ending, ends_sentence

_START = r"(?<![\w.,/-])"
_YEAR = r"(?:1[5-9]|20|21)\d\d"
# What is behind a price or a measure, and behind no time.
_COUNTS = (
    r"[€$£%°]|[Ee]uro|EUR|CHF|Franken|Mio|Mill|k?[gm]\b|km\b|(?:pro|je|[Pp]rozent|Grad|Punkte|[Mm]al)\b"
    r"|(?:Kilo|Zenti|Quadrat)?[Mm]et(?:er|ros?|ri)\b|Liter|Kilo|Gramm"
    r"|(?:veces|unidades|puntos|litros|por|unità|volte|punti|litri|per)\b"
)


class Dates:
    def __init__(self, language: Language) -> None:
        self.language = language
        locale, table = language.locale, language.table
        self._wide: dict[int, str] = dict(locale.months["format"]["wide"])
        names: dict[str, int] = {}
        for width in ("wide", "abbreviated"):
            for context in ("format", "stand-alone"):
                for number, name in locale.months[context][width].items():
                    bare = name.rstrip(".")
                    names |= {bare: number, bare.capitalize(): number}
        names |= {str(name): number for name, number in table.get("months_more", {}).items()}
        self.months = {name: number for name, number in names.items() if len(name) > 2}
        self._weekdays: dict[str, str] = {str(k): str(v) for k, v in table.get("weekdays", {}).items()}
        self._forms: dict[str, object] = table["dates"].get(language.region) or table["dates"]["default"]
        self._days_of_week = tuple(name.lower() for name in locale.days["format"]["wide"].values())
        self._time: dict[str, str] = table["time"]
        self._halves: dict[str, str] = table.get("halves", {})

    def numeric(self) -> list[Rule]:
        return [
            (
                re.compile(
                    rf"{_START}(?P<y>\d{{4}})[-/.](?P<m>\d\d)[-/.](?P<d>\d\d)"
                    rf"(?:[T ](?P<H>\d\d):(?P<M>\d\d)(?::\d\d(?:\.\d+)?)?Z?)?(?![\w/-])"
                ),
                self._iso,
            ),
            (
                re.compile(
                    rf"{_START}(?P<a>\d{{1,2}})(?P<sep>[/.-])(?P<b>\d{{1,2}})(?P=sep)(?P<y>\d{{4}}|\d\d)(?![\w/-]|\.\d)"
                ),
                self._numeric,
            ),
            (re.compile(rf"{_START}(?P<a>\d{{1,2}})/(?P<b>\d{{1,2}})(?![\w/]|[.,]\d)"), self._short),
            (re.compile(r"(?<![\w.,/])(?P<a>\d{1,2})\.\s?(?P<b>\d{1,2})\.(?![\w.])"), self._dotted),
        ]

    def named(self) -> list[Rule]:
        table = self.language.table
        month = rf"(?P<mon>{alternatives(self.months)})(?P<dot>\.)?(?!\w)"
        day = rf"(?P<d>\d{{1,2}})(?P<suffix>{table['ordinals']})?"
        of = r"(?:of|de|del|do)"
        year = rf"(?P<y>{_YEAR})(?!\d|[.,]\d)"
        return [
            (
                re.compile(
                    rf"{_START}(?P<day>{day}){SPACE}?{DASH}{SPACE}?(?P<d2>\d{{1,2}})(?:{table['ordinals']})?"
                    rf"{SPACE}(?:{of}{SPACE})?{month}(?:,?{SPACE}(?:{of}{SPACE})?{year})?"
                ),
                self._days,
            ),
            (
                re.compile(
                    rf"{_START}{day}(?:{SPACE}|-)(?:{of}{SPACE})?{month}(?:(?:-|,?{SPACE})(?:{of}{SPACE})?{year})?"
                ),
                self._day_month,
            ),
            (
                re.compile(
                    rf"(?<!\w){month}{SPACE}(?:the{SPACE})?{day}(?:{SPACE}?(?P<dash>{DASH}){SPACE}?(?P<d2>\d{{1,2}})(?:{table['ordinals']})?)?"
                    rf"(?!\w|[:.,]\d|{SPACE}?(?:[ap]\.?m|%))(?:(?P<comma>,)?{SPACE}{year})?"
                ),
                self._month_day,
            ),
            (re.compile(rf"(?<!\w){month}{SPACE}(?:{of}{SPACE})?{year}"), self._month_year),
        ]

    def weekdays(self) -> list[Rule]:
        full = list(self.language.locale.days["format"]["wide"].values())
        names = {*self._weekdays, *full, *map(str.capitalize, full)}
        days, any_day = alternatives(names), alternatives({*names, *self.months})
        return [
            (
                re.compile(
                    rf"(?<![\w])(?P<name>{any_day})\.?{SPACE}?{DASH}{SPACE}?(?P<last>{any_day})(?!\w)\.?"
                ),
                self._range,
            ),
            (
                re.compile(rf"(?<![\w/])(?:(?:{days})\.?/)+(?:{days})(?![\w/])"),
                lambda match, _: ", ".join(
                    self._weekdays.get(day, day) for day in re.findall(r"\w+", match[0])
                ),
            ),
            (
                re.compile(
                    rf"(?<![\w])(?P<name>{alternatives(self._weekdays)})"
                    rf"(?:\.|(?=[,:]|{SPACE}?{DASH}{SPACE}?[A-Z]|{SPACE}\d|\)))"
                ),
                lambda match, _: self._weekdays[match["name"]],
            ),
        ]

    def times(self) -> list[Rule]:
        code = self.language.code
        edge = r"(?<![\w.,:/])"
        clock = r"(?P<h>[01]?\d|2[0-4])"
        rules: list[Rule] = []
        if code in ("en", "hi") or self._halves:
            half = rf"{edge}(?P<h>1[0-2]|0?\d)(?:[:.](?P<m>[0-5]\d)(?::[0-5]\d)?)?"
            noon = rf"{SPACE}?(?P<half>[aApP])(?:\.{SPACE}?[mM](?:\.|(?!\w))|[mM](?!\w))"
            plain = rf"(?:{SPACE}?{DASH}{SPACE}?(?P<h2>1[0-2]|0?\d)(?:[:.](?P<m2>[0-5]\d))?)?"
            rules.append((re.compile(half + plain + noon), self._half_day))
        if code in ("fr", "es", "pt", "it"):
            letter = r"(?:[hH](?:eures?)?)" if code == "fr" else "[hH]"
            minute = r"(?P<m>[0-5]\d)" + ("?" if code in ("fr", "pt") else "")
            rules.append(
                (
                    re.compile(
                        rf"{edge}{clock}{SPACE}?{letter}{SPACE}?{minute}(?:{SPACE}?(?:min|m))?(?![\w:/])"
                    ),
                    self._clock,
                )
            )
        after = r"(?:\s?(?:Uhr|hs?\.?|heures|horas|ore|hrs|बजे)(?!\w))?" if code != "en" else ""
        if "dotted_after" in self._time:
            no_price = (
                rf"(?!\w|[:,/]|\.\d|(?:{SPACE}?(?:{DASH}|bis|und|[aey]){SPACE}?\d+[.,]\d\d)*\s?(?:{_COUNTS}))"
            )
            rules.append(
                (
                    re.compile(rf"{edge}{clock}\.(?P<m>[0-5]\d)(?P<after>{after}){no_price}"),
                    self._dotted_clock,
                )
            )
            both = rf"{edge}{clock}\.(?P<m>[0-5]\d)(?={SPACE}?{DASH}{SPACE}?\d{{1,2}}\.[0-5]\d{no_price})"
            rules.append((re.compile(both), self._clock))
        rules.append(
            (
                re.compile(rf"{edge}{clock}:(?P<m>[0-5]\d)(?::(?P<s>[0-5]\d))?{after}(?![\w:]|\.\d)"),
                self._clock,
            )
        )
        return rules

    def _half_day(self, match: re.Match[str], before: str) -> str | None:
        lang = self.language
        if int(match["h"]) == 0:
            return None
        half = match["half"].lower()
        if halves := self._halves:
            last, hour = half, int(match["h2"] or match["h"])
            if hour == 12:
                last = "late" if half == "a" else "noon"
            elif half == "p" and hour >= int(halves["late_from"]):
                last = "late"
            letters = halves[last]
        else:
            letters = lang.letters(half + "m")
        at_end = match[0].endswith(".") and ends_sentence(match.string, match.end())
        said = self._hours(match["h"], match["m"])
        if match["h2"]:
            said = f"{said} {lang.word('to')} {self._hours(match['h2'], match['m2'])}"
        return f"{said}|{letters}" + ("." if at_end else "")

    def _range(self, match: re.Match[str], before: str) -> str:
        first, last = (
            self._weekdays.get(name) or self._wide.get(self.months.get(name, 0), name)
            for name in match.group("name", "last")
        )
        return f"{first} {self.language.word('to')} {last}"

    def _hours(self, hour: str, minute: str | None) -> str:
        said = self.language.cardinal(int(hour), feminine=bool(self._time.get("feminine")), noun=True)
        if minute and minute != "00":
            low = self._time["low"] if minute[0] == "0" else self._time["full"]
            return low.format(h=said, m=self.language.cardinal(int(minute)))
        return said

    def _clock(self, match: re.Match[str], before: str) -> str | None:
        """An hour between 0 and 24."""
        lang, time = self.language, self._time
        hour, minute = int(match["h"]), match["m"] or "00"
        feminine = bool(time.get("feminine"))
        h = lang.cardinal(hour, feminine=feminine, noun=True)
        m = lang.cardinal(int(minute), feminine=bool(time.get("feminine_minutes")))
        if "h1" in time and hour in (0, 1):
            full, sharp = time["h1"], time["sharp1"]
        else:
            full, sharp = time["full"], time["sharp"]
        preceding = (before + match.string[: match.start()]).rstrip().lower()
        if (hour, minute) == (0, "00") and "midnight" in time:
            said = time["midnight"]
        elif minute == "00" and hour > 12 and "hundred" in time:
            said = time["hundred"].format(h=h)
        elif minute == "00" and "after_article" in time and re.search(time["after_article_words"], preceding):
            said = time["after_article"].format(h=h)
        elif minute == "00":
            said = sharp.format(h=h)
        elif minute[0] == "0" and "low" in time:
            said = time["low"].format(h=h, m=m)
        else:
            said = full.format(h=h, m=m)
        seconds = match.groupdict().get("s")
        if seconds and seconds != "00":
            unit = lang.unit("s", one=int(seconds) == 1)
            said += f" {lang.word('and')} {lang.cardinal(int(seconds), noun=True)} {unit}"
        return said

    def _dotted_clock(self, match: re.Match[str], before: str) -> str | None:
        """19.30, where something tells that it is a time."""
        preceding = (before + match.string[: match.start()]).lower()
        told = rf"(?:(?<!\w)(?:{self._time['dotted_after']})\s|\d\.[0-5]\d{SPACE}?{DASH}{SPACE}?)$"
        return self._clock(match, before) if match["after"] or re.search(told, preceding) else None

    def _iso(self, match: re.Match[str], before: str) -> str | None:
        said = self._date(int(match["d"]), int(match["m"]), int(match["y"]), before, match)
        if said and match["H"]:
            clock = re.match(r"(?P<h>\d\d):(?P<m>\d\d)", f"{match['H']}:{match['M']}")
            assert clock is not None
            said = f"{said}, {self._clock(clock, '')}"
        return said

    def _numeric(self, match: re.Match[str], before: str) -> str | None:
        first, second, year = int(match["a"]), int(match["b"]), int(match["y"])
        if len(match["y"]) == 2:
            if match["sep"] == ".":
                return None
            year += 2000 if year < 70 else 1900
        # A dot is European wherever it is read.
        month_first = self.language.month_first and match["sep"] != "."
        day, month = (second, first) if month_first else (first, second)
        if month > 12:
            day, month = month, day
        return self._date(day, month, year, before, match)

    def _short(self, match: re.Match[str], before: str) -> str | None:
        """12/25, if it can't be, or isn't meant as, a fraction."""
        first, second = int(match["a"]), int(match["b"])
        day, month = (second, first) if self.language.month_first else (first, second)
        if month > 12:
            day, month = month, day
        preceding = (before + match.string[: match.start()]).rstrip().lower()
        expected = re.search(
            rf"(?<!\w)(?:{self.language.table['before_date']})$|\d/\d\d?\s\w{{1,3}}$", preceding
        )
        following = match.string[match.end() :].lstrip().lower()
        padded = "0" in (match["a"][0], match["b"][0])
        counted = re.match(
            r"(?:of|cup|tea|table|inch|mile|pound|hour|the|de|du|des|d'|di|del|da|do)\b", following
        )
        fraction = second in self.language.table.get("fractions", {}) and first < second
        likely = day > 20 or (day > 12 and not fraction) or preceding.endswith(self._days_of_week)
        if match[0] in ("24/7", "50/50", "9/11") or counted or not (expected or padded or likely):
            return None
        return self._date(day, month, None, before, match)

    def _dotted(self, match: re.Match[str], before: str) -> str | None:
        """28.11., as Germans write it."""
        if self.language.code != "de":
            return None
        preceding = (before + match.string[: match.start()]).rstrip().lower()
        told = rf"(?<!\w)(?:{self.language.table['before_date']})"
        expected = preceding[-1:] in ("", *",;:(-–") or re.search(
            rf"{told}$|(?:^|{told}\s)\d\d?\.\s?\d\d?\.\sund$", preceding
        )
        if not (expected or preceding.endswith(self._days_of_week)):
            return None  # "Version 2.1."
        ends = ends_sentence(match.string, match.end())
        said = self._date(int(match["a"]), int(match["b"]), None, before, match)
        return f"{said}." if said and ends else said

    def _day_month(self, match: re.Match[str], before: str) -> str | None:
        year = int(match["y"]) if match["y"] else None
        said = self._date(int(match["d"]), self.months[match["mon"]], year, before, match, day_first=True)
        if said and match["dot"] and not year and ends_sentence(match.string, match.end()):
            said += "."
        return said

    def _days(self, match: re.Match[str], before: str) -> str | None:
        said = self._day_month(match, before)
        first, second = self._day(int(match["d"])), self._day(int(match["d2"]))
        if said is None or first not in said:
            return None
        return re.sub(rf"{first}(\w*)", rf"{first}\1 {self.language.word('to')} {second}\1", said, count=1)

    def _month_day(self, match: re.Match[str], before: str) -> str | None:
        if self.language.code != "en" or not 1 <= int(match["d"]) <= 31:
            return None
        parts = [self._wide[self.months[match["mon"]]], self.language.ordinal(int(match["d"]))]
        if match["d2"]:
            parts[1] += f" {self.language.word('to')} {self.language.ordinal(int(match['d2']))}"
        if "the" in match[0].split():
            parts.insert(1, "the")
        if match["y"]:
            parts[-1] += match["comma"] or ""
            parts.append(self.language.year(int(match["y"])))
        return "|".join(parts)

    def _month_year(self, match: re.Match[str], before: str) -> str:
        of = self.language.table["dates"].get("of")
        parts = [self._wide[self.months[match["mon"]]], self.language.year(int(match["y"]))]
        if of:
            parts[1] = f"{of} {parts[1]}" if len(match[0].split()) == 2 else parts[1]
            if len(match[0].split()) > 2:
                parts.insert(1, of)
        return "|".join(parts)

    def _day(self, day: int) -> str:
        lang = self.language
        if self._forms.get("ordinal"):
            return lang.ordinal(day)
        if day == 1 and "first" in lang.table["dates"]:
            return str(lang.table["dates"]["first"])
        return lang.cardinal(day)

    def _date(
        self,
        day: int,
        month: int,
        year: int | None,
        before: str,
        match: re.Match[str],
        *,
        day_first: bool = False,
    ) -> str | None:
        if not (1 <= day <= 31 and 1 <= month <= 12):
            return None
        lang, forms = self.language, self._forms
        if not lang.known:
            return _by_babel(day, month, year, lang.locale)
        if day_first and lang.code == "en":
            forms = lang.table["dates"]["default"]
        preceding = (before + match.string[: match.start()]).rstrip().lower()
        the = "" if preceding.endswith("the") else "the "
        said = self._day(day)
        if lang.code == "de":
            said += ending(preceding, alone="r")
        template = str(forms["year" if year else "full"])
        return template.format(
            the=the, day=said, month=self._wide[month], year=lang.year(year) if year else ""
        )


def _by_babel(day: int, month: int, year: int | None, locale: Locale) -> str | None:
    """The date as the language writes it, with its digits."""
    try:
        return format_date(date(year or 2000, month, day), "long" if year else "d MMMM", locale=locale)
    except ValueError:
        return None
