"""Counts, amounts of money and telephone numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

import phonenumbers
from babel.numbers import format_currency, get_decimal_symbol, get_territory_currencies

from agent.slots.slot import Problem, settled
from agent.slots.words import code_of, plain_pattern, words_of
from models.llm import spoken
from models.llm.spoken_words import LANGUAGES
from models.reading.language import Language

_CURRENCIES = {
    "USD": r"\$|dollars?|bucks|dólares?|dollari?",
    "EUR": r"€|euros?",
    "GBP": r"£|pounds?|livres?|libras?|sterline?",
    "BRL": r"r\$|rea(?:l|is)",
}
_CENTS = r"cents?|centimes?|céntimos?|centesimi|centavos?|pence|p\b"
_HESITATION = re.compile(r"\b(?:oh?|uh),", re.IGNORECASE)  # "uh", as recognizers take it for a zero
_ABOUT = re.compile(
    r"^\W*(?:about|around|roughly|maybe|probably|environ|vers|unos|unas|circa|cerca de|uns|umas)\s+",
    re.IGNORECASE,
)
_LISTED = re.compile(r"(?:\b\w+, ){4}")
_MORE_DIGITS = re.compile(r"\W*(?:\w+\W+){1,2}\d")  # and before it:
_DIGITS_BEFORE = re.compile(r"\d(?:\W+\w+){1,2}\W*\Z")
_ENDS = re.compile(  # digits that correct the last ones
    r"\W*(?:(?:it|it's|that|that's|the|last|ends?|ending|in|with|at|end|is|are|please|c'est|a|la|fin|les|derniers?|"
    r"chiffres|digits?|es|al|final|los|ultimos|e|alla|fine|le|ultime|no|os)\b\W*|\d\W*)*"
)
FEWEST_FOUND = 7  # digits in a row that can only be a telephone number
FEWEST_CORRECTING = 3  # digits, of another number


@dataclass(frozen=True)
class Count:
    """How many: people, by the words around it, unless asked for."""

    least: int = 1
    most: int = 1000
    kind: ClassVar[str] = "count"

    def read(self, words: str, *, language: str, now: datetime) -> int | Problem:
        return settled(words, language, lambda said: self._read(said, language))

    def find(self, words: str, *, language: str, now: datetime) -> int | Problem | None:
        known, code = words_of(language), code_of(language)
        said = spoken.without_moments(words, code)
        counts = "|".join(LANGUAGES[code].counts)
        people = rf"(?:\w+ )?{plain_pattern(known.people)}"
        one = rf"(?:\d+|{LANGUAGES[code].one})"
        more = rf"(?: (?:{LANGUAGES[code].added}) {one} (?:{people}|bab(?:y|ies)|bebes?|neonat[oi]))*"
        cue = (
            rf"\d+ {people}{more}|(?:{known.party}) (?:just |about |the |a )*"
            rf"(?:\d+|{counts})\b(?! ?(?:st|nd|rd|th|min|hour))(?: {people})?{more}"
        )
        if not (match := re.search(cue, spoken.fold(said, code))):
            return None
        # A number elsewhere in the sentence counts nothing here.
        value = self._read(match[0], language)
        corrected = settled(said, language, lambda part: self._read(part, language))
        if isinstance(corrected, int) and isinstance(value, Problem):
            value = corrected
        return value

    def say(self, value: int, *, language: str) -> str:
        return str(value)

    def _read(self, words: str, language: str) -> int | Problem:
        code = code_of(language)
        words = _ABOUT.sub("", words)
        said = words if spoken.bare(words, code) else spoken.without_moments(words, code)
        number = spoken.number(said, code)
        if number is None:
            several = [int(one) for one in re.findall(r"\d+", spoken.fold(words, code))]
            return Problem("several", tuple(several)) if len(several) > 1 else Problem("nothing")
        if number != int(number):
            return Problem("invalid")
        return int(number) if self.least <= number <= self.most else Problem("range", (int(number),))


@dataclass(frozen=True)
class Money:
    """In `currency`, an ISO 4217 code."""

    amount: Decimal
    currency: str


@dataclass(frozen=True)
class Amount:
    """An amount of money, in `currency` where none is named; that of the language's country by default."""

    currency: str | None = None
    least: Decimal = Decimal(0)
    most: Decimal = Decimal(1_000_000)
    kind: ClassVar[str] = "amount"

    def read(self, words: str, *, language: str, now: datetime) -> Money | Problem:
        return settled(words, language, lambda said: self._read(said, language))

    def find(self, words: str, *, language: str, now: datetime) -> Money | Problem | None:
        if not re.search(
            "|".join(rf"(?<!\w)(?:{one})(?!\w)|[$€£]" for one in _CURRENCIES.values()), words, re.I
        ):
            return None
        value = self.read(words, language=language, now=now)
        return None if isinstance(value, Problem) and value.reason == "nothing" else value

    def say(self, value: Money, *, language: str) -> str:
        locale = Language(language).tag.replace("-", "_")
        whole = value.amount == value.amount.to_integral_value()
        said = format_currency(
            value.amount,
            value.currency,
            locale=locale,
            format="¤#,##0" if whole and locale == "en_US" else None,
        )
        return said.replace("\xa0", " ").replace("\u202f", " ")

    def _read(self, words: str, language: str) -> Money | Problem:
        code, lowered = code_of(language), words.lower()
        named = [c for c, pattern in _CURRENCIES.items() if re.search(pattern, lowered)]
        if "BRL" in named and "USD" in named:
            named.remove("USD")
        if len(named) > 1:
            return Problem("several", tuple(named))
        said = spoken.fold(_without_thousands(re.sub(r"r?[$€£]", " ", lowered), language), code)
        cents = re.search(rf"(\d+) (?:{_CENTS})", said)
        numbers = re.findall(r"\d+(?:[.,]\d+)?", said)
        if not numbers:
            return Problem("nothing")
        values = [Decimal(one.replace(",", ".")) for one in numbers]
        if spoken.either(said, code):
            return Problem("several", tuple(values))
        match values:
            case [only]:
                amount = only / 100 if cents else only
            case [whole, part] if part < 100 and whole == int(whole) and (cents or part >= 10):
                amount = whole + part / 100
            case _:
                return Problem("several", tuple(values))
        if "½" in said:
            amount += Decimal("0.5")
        currency = named[0] if named else self.currency or _currency(language)
        return Money(amount, currency) if self.least <= amount <= self.most else Problem("range", (amount,))


def _without_thousands(words: str, language: str) -> str:
    """Without what stands between thousands: 1,500, and 1.500 where a comma is before the decimals."""
    signs = (
        ", \xa0\u202f"
        if get_decimal_symbol(Language(language).tag.replace("-", "_")) == "."
        else "., \xa0\u202f"
    )
    return re.sub(
        rf"(?<![\d.,])\d{{1,3}}(?:[{signs}]\d{{3}})+(?!\d)", lambda match: re.sub(r"\D", "", match[0]), words
    )


def _currency(language: str) -> str:
    return str(get_territory_currencies(Language(language).region)[-1])


@dataclass(frozen=True)
class Phone:
    """A telephone number in E.164, or as it is dialled there where the area isn't said.

    `region` is the country that one without a country code is in: that of the language by default.
    """

    region: str | None = None
    kind: ClassVar[str] = "phone"

    def read(self, words: str, *, language: str, now: datetime) -> str | Problem:
        said, correcting = _corrected(spoken.dialled(words, code_of(language)), language)
        if correcting:  # what went before is wrong, and the right one isn't whole yet, but for its end
            right = _with_end(said, correcting)
            return self._read(right, language) if right else Problem("short")
        return settled(words, language, lambda said: self._read(said, language))

    def find(self, words: str, *, language: str, now: datetime) -> str | Problem | None:
        said = spoken.dialled(words, code_of(language))
        runs = list(re.finditer(r"(?:(?:\+|plus ?)?\d[\d ]*\d)", said))
        # The last of equals corrects the others.
        longest = max(reversed(runs), key=lambda run: len(run[0]), default=None)
        if longest is None or len(longest[0].replace(" ", "")) < FEWEST_FOUND:
            return None
        whole = longest[0]
        correcting = _corrected(whole + said[longest.end() :], language)[1]
        if correcting and not (whole := _with_end(whole, correcting)):
            return None  # the right one isn't whole yet
        value = self.read(whole, language=language, now=now)
        if isinstance(value, str) and not value.startswith("+"):
            before, behind = said[: longest.start()], said[longest.end() :]
            if _DIGITS_BEFORE.search(before) or _MORE_DIGITS.match(behind):
                return None  # what was heard between them may have been a digit, too
        return value

    def say(self, value: str, *, language: str) -> str:
        region = self._region(language)
        try:
            number = phonenumbers.parse(value, region)
        except phonenumbers.NumberParseException:
            return value
        own = number.country_code == phonenumbers.country_code_for_region(region)
        form = phonenumbers.PhoneNumberFormat
        return phonenumbers.format_number(number, form.NATIONAL if own else form.INTERNATIONAL)

    def _region(self, language: str) -> str:
        return self.region or Language(language).region

    def _read(self, words: str, language: str) -> str | Problem:
        number = self._number(words, language)
        listed = _LISTED.search(words)  # where "oh," is a digit like the others
        if number == Problem("long") and not listed and (without := _HESITATION.sub(" ", words)) != words:
            number = self._number(without, language)
        return number

    def _number(self, words: str, language: str) -> str | Problem:
        code = code_of(language)
        said = spoken.dialled(words, code)
        for pattern, digit in LANGUAGES[code].sounds_like.items():
            said = re.sub(pattern, digit, said)
        digits = spoken.digits(said, code)
        if digits is None:
            count = len(re.findall(r"\d", said))
            return Problem("long") if count > 15 else Problem("short" if count else "nothing")
        try:
            number = phonenumbers.parse(digits, self._region(language))
        except phonenumbers.NumberParseException:
            return Problem("short" if len(digits) < 6 else "invalid")
        result = phonenumbers.ValidationResult
        match phonenumbers.is_possible_number_with_reason(number):
            case result.IS_POSSIBLE:
                return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            case result.IS_POSSIBLE_LOCAL_ONLY:
                return digits
            case result.TOO_SHORT:
                return Problem("short")
            case result.TOO_LONG:
                return Problem("long")
            case _:
                return Problem("invalid")


def _corrected(said: str, language: str) -> tuple[str, str]:
    """The last whole number in what is dialled, and the fewer digits that correct it, or none."""
    *before, last = re.split(plain_pattern(words_of(language).corrected), said)
    digits = re.sub(r"\D", "", last)
    few = len(digits) < FEWEST_CORRECTING  # "make that three o'clock"
    if not before or len(digits) >= FEWEST_FOUND or (few and not _ENDS.fullmatch(last)):
        return said, ""
    whole = (one for one in reversed(before) if len(re.findall(r"\d", one)) >= FEWEST_FOUND)
    return next(whole, before[-1]), digits


def _with_end(said: str, digits: str) -> str:
    """The number with these as its last digits; none where more than one differs: others may be meant."""
    end = re.sub(r"\D", "", said)[-len(digits) :]
    if len(digits) < 2 or sum(one != other for one, other in zip(end, digits, strict=False)) != 1:
        return ""
    return re.sub(rf"(?:\d\D*){{{len(digits)}}}$", digits, said)
