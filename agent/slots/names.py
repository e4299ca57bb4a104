"""Names, letters that spell them, and e-mail addresses."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from typing import ClassVar

from text_to_num import alpha2digit

from agent.slots.slot import Problem, settled
from agent.slots.words import SlotWords, code_of, words_of
from models.llm import spoken

NATO = (
    "alfa|alpha bravo charlie delta echo foxtrot golf hotel india juliet|juliett kilo lima mike november "
    "oscar papa quebec romeo sierra tango uniform victor whiskey|whisky xray|x-ray yankee zulu"
)
_ALPHABET = {
    word: chr(ord("a") + number) for number, words in enumerate(NATO.split()) for word in words.split("|")
}
_LETTER = r"[^\W\d_]"
_ADDRESS = re.compile(r"[a-z0-9][a-z0-9._%+-]*@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")
_FEWEST_LETTERS = 2
_WORDS = {"en": "ai", "fr": "aày", "es": "aeouy", "it": "aàeèoi", "pt": "aàeéo"}  # of one letter
FEWEST_SPELLED = 3  # letters that are spelling in any sentence
_RUN_OF_LETTERS = re.compile(r"(?<![\w'-])[A-Z]{3,}(?![\w'])")  # as one spells them to a recognizer
# What stands around a name and is none. "Will" and "May" are names.
_NO_NAMES = {
    "en": r"the|a|an|my|name|is|it|it's|i|i'm|am|this|that|would|be|under|for|booking|reservation|table|and|"
    r"on|at|of|in|to|last|first|surname|spelled|spelt|that's|you|can|just|mr|mrs|ms|miss|dr|doctor|put|down|"
    r"with|as|call|me",
    "fr": r"le|la|les|un|une|mon|nom|est|c'est|je|suis|m'appelle|au|de|pour|et|prénom|monsieur|madame|"
    r"docteur|dr|mettez",
    "es": r"el|la|un|una|mi|nombre|es|soy|me|llamo|a|de|para|y|apellido|señor|señora|doctora?|dra?|ponga",
    "it": r"il|la|un|una|mio|nome|è|sono|mi|chiamo|a|di|per|e|cognome|signor|signora|dottor|dottoressa|"
    r"metta",
    "pt": r"o|a|um|uma|meu|nome|é|sou|me|chamo|de|para|e|sobrenome|senhor|senhora|doutora?|dra?|ponha",
}
_PARTICLES = (
    r"van|von|der|den|de|la|le|les|lo|los|las|du|da|das|di|del|della|dello|delle|degli|dei|do|dos|el|al|bin|"
    r"ibn|ben|mac|mc|ter|ten|st\.?|san"
)
_TITLES = (
    r"(?:mrs?|ms|miss|dra?|doctora?|docteur|monsieur|madame|señora?|signora?|dottor|dottoressa|senhora?|"
    r"doutora?)\.?"
)
_ARTICLES = r"(?:el|la|le|il|lo|o|a|the)"  # before a name, rather than in it
_OF = r"(?:de|di)"
_BETWEEN = {"es": "y", "pt": "e"}  # two of one person's names
# Whoever says so may go on with something else than a name: "je suis libre", "soy de Madrid".
_NO_NAME = re.compile(
    r"(?:not|from|here|free|available|looking|calling|about|just|new|sorry|sure|afraid|"
    r"libre|disponible|désolée?|client|cliente|nouveau|nouvelle|de|à|au|en|pour|pas|"
    r"nuev[oa]|liber[oa]|disponibile|nuov[oa]|di|in|al|livre|disponível|nov[oa]|em)$",
    re.IGNORECASE,
)
MAX_NAME_WORDS = 4


def spelled(words: str, language: str) -> tuple[str, str]:
    """The letters that are spelled, in capitals, and the words without them.

    "S-M-I-T-H", "B as in Bravo, double L", "Sierra Mike India".
    """
    known = words_of(language)
    words = _apart(words, known)
    pattern = (
        rf"(?<![\w'])(?:(?P<double>{known.double}) )?"
        rf"(?:(?P<letter>{_LETTER})(?![\w'])(?:,? {known.as_in} (?P<word>\w+))?"
        rf"|(?P<nato>{'|'.join(_ALPHABET)})(?!\w))[\s,.-]*(?:and )?"
    )
    unnamed = re.sub(r"[?]P<\w+>", "?:", pattern)
    best, rest = "", words
    for run in re.finditer(rf"(?:{unnamed})+", words, re.IGNORECASE):
        letters = "".join(
            (match["letter"] or _ALPHABET[match["nato"].lower()]) * (2 if match["double"] else 1)
            for match in re.finditer(pattern, run[0], re.IGNORECASE)
        ).upper()
        nato_alone = not re.search(rf"(?<![\w'-]){_LETTER}(?![\w'])", run[0])
        if len(letters) == _FEWEST_LETTERS and set(letters.lower()) <= set(_WORDS[code_of(language)]):
            continue  # "é o João"
        if len(letters) > max(len(best), 2 if nato_alone else _FEWEST_LETTERS - 1):
            best, rest = letters, f"{words[: run.start()]} {words[run.end() :]}"
    return best, rest


def _apart(words: str, known: SlotWords) -> str:
    """With what a recognizer makes of letters, "GRA, why", as letters one by one.

    What only sounds like a letter is one behind another, where no other word follows.
    """
    loud = words.isupper() and len(words.split()) > 1  # all of it is written so
    apart = words if loud else _RUN_OF_LETTERS.sub(lambda run: "-".join(run[0]), words)
    if not known.letters:
        return apart
    letter, sound = (
        re.compile(rf"(?<![\w'])(?:{one})(?![\w'])", re.IGNORECASE)
        for one in (_LETTER, "|".join(known.letters))
    )

    def as_letters(run: re.Match[str]) -> str:
        behind = apart[run.end() :]
        tail = re.search(rf"(?:[ ,-]+{sound.pattern})*$", run[0], re.IGNORECASE)
        end = len(run[0]) if tail is None or not re.search(r"\w", behind) else tail.start()
        if len(letter.findall(run[0])) < _FEWEST_LETTERS:
            return run[0]
        return sound.sub(lambda word: known.letters[word[0].lower()].upper(), run[0][:end]) + run[0][end:]

    either = rf"(?:{letter.pattern}|{sound.pattern})"
    return re.sub(rf"{letter.pattern}(?:[ ,-]+{either})+", as_letters, apart, flags=re.IGNORECASE)


@dataclass(frozen=True)
class Spelled:
    """Letters one by one: a reference, an initial. In capitals, without spaces."""

    kind: ClassVar[str] = "spelled"

    def read(self, words: str, *, language: str, now: datetime) -> str | Problem:
        return settled(words, language, lambda said: spelled(said, language)[0] or Problem("nothing"))

    def find(self, words: str, *, language: str, now: datetime) -> str | Problem | None:
        letters, _ = spelled(words, language)
        return letters if len(letters) >= FEWEST_SPELLED else None

    def say(self, value: str, *, language: str) -> str:
        return ", ".join(value)


@dataclass(frozen=True)
class Name:
    """A person's name, as it is spelled where it is."""

    kind: ClassVar[str] = "name"

    def read(self, words: str, *, language: str, now: datetime) -> str | Problem:
        return settled(words, language, lambda said: _name(said, language))

    def find(self, words: str, *, language: str, now: datetime) -> str | Problem | None:
        known = words_of(language)
        for match in re.finditer(known.introduced, words, re.IGNORECASE):
            behind = words[match.end() :].lstrip(" ,:")
            may = re.fullmatch(known.may_introduce, match[0], re.IGNORECASE)
            if may and not _begins_with_capital(behind):
                continue
            value = _name(re.split(_PAUSE, behind)[0], language, capitals=True)
            tail, _ = spelled(words[match.end() :], language)
            if isinstance(value, str) and tail:
                value = _with_spelling(value, tail)
            if not isinstance(value, Problem) and not any(
                spoken.days(value, code_of(language), now.date())
            ):  # "it's for Friday"
                return value
        return None

    def say(self, value: str, *, language: str) -> str:
        return value


_PAUSE = (
    r"(?<!\bSt)(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<!\bDra)[,.;:!?](?:\s|$)"
    r"|\s(?:and|for|at|on|i|i'd|i'm|my|et|pour|para|per)\s|\s[ye]\s(?![^\W\d_a-zà-ÿ])"
)


def _begins_with_capital(words: str) -> bool:
    """Whether a name stands there, behind "la señora" perhaps, and no other word."""
    before = re.compile(rf"(?:{_ARTICLES}|{_TITLES})$", re.IGNORECASE)
    first = next((word for word in words.split() if word[0].isupper() or not before.match(word)), "")
    return first[:1].isupper()


def _name(words: str, language: str, *, capitals: bool = False) -> str | Problem:
    known, code = words_of(language), code_of(language)
    letters, rest = spelled(words, language)
    if match := re.search(known.introduced, rest, re.IGNORECASE):
        rest = rest[match.end() :]
    if _says_else(words, match, known):
        return Problem("nothing")
    rest = re.sub(known.polite, " ", rest, flags=re.IGNORECASE)
    rest = re.sub(r"(?<![\w'-])([\w'-]+)[,.;] (?=\1(?![\w'-]))", "", rest, flags=re.IGNORECASE)
    said = [word if word == "St." else word.strip('.,;:!?"') for word in rest.split()]
    said = [w for w in said if w and not re.search(r"\d", w) and w.isprintable() and re.search(_LETTER, w)]
    names = _without_others(said, code, capitals)
    if sum(not re.fullmatch(_PARTICLES, word, re.IGNORECASE) for word in names) > MAX_NAME_WORDS:
        return Problem("vague")
    name = " ".join(_cased(word, first=not at) for at, word in enumerate(names))
    if letters:
        return _with_spelling(name, letters)
    return name or Problem("nothing")


def _says_else(words: str, introduced: re.Match[str] | None, known: SlotWords) -> bool:
    """Whether they say of themselves what is no name: "I am free Tuesday", "soy de Madrid"."""
    begins = re.match(rf"\W*(?:{known.may_introduce})\b", words, re.IGNORECASE)
    if begins is None and (introduced is None or not re.fullmatch(known.may_introduce, introduced[0], re.I)):
        return False
    behind = words[begins.end() :] if begins else ""
    if introduced and not begins:
        behind = words.partition(introduced[0])[2]
    first = next(iter(behind.strip(" ,:").split()), "").strip(".,;:!?")
    return not first[:1].isupper() and _NO_NAME.match(first) is not None


def _without_others(said: list[str], code: str, capitals: bool) -> list[str]:
    """The words that are a name's, particles among them. With `capitals` only what has one, if any has."""
    none = re.compile(rf"(?:{_NO_NAMES[code]})$", re.IGNORECASE)
    capitals = capitals and any(w[0].isupper() for w in said if not none.match(w))
    names: list[str] = []
    for at in reversed(range(len(said))):
        word, before = said[at], said[:at]
        if _is_particle(word):
            named = any(not none.match(one) or _is_particle(one) for one in before)
            leads = named or word[0].isupper() or bool(names and _is_particle(names[0]))
            belongs = leads or not re.fullmatch(rf"{_ARTICLES}|{_OF}", word)
            taken = belongs and bool(names or not none.match(word))
        elif word.lower() == _BETWEEN.get(code):
            taken = bool(names and before) and not none.match(before[-1])
        else:
            taken = not (none.match(word) or (capitals and word[0].islower()))
            if names and re.fullmatch(_TITLES, word, re.IGNORECASE):
                break  # the article before it isn't the name's
        if taken:
            names.insert(0, word)
    return names


def _is_particle(word: str) -> bool:
    return re.fullmatch(_PARTICLES, word, re.IGNORECASE) is not None


def _with_spelling(name: str, letters: str) -> str:
    """The name whose last word that is like the letters is as they spell it; that alone where none is."""
    words = name.split()
    for at in reversed(range(len(words))):
        if _like(words[at], letters):
            return " ".join([*words[:at], _cased(letters.lower()), *words[at + 1 :]])
    if len(words) == 1 and not _like(words[0], letters) and words[0][:1].upper() != letters[0]:
        return f"{words[0]} {_cased(letters.lower())}"
    return " ".join([*words[:-1], _cased(letters.lower())]) if words else _cased(letters.lower())


def _like(word: str, letters: str) -> bool:
    return SequenceMatcher(None, _bare(word), letters.lower(), autojunk=False).ratio() >= 0.5


def _bare(word: str) -> str:
    decomposed = unicodedata.normalize("NFD", word.lower())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def _cased(word: str, *, first: bool = False) -> str:
    if re.fullmatch(r"van|von|de|da|di|du|del|dos|das|do" if first else rf"{_PARTICLES}|[ye]", word):
        return word
    if (word.isupper() and len(word) > 2) or word.islower():
        # O'Brien, D'Angelo
        return re.sub(r"(?:^|-|(?<=^[odl])')[^\W\d_]", lambda part: part[0].upper(), word.lower())
    return word


@dataclass(frozen=True)
class Email:
    """An e-mail address, in lower case."""

    kind: ClassVar[str] = "email"

    def read(self, words: str, *, language: str, now: datetime) -> str | Problem:
        return settled(words, language, lambda said: _email(said, language))

    def find(self, words: str, *, language: str, now: datetime) -> str | Problem | None:
        value = self.read(words, language=language, now=now)
        return None if isinstance(value, Problem) else value

    def say(self, value: str, *, language: str) -> str:
        return value


def _email(words: str, language: str) -> str | Problem:
    known, code = words_of(language), code_of(language)
    said = words.lower()
    if written := _ADDRESS.search(said.replace(" @ ", "@")):
        return written[0]
    for pattern, sign in ((known.underscore, "_"), (known.dash, "-"), (known.dot, "."), (known.at, "@")):
        said = re.sub(rf"[\s,]+{pattern}[\s,]+", sign, said)
    if "@" not in said:
        return Problem("nothing")
    said = re.sub(r"^.*(?<!\w)[èé] ", "", said)  # "è mario"
    said = _bare(re.sub(r"\s*([@._-])\s*", r"\1", said))
    local, _, domain = said.rpartition("@")
    name = _joined(local, known, language, code)
    host = "".join(_up_to_dotted(re.sub(r"[,!?]", " ", domain).split())).rstrip(".")
    address = _ADDRESS.search(f"{name}@{host}")
    return address[0] if address else Problem("invalid")


def _up_to_dotted(words: list[str]) -> list[str]:
    """The words of a domain: "g mail.com"."""
    return words[: next((at for at, word in enumerate(words, 1) if "." in word), 1)]


def _joined(local: str, known: SlotWords, language: str, code: str) -> str:
    """The part before the at: the last word, with what is spelled or counted before it."""
    as_one = re.search(rf"\b(?:{known.as_one})\b", local)
    local = re.sub(r"[.,](?=\s)", " ", local[: as_one.start()] if as_one else local)
    words: list[str] = alpha2digit(local, code, 0).split()
    taken: list[str] = []
    for word in reversed(words):
        if taken and not (
            as_one or len(taken[-1]) == 1 or taken[-1].isdigit() or len(word) == 1 or "." in taken[-1][:1]
        ):
            break
        if re.fullmatch(r"is|it's|that's|e?mail|address|est|es|my|to|at|adresse|correo", word):
            break
        taken.append(word)
    joined = " ".join(reversed(taken))
    letters, rest = spelled(joined, language)
    if letters and not rest.strip():
        return letters.lower()
    return re.sub(r"(?<=\b\w)-(?=\w\b)", "", joined).replace(" ", "")
