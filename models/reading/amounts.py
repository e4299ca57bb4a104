"""Amounts: money, percentages, measures, ordinals, sums, and numbers by themselves."""

from __future__ import annotations

import re

from models.reading.language import Language
from models.reading.rules import (
    DASH,
    NEED_SPACE,
    SPACE,
    START,
    Rule,
    alternatives,
    ending,
    ends_sentence,
    number_pattern,
)

_PLURAL = re.compile(r"[a-z]{3,}(?<!s)s\b(?<!\bwas)(?<!\bdoes)(?<!\bthis)(?<!\bhas)")
_MINUS = r"(?:(?<![\w.)%])(?P<neg>[-−–]))?"
_INITIAL = "[BKmT]"  # a scale behind a currency only: "4B" is a room
_OF_YEARS = re.compile(r"\b(?:in|year|since|until|im Jahr|seit)\s$", re.IGNORECASE)
_WITH_PREPOSITION = re.compile(r"(?:al|alla|a) |all'")
_DETERMINED = re.compile(
    r"(?<!\w)(?:der|die|das|des|de[mn]|i[mn]s?|a[mn]s?|vom|beim|zu[mr]|bis|und|oder"
    r"|(?:dies|jed|jen|(?:[km]|[ds])?ein|ihr|unser)(?:e[mnrs]?)?)$"
)  # what an ordinal stands behind
_LONGEST_NUMBER = 7  # digits without grouping; what is longer is a code


class Amounts:
    def __init__(self, language: Language) -> None:
        self.language = language
        table = language.table
        self._number = number_pattern(spaced=language.spaces_group)
        self._scales = {str(key): str(value) for key, value in table.get("scales", {}).items()}
        self._units = alternatives(language.units)
        self._signs: dict[str, str] = language.common["signs"]
        self._codes = language.common["currency_codes"].split()
        self._per = {str(key): str(value) for key, value in table.get("per", {}).items()}
        self._names = {
            one_or_more: code for code, row in table["currencies"].items() for one_or_more in row[:2]
        }

    def money(self) -> list[Rule]:
        """Those with the most signs in them first."""
        number, signs = self._number, alternatives(self._signs)
        codes = "|".join(self._codes)
        scale = alternatives(self._scales)
        currency = rf"(?:(?P<sign>{signs})|(?P<code>{codes}))"
        names = alternatives(self._names)
        spaced = number_pattern(spaced=True)  # a currency behind a number tells that it is one number
        return [
            (
                re.compile(
                    rf"{START}{_MINUS}(?:{currency}){SPACE}?(?P<num>{number}){SPACE}?{DASH}{SPACE}?"
                    rf"(?:{signs}|{codes})?{SPACE}?(?P<num2>{number})(?:{SPACE}?(?P<scale>{scale})(?!\w))?(?![\d])"
                ),
                self._money,
            ),
            (
                re.compile(
                    rf"{_MINUS}(?<![A-Za-z\d]){currency}{SPACE}?(?P<neg2>[-−])?(?P<num>{number}|\.\d\d)"
                    rf"(?:{SPACE}?(?P<scale>{scale})(?!\w))?(?P<plus>\+)?(?!\d)(?:{SPACE}(?:(?:{names})|(?P<told>{codes}))(?!\w))?"
                ),
                self._money,
            ),
            (
                re.compile(rf"{START}(?P<num>\d+){SPACE}?(?P<sign>€|£|\$)(?P<cents>\d\d)(?!\d)"),
                self._money,
            ),
            (
                re.compile(
                    rf"{START}{_MINUS}(?P<num>{spaced})(?:{SPACE}?(?P<scale>{scale})(?:{SPACE}(?:de|di|d['’]))?)?"
                    rf"{SPACE}?{currency}(?:{SPACE}(?P<told>{codes}))?(?P<plus>\+)?(?!\w)"
                ),
                self._money,
            ),
            (
                re.compile(
                    rf"{START}{_MINUS}(?P<num>{number}){SPACE}?"
                    rf"(?P<name>{alternatives(self._names)})(?!\w)"
                ),
                self._money,
            ),
            (re.compile(rf"{START}(?P<num>\d+){SPACE}?(?P<cent>¢|ct|p(?!\.))(?!\w)"), self._cents),
        ]

    def decades(self) -> list[Rule]:
        decade = self.language.table.get("decade") or "(?!)"
        return [(re.compile(rf"{START}(?P<num>\d{{1,4}})(?P<decade>{decade})(?!\w)"), self._decade)]

    def measures(self) -> list[Rule]:
        return [
            (
                re.compile(
                    rf"(?<![\d.,A-Za-z/]){_MINUS}(?P<num>{self._number})(?P<hyphen>-|{SPACE})?(?P<unit>{self._units})(?![\w/²³])(?!\.\w)(?P<dot>\.)?"
                ),
                self._measure,
            ),
        ]

    def numbers(self) -> list[Rule]:
        table, number = self.language.table, self._number
        scale = alternatives(self._scales)
        rules: list[Rule] = [
            (re.compile(rf"{START}(?P<num>{number})[xX](?!\w)"), self._times),
            (re.compile(rf"{START}(?P<num>\d+)\^(?P<power>\d+)(?!\w)"), self._power),
            (
                re.compile(rf"{START}(?P<num>\d+){SPACE}?(?P<mark>{table['ordinals']})(?![\w])"),
                self._ordinal,
            ),
            (
                re.compile(
                    rf"{START}{_MINUS}(?P<num>{number}){SPACE}?(?!{_INITIAL}(?!\w))(?P<scale>{scale})(?![\w])"
                ),
                self._scaled,
            ),
            (re.compile(r"(?<!\w)['’](?P<num>\d\d)(?P<decade>s)?(?!\w)"), self._short_year),
            (re.compile(rf"{START}(?P<num>\d+(?:\.\d+)?)(?P<mark>[\"″])(?!\w)"), self._inches),
            (
                re.compile(
                    rf"{START}{_MINUS}(?P<num>{number}|\.\d+)(?P<decade>['’]?s)?(?P<plus>\+)?(?![^\W²³])"
                ),
                self._plain,
            ),
        ]
        if self._per:
            every = "|".join((alternatives(self._per), r"[^\W\d_]{3,}"))
            rules += [
                (re.compile(rf"(?<=[\w€$£%¢.)])/(?P<unit>{every})(?![\w/])"), self._each),
                (
                    re.compile(
                        rf"(?<=[\d€$£¥₹¢]){SPACE}/{SPACE}(?P<unit>{alternatives(self._per)})(?![\w/])"
                    ),
                    self._each,
                ),
            ]
        return rules

    def _money(self, match: re.Match[str], before: str) -> str | None:
        groups = match.groupdict()
        lang = self.language
        code = (
            groups.get("told")  # "$1,299.99 MXN"
            or self._signs.get(groups.get("sign") or "")
            or groups.get("code")
            or self._names[str(groups.get("name"))]
        )
        whole, part = lang.parse(match["num"], money=True)
        part = groups.get("cents") or part
        if lang.in_digits and not groups.get("sign") and not groups.get("code"):
            return None
        scale, second = groups.get("scale"), groups.get("num2")
        said = self._sum(code, whole, part, scale)
        if second:
            end, end_part = lang.parse(second, money=True)
            low = lang.number(whole, "" if part.strip("0") == "" else part)
            if part.strip("0") or end_part.strip("0"):
                low = said
            said = f"{low} {lang.word('to')} {self._sum(code, end, end_part, scale)}"
        if groups.get("neg") or groups.get("neg2"):
            said = f"{lang.word('minus')} {said}"
        if groups.get("plus"):
            amount, _, currency = said.rpartition(" ")
            plus = f"{amount} {lang.word('plus')} {currency}"
            said = plus if lang.code == "en" else f"{lang.word('more')} {said}"
        return said

    def _sum(self, code: str, whole: str, part: str, scale: str | None) -> str:
        lang = self.language
        one, several, part_one, part_several = lang.currency(code, 2 if lang.known else int(whole or 0))
        if scale:
            return lang.of(
                self._with_scale(scale, whole, part.rstrip("0") if len(part) > 1 else part), several
            )
        if len(part) == 1:
            part += "0"
        if not part.strip("0"):
            feminine = lang.feminine(several)
            number = lang.number(whole.lstrip("0") or "0", feminine=feminine, noun=True)
            return lang.of(number, one if lang.one(whole, "") else several)
        if len(part) > 2 or not part_one:
            return f"{lang.number(whole, part)} {one if lang.one(whole, part) else several}"
        cents = int(part)
        named = f"{lang.cardinal(cents, noun=True)} {part_one if cents == 1 else part_several}"
        if int(whole or "0") == 0:
            return named
        number = lang.number(whole, feminine=lang.feminine(several), noun=True)
        money = lang.of(number, one if lang.one(whole, "") else several)
        template: str = lang.table["money"]
        return template.format(whole=money, part=named, bare=lang.cardinal(cents))

    def _with_scale(self, scale: str, whole: str, part: str) -> str:
        """A number with its scale's word, in the plural where the language has one."""
        lang, word = self.language, self._scales[scale]
        if word in ("mille", "mil", "mila") and not part:
            return lang.cardinal(int(whole) * 1000)
        plurals: dict[str, str] = self.language.table.get("scale_plurals", {})
        word = word if lang.one(whole, part) else plurals.get(word, word)
        return f"{lang.number(whole, part, feminine=lang.feminine(word), noun=True)} {word}"

    def _cents(self, match: re.Match[str], before: str) -> str | None:
        lang = self.language
        if match["cent"] == "p" and lang.region != "GB":
            return None
        code = "GBP" if match["cent"] == "p" else "EUR"
        _, _, one, several = lang.currency(code)
        return f"{lang.cardinal(int(match['num']), noun=True)} {one if match['num'] == '1' else several}"

    def _decade(self, match: re.Match[str], before: str) -> str:
        """80er, or a Zehner."""
        number, lang = int(match["num"]), self.language
        said = lang.year(number) if len(match["num"]) == 4 else lang.cardinal(number)
        return said + match["decade"]

    def _measure(self, match: re.Match[str], before: str) -> str | None:
        lang, unit = self.language, match["unit"]
        if unit in NEED_SPACE and match["hyphen"] != " ":
            return None
        if unit in ("h", "m", "in", "min") and lang.in_digits:
            return None
        whole, part = lang.parse(match["num"])
        following = match.string[match.end() :]
        if unit == "°" and re.match(rf"{SPACE}(?:{lang.table.get('ranked') or '(?!)'})(?!\w)", following):
            return None  # "2° piano"
        one = lang.one(whole, part) or (match["hyphen"] == "-" and lang.code == "en")
        name = lang.unit(unit, one=one, count=3 if lang.known else int(whole or 0))
        if name is None:
            return None
        noun = unit not in ("%", "‰")
        number = lang.number(whole, part, feminine=noun and lang.feminine(name.split()[0]), noun=noun)
        said = lang.of(number, name)
        if match["dot"] and ends_sentence(match.string, match.end()):
            said += "."
        return f"{lang.word('minus')} {said}" if match["neg"] else said

    def _times(self, match: re.Match[str], before: str) -> str:
        return f"{self.language.number(*self.language.parse(match['num']))} {self.language.word('times')}"

    def _power(self, match: re.Match[str], before: str) -> str:
        base, power = (self.language.number(each) for each in match.group("num", "power"))
        return f"{base} {self.language.word('power')} {power}"

    def _ordinal(self, match: re.Match[str], before: str) -> str | None:
        number, mark = int(match["num"]), match["mark"]
        if self.language.code == "de":
            return self._german_ordinal(match, before)
        feminine = bool(re.fullmatch(self.language.table.get("feminine_ordinals") or "(?!)", mark))
        said = self.language.ordinal(number, feminine=feminine)
        if mark.endswith("s") and self.language.code == "fr":
            said += "s"
        ranked = self.language.table.get("ranked") or "(?!)"
        noun = re.match(rf"{SPACE}(?:{ranked})(?!\w)", match.string[match.end() :])
        if self.language.code == "es" and (mark.endswith("er") or (noun and number % 10 in (1, 3))):
            said = said.removesuffix("o")  # before a noun: "primer piso"
        return said

    def _german_ordinal(self, match: re.Match[str], before: str) -> str | None:
        preceding = (before + match.string[: match.start()]).rstrip().lower()
        following = match.string[match.end() :].lstrip()
        day = re.search(r"(?<!\w)(?:am|vom|zum|dem|den)$", preceding)
        until = re.match(rf"(?:bis|und|oder|{DASH})\s(?:zum\s)?\d{{1,2}}\.\s", following)
        # "Tisch 12. Bis dann" is the end of a sentence.
        told = preceding[-1:] in ("", *",;:(-–") or _DETERMINED.search(preceding)
        if not (day or until or (told and following[:1].isupper())):
            return None
        said = self.language.ordinal(int(match["num"])) + ending(preceding, alone="r" if until else "")
        return said if following else f"{said}."

    def _scaled(self, match: re.Match[str], before: str) -> str:
        lang = self.language
        said = self._with_scale(match["scale"], *lang.parse(match["num"]))
        return f"{lang.word('minus')} {said}" if match["neg"] else said

    def _short_year(self, match: re.Match[str], before: str) -> str | None:
        """'80s, or '05."""
        lang, written = self.language, match["num"]
        if lang.code != "en":
            return None
        if match["decade"]:
            return _plural(lang.cardinal(int(written)))
        return f"oh {lang.digits(written[1])}" if written[0] == "0" else lang.cardinal(int(written))

    def _inches(self, match: re.Match[str], before: str) -> str | None:
        """Inches, unless the mark closes what was quoted."""
        lang = self.language
        if lang.code != "en" or (match["mark"] == '"' and match.string.count('"') % 2 == 0):
            return None
        return f"{lang.number(*lang.parse(match['num']))} {lang.unit('in.', one=True)}"

    def _plain(self, match: re.Match[str], before: str) -> str:
        lang, written = self.language, match["num"]
        whole, part = lang.parse(written)
        following = match.string[match.end() : match.end() + 40]
        if match["decade"]:
            year = len(whole) == 4
            said = _plural(lang.year(int(whole)) if year else lang.cardinal(int(whole)))
        elif written.isdecimal() and (
            len(written) > _LONGEST_NUMBER or (written[0] == "0" and len(written) > 1)
        ):
            said = lang.digits(written)
        elif written.isdecimal() and self._is_year(
            written, before + match.string[: match.start()], following
        ):
            said = lang.year(int(written))
        elif lang.code == "en" and len(part) > 2 and match.string[: match.start()][-1:].lower() == "v":
            said = lang.digits(written)
        else:
            noun = re.match(rf"{SPACE}([^\W\d_]+)", following)
            said = lang.number(whole, part, feminine=bool(noun and lang.feminine(noun[1])), noun=bool(noun))
        if match["plus"]:
            said = f"{lang.word('more')} {said}" if lang.code != "en" else f"{said} {lang.word('plus')}"
        return f"{lang.word('minus')} {said}" if match["neg"] else said

    def _is_year(self, written: str, preceding: str, following: str) -> bool:
        number = int(written)
        if self.language.code not in ("en", "de") or len(written) != 4:
            return False
        if not (1100 if not _OF_YEARS.search(preceding) else 1000) <= number <= 2099:
            return False
        counted = re.match(rf"{SPACE}([a-z]+)", following)
        return number // 10 == 200 or not (counted and _PLURAL.match(counted[1]))

    def _each(self, match: re.Match[str], before: str) -> str | None:
        preceding = match.string[: match.start()]
        if not re.search(r"(?:[\d€$£%¢]|\d\s?[^\W\d_]{1,10})$", preceding):
            return None
        said = self._per.get(match["unit"], match["unit"])
        return f" {said}" if _WITH_PREPOSITION.match(said) else f" {self.language.word('per')} {said}"


def _plural(said: str) -> str:
    return said[:-1] + "ies" if said.endswith("y") else said + "s"
