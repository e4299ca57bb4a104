"""The words around a value, in each language: what corrects it, what leads to it, what counts."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SlotWords:
    """Regular expressions, held against words in any case."""

    corrected: str  # what follows stands for what went before
    retracted: str  # of these, what leaves nothing of what went before, even if what follows isn't understood
    taken_back: str  # at the end: what went before is nothing; "Friday, no?" is a question
    denied: str  # what is expressly not meant
    introduced: str  # a name follows
    may_introduce: str  # one of these, or anything else that is said of oneself
    polite: str  # around any answer
    people: str  # a count of people stands before this
    party: str  # and behind this
    minute: str
    hour: str
    day: str
    and_half: str
    week: str
    part_of_hour: str  # "½", "¼" or "¾" of one
    less: str
    at: str  # in an e-mail address
    dot: str
    dash: str
    underscore: str
    as_one: str  # behind the words before the at
    as_in: str  # between a letter and the word that spells it
    double: str
    ordinals: tuple[str, ...]  # the first, the second ... of what was offered
    last: str
    sooner: str  # the first and the last of moments that were offered
    later: str
    taking: str  # what else says who takes one of them
    misheard_parts: Mapping[str, str] = field(default_factory=dict)  # of an hour, and what they mean
    misheard: Mapping[str, str] = field(default_factory=dict)  # other times of day, where one is asked for
    no_hour: str = ""  # a number, "#", that is none, though one is asked for
    letters: Mapping[str, str] = field(default_factory=dict)  # by words that sound like them


def _taken_back(oh: str, no: str, wait: str) -> str:
    return rf"[,.;-]\s*(?:{oh},? )?{no}\b(?:[\s,.;-]+{wait})?|\b{wait}\b"


_HOUR = r"\d\d?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"

ENGLISH = SlotWords(
    corrected=r"(?<=[,.;] )well\b|"
    r"\b(?:no,? wait|no,? sorry|oh,? no|wait|sorry|i mean|i meant|or rather|rather|actually|"
    r"make (?:that|it)|scratch that|let'?s say|correction|no)\b(?! problem| idea)",
    retracted=r"\b(?:no,? wait|wait|sorry(?! (?:for|about|to|that|if))|i mean|i meant|or rather|"
    r"scratch that|correction)\b",
    taken_back=_taken_back("oh", "no", "wait"),
    denied=r"\b(?:not(?! (?:before|after|until|till|later|earlier))|instead of|rather than|except|"
    r"any day but)(?: on| at| for)?(?: the)? [^,.;]*?(?=,|\.|;|$|\bbut\b)|"
    r"(?:(?<![^,.;])|(?=\bbut\b))"
    r"[^,.;]*\b(?:can't(?! (?:wait|we|i|you)\b)|cannot|(?:doesn't|won't) work)\b[^,.;]*?(?=,|\.|;|$|\bbut\b)",
    introduced=r"\b(?:my name(?:'s| is| would be)|my last name is|the name(?:'s| is)|name of|"
    r"under the name(?: of)?|"
    r"in the name of|i am called|they call me|it'?s for|(?:hi|hello),? (?:this is|i'?m|it'?s))\b",
    may_introduce=r"(?:(?:hi|hello),? )?(?:this is|i'?m|i am|it'?s|it'?s for)",
    polite=r"\b(?:please|thanks|thank you|speaking|here|um+|uh+|er+|well|yeah|yes|okay|ok|sure|hi|hello|so)"
    r"\b",
    people=r"(?:people|persons?|guests?|adults?|of us|pax|seats?|kids?|child(?:ren)?|friends)\b",
    party=r"\b(?:for|party of|group of|table of|(?:we|there)(?:'s|'re| are|'ll be| will be))",
    minute=r"min(?:ute)?s?",
    hour=r"(?:hours?|hrs?|h)",
    day=r"days?",
    and_half=r"and (?:an? )?½",
    week=r"weeks?",
    part_of_hour=r"(?:an? |1 )?[½¼¾](?: of)?(?: an?| 1)? hour",
    less=r"less|minus",
    at=r"at(?: sign)?",
    dot=r"(?:dot|point|period|full stop)",
    dash=r"(?:dash|hyphen|minus)",
    underscore=r"(?:underscore|under score)",
    as_one=r"(?:all )?(?:as )?one word|all together|no spaces?",
    as_in=r"(?:as in|for|like|like in|as for|is for)",
    double=r"double",
    ordinals=(r"first|1st", r"second|2nd", r"third|3rd", r"fourth|4th"),
    last=r"last|latter",
    sooner=r"earlier|earliest|sooner",
    later=r"later|latest",
    taking=r"the|one|1|that|then|i|i'd|i'll|would|like|take|have|prefer|on|be|is|it|it's|good|works|better|let's|go|with",
    misheard_parts={
        r"\b(?:(?:and )?(?:have|has|had|f)|half) (?:a )?(?:past|passed|pass)\b": "half past",
        r"\b(?:order|water|quarter|corner) (?:a )?(?:past|passed|pass|path)\b": "quarter past",
        r"\b(?:order|water|corner) (?:to|of)\b": "quarter to",
        # One short syllable with an a is rather "half": "cast past", "a task past".
        r"\b(?!(?:at|as|an|and|all|far|fast|last|that|what|was|way)\b)[b-df-hj-np-tv-z]*a[b-df-hj-npqs-tv-z]+e?"
        rf" past(?= (?:{_HOUR})\b)": "half past",
        # Where it can't be told which. People say "just past eleven", too.
        r"\b(?!(?:half|quarter|five|ten|twelve|fifteen|twenty|minutes?|bit|little|just|any|anytime|some|sometime|"
        r"way|well|long|not|is|s|gone|go|until|till)\b)[a-z]+ past "
        rf"({_HOUR})\b": r"quarter past \1 or half past \1",
        r"\b(?:(?:of|o) )?(?:a|of|the|o) ?clock\b": "o'clock",
        rf"\b({_HOUR}|free|tree) (?:of (?:a|the) )?clo(?:ck|th)\b": r"\1 o'clock",
        r"\b(?:free|tree)(?= o'clock\b)": "three",
        r"\b(?:after|have to|half to) noon\b": "afternoon",
        rf"\b({_HOUR}) oh? (?=(?:{_HOUR})\b)": r"\1 zero ",
    },
    misheard={
        r"\bwon(?= o'clock\b)": "one",
        r"(?<=past )(?:you|do|due|to|too)\b|^(?:to|too)(?=(?: p\.? ?m)?\W*$)"
        r"|\b(?:to|too)(?= o'clock\b)": "two",
        r"(?<=past )(?:free|tree)\b": "three",
        r"(?:(?<=past )|^)for\b(?= \d\d\b|\W*$)|\bfor(?= o'clock\b)": "four",
        r"\bate(?= o'clock\b)": "eight",
        r"\b(?:sharp|on the dot|exactly|or so|ish)\b": " ",
        r"^(?:new|nude|nune|noom)\W*$|^at (?:you|new|nude|none|no one|noone|known)\W*$": "noon",
    },
    no_hour=r"# (?:moments?|min(?:ute)?s?|sec(?:ond)?s?|hours?|days?|weeks?|months?|years?|times?|things?|"
    r"questions?|more|of|people|persons?|or)\b|\b(?:past|passed|after|before|until|till|by|in) #",
    letters={
        "hey": "a",
        "bee": "b",
        "be": "b",
        "see": "c",
        "sea": "c",
        "gee": "g",
        "jay": "j",
        "kay": "k",
        "ell": "l",
        "em": "m",
        "en": "n",
        "oh": "o",
        "owe": "o",
        "pee": "p",
        "pea": "p",
        "queue": "q",
        "cue": "q",
        "are": "r",
        "ess": "s",
        "tea": "t",
        "tee": "t",
        "you": "u",
        "ex": "x",
        "why": "y",
        "zee": "z",
        "zed": "z",
    },
)

FRENCH = SlotWords(
    corrected=r"\b(?:non,? (?:pardon|attendez)|pardon|non|plutôt|je veux dire|enfin|en fait|disons)\b",
    retracted=r"\b(?:attendez|pardon|je veux dire)\b",
    taken_back=_taken_back("oh", "non", "attendez"),
    denied=r"\b(?:pas(?! (?:avant|après|plus))|au lieu de|sauf)(?: le| la| à| pour)? "
    r"[^,.;]*?(?=,|\.|;|$|\bmais\b)"
    r"|(?:(?<![^,.;])|(?=\bmais\b))[^,.;]*\bje (?:ne )?peux pas\b[^,.;]*?(?=,|\.|;|$|\bmais\b)",
    introduced=r"(?:\b(?:je m'appelle|mon nom est|c'est au nom de|au nom de|je suis|ici|c'est pour)\b)",
    may_introduce=r"je suis|ici|c'est pour",
    polite=r"\b(?:s'il vous pla[iî]t|merci|euh+|bonjour|oui|alors|voilà|à l'appareil)\b",
    people=r"(?:personnes?|adultes?|enfants?|couverts?|amis)\b",
    party=r"\b(?:pour|on (?:est|sera)|nous (?:sommes|serons))",
    minute=r"min(?:ute)?s?",
    hour=r"(?:heures?|h)",
    day=r"jours?",
    and_half=r"et ½",
    week=r"semaines?",
    part_of_hour=r"(?:une |un |1 )?[½¼¾] ?(?:d'? ?)?heure",
    less=r"moins",
    at=r"(?:arobase|at|chez)",
    dot=r"point",
    dash=r"(?:tiret|trait d'union)",
    underscore=r"(?:tiret (?:du )?bas|underscore|souligné)",
    as_one=r"tout attache|en un (?:seul )?mot",
    as_in=r"(?:comme|comme dans|de)",
    double=r"(?:double|deux)",
    ordinals=(r"premi(?:er|ère)", r"deuxième|seconde?", r"troisième", r"quatrième"),
    last=r"derni(?:er|ère)",
    sooner=r"tôt",
    later=r"tard",
    taking=r"le|la|celui|celle|plus|alors|je|prends|préfère|voudrais|ce|c'est|serait|sera|bien|mieux|va|pour|moi",
)

SPANISH = SlotWords(
    corrected=r"\b(?:no,? perdón|perdón|perdone|no|mejor|digo|quiero decir|más bien|en realidad)\b",
    retracted=r"\b(?:perdón|digo|quiero decir)\b",
    taken_back=_taken_back("ay", "no", "espere"),
    denied=r"\b(?:no|en vez de|en lugar de|menos|excepto)(?: el| la| a| para) [^,.;]*?(?=,|\.|;|$|\bsino\b)"
    r"|(?:(?<![^,.;])|(?=\bpero\b))[^,.;]*\bno puedo\b[^,.;]*?(?=,|\.|;|$|\bpero\b)",
    introduced=r"\b(?:me llamo|mi nombre es|soy|a nombre de|de parte de|es para)\b",
    may_introduce=r"soy|es para",
    polite=r"\b(?:por favor|gracias|eh+|em+|hola|sí|buen[oa]s(?: días| tardes)?|bueno|pues)\b",
    people=r"(?:personas?|adultos?|niñ[oa]s?|comensales|amigos)\b",
    party=r"\b(?:para|somos|seremos)",
    minute=r"min(?:uto)?s?",
    hour=r"(?:horas?|h)",
    day=r"días?",
    and_half=r"y ½",
    week=r"semanas?",
    part_of_hour=r"(?:un |una |1 )?[½¼¾] (?:de )?hora",
    less=r"menos",
    at=r"arroba",
    dot=r"punto",
    dash=r"(?:gui[oó]n)",
    underscore=r"gui[oó]n bajo",
    as_one=r"todo junto",
    as_in=r"(?:de|como|como en)",
    double=r"doble",
    ordinals=(r"primer[oa]?", r"segund[oa]", r"tercer[oa]?", r"cuart[oa]"),
    last=r"últim[oa]",
    sooner=r"temprano|antes",
    later=r"tarde|después",
    taking=r"el|la|lo|más|entonces|yo|me|quedo|con|prefiero|quiero|quisiera|tomo|mejor|va|viene|bien|es|sería",
)

ITALIAN = SlotWords(
    corrected=r"\b(?:no,? scusi|scusi|anzi|no|volevo dire|cioè|in realtà|meglio|facciamo)\b",
    retracted=r"\b(?:scusi|anzi|volevo dire)\b",
    taken_back=_taken_back("oh", "no", "aspetti"),
    denied=r"\b(?:non(?! (?:prima|dopo|oltre|più))|invece di|tranne)(?: il| la| alle| per)? "
    r"[^,.;]*?(?=,|\.|;|$|\bma\b)"
    r"|(?:(?<![^,.;])|(?=\bma\b))[^,.;]*\bnon posso\b[^,.;]*?(?=,|\.|;|$|\bma\b)",
    introduced=r"\b(?:mi chiamo|il mio nome è|sono|a nome(?: (?-i:di)\b)?|parla|è per)\b",
    may_introduce=r"sono|parla|è per",
    polite=r"\b(?:per favore|per piacere|grazie|eh+|ehm+|buongiorno|buonasera|sì|salve|allora|ecco)\b",
    people=r"(?:persone?|adult[oi]|bambin[oi]|coperti|amici)\b",
    party=r"\b(?:per|siamo(?: in)?|saremo(?: in)?)",
    minute=r"min(?:ut[oi])?",
    hour=r"(?:or[ae]|h)",
    day=r"giorn[oi]",
    and_half=r"e ½",
    week=r"settiman[ae]",
    part_of_hour=r"(?:un |1 )?(?:[½¼¾] ?(?:d'? ?)?ora|mezz'? ?ora)",
    less=r"meno",
    at=r"(?:chiocciola|at)",
    dot=r"punto",
    dash=r"(?:trattino|meno)",
    underscore=r"(?:trattino basso|underscore)",
    as_one=r"tutto attaccato|tutto unito",
    as_in=r"(?:come|di)",
    double=r"(?:doppi[ao])",
    ordinals=(r"prim[oa]", r"second[oa]", r"terz[oa]", r"quart[oa]"),
    last=r"ultim[oa]",
    sooner=r"presto|prima",
    later=r"tardi|dopo",
    taking=r"il|lo|la|quello|quella|più|allora|io|prendo|preferisco|vorrei|è|sarebbe|va|bene|meglio|di|mi",
)

PORTUGUESE = SlotWords(
    corrected=r"\b(?:não,? desculpe|desculpe|aliás|não|quer dizer|quero dizer|melhor|na verdade|digo)\b",
    retracted=r"\b(?:desculpe|aliás|quer dizer|quero dizer|digo)\b",
    taken_back=_taken_back("ah", "não", "espere"),
    denied=r"\b(?:não|em vez de|exceto|menos)(?: o| a| às| para) [^,.;]*?(?=,|\.|;|$|\bmas\b)"
    r"|(?:(?<![^,.;])|(?=\bmas\b))[^,.;]*\bnão (?:posso|consigo|dá)\b[^,.;]*?(?=,|\.|;|$|\bmas\b)",
    introduced=r"\b(?:meu nome é|eu me chamo|me chamo|chamo-me|sou|em nome de|no nome de|aqui é|é para)\b",
    may_introduce=r"sou|aqui é|é para",
    polite=r"\b(?:por favor|obrigad[oa]|é+|hum+|olá|oi|sim|bom dia|boa tarde|então|bem)\b",
    people=r"(?:pessoas?|adultos?|crianças?|lugares|amigos)\b",
    party=r"\b(?:para|somos|seremos|vamos ser)",
    minute=r"min(?:uto)?s?",
    hour=r"(?:horas?|h)",
    day=r"dias?",
    and_half=r"e ½",
    week=r"semanas?",
    part_of_hour=r"(?:um |uma |1 )?[½¼¾] (?:de )?hora",
    less=r"menos",
    at=r"arroba",
    dot=r"ponto",
    dash=r"(?:h[ií]fen|traço)",
    underscore=r"(?:underline|sublinhado|underscore)",
    as_one=r"tudo junto",
    as_in=r"(?:de|como|como em)",
    double=r"(?:dois|duplo)",
    ordinals=(r"primeir[oa]", r"segund[oa]", r"terceir[oa]", r"quart[oa]"),
    last=r"últim[oa]",
    sooner=r"cedo|antes",
    later=r"tarde|depois",
    taking=r"o|a|mais|então|eu|fico|com|prefiro|quero|queria|é|seria|melhor|pode|ser|bem|está|bom",
)

_KNOWN = {"en": ENGLISH, "fr": FRENCH, "es": SPANISH, "it": ITALIAN, "pt": PORTUGUESE}


def code_of(language: str) -> str:
    """The language that is read in the place of `language`; English where it isn't known."""
    code = language.partition("-")[0]
    return code if code in _KNOWN else "en"


def words_of(language: str) -> SlotWords:
    return _KNOWN[code_of(language)]


def plain_pattern(pattern: str) -> str:
    """The pattern for words that `spoken.fold` made plain."""
    decomposed = unicodedata.normalize("NFD", pattern)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
