"""Sums that callers ask for in words, done by code: a small model gets them wrong, in Italian nearly always.

"How much is eighteen plus six?" and behind it "And if I take away four?".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from models.llm.spoken import fold

_NUMBER = r"\d{1,12}(?:[.,]\d{1,12})*"
_PLACES = 2  # behind the point
_MOST = 8  # numbers of one sum
_LONGEST = 200  # characters; of a longer turn no part is looked at
_SYMBOLS = {
    r"(?<=\d)\s*[x×*✕]\s*(?=\d)": "*",
    r"(?<=\d)(?:\s*÷\s*|\s+/\s+)(?=\d)": "/",
    r"(?<=\d)\s*\+\s*(?=\d)": "+",
}
_OTHER_SIGNS = re.compile(r"[%()^√²³]|(?<!\d)[-–−.,]\d")  # which folding would drop
_SYMBOLS |= {r"(?<=\d)\s+[-–−]\s+(?=\d)": "-", r"(?<=\d)\s*%\s*(?:of|de|d'|di|del)(?!\w)": "%"}


@dataclass(frozen=True)
class _Words:
    """Regular expressions, as `fold` writes words: what stands before a sum, behind it, and between its
    numbers; and what goes on with the result of the last one, where that isn't what stands between."""

    asks: str
    behind: str
    between: dict[str, str]  # by operator
    percent: str  # of
    goes_on: str
    further: dict[str, str]
    says: dict[str, str]  # how each sign is said


_LANGUAGES = {
    "en": _Words(
        asks=r"what(?:'s| is|'re| are| do| does)|how much(?: is|'s| are| does| do)?|calculate|compute"
        r"|work out|tell me|give me|add(?: up)?",
        behind=r"equals?|make|makes?|please|be|is|come to|for me|then",
        between={
            "+": r"plus|added to",
            "-": r"minus|take away|less",
            "*": r"times|multiplied by|multiply by",
            "/": r"divided by|divide by|over",
        },
        percent=r"(?:percent|per cent) of",
        goes_on=r"(?:and |then |now |so |okay |ok |but )*(?:what )?(?:if |when )?(?:i |you |we )?(?:now )?",
        further={
            "+": r"add",
            "-": r"(?:take away|take off|take|subtract|remove)",
            "*": r"(?:times|multiply (?:it |that )?by)",
            "/": r"divide (?:it |that )?by",
        },
        says={
            "+": "plus",
            "-": "minus",
            "*": "times",
            "/": "divided by",
            "%": "percent of",
            "=": "is",
            "≈": "is about",
        },
    ),
    "fr": _Words(
        asks=r"combien (?:font|fait|ca fait|vaut|valent|est ce que (?:font|fait|ca fait))|calcul\w+"
        r"|c'est combien|ca fait combien|combien",
        behind=r"egale?|(?:ca )?(?:fait|font)(?: combien)?|s'il (?:vous|te) plait|combien",
        between={
            "+": r"plus|et plus",
            "-": r"moins",
            "*": r"fois|multiplies? par",
            "/": r"divises? par|sur",
        },
        percent=r"pour ?(?:cents?|100) (?:de|d')",
        goes_on=r"(?:et |alors |puis |maintenant |ok )*(?:si )?(?:je |j'|on |vous |l'on )?(?:en )?",
        further={
            "+": r"(?:ajoute|rajoute|additionne)",
            "-": r"(?:enleve|retire|soustrais|ote|retranche)",
            "*": r"multiplie par",
            "/": r"divise par",
        },
        says={
            "+": "plus",
            "-": "moins",
            "*": "fois",
            "/": "divisé par",
            "%": "pour cent de",
            "=": "font",
            "≈": "font environ",
        },
    ),
    "es": _Words(
        asks=r"cuantos? (?:es|son|da|dan|hacen?|suman|serian?)|calcul\w+|que da|cuanto",
        behind=r"igual a|es igual a|son|es|da|por favor|cuanto es|cuanto son",
        between={
            "+": r"mas",
            "-": r"menos",
            "*": r"por|multiplicado por|veces",
            "/": r"dividido (?:por|entre|para)|entre",
        },
        percent=r"por ?(?:ciento|100) del?",
        goes_on=r"(?:y |entonces |ahora |vale )*(?:si )?(?:yo )?(?:le |lo )?",
        further={
            "+": r"(?:sumo|anado|agrego|suma|anade|agrega)",
            "-": r"(?:quito|resto|quitas|restas|quitamos|restamos|quita|resta|saco)",
            "*": r"multiplic[ao]s? por",
            "/": r"divid[oe]s? (?:por|entre)",
        },
        says={
            "+": "más",
            "-": "menos",
            "*": "por",
            "/": "entre",
            "%": "por ciento de",
            "=": "son",
            "≈": "son unos",
        },
    ),
    "it": _Words(
        asks=r"quanto (?:fa|fanno|e|sono|viene|vale|farebbe)|quant'e|calcol\w+|quanto|cosa fa",
        behind=r"uguale|fa|fanno|per favore|per piacere|quanto fa",
        between={
            "+": r"piu",
            "-": r"meno",
            "*": r"per|moltiplicato per|volte",
            "/": r"diviso(?: per)?",
        },
        percent=r"per ?(?:cento|100) (?:di|del|dei)",
        goes_on=r"(?:e |allora |poi |adesso |ok )*(?:se )?(?:io )?(?:ci |ne |gli )?",
        further={
            "+": r"(?:aggiungo|sommo|aggiungi|aggiungiamo)",
            "-": r"(?:tolgo|sottraggo|levo|togliamo|togli|tolgono)",
            "*": r"(?:moltiplico|moltiplichi) per",
            "/": r"(?:divido|dividi) per",
        },
        says={
            "+": "più",
            "-": "meno",
            "*": "per",
            "/": "diviso",
            "%": "per cento di",
            "=": "fa",
            "≈": "fa circa",
        },
    ),
    "pt": _Words(
        asks=r"quanto (?:e|sao|da|dao|fica|faz|fazem|seria)|quantos? sao|calcul\w+|quanto",
        behind=r"igual a|e igual a|e|sao|da|por favor|se faz favor",
        between={
            "+": r"mais",
            "-": r"menos",
            "*": r"vezes|multiplicado por",
            "/": r"dividido por|a dividir por|sobre",
        },
        percent=r"por ?(?:cento|100) d[eao]s?",
        goes_on=r"(?:e |entao |agora |ok )*(?:se )?(?:eu )?(?:lhe )?",
        further={
            "+": r"(?:somar|juntar|acrescentar|adicionar|somo|junto|acrescento)",
            "-": r"(?:tirar|subtrair|retirar|tiro|subtraio|retiro)",
            "*": r"(?:multiplicar|multiplico) por",
            "/": r"(?:dividir|divido) por",
        },
        says={
            "+": "mais",
            "-": "menos",
            "*": "vezes",
            "/": "dividido por",
            "%": "por cento de",
            "=": "dá",
            "≈": "dá cerca de",
        },
    ),
}
_POLITE = r"(?:\w+(?:'\w+)? ){0,6}"  # "hello, can you tell me"


def sum_of(turns: Sequence[str], language: str) -> str:
    """What is answered to the last of a caller's turns where it asks for a sum: "18 plus 6 is 24."; else "".

    `language` is a BCP 47 tag; in another one than code knows nobody asks for any.
    """
    answer, last = "", None
    for turn in turns[-_MOST:]:
        answer, last = _sum(turn, language.partition("-")[0], last)
    return answer


def _sum(turn: str, code: str, last: Fraction | None) -> tuple[str, Fraction | None]:
    """The answer to the turn, and the result; `last` is that of the turn before, with which it may go on."""
    words = _LANGUAGES.get(code)
    if words is None or not any(one.isalnum() for one in turn) or len(turn) > _LONGEST:
        return "", None
    said = _with_operators(turn, words, code)
    sum_ = rf"(?:(?:the|el|il|o) )?(?P<sum>{_NUMBER}(?: [-+*/%] {_NUMBER})+)(?: (?:{words.behind}))?"
    asked = re.fullmatch(rf"{_POLITE}(?:{words.asks}) {sum_}", said)
    # Alone, "once menos diez" is a time of day, "dos por uno" an offer and "two plus one" a party.
    again = None if last is None else re.fullmatch(rf"{words.goes_on}{sum_}", said)
    if match := asked or again:
        return _done(match["sum"].split(" "), words, code)
    if last is not None and (match := re.fullmatch(rf"(?:{words.goes_on})(?P<sum>[-+*/] {_NUMBER})", said)):
        return _done([_written(last, code), *match["sum"].split(" ")], words, code)
    return "", None


def _with_operators(turn: str, words: _Words, code: str) -> str:
    """The turn folded, with operators for the words and signs that stand for them."""
    for sign, operator in _SYMBOLS.items():
        turn = re.sub(sign, f" {words.says[operator]} ", turn)
    if _OTHER_SIGNS.search(turn):
        return ""
    turn = re.sub(r"\b[èÈéÉ]\b", words.says["="], turn)  # folded, it would be an "and" within a number
    per_cent, _, of = words.says["%"].rpartition(" ")
    if re.search(rf"\b{per_cent}\b(?! {of[0]})", turn.lower()):  # of what isn't said
        return ""
    said = fold(turn, code)
    said = re.sub(rf"(?<=\d) (?:{words.percent}) (?=\d)", " % ", said)
    for operator, pattern in words.between.items():
        said = re.sub(rf"(?<![\w'])(?:{pattern}) (?=\d)", f"{operator} ", said)
    for operator, pattern in words.further.items():
        said = re.sub(rf"(?<!\w)(?:{pattern}) (?=\d)", f"{operator} ", said)
    return said


def _done(parts: Sequence[str], words: _Words, code: str) -> tuple[str, Fraction | None]:
    """The sum as it is said, and its result. Products come before sums, as at school."""
    if len(parts) > 2 * _MOST:
        return "", None
    terms = [_number(parts[0], code)]
    for operator, written in zip(parts[1::2], parts[2::2], strict=True):
        value = _number(written, code)
        match operator:
            case "+":
                terms.append(value)
            case "-":
                terms.append(-value)
            case "*":
                terms[-1] *= value
            case "%":
                terms[-1] *= value / 100
            case "/" if value:
                terms[-1] /= value
            case _:
                return "", None
    result = sum(terms, Fraction())
    exact = (result * 10**_PLACES).denominator == 1
    asked = " ".join(words.says.get(part, part) for part in parts)
    said = f"{asked} {words.says['=' if exact else '≈']} {_written(result, code)}."
    return said.replace("-", f"{words.says['-']} "), result


def _number(written: str, code: str) -> Fraction:
    """ "1,500" and "2.5" in English, "1.500" and "2,5" elsewhere."""
    thousands, point = (",", ".") if code == "en" else (".", ",")
    if re.fullmatch(rf"\d{{1,3}}(?:\{thousands}\d{{3}})+(?:\{point}\d+)?", written):
        written = written.replace(thousands, "")
    *whole, behind = re.split(r"[.,]", written)
    return Fraction(f"{''.join(whole)}.{behind}") if whole else Fraction(written)


def _written(value: Fraction, code: str) -> str:
    rounded = round(value, _PLACES)
    if rounded.denominator == 1:
        return str(rounded.numerator)
    digits = f"{float(rounded):.{_PLACES}f}".rstrip("0").rstrip(".")
    return digits if code == "en" else digits.replace(".", ",")
