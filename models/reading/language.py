"""How one language says numbers, and the words that its table gives."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml
from babel import Locale, UnknownLocaleError
from babel.numbers import get_currency_name
from babel.units import UnknownUnitError, format_unit
from num2words import num2words

_FOLDER = files("models") / "data" / "reading"
LANGUAGES = ("de", "en", "es", "fr", "hi", "it", "pt")
_REGIONS = {"en": "US", "fr": "FR", "es": "ES", "it": "IT", "pt": "BR", "de": "DE", "hi": "IN"}
_CONVERTERS = {"pt-BR": "pt_BR", "fr-BE": "fr_BE", "fr-CH": "fr_CH"}
_MOST = 10**15  # beyond, digits are said one by one
_SCRIPTS = {"hi": ("LATIN", "DEVANAGARI")}
_LARGE = re.compile(r"(?:milli(?:on|ard)s?|mill(?:ón|ones)|mili(?:one|oni|ardo|ardi)|[bm]ilh(?:ão|ões))$")


@lru_cache
def _table(name: str) -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return table


class Language:
    """A language in the manner of a country, such as en-GB or pt-BR."""

    def __init__(self, tag: str) -> None:
        code, _, rest = tag.replace("_", "-").partition("-")
        code = code.lower()
        self.code = code
        self.known = code in LANGUAGES
        # num2words has no Hindi, and not all others; espeak-ng says digits in any language.
        self.in_digits = code not in LANGUAGES or code == "hi"
        region = rest.rpartition("-")[2].upper()
        self.region = region if len(region) == 2 else _REGIONS.get(code, "")
        self.tag = f"{code}-{self.region}" if self.region else code
        self.table = _table(code if self.known else "other")
        self.common = _table("common")
        self.spaces_group = code not in ("en", "hi", "zh", "ja", "ko")  # digits of a number
        self.units = frozenset({*self.common["units"], *self.table.get("units", {})})  # their symbols
        self.locale = _locale(self.tag) or _locale(code) or Locale("en")
        self.scripts = _SCRIPTS.get(code, ("LATIN",) if self.known else ("",))
        self.decimal_comma = self.locale.number_symbols["latn"]["decimal"] == ","
        self.month_first = self.locale.date_formats["short"].pattern.startswith("M")
        self._converter = _CONVERTERS.get(self.tag, self.code)

    def word(self, name: str) -> str:
        return str(self.table["words"][name])

    def cardinal(self, number: int, *, feminine: bool = False, noun: bool = False) -> str:
        """The number in words; `noun` where what is counted follows."""
        if self.in_digits:
            return str(number)
        if number >= _MOST:
            return self.digits(str(number))
        said = _in_words(number, self._converter, "cardinal")
        if self.code == "en":
            return said.replace(" and ", " ") if self.region in ("US", "CA") else said
        return self._agreed(said, feminine=feminine, noun=noun)

    def _agreed(self, said: str, *, feminine: bool, noun: bool) -> str:
        if feminine:
            for masculine, form in self.table.get("feminine_numbers", {}).items():
                said = re.sub(masculine, form, said)
        elif noun:
            for alone, form in self.table.get("noun_numbers", {}).items():
                said = re.sub(alone, form, said)
        return said

    def ordinal(self, number: int, *, feminine: bool = False) -> str:
        if self.in_digits:
            return f"{number}वां" if self.code == "hi" else f"{number}."
        said = _in_words(number, self._converter, "ordinal")
        if self.code == "en" and self.region in ("US", "CA"):
            said = said.replace(" and ", " ")
        if feminine:
            if self.code == "fr":
                return "première" if number == 1 else said
            return " ".join(re.sub("o$", "a", word) for word in said.split())
        return said

    def year(self, number: int) -> str:
        if self.code == "en":
            said = _in_words(number, "en", "year").replace("oh-", "oh ")
            return said.replace(" and ", " ") if self.region in ("US", "CA") else said
        if self.code == "de":
            return _in_words(number, "de", "year")
        return self.cardinal(number)

    def digits(self, written: str) -> str:
        """One by one."""
        if self.in_digits:
            return " ".join(written)
        names = self.table["digits"].split()
        return " ".join(names[int(each)] for each in written if each.isdecimal())

    def letters(self, written: str) -> str:
        """Letters one by one, as espeak-ng has to be given them, and digits."""
        names = self.table.get("letters", {})
        spelled = (
            self.digits(each) if each.isdecimal() else names.get(each.upper(), each.upper())
            for each in written
            if each.isalnum()
        )
        return " ".join(spelled)

    def pairs(self, written: str) -> str:
        """Digits of a telephone number: two by two where people say them so."""
        if not self.table.get("pairs"):
            return self.digits(written)
        if len(written) == 3 and written[0] != "0":
            return self.cardinal(int(written))
        odd = len(written) % 2
        groups = ([written[0]] if odd else []) + [written[at : at + 2] for at in range(odd, len(written), 2)]
        return " ".join(
            self.digits(group) if group[0] == "0" else self.cardinal(int(group)) for group in groups
        )

    def number(self, whole: str, fraction: str = "", *, feminine: bool = False, noun: bool = False) -> str:
        """A number of which the digits before and behind the decimal sign are given."""
        if len(whole) > 1 and whole[0] == "0":
            said = self.digits(whole)
        else:
            feminine = feminine and not (fraction and self.code == "de")  # "eins Komma fünf Stunden"
            said = self.cardinal(int(whole or "0"), feminine=feminine, noun=noun and not fraction)
        if not fraction:
            return said
        if self.in_digits:
            return f"{whole}{',' if self.decimal_comma else '.'}{fraction}"
        return f"{said} {self.word('point')} {self._fraction(fraction)}"

    def _fraction(self, fraction: str) -> str:
        significant = fraction.lstrip("0")
        if not self.table.get("whole_fractions") or len(fraction) > 3 or not significant:
            return self.digits(fraction)
        zeros = self.digits("0" * (len(fraction) - len(significant)))
        return f"{zeros} {self.cardinal(int(significant))}".strip()

    def parse(self, written: str, *, money: bool = False) -> tuple[str, str]:
        """The digits before and behind the decimal sign, in whatever way they are grouped."""
        bare = re.sub(r"[\s'’]", "", written)
        marks = [each for each in bare if each in ",."]
        if not marks:
            return bare, ""
        head, _, tail = bare.rpartition(marks[-1])
        if len(set(marks)) == 2:
            decimal = marks.count(marks[-1]) == 1
        elif len(marks) > 1:
            decimal = False
        else:
            grouping = "." if self.decimal_comma else ","
            grouped = len(tail) == 3 and 0 < len(head) <= 3 and head != "0"
            decimal = not (grouped and (money or marks[0] == grouping or tail == "000"))
        if decimal:
            return re.sub(r"[,.]", "", head) or "0", tail
        return re.sub(r"[,.]", "", bare), ""

    def one(self, whole: str, fraction: str) -> bool:
        """Whether what is counted is in the singular."""
        number = int(whole or "0")
        if self.code in ("fr", "pt", "hi"):
            return number < 2 and (number == 1 or self.code == "fr" or not fraction.strip("0"))
        return number == 1 and not fraction.strip("0")

    def of(self, number: str, noun: str) -> str:
        """A number before a noun: "un million d'euros"."""
        preposition = self.table.get("of")
        if not preposition or not _LARGE.search(number):
            return f"{number} {noun}"
        if preposition == "de" and self.code == "fr" and noun[0] in "aeiouyéèhAEIOU":
            return f"{number} d'{noun}"
        return f"{number} {preposition} {noun}"

    def feminine(self, noun: str) -> bool:
        """Whether a noun is feminine, as far as its ending, or the table, tells."""
        word = noun.lower().strip(".,;:!?")
        if re.fullmatch(self.table.get("masculine") or "(?!)", word):
            return False
        return bool(re.fullmatch(self.table.get("feminine") or "(?!)", word, re.IGNORECASE))

    def currency(self, code: str, count: int = 2) -> tuple[str, str, str, str]:
        """One and several, and one and several hundredths.

        A language with more than one plural has that of `count`.
        """
        known = self.table["currencies"].get(code)
        if known:
            one, several, *parts = (str(each) for each in known)
            return (one, several, parts[0], parts[1]) if parts else (one, several, "", "")
        one, several = (get_currency_name(code, count=each, locale=self.locale) for each in (1, count))
        return one, several, "", ""

    def unit(self, symbol: str, *, one: bool, count: int = 3) -> str | None:
        """A unit's name, for one or for `count`."""
        own = self.table.get("units", {}).get(symbol)
        if own:
            return str(own[0 if one else -1])
        name = self.common["units"].get(symbol)
        return _unit(name, str(self.locale), 1 if one else count) if name else None


@lru_cache(4096)
def _in_words(number: int, converter: str, form: str) -> str:
    return str(num2words(number, lang=converter, to=form)).replace(",", "")


def _locale(tag: str) -> Locale | None:
    try:
        return Locale.parse(tag, sep="-")
    except (UnknownLocaleError, ValueError):
        return None


@lru_cache
def _unit(name: str, locale: str, count: int) -> str | None:
    try:
        said = format_unit(count, name, "long", locale=locale)
    except UnknownUnitError:
        return None
    return re.sub(r"^[\d.,\s]+", "", said).replace("’", "'")
