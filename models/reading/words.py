"""Abbreviations, signs and Roman numbers: what is said for a word, or for a sign between words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from models.reading.language import Language
from models.reading.rules import DASH, SPACE, Rule, Say, alternatives, ends_sentence

_ROMAN = r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_NEAR = 50  # characters from the word that tells of a key
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


class Words:
    def __init__(self, language: Language) -> None:
        self.language = language
        table = language.table
        self._said: dict[str, str] = {}
        self._bound: set[str] = set()  # what belongs to the word behind it
        for written, said in table.get("abbreviations", {}).items():
            for each in _begun_anew(str(written)):
                self._said.setdefault(each, str(said).lstrip("^"))
                if str(said).startswith("^"):
                    self._bound.add(each)
        self._before_number = _all_begun_anew(table.get("before_number", ()))
        self._within = frozenset(table.get("within", ()))  # a sentence, and not at its beginning
        self._after_number = _all_begun_anew(table.get("after_number", ()))
        self._not_after_number = _all_begun_anew(table.get("not_after_number", ()))
        self._enders = _all_begun_anew(table.get("enders", ()))
        self._signs: dict[str, str] = {str(sign): str(said) for sign, said in table.get("signs", {}).items()}
        bound = {*self._bound, *(each for each in self._before_number if each.endswith("."))}
        stopped = {each for each in bound if each.endswith(".")}
        numbering = alternatives(stopped & self._before_number)
        days = {str(day) for day in table.get("weekdays", {}).values()}
        weekdays = {each for each in stopped if self._said.get(each) in days}
        self.bound = (
            rf"{alternatives(stopped - self._before_number - weekdays)}|(?:{numbering})(?=\s*(?:\d|$))"
        )
        self.weekdays = alternatives(weekdays)
        self.dotted = alternatives(each for each in self._said if each.endswith("."))
        self.parted = "|".join(filter(None, map(_parted, self._said))) or "(?!)"
        self._binds = re.compile(rf"(?<![\w.])(?:{alternatives(bound)})\s*$")

    def binds(self, text: str) -> bool:
        """Whether the text ends with an abbreviation that belongs to what follows."""
        return bool(self._binds.search(text))

    def abbreviated(self) -> list[Rule]:
        marked = {each for each in self._said if not each[-1].isalnum()}
        first: list[Rule] = [
            (
                re.compile(
                    rf"(?<![\w.@/-])(?:(?:{alternatives(marked)})(?![^\W\d]|@|/\w|\.\w)"
                    rf"|(?:{alternatives(self._said.keys() - marked)})(?![\w@]|/\w|\.\w))"
                ),
                self._abbreviation,
            )
        ]
        if self.language.code == "en":
            first += [
                (re.compile(r"(?<!\w)St\.(?=\s|,|$)"), self._saint_or_street),
                (re.compile(rf"(?<=[a-z]{SPACE})Dr\.(?=\s*(?:$|[,;]|[a-z]))"), lambda *_: "drive"),
                (re.compile(r"(?<!\w)Dr\.(?=\s+[A-Z])"), self._drive),
            ]
            first.reverse()
        if endings := self.language.table.get("endings"):
            first.insert(
                0,
                (
                    re.compile(rf"(?<![^\W\d_])(?P<head>[^\W\d_]+-?)(?P<end>{alternatives(endings)})(?!\w)"),
                    self._ending,
                ),
            )
        return first

    def others(self, months: Iterable[str]) -> list[Rule]:
        """What no form has taken."""
        table = self.language.table
        signs = "".join(re.escape(sign) for sign in self._signs)
        months = alternatives(months)
        last: list[Rule] = [
            (re.compile(r"(?<![^\s(\"“'])(?:\*(?=\d)|[*#](?=[\s.,;:!?)\"”']|$))|(?<=\d)#(?!\w)"), self._key),
            (
                re.compile(rf"(?<!\w)(?P<roman>[IVXLCDM]+)(?P<mark>{table['ordinals']})(?!\w)"),
                self._roman_ordinal,
            ),
            (re.compile(rf"(?<=\s)(?P<roman>{_ROMAN})(?![\w'’-])"), self._roman),
            (
                re.compile(
                    rf"(?<!\w)(?P<roman>{_ROMAN})(?={SPACE}(?:{table.get('roman_before') or '(?!)'}))"
                ),
                self._century,
            ),
            (
                re.compile(
                    rf"(?<=[\d%€$£hm°.\w]){SPACE}?{DASH}{SPACE}?(?=[$€£]?\d|(?:{months})\.?{SPACE}\d)"
                ),
                self._range,
            ),
            (re.compile(r"(?<=\d):(?=\d)"), self._word("to")),
            (re.compile(r"(?<![\w])#(?=\w)"), self._hash),
            (re.compile(rf"(?<={SPACE})[-−–](?={SPACE}\d)|(?<=\d{SPACE})[−](?={SPACE})"), self._minus),
            (re.compile(rf"(?<=\d{SPACE})[*x](?={SPACE}\d)|(?<=\d)\*(?=\d)"), self._word("times")),
            (
                re.compile(rf"(?<=\d){SPACE}?[/:]{SPACE}?(?=\d+{SPACE}?=)"),
                self._word("divided"),
            ),
            (re.compile(rf"(?<=\d{SPACE})/(?={SPACE}\d)"), lambda *_: ","),
            (re.compile(r"\.\.+(?=\w)"), lambda *_: "... "),
            (re.compile(r"(?<=\w)/(?=[^\W\d])"), lambda *_: " "),
            (re.compile(r"(?<=[^\W_])_(?=[^\W_])"), lambda *_: " "),
        ]
        if signs:
            last.append((re.compile(rf"[{signs}]"), self._sign))
        return last

    def _word(self, name: str) -> Say:
        return lambda match, before: f" {self.language.word(name)} "

    def _abbreviation(self, match: re.Match[str], before: str) -> str | None:
        written, text = match[0], match.string
        rest = text[match.end() :]
        following = rest.lstrip()
        if written in self._before_number and not following[:1].isdecimal():
            return None
        if written in self._within and not re.search(r"[^\s.!?…¿¡]\s*$", before + text[: match.start()]):
            return None  # "No. 10 minutos bastan."
        counted = bool(re.search(r"\d\s?$", text[: match.start()]))
        if (written in self._after_number and not counted) or (written in self._not_after_number and counted):
            return None
        said = self._said[written]
        if written.endswith("."):
            ends = not following.strip("\"'”’»)")
            anew = re.match(r"\s+[\"'“«(]?[A-ZÀ-Þ¿¡]", rest)
            if ends or (anew and written in self._enders):
                said += "."
        return said

    def _ending(self, match: re.Match[str], before: str) -> str:
        """Of a word: "Hauptstr."."""
        said = match["head"] + str(self.language.table["endings"][match["end"]])
        return said if match.string[match.end() :].strip("\"'”’») ") else f"{said}."

    def _saint_or_street(self, match: re.Match[str], before: str) -> str:
        text = match.string
        preceding = (before + text[: match.start()]).split()
        following = text[match.end() :].split()
        name = bool(following) and following[0][:1].isupper()
        numbered = any(each[:1].isdecimal() for each in preceding[-4:])
        named = bool(preceding) and preceding[-1][:1].isupper() and preceding[-1][-1:].isalpha()
        if name and not (named and numbered):
            return "saint"
        # In "Oak St. You can park there" it ends a sentence; in "Oak St. NW" it goes on.
        return "street" + ("." if not following or (name and not following[0].isupper()) else "")

    def _drive(self, match: re.Match[str], before: str) -> str | None:
        """Behind a house number and a name."""
        preceding = before + match.string[: match.start()]
        return "drive." if re.search(r"(?<!\S)\d+[A-Za-z]?(?: [A-Z][a-z]+){1,3}\s$", preceding) else None

    def _roman_ordinal(self, match: re.Match[str], before: str) -> str | None:
        number = _roman(match["roman"])
        if self.language.code == "de" and number is not None:
            return self._german_ruler(number, match, before)
        if number is None or self.language.code in ("en", "hi"):
            return None
        feminine = bool(re.fullmatch(self.language.table.get("feminine_ordinals") or "(?!)", match["mark"]))
        return self.language.ordinal(number, feminine=feminine)

    def _german_ruler(self, number: int, match: re.Match[str], before: str) -> str | None:
        """ "Ludwig XIV.", and "das Schloss Ludwigs XIV."."""
        table = self.language.table
        named = re.search(
            rf"(?:(?<!\w)(?P<of>{table['given_by']})\s)?(?:(?P<she>{table['names_of_queens']})|{table['names_of_ordinals']})(?P<s>s?)\s$",
            before + match.string[: match.start()],
        )
        if not named:
            return None
        other = named["of"] or named["s"]
        article = (
            ("der" if other else "die")
            if named["she"]
            else "des"
            if named["s"]
            else "dem"
            if other
            else "der"
        )
        ends = ends_sentence(match.string, match.end())
        return f"{article} {self.language.ordinal(number)}{'n' if other else ''}" + ("." if ends else "")

    def _roman(self, match: re.Match[str], before: str) -> str | None:
        lang, table = self.language, self.language.table
        number = _roman(match["roman"])
        preceding = (before + match.string[: match.start()]).split()
        if number is None or not preceding:
            return None
        word = preceding[-1]
        if re.fullmatch(table.get("names_of_ordinals") or "(?!)", word):
            if lang.code == "en":
                return f"the {lang.ordinal(number)}"
            few = number <= int(table.get("roman_ordinals_up_to", 0))
            return lang.ordinal(number) if few else lang.cardinal(number)
        if re.fullmatch(table.get("roman_after") or "(?!)", word, re.IGNORECASE):
            ordinal = re.fullmatch(table.get("roman_ordinal_after") or "(?!)", word, re.IGNORECASE)
            return lang.ordinal(number) if ordinal else lang.cardinal(number)
        return None

    def _century(self, match: re.Match[str], before: str) -> str | None:
        number = _roman(match["roman"])
        return self.language.ordinal(number) if number else None

    def _range(self, match: re.Match[str], before: str) -> str | None:
        text, at = match.string, match.start()
        head = re.search(r"[\d%€$£°]\.?$|\d\s?(?:[ap]\.?m\.?|h|min|[a-z]{1,3}|[ap]\.)$", text[:at], re.I)
        if not head or "=" in text:
            return None
        return f" {self.language.word('to')} "

    def _hash(self, match: re.Match[str], before: str) -> str:
        number = match.string[match.end() : match.end() + 1].isdecimal()
        return f"{self.language.word('number')} " if number else ""

    def _key(self, match: re.Match[str], before: str) -> str | None:
        """A telephone's, where one is to be pressed."""
        lang, following = self.language, match.string[match.end() :]
        preceding = before + match.string[: match.start()]
        if re.match(r"\s\d", following) and (match[0] == "#" or re.search(r"\d\s$", preceding)):
            return None  # "5 * 3", "order # 5"
        words = rf"(?<!\w)(?:{lang.table['key_words']})"
        if not re.search(rf"{words}[\s\S]{{0,{_NEAR}}}$", preceding, re.IGNORECASE) and not re.match(
            rf"\W+{words}", following, re.IGNORECASE
        ):
            return None
        hash_name = lang.table.get("hash_in", {}).get(lang.region) or lang.word("hash")
        return f" {lang.word('star') if match[0] == '*' else hash_name} "

    def _minus(self, match: re.Match[str], before: str) -> str | None:
        return (
            f" {self.language.word('minus')} " if re.search(r"\d\s$", match.string[: match.start()]) else None
        )

    def _sign(self, match: re.Match[str], before: str) -> str | None:
        sign, text = match[0], match.string
        said = self._signs[sign]
        behind = text[match.end() :].lstrip()[:1]
        ahead = text[: match.start()].rstrip()[-1:]
        # These are also arrows, rules and ornaments.
        if sign in "+=<>~#%@" and not (behind.isalnum() or (sign in "+%" and ahead.isalnum())):
            return " "
        if sign in "<>=" and not (ahead.isalnum() or behind.isdecimal()):
            return " "
        if sign in "~≈" and not behind.isdecimal():
            return " "
        return f" {said} "


def _begun_anew(written: str) -> tuple[str, str]:
    """An abbreviation, and how it is written where a sentence begins with it."""
    return written, written[0].upper() + written[1:]


def _all_begun_anew(written: Iterable[str]) -> frozenset[str]:
    return frozenset(each for one in written for each in _begun_anew(str(one)))


def _parted(written: str) -> str:
    """A pattern for an abbreviation of several words up to its last stop, the last of them complete or not
    yet; or for one that has a stop within."""
    head = written.rstrip(".")
    first, space, last = head.rpartition(" ")
    if not space:
        return "" if written.endswith(".") or "." not in head else rf"{re.escape(head)}(?!\w)"
    begun = alternatives(last[:length] for length in range(1, len(last)))
    return rf"{re.escape(first)}\s(?:{re.escape(last)}(?!\w)|(?:{begun})$)"


def _roman(written: str) -> int | None:
    """Its value; None for what isn't one, or is a letter by itself."""
    if (
        not written
        or not re.fullmatch(_ROMAN, written)
        or written in ("C", "D", "L", "M", "CD", "DC", "MM", "MC", "CC")
    ):
        return None
    values = [_VALUES[each] for each in written]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))
