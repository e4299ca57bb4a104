"""Sizes: how long, and by how wide."""

from __future__ import annotations

import re

from models.reading.language import Language
from models.reading.rules import SPACE, START, Rule, alternatives, ends_sentence, number_pattern


class Sizes:
    def __init__(self, language: Language) -> None:
        self.language = language

    def in_one_word(self) -> list[Rule]:
        """What looks like a code."""
        mark = r"(?P<mark>['’′\"”″])"
        by = rf"{SPACE}?[x×]{SPACE}?"
        each = r"\d+(?:\.\d+)?"
        return [
            (re.compile(rf"{START}(?P<num>\d)m(?P<more>\d\d)(?!\w)"), self._metres),
            (
                re.compile(
                    rf"{START}(?P<num>{each}){mark}{by}(?P<num2>{each})(?P=mark)(?:{by}(?P<num3>{each})(?P=mark))?(?!\w)"
                ),
                self._feet_by,
            ),
        ]

    def sizes(self) -> list[Rule]:
        """What a measure's pattern would take a part of."""
        units, number = alternatives(self.language.units), number_pattern(spaced=self.language.spaces_group)
        return [
            (
                re.compile(rf"{START}(?P<feet>\d)['’′]{SPACE}?(?P<inches>\d\d?)(?:\"|”|″|'')"),
                self._feet,
            ),
            (
                re.compile(
                    rf"{START}(?P<feet>\d+){SPACE}?ft\.?{SPACE}(?P<inches>\d\d?){SPACE}?in(?:\.|(?!\w))"
                ),
                self._feet,
            ),
            (
                re.compile(
                    rf"{START}(?P<num>{number}){SPACE}?[x×]{SPACE}?(?P<num2>{number})"
                    rf"(?:{SPACE}?[x×]{SPACE}?(?P<num3>{number}))?(?:{SPACE}?(?P<unit>{units})(?!\w))?(?!\w)"
                ),
                self._by,
            ),
        ]

    def _metres(self, match: re.Match[str], before: str) -> str | None:
        lang = self.language
        name = lang.unit("m", one=match["num"] == "1")
        if name is None or lang.in_digits:
            return None
        return f"{lang.cardinal(int(match['num']), noun=True)} {name} {lang.number(match['more'])}"

    def _feet_by(self, match: re.Match[str], before: str) -> str | None:
        if self.language.code != "en":
            return None
        numbers = [
            self.language.number(*self.language.parse(each))
            for each in match.group("num", "num2", "num3")
            if each
        ]
        one, several = ("foot", "feet") if match["mark"] in "'’′" else ("inch", "inches")
        article = re.search(r"(?<!\w)an?\s$", before + match.string[: match.start()], re.IGNORECASE)
        return f"{' by '.join(numbers)} {one if article else several}"

    def _by(self, match: re.Match[str], before: str) -> str:
        lang = self.language
        numbers = [lang.number(*lang.parse(each)) for each in match.group("num", "num2", "num3") if each]
        word = "by" if match["unit"] or match["num3"] or " " not in match[0] else "times"
        if "×" in match[0] and " " in match[0]:
            word = "times"
        said = f" {lang.word(word)} ".join(numbers)
        unit = lang.unit(match["unit"], one=False) if match["unit"] else None
        return f"{said} {unit}" if unit else said

    def _feet(self, match: re.Match[str], before: str) -> str | None:
        if self.language.code != "en":
            return None
        feet, inches = (self.language.cardinal(int(each)) for each in match.group("feet", "inches"))
        ends = match[0].endswith(".") and ends_sentence(match.string, match.end())
        return f"{feet} foot {inches}" + ("." if ends else "")
