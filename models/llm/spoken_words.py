"""The words with which callers say days, times and numbers, in each language that is read.

Written as `models.llm.spoken` folds them: in lower case, without accents and hyphens, numbers as digits, the
words for a half and a quarter as "½" and "¼".
"""

from __future__ import annotations

from dataclasses import dataclass

NUMBER = r"½|¼|\d{1,3}"
HOUR = r"(?P<h>[01]?\d|2[0-4])(?!\d)"
MINUTE = r"(?P<m>½|¼|[0-5]?\d)(?!\d)"
EARLIER = r"(?P<minus>¼|[0-5]?\d)(?!\d)"
UNITS = (  # of `ahead`, in minutes
    dict.fromkeys(("minute", "minuto", "minut"), 1)
    | dict.fromkeys(("hour", "heure", "hora", "or"), 60)
    | dict.fromkeys(("day", "jour", "dia", "giorn"), 1440)
    | dict.fromkeys(("week", "semaine", "semana", "settiman"), 10080)
)


@dataclass(frozen=True)
class Words:
    """The strings are regular expressions.

    `clock` has groups h and m, or h and minus, the minutes before that hour; `ahead` has n and unit, a time
    from now; `dates` has d, and mon where MONTH stands. `days` maps a phrase to days from today, longer
    phrases first.
    """

    half: str
    quarter: str
    weekdays: str  # from Monday on, a space between
    months: str
    days: dict[str, int]
    morning: str
    later: str  # noon to midnight
    noon: tuple[str, str]  # and how the clock says it
    midnight: str
    clock: tuple[str, ...]
    ahead: tuple[str, ...]
    dates: tuple[str, ...]
    next_week: str  # with a weekday: the one in the calendar week that follows
    vague: str  # a day or time that can't be read, or one that is over
    choice: str  # two values of which neither is settled
    added: str  # between numbers that are counted together
    one: str  # a person, after `added`
    counts: dict[str, int]  # phrases that are a number
    zero: str
    sounds_like: dict[str, str]  # digits of a telephone number, as recognizers take them for other words
    repeated: dict[str, int]
    next_month: str  # with the number of a day
    weeks_on: dict[str, int]  # phrases in which a WEEKDAY is one so many weeks later


ENGLISH = Words(
    half=r"half",
    quarter=r"quarter",
    weekdays="monday tuesday wednesday thursday friday saturday sunday",
    months="january february march april may june july august september october november december",
    days={
        r"day after tomorrow": 2,
        r"tomorrow": 1,
        r"today|tonight|this (?:morning|afternoon|evening)": 0,
    },
    morning=r"am|morning|breakfast",
    later=r"pm|afternoon|evening|tonight|night|lunch|lunchtime|dinner|supper",
    noon=(r"noon|midday", "12 o clock"),
    midnight=r"midnight|12 at night",
    clock=(
        rf"{MINUTE}(?: minutes?)? (?:past|after) {HOUR}",
        # "From seven to nine" is no time, nor is "seven to nine".
        r"(?<!from )(?<!between )(?P<minus>¼|5|10|15|20|25|[0-5]?\d(?= minutes?))(?!\d)(?: minutes?)? "
        rf"(?:to|before|till) {HOUR}",
        rf"(?P<m>½) {HOUR}",
        rf"{HOUR} (?P<m>[1-5]\d)(?! ?(?:people|persons|of us))(?!\d)",
        rf"{HOUR} ?(?=o[ ']?clock|[ap]m\b|in the|at night|tonight)",
        rf"\b(?:at|around|about|from|before|after) {HOUR}(?! (?:people|persons|guests|adults|kids|of us))",
    ),
    ahead=(
        rf"\bin (?P<n>{NUMBER}|an?) ?(?:an )?(?P<unit>minute|hour|day|week)s?\b",
        r"\b(?P<n>\d+|an?) (?P<unit>day|week)s? from (?:now|today)\b",
    ),
    dates=(
        # "Fine, December second" is heard as "five December 2nd".
        r"\b(?P<d>\d{1,2})(?:st|nd|rd|th)?(?: day)?(?: of)? (?P<mon>MONTH)\b(?! \d{1,2}(?:st|nd|rd|th)\b)",
        r"\b(?P<mon>MONTH) (?:the )?(?P<d>\d{1,2})(?:st|nd|rd|th)?\b",
        r"\b(?P<d>\d{1,2})(?:st|nd|rd|th)\b",
    ),
    next_week=r"next week|next",
    vague=r"yesterday|last|ago|weeks?|month|weekend|not",
    choice=r"or",
    added=r"and|plus|with",
    one=r"an?|1",
    counts={
        r"(?:just|only) (?:me|myself)": 1,
        r"my (?:wife|husband|girlfriend|boyfriend|partner|friend) and (?:i|me)": 2,
        r"a couple": 2,
        r"a dozen": 12,
        r"(?:me|i)(?= and)": 1,
    },
    zero=r"oh|o|zero|nought",
    sounds_like={
        r"\b(?:to|too)(?= \d)": "2",
        r"\b(?:for|fore)(?= \d)": "4",
        r"(?<=\d) (?:a|of|all|go)(?= \d)": " 0",
    },
    repeated={"double": 2, "triple": 3, "treble": 3},
    next_month=r"next month",
    weeks_on={
        r"\b(?:an?|1) week (?:from|on|after) (?:this |next )?WEEKDAY\b": 1,
        r"\bWEEKDAY week\b": 1,
        r"\b2 weeks (?:from|on|after) (?:this |next )?WEEKDAY\b": 2,
    },
)

FRENCH = Words(
    half=r"demie?",
    quarter=r"quart",
    weekdays="lundi mardi mercredi jeudi vendredi samedi dimanche",
    months="janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre",
    days={
        r"apres demain": 2,
        r"demain": 1,
        r"aujourd'?hui|ce soir|cet apres midi|ce midi|ce matin": 0,
    },
    morning=r"matin",
    later=r"soir|apres midi|diner|dejeuner",
    noon=(r"(?<!apres )midi", "12 heures"),
    midnight=r"minuit",
    clock=(
        rf"{HOUR} ?h(?:eures?)? ?(?:et )?{MINUTE}",
        rf"{HOUR} ?h(?:eures?)? moins (?:le )?{EARLIER}",
        rf"{HOUR} ?(?:h|heures?)\b",
    ),
    ahead=(rf"\bd'?(?:ans|ici) (?P<n>{NUMBER}) ?(?P<unit>minute|heure|jour|semaine)s?\b",),
    dates=(
        r"\b(?P<d>\d{1,2})(?:er|e|eme)? (?P<mon>MONTH)\b",
        r"\ble (?P<d>\d{1,2})(?:er)?\b(?! ?h)",
    ),
    next_week=r"de la semaine prochaine|en huit|en 8",
    vague=r"hier|derniere?|passee?|il y a|semaines?|mois|week end|pas",
    choice=r"ou",
    added=r"et|plus|avec",
    one=r"une?|1",
    counts={
        r"(?:juste|seulement) moi|moi tout seul|seule?": 1,
        r"ma femme et moi|mon mari et moi": 2,
        r"moi(?= et)": 1,
    },
    zero=r"zero",
    sounds_like={},
    repeated={"double": 2},
    next_month=r"mois prochain",
    weeks_on={r"\bWEEKDAY en 8\b": 1, r"\bWEEKDAY en 15\b": 2},
)

SPANISH = Words(
    half=r"media",
    quarter=r"cuarto",
    weekdays="lunes martes miercoles jueves viernes sabado domingo",
    months="enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    days={
        r"pasado manana": 2,
        r"(?<!la )(?<!de )manana(?! por la manana\b.*manana)": 1,
        r"hoy|esta (?:noche|tarde|manana)": 0,
    },
    morning=r"(?:de|por|en|esta) la manana|esta manana",
    later=r"tarde|noche|cena|comida",
    noon=(r"mediodia", "las 12"),
    midnight=r"medianoche|½ noche",
    clock=(
        rf"{HOUR} y {MINUTE}",
        rf"{HOUR} menos {EARLIER}",
        rf"{EARLIER} para las? {HOUR}",
        rf"\blas? {HOUR} (?P<m>[1-5]\d)(?!\d)",
        rf"\blas? {HOUR}(?! person)",
        rf"{HOUR} ?(?=horas\b|de la (?:manana|tarde|noche))",
    ),
    ahead=(rf"\b(?:dentro de|en) (?P<n>{NUMBER}|una?) ?(?P<unit>minuto|hora|dia|semana)s?\b",),
    dates=(
        r"\b(?P<d>\d{1,2})º? de (?P<mon>MONTH)\b",
        r"\b(?:el|el dia|dia) (?P<d>\d{1,2})\b",
    ),
    next_week=r"de la (?:semana que viene|proxima semana)",
    vague=r"ayer|pasad[oa]|hace|semanas?|mes|fin de semana|no",
    choice=r"o|u",
    added=r"y|mas|con",
    one=r"una?|1",
    counts={r"(?:solo|solamente) yo": 1, r"mi (?:mujer|marido|esposa|esposo) y yo": 2, r"yo(?= y)": 1},
    zero=r"cero",
    sounds_like={},
    repeated={"doble": 2},
    next_month=r"mes que viene|proximo mes",
    weeks_on={},
)

ITALIAN = Words(
    half=r"mezz[ao]",
    quarter=r"quarto",
    weekdays="lunedi martedi mercoledi giovedi venerdi sabato domenica",
    months="gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    days={
        r"dopodomani|dopo domani": 2,
        r"domani": 1,
        r"oggi|stasera|stanotte|stamattina|questa (?:sera|mattina)|questo pomeriggio": 0,
    },
    morning=r"mattina|mattino|stamattina",
    later=r"pomeriggio|sera|stasera|notte|cena|pranzo",
    noon=(r"mezzogiorno", "le 12"),
    midnight=r"mezzanotte",
    clock=(
        rf"{HOUR} e (?:1 |un )?{MINUTE}",
        rf"{HOUR} meno (?:1 |un )?{EARLIER}",
        rf"(?:1 |un )?{EARLIER} alle {HOUR}",
        rf"\b(?:alle|le|ore|verso le) {HOUR} (?P<m>[1-5]\d)(?!\d)",
        rf"\b(?:alle|le|ore|all'?|l') ?{HOUR}(?! person)",
        rf"{HOUR} ?(?=di (?:sera|mattina|notte)|del (?:mattino|pomeriggio))",
    ),
    ahead=(rf"\b(?:tra|fra) (?P<n>{NUMBER}|un[ao']?) ?(?P<unit>minut|or|giorn|settiman)[aeio]\b",),
    dates=(
        r"\b(?P<d>\d{1,2})º? (?:di )?(?P<mon>MONTH)\b",
        r"\b(?:il|giorno) (?P<d>\d{1,2})º?\b",
    ),
    next_week=r"della (?:settimana prossima|prossima settimana)",
    vague=r"ieri|scors[ao]|passat[ao]|fa|settiman[ae]|mese|non",
    choice=r"o|oppure",
    added=r"e|piu|con",
    one=r"un[ao]?|1",
    counts={
        r"(?:solo|soltanto) io|da sol[ao]": 1,
        r"(?:mia moglie|mio marito) e io|io e (?:mia moglie|mio marito)": 2,
        r"io(?= e)": 1,
    },
    zero=r"zero",
    sounds_like={},
    repeated={"doppio": 2},
    next_month=r"mese prossimo|prossimo mese",
    weeks_on={},
)

PORTUGUESE = Words(
    half=r"meia",
    quarter=r"quarto",
    weekdays=(
        r"segunda(?:.feira)? terca(?:.feira)? quarta(?:.feira)? quinta(?:.feira)? sexta(?:.feira)? "
        r"sabado domingo"
    ),
    months="janeiro fevereiro marco abril maio junho julho agosto setembro outubro novembro dezembro",
    days={
        r"depois de amanha": 2,
        r"amanha": 1,
        r"hoje|esta (?:noite|tarde|manha)": 0,
    },
    morning=r"manha",
    later=r"tarde|noite|jantar|almoco",
    noon=(r"meio dia", "12 horas"),
    midnight=r"½ noite",
    clock=(
        rf"{EARLIER} para (?:as|a|o) {HOUR}",
        rf"{HOUR}(?: horas?)? e {MINUTE}",
        rf"{HOUR} menos {EARLIER}",
        rf"{HOUR} ?h(?:oras?)? ?{MINUTE}",
        rf"{HOUR} ?(?:h|horas?)\b",
        rf"\b(?:as|a|pelas) {HOUR} (?P<m>[1-5]\d)(?!\d)",
        rf"\b(?:as|a|pelas) {HOUR}(?! pessoa)",
        rf"{HOUR} ?(?=da (?:manha|tarde|noite))",
    ),
    ahead=(rf"\b(?:daqui a|dentro de|em) (?P<n>{NUMBER}|uma?) ?(?P<unit>minuto|hora|dia|semana)s?\b",),
    dates=(
        r"\b(?P<d>\d{1,2})º? de (?P<mon>MONTH)\b",
        r"\bdia (?P<d>\d{1,2})º?\b",
    ),
    next_week=r"da (?:semana que vem|proxima semana)",
    vague=r"ontem|passad[ao]|ha|semanas?|mes|fim de semana|nao",
    choice=r"ou",
    added=r"e|mais|com",
    one=r"uma?|1",
    counts={
        r"(?:so|apenas) eu": 1,
        r"(?:minha mulher|meu marido) e eu|eu e (?:minha mulher|meu marido)": 2,
        r"eu(?= e)": 1,
    },
    zero=r"zero",
    sounds_like={r"½|\bmeia\b": "6"},  # half a dozen
    repeated={"duplo": 2},
    next_month=r"mes que vem|proximo mes",
    weeks_on={},
)

LANGUAGES = {"en": ENGLISH, "fr": FRENCH, "es": SPANISH, "it": ITALIAN, "pt": PORTUGUESE}
