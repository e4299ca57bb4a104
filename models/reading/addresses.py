"""What is read letter by letter or digit by digit: addresses on the web, telephone numbers, codes."""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers

from models.reading.language import Language
from models.reading.rules import NEED_SPACE, SPACE, Rule, alternatives

_VOWELS = frozenset("aeiouyAEIOUY")
_POSTCODES = (
    r"[A-Z]{1,2}\d[A-Z\d]?{space}\d[A-Z]{2}",  # British
    r"[A-Z]\d[A-Z]{space}?\d[A-Z]\d",  # Canadian
    r"(?:[A-Z]{2}{space})\d{5}(?:-\d{4})?",  # of the United States, behind the state's
    r"\d{5}-\d{3,4}",  # Brazilian, or of the United States
)
_REGISTERED = r"\d{3}\.\d{3}\.\d{3}-\d\d|\d\d\.\d{3}\.\d{3}/\d{4}-\d\d"  # Brazilian taxpayers
_PRONOUNCEABLE = re.compile(r"(?:[^aeiouy]{0,2}[aeiouy]{1,2})+[^aeiouy]{0,2}", re.IGNORECASE)
_CAR = re.compile(r"(?:kennzeichen|auto|wagen|nummernschild)s?\b[^.!?\n]{0,40}$", re.IGNORECASE)
_PARTS = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_|\s+")


class Addresses:
    def __init__(self, language: Language) -> None:
        self.language = language
        self._words = frozenset(language.common["words_in_addresses"].split())
        table = language.table
        self._code_words = re.compile(
            rf"(?<!\w)(?P<word>{table['code_words']})(?!\w)\.?(?:[^.!?;\n]|\b[^\W\d]{{1,4}}[.º°]){{0,30}}$|#$",
            re.IGNORECASE,
        )
        known = [
            *language.units.difference(NEED_SPACE),
            *(str(each) for each in table.get("scales", {}) if str(each) not in ("B", "K", "m", "T")),
        ]
        self._measured = re.compile(
            rf"\d+-?(?:{alternatives(known)}|{table['ordinals']}|s|['’]s)|\d+[ap]m|\d+p|\d+[hH]\d*|\d+[xX]|\d+[x×]\d+(?:[x×]\d+)?"
        )
        self._not_codes = re.compile(rf"(?<!\w)(?:{table.get('not_codes') or '(?!)'})", re.IGNORECASE)
        self._dialled = re.compile(rf"(?<!\w)(?:{table['phone_words']})\s$", re.IGNORECASE)
        self._phone_words = re.compile(
            rf"(?<!\w)(?:{table['phone_words']})\b\.?[^.!?\n]{{0,40}}$", re.IGNORECASE
        )

    def web(self) -> list[Rule]:
        domains = alternatives(self.language.common["bare_domains"].split())
        label = r"[^\W_](?:[\w-]*[^\W_])?"
        return [
            (re.compile(rf"(?:mailto:)?(?P<name>[\w.+-]+)@(?P<host>{label}(?:\.{label})+)"), self._email),
            (
                re.compile(r"(?:https?://|ftp://|(?<![\w.])www\.)[^\s<>\"“”«»]*[^\s<>\"“”«».,;:!?)\]']"),
                self._url,
            ),
            (
                re.compile(
                    rf"(?<![\w@./-])(?:{label}\.)+(?:{domains})(?!\w|\.\w)"
                    r"(?:/[^\s<>\"“”«»]*[^\s<>\"“”«».,;:!?)\]'])?/?"
                ),
                self._url,
            ),
            (re.compile(r"(?<![\w@])@(?P<name>[A-Za-z_]\w+)"), self._handle),
        ]

    def combinations(self) -> list[Rule]:
        """What would else be dates."""
        return [(re.compile(r"(?<![\w.,/-])\d{1,2}(?:-\d{1,2}){2}(?![\w-]|[.,]\d)"), self._combination)]

    def in_digits(self) -> list[Rule]:
        town = r"(?=[A-ZÀ-Þ][a-zà-ÿ])"
        postcodes = "|".join(each.replace("{space}", SPACE) for each in _POSTCODES)
        return [
            (
                re.compile(
                    r"(?<![\w.])(?:(?P<v>[vV]\.?)(?=\d+\.\d)|(?=\d+(?:\.\d+){2}))(?P<num>\d+(?:\.\d+)+)(?![\w])"
                ),
                self._dotted,
            ),
            (
                re.compile(
                    r"(?<![\w.,/])(?P<plus>\+|00(?=[1-9]))?\(?\d(?:[\d ().\-‑–\u00a0\u202f]|/(?=\d)){4,}\d"
                    r"(?![\w/]|[.,]\d|%|\s?[€$£]|:\d)"
                ),
                self._phone,
            ),
            (
                re.compile(r"(?<![\w-])\d{4}(?:([ -])\d{4})(?:\1\d{4}){1,6}(?:\1\d{1,4})?(?![\w-])"),
                self._groups,
            ),
            (re.compile(rf"(?<![\w-])(?:{postcodes})(?![\w-])"), self._groups),
            (re.compile(rf"(?<![\w.,-])(?:{_REGISTERED})(?![\w-])"), self._chain),
            (re.compile(r"(?<![\w-])[A-ZÄÖÜ]{1,3}-[A-Z]{1,2}[ -]?\d{1,4}[EH]?(?!\w)"), self._plate),
            (re.compile(r"(?<![\w.,-])\d+(?:-\d+){2,}(?![\w-]|[.,]\d)"), self._chain),
            (re.compile(rf"(?<![\w.,-])\d{{4,5}}(?={SPACE}{town})(?<=\d{{5}})"), self._town),
            (re.compile(r"(?<![\w-])\d{4}-\d{3}(?![\w-])"), self._portuguese),
            (
                re.compile(r"(?<![\w.$€£¥])(?=[A-Za-z_-]*\d)[A-Za-z\d]+(?:[-_][A-Za-z\d]+)*+(?!\w|[.,]\d)"),
                self._code,
            ),
            (
                re.compile(r"(?<![\w.,/:$€£])\d{3,}(?:[ ]\d{2,})*(?![\w/:%]|[.,]\d|\s?[€$£%°])"),
                self._coded_digits,
            ),
        ]

    def in_letters(self) -> list[Rule]:
        return [(re.compile(r"(?<!\w)[A-Z]{2,8}(?!\w)"), self._coded_letters)]

    def _email(self, match: re.Match[str], before: str) -> str:
        return f"{self._address(match['name'])} {self.language.word('at')} {self._host(match['host'])}"

    def _url(self, match: re.Match[str], before: str) -> str | None:
        written = re.sub(r"^\w+://|^mailto:", "", match[0])
        # What nobody would write down from hearing it isn't said.
        written = re.split(r"[?#]", re.sub(r"^www\.", "", written))[0].rstrip("/")
        host, slash, path = written.partition("/")
        said = self._host(host.partition(":")[0])
        if slash and len(path) <= 40 and not re.search(r"[=&%]|\d{5}", path):
            path = re.sub(r"\.(?:html?|php|aspx?)$", "", path)
            for part in path.split("/"):
                said += f" {self.language.word('slash')} {self._address(part)}"
        return said

    def _handle(self, match: re.Match[str], before: str) -> str:
        return f"{self.language.word('at')} {self._address(match['name'])}"

    def _host(self, host: str) -> str:
        *labels, last = host.split(".")
        said = [self._address(label) for label in labels]
        for label in (last,):
            known = label.lower() in self._words or len(label) > 3
            said.append(label.lower() if known else self.language.letters(label))
        return f" {self.language.word('dot')} ".join(said)

    def _address(self, written: str) -> str:
        """A name in an address: words as words, what can't be one letter by letter."""
        lang = self.language
        names = {
            ".": lang.word("dot"),
            "-": lang.word("dash"),
            "_": lang.word("underscore"),
            "+": lang.word("plus"),
            "/": lang.word("slash"),
        }
        said = []
        for part in _PARTS.findall(written):
            if part.isdecimal():
                short = len(part) <= 2 and part[0] != "0"
                said.append(lang.cardinal(int(part)) if short else self._digits(part))
            elif part.isalpha():
                spelled = len(part) == 1 or (not _VOWELS & set(part) and len(part) <= 4)
                said.append(lang.letters(part) if spelled else part)
            elif part in names:
                said.append(names[part])
        return " ".join(said)

    def _digits(self, written: str) -> str:
        year = len(written) == 4 and 1900 <= int(written) <= 2099
        return self.language.year(int(written)) if year else self.language.digits(written)

    def _dotted(self, match: re.Match[str], before: str) -> str | None:
        """A version, or an address of four numbers."""
        lang, parts = self.language, match["num"].split(".")
        if not match["v"] and len(parts) == 3 and all(len(part) == 3 for part in parts[1:]):
            return None  # 1.234.567
        if not match["v"] and len(parts) == 3 and len(parts[2]) == 4:
            return None  # 25.12.2026
        if len(parts) > 4:
            return None
        word = f" {lang.word('point' if lang.code == 'en' and len(parts) < 4 else 'dot')} "
        said = word.join(lang.digits(part) if len(parts) == 4 else lang.cardinal(int(part)) for part in parts)
        named = (before + match.string[: match.start()]).rstrip().lower().endswith(lang.word("version"))
        return f"{lang.word('version')} {said}" if match["v"] and not named else said

    def _phone(self, match: re.Match[str], before: str) -> str | None:
        written = match[0]
        digits = re.sub(r"\D", "", written)
        preceding = before + match.string[: match.start()]
        if not 6 <= len(digits) <= 15:
            return None
        expected = bool(self._phone_words.search(preceding)) and not self._code_words.search(
            re.sub(r"(?i)numbers?|num[eé]ro|n[uú]mero", "", preceding)
        )
        if not self._is_phone(written, digits, expected=expected):
            return None
        lang = self.language
        groups = re.findall(r"\d+", written)
        if len(groups) == 1 or (written.startswith(("+", "00")) and len(groups) == 2):
            groups = (
                _grouped(
                    ("+" if match["plus"] else "") + digits[2 if written.startswith("00") else 0 :],
                    lang.region,
                )
                or groups
            )
            separators = [","] * len(groups)
        else:
            separators = [
                "|" if " " in each or "\u00a0" in each else ","
                for each in re.findall(r"(?<=\d)[^\d]+(?=\d)", written)
            ] + [""]
        said = ""
        for number, (group, separator) in enumerate(zip(groups, separators, strict=False)):
            read = lang.pairs(group)
            if number == 0 and match["plus"]:
                country = group[2:] if group.startswith("00") else group
                named = lang.cardinal(int(country)) if lang.table.get("pairs") else lang.digits(country)
                read = f"{lang.word('plus')} {named}"
            last = number == len(groups) - 1
            said += read + ("" if last else ",|" if separator == "|" else ", ")
        return said

    def _is_phone(self, written: str, digits: str, *, expected: bool) -> bool:
        if written.startswith("+") or re.search(r"\(\d+\)", written):
            return True
        if re.fullmatch(r"\d{1,3}(?:[.,]\d{3})+|\d{1,2}([./-])\d{1,2}\1\d{2,4}|\d{4}-\d\d-\d\d", written):
            return False
        separated = len(re.findall(r"\d+", written)) > 1
        if re.fullmatch(r"(?:1[-. ])?\d{3}[-. ]\d{3}[-. ]\d{4}", written):
            return True
        if self.language.code == "en" and re.fullmatch(r"\d{3}-\d{4}", written):
            return True
        if re.fullmatch(r"0\d(?:[ .-]?\d\d){4}", written):
            return True
        # No amount begins with a zero, nor is grouped so.
        if len(digits) >= 7 and re.fullmatch(r"0\d+(?: \d+)+|0\d\d+(?:[/-]\d+)+", written):
            return True
        grouped = re.fullmatch(r"\d{1,3}(?: \d{3})+", written)
        if len(digits) >= 9 and not grouped and re.fullmatch(r"\d+(?: \d+)+", written):
            return True
        if expected and (separated or len(digits) >= 7):
            return True
        if re.fullmatch(r"[1-9]\d{0,2}(?: \d{3})+", written) or re.fullmatch(r"\d+-\d+", written):
            return False
        if "/" in written or len(digits) < 9:
            return False
        return separated and _valid(written, self.language.region)

    def _groups(self, match: re.Match[str], before: str) -> str:
        parts = re.split(r"[\s-]", match[0])
        marks = re.findall(r"[\s-]", match[0])
        said = self._spelled(parts[0])
        for mark, part in zip(marks, parts[1:], strict=True):
            said += (", " if mark == "-" else ",|") + self._spelled(part)
        return said

    def _spelled(self, part: str) -> str:
        return self.language.letters(part)

    def _plate(self, match: re.Match[str], before: str) -> str | None:
        """A German car's."""
        preceding = before + match.string[: match.start()]
        told = re.search(r"\d{3}", match[0]) or _CAR.search(preceding)
        if self.language.code != "de" or not told or match[0].startswith(("USB-", "DIN-", "CD-")):
            return None
        return self._groups(match, before)

    def _combination(self, match: re.Match[str], before: str) -> str | None:
        preceding = before + match.string[: match.start()]
        found = self._code_words.search(preceding)
        opens = found and (found["word"] or "").lower().startswith(
            ("combi", "combo", "cod", "kod", "cód", "kombi", "pin")
        )
        return self._chain(match, before) if opens and self._linked(preceding) else None

    def _chain(self, match: re.Match[str], before: str) -> str:
        """Numbers that hyphens join, of which each by itself is small, or a code's part."""
        groups = re.findall(r"\d+", match[0])
        small = all(len(each) < 3 and each[0] != "0" for each in groups)
        return ", ".join(
            self.language.cardinal(int(each)) if small else self._spelled(each) for each in groups
        )

    def _town(self, match: re.Match[str], before: str) -> str | None:
        if self.language.code == "en":
            return None
        return self.language.digits(match[0])

    def _portuguese(self, match: re.Match[str], before: str) -> str | None:
        if self.language.code != "pt":
            return None
        return self._groups(match, before)

    def _code(self, match: re.Match[str], before: str) -> str | None:
        """Letters and digits together: a booking's code, a flight, a model."""
        written = match[0]
        ends = re.sub(r"^(?:[a-z]+-)+", "", written).split("-")
        measured = [bool(self._measured.fullmatch(each)) for each in ends]
        if any(measured) and all(
            told or (each.isdecimal() and len(each) <= 3) for told, each in zip(measured, ends, strict=True)
        ):
            return None  # "10-14h"
        expected = self._expects_code(before + match.string[: match.start()])
        parts = re.split(r"[-_]", written)
        if written.isdecimal():
            return None
        mixed = [part for part in parts if not part.isalpha() and not part.isdecimal()]
        dialled = len(parts) > 2 and parts[0].isdecimal() and parts[1].isdecimal()  # "1-800-FLOWERS"
        capitals = [
            part for part in parts if part.isalpha() and part.isupper() and (len(part) <= 4 or dialled)
        ]
        if not mixed and not capitals and not (expected and len(parts) > 1):
            return None
        if all(part.isdecimal() for part in parts) and not expected:
            return None
        said = []
        for part in parts:
            if part.isdecimal():
                said.append(self._code_digits(part, long=len(parts) > 2 or expected))
            elif part.isalpha():
                word = part.islower() or len(part) > 4 or (len(part) > 3 and bool(_VOWELS & set(part)))
                said.append(part if word else self._spelled(part))
            else:
                said.append(self._mixed(part, long=expected or len(parts) > 1))
        return (", " if any(each in mixed for each in parts) or expected else " ").join(said)

    def _mixed(self, part: str, *, long: bool) -> str:
        runs = re.findall(r"[A-Za-z]+|\d+", part)
        said = []
        for run in runs:
            if run.isdecimal():
                said.append(self._code_digits(run, long=long or len(runs) > 2))
            elif 3 < len(run) < 15 and _PRONOUNCEABLE.fullmatch(run):
                said.append(run)
            else:
                said.append(self._spelled(run))
        return " ".join(said)

    def _code_digits(self, run: str, *, long: bool) -> str:
        if not long and len(run) <= 2 and run[0] != "0":
            return self.language.cardinal(int(run))
        return self.language.digits(run)

    def _expects_code(self, preceding: str) -> bool:
        found = self._code_words.search(preceding)
        # "You can order 20" begins before the word.
        return bool(found) and not self._not_codes.search(
            preceding[max(0, found.start() - 8) if found else 0 :]
        )

    def _coded_digits(self, match: re.Match[str], before: str) -> str | None:
        preceding = before + match.string[: match.start()]
        dialled = len(match[0]) < 5 and not self.language.table.get("pairs")
        if not self._expects_code(preceding) and not (dialled and self._dialled.search(preceding)):
            return None
        if self._counts(preceding, match.string[match.end() :]):
            return None
        groups = match[0].split(" ")
        return ",|".join(self.language.digits(group) for group in groups)

    def _counts(self, preceding: str, following: str) -> bool:
        """Whether it tells how many: "your account has 250 points"."""
        table = self.language.table
        if not re.match(rf"{SPACE}(?:{table.get('counted') or '(?!)'})(?!\w)", following):
            return False
        return not self._linked(preceding)

    def _linked(self, preceding: str) -> bool:
        """Whether only "is", "number" and the like stand between the word for a code and this place."""
        found = self._code_words.search(preceding)
        if not found:
            return False
        between = re.findall(r"[^\W\d_]+", found[0][len(found["word"] or "") :].lower())
        return all(re.fullmatch(self.language.table.get("linking") or "", word) for word in between)

    def _coded_letters(self, match: re.Match[str], before: str) -> str | None:
        preceding = before + match.string[: match.start()]
        word = len(match[0]) > 3 and _PRONOUNCEABLE.fullmatch(match[0])
        if word or self._code_words.search(match[0]) or not self._linked(preceding):
            return None
        return self._spelled(match[0])


@lru_cache(256)
def _grouped(number: str, region: str) -> list[str]:
    """A number's digits as its country writes them; none if it has no such number."""
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return []
    if not phonenumbers.is_possible_number(parsed):
        return []
    form = (
        phonenumbers.PhoneNumberFormat.INTERNATIONAL
        if number.startswith("+")
        else phonenumbers.PhoneNumberFormat.NATIONAL
    )
    groups = re.findall(r"\d+", phonenumbers.format_number(parsed, form))
    same = "".join(groups) == number.lstrip("+")
    return groups if same else []


@lru_cache(256)
def _valid(number: str, region: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False
