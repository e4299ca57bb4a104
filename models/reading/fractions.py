"""Fractions: a half of something, two and a half, eight out of ten."""

from __future__ import annotations

import re

from models.reading.language import Language
from models.reading.rules import SPACE, START, Rule, alternatives, ends_sentence


class Fractions:
    def __init__(self, language: Language) -> None:
        self.language = language

    def rules(self) -> list[Rule]:
        units = alternatives(self.language.units)
        half = rf"{START}(?:(?P<whole>\d+)(?:{SPACE}|(?=½)))?(?:1[/⁄]2(?![\d/])|½)"
        measured = rf"(?:{SPACE}?(?P<unit>{units})(?![\w/²³])(?P<dot>\.(?!\w))?)?"
        return [
            (
                re.compile(
                    rf"{START}(?P<num>\d+|\d\d?[.,]\d)/(?P<of>5|10|20|100)(?![\d/])(?!{SPACE}?(?:{units})(?!\w))"
                ),
                self._mark,
            ),
            (
                re.compile(
                    rf"{half}(?:{SPACE}?(?P<unit>{units})(?![\w/²³])(?P<dot>\.(?!\w))?"
                    rf"|{SPACE}(?P<noun>[^\W\d_]+)(?![\w'’-]))"
                ),
                self._half,
            ),
            (
                re.compile(rf"{START}(?P<whole>\d+)?{SPACE}?(?P<vulgar>[½¼¾⅓⅔⅛]){measured}"),
                self._vulgar,
            ),
            (
                re.compile(
                    rf"{START}(?:(?P<whole>\d+){SPACE})?(?P<top>\d{{1,2}})[/⁄](?P<bottom>\d{{1,2}})(?![\d/]){measured}"
                ),
                self._fraction,
            ),
        ]

    def _mark(self, match: re.Match[str], before: str) -> str | None:
        """Eight out of ten; a fifth is a fraction unless it can't be one."""
        lang = self.language
        whole, part = lang.parse(match["num"])
        if int(whole) > int(match["of"]) or (match["of"] == "5" and not part):
            return None
        return f"{lang.number(whole, part)} {lang.word('out_of')} {lang.number(match['of'])}"

    def _half(self, match: re.Match[str], before: str) -> str | None:
        """Of something that is feminine, or is known: what is masculine elsewhere is said word by word."""
        lang, whole = self.language, match["whole"]
        forms: dict[str, str] = lang.table.get("half", {})
        noun = match["noun"] or lang.unit(match["unit"], one=whole in (None, "1"))
        if not forms or noun is None:
            return None
        gender = self._gender(noun.split()[0])
        told = match["unit"] or (
            re.fullmatch(forms["nouns"], noun) if "nouns" in forms else gender == "feminine"
        )
        if not told:
            return None
        if whole:
            number = lang.cardinal(int(whole), feminine=gender == "feminine" and lang.code != "de", noun=True)
            said = forms[f"more_{gender}"].format(whole=number, noun=noun)
        else:
            preceding = (before + match.string[: match.start()]).rstrip().lower()
            given = re.search(rf"(?<!\w)(?:eine[mnr]|{lang.table.get('given_by', '(?!)')})$", preceding)
            elided = "elided" in forms and noun[0] in "aeiou"
            form = "elided" if elided else f"given_{gender}" if given else gender
            said = forms[form].format(noun=noun)
            if re.search(r"(?<!\w)(?:une?|ein(?:e[mnr]?)?)$", preceding):
                said = re.sub(r"^(?:un|ein)\w*\s", "", said)
        return f"{said}." if match["dot"] and ends_sentence(match.string, match.end()) else said

    def _gender(self, noun: str) -> str:
        forms = self.language.table["half"]
        if "neuter" in forms:
            genders = ("masculine", "feminine")
            found = (each for each in genders if re.fullmatch(forms[f"{each}_nouns"], noun))
            return next(found, "neuter")
        return "feminine" if self.language.feminine(noun) else "masculine"

    def _of_unit(self, fraction: str, match: re.Match[str]) -> str:
        """A fraction, with the unit of which it is one."""
        unit = match["unit"] and self.language.unit(match["unit"], one=not match["whole"])
        if not unit:
            return fraction
        of = self.language.table.get("of")
        half = fraction in self.language.table["signs"].get("½", "")
        said = f"{fraction} {of} {unit}" if of and not match["whole"] and not half else f"{fraction} {unit}"
        return f"{said}." if match["dot"] and ends_sentence(match.string, match.end()) else said

    def _vulgar(self, match: re.Match[str], before: str) -> str:
        lang = self.language
        named: str = lang.table["signs"][match["vulgar"]]
        if not match["whole"]:
            return self._of_unit(named, match)
        if match["vulgar"] == "½":
            named = lang.table.get("a_half", named)
        return self._of_unit(f"{lang.cardinal(int(match['whole']))} {lang.word('and')} {named}", match)

    def _fraction(self, match: re.Match[str], before: str) -> str | None:
        lang = self.language
        top, bottom = int(match["top"]), int(match["bottom"])
        row = lang.table.get("fractions", {}).get(bottom)
        if not row or not 0 < top < bottom or match["top"][0] == "0":
            if lang.in_digits or match["whole"]:
                return None
            return f"{lang.number(match['top'])} {lang.word('over')} {lang.number(match['bottom'])}"
        feminine = lang.feminine(row[0])
        said = f"{lang.cardinal(top, feminine=feminine, noun=True)} {row[0 if top == 1 else 1]}"
        counted = match["whole"] or (lang.code in ("es", "it", "pt") and match.string[match.end() :].strip())
        if counted and (top, bottom) == (1, 2):
            said = lang.table.get("a_half", said)
        if match["whole"]:
            said = f"{lang.cardinal(int(match['whole']))} {lang.word('and')} {said}"
        return self._of_unit(said, match)
