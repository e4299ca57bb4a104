"""The words with which callers say days, times and numbers, in each language that is read.

Written as `models.llm.spoken` folds them: in lower case, without accents and hyphens, numbers as digits, the
words for a half, a quarter and three of them as "½", "¼" and "¾".
"""

from __future__ import annotations

from dataclasses import dataclass, field

NUMBER = r"½|¼|\d{1,3}"
LAST = r" \w+(?: \w+)? ?$"  # two words at most are left
NOON = 36  # o'clock, for it is noon whatever else is said
HOUR = rf"(?P<h>[01]?\d|2[0-4]|{NOON})(?!\d)"
MINUTE = r"(?P<m>½|¼|¾|[0-5]?\d)(?!\d)"
EARLIER = r"(?P<minus>¼|[0-5]?\d)(?!\d)"
# One of the two times of a range, and a number and its unit in one.
_PARTS = r"[½¼¾]|\d[\d:h]*|h|heures?|horas?|ore|o|clock|o'clock|[ap]m|past|et|y|e|un|moins|menos|meno|le"
MOMENT = rf"(?:[½¼] (?:past|to) )?\d[\d:h]*(?: (?:{_PARTS}))*"
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
    night: str  # after which twelve is midnight
    noon: str
    midnight: str
    sharp: str  # how the clock says a whole hour
    clock: tuple[str, ...]
    ranges: tuple[str, ...]  # of times, of which none is meant alone
    bound: str  # before a time that isn't meant itself
    open_ended: str  # behind such a time
    ahead: tuple[str, ...]
    dates: tuple[str, ...]
    no_day: str  # ordinals and weekdays that are none, in words that aren't folded but plain
    next_week: str  # with a weekday: the one in the calendar week that follows
    vague: str  # a day or time that can't be read, or one that is over
    choice: str  # two values of which neither is settled
    between: str  # two numbers, the ends of what may be meant
    to: str
    added: str  # between numbers that are counted together
    one: str  # a person, after `added`
    counts: dict[str, int]  # phrases that are a number
    zero: str
    repeated: dict[str, int]
    next_month: str  # with the number of a day
    # Digits of a telephone number, as recognizers take them for other words.
    sounds_like: dict[str, str] = field(default_factory=dict)
    weeks_on: dict[str, int] = field(default_factory=dict)  # phrases with a WEEKDAY that is so much later


ENGLISH = Words(
    half=r"half",
    quarter=r"quarter",
    weekdays="monday tuesday wednesday thursday friday saturday sunday",
    months="january february march april may june july august september october november december",
    days={
        r"(?:an?|1) week tomorrow|tomorrow week": 8,
        r"(?:in )?an? fortnight(?: (?:today|from (?:now|today)))?|in an? couple of weeks": 14,
        r"in an? couple of days|day after tomorrow": 2,
        r"tomorrow": 1,
        r"(?<!week )(?<!weeks )today|tonight|this (?:morning|afternoon|evening)": 0,
    },
    morning=r"am|morning|breakfast",
    later=r"pm|afternoon|evening|tonight|night|lunch|lunchtime|dinner|supper",
    night=r"at night",
    noon=r"(?:12 )?(?:noon|midday)",
    midnight=r"(?:12 )?midnight",
    sharp="{} o clock",
    clock=(
        rf"{MINUTE}(?: minutes?)? (?:past|after) {HOUR}",
        r"(?P<minus>¼|5|10|15|20|25|[0-5]?\d(?= minutes?))(?!\d)(?: minutes?)? "
        rf"(?:to|before|till) {HOUR}",
        rf"(?P<minus>¼) of {HOUR}",
        rf"(?P<m>½) {HOUR}",
        rf"{HOUR} (?:o clock )?(?P<m>[0-5]\d)(?! ?(?:people|persons|of us))(?!\d)",
        rf"{HOUR} ?(?=o[ ']?clock|[ap]m\b|in the|at night|tonight)",
        r"\b(?:at|around|about|from|before|after|until|till|by|later than|earlier than) "
        rf"{HOUR}(?! (?:people|persons|guests|adults|kids|of us))",
    ),
    ranges=(
        rf"\bbetween (?:a )?{MOMENT} (?:and|to|or) (?:a )?{MOMENT}",
        rf"\bfrom (?:a )?{MOMENT} (?:to|till|until|through) (?:a )?{MOMENT}",
        # "Ten to eleven" is a time, and "seven to nine" none.
        rf"(?<![½¼\d] )(?<!\d)(?!(?:5|10|15|20|25) to){MOMENT} (?:to|till|until) {MOMENT}"
        r"(?! (?:people|persons|guests|adults|kids|of us))",
    ),
    bound=r"before|after|until|till|past|(?:later|earlier) than"
    r"|(?<!come )(?<!coming )(?<!stop )(?<!drop )(?<!swing )(?<!pop )(?<!pass )by",
    open_ended=rf"(?:or|and(?={LAST})) (?:later|earlier|after|before|onwards?)|onwards?"
    r"|at the (?:latest|earliest|soonest)|at (?:latest|earliest)",
    ahead=(
        rf"\bin (?P<n>{NUMBER}|an?) ?(?:an )?(?P<unit>minute|hour|day|week)s?\b",
        r"\b(?P<n>\d+|an?) (?P<unit>day|week)s? (?:from (?:now|today)|today)\b",
    ),
    dates=(
        # "Fine, December second" is heard as "five December 2nd".
        r"\b(?P<d>\d{1,2})(?:st|nd|rd|th)?(?: day)?(?: of)? (?P<mon>MONTH)\b(?! \d{1,2}(?:st|nd|rd|th)\b)",
        r"\b(?P<mon>MONTH) (?:the )?(?P<d>\d{1,2})(?:st|nd|rd|th)?\b",
        r"\b(?P<d>\d{1,2})(?:st|nd|rd|th)\b",
    ),
    no_day=r"(?:(?:\d(?:st|nd|rd|th)|first|second|third|fourth|last|other) "
    r"(?:one|1|times?|visits?|calls?|floor|attempt|try|person|name|line|half(?! past)|class|hand|place|"
    r"option|choice|opinion|street|avenue|anniversary|birthday|child|kid|number|message|question|"
    r"available|free|slot|appointment|opening|thing|of all|off|up|come|week|day(?! of))"
    r"|(?:an?|one|1|any|every|per|split) (?:second|sec)|at first|on the one hand"
    # "Thursday, please", misheard
    r"|^first (?!of|please|then|is|works|would|if|at|in|and|or)\w+)\b",
    next_week=r"next week|next",
    vague=r"yesterday|last|ago|weeks?|month|weekend|not",
    choice=r"or",
    between=r"between",
    to=r"to|till|until",
    added=r"and|plus|with",
    one=r"an?|1",
    counts={
        r"(?:just|only) (?:me|myself)": 1,
        r"my (?:wife|husband|girlfriend|boyfriend|partner|friend) and (?:i|me)": 2,
        r"(?<=and )my (?:wife|husband|girlfriend|boyfriend|partner|friend|son|daughter)": 1,
        r"a couple": 2,
        r"(?:½|half) (?:a )?dozen": 6,
        r"(?:an? )?dozen": 12,
        r"(?:me|i)(?= (?:and|my))|my (?:wife|husband)(?= and)": 1,
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
    morning=r"mat(?:in|inee)?",
    later=r"soir|soiree|apres midi|aprem|diner|dejeuner",
    night=r"de la nuit",
    noon=r"(?<!apres )midi",
    midnight=r"minuit",
    sharp="{} heures",
    clock=(
        rf"{HOUR} ?h(?:eures?)? ?(?:et )?(?:1 |un )?{MINUTE}(?! ?h)",
        rf"{HOUR} ?h(?:eures?)? moins (?:le |1 |un )?{EARLIER}",
        rf"{HOUR} ?(?:h|heures?)\b",
    ),
    ranges=(
        rf"\bentre {MOMENT} et {MOMENT}",
        rf"(?<!table )(?<!groupe )(?<!reservation )(?:\bde |\bd'|^){MOMENT}"
        rf" (?:a|jusqu'a) {MOMENT}(?! personne)",
        rf"\b\d\d? ?h(?:eures?)?(?: [½¼\d]+)? (?:a|jusqu'a) {MOMENT}",
    ),
    bound=r"avant|apres|jusqu'(?:a|au)?|a partir|passe|plus (?:tard|tot)",
    open_ended=rf"(?:ou|et(?={LAST})) (?:plus tard|apres|avant|plus tot)"
    r"|au plus (?:tard|tot)|passees?",
    ahead=(rf"\bd'?(?:ans|ici) (?P<n>{NUMBER}) ?(?P<unit>minute|heure|jour|semaine)s?\b",),
    dates=(
        r"\b(?P<d>\d{1,2})(?:er|e|eme)? (?P<mon>MONTH)\b",
        r"\ble (?P<d>\d{1,2})(?:er)?\b(?! ?h)",
    ),
    no_day=r"(?:1er|premier) (?:rendez|creneau|jour|disponible|libre|qui|que|venu|etage|coup|passage|contact|"
    r"enfant|appel|essai|choix|horaire|moment|temps|lieu)\w*",
    next_week=r"(?:de |pour |a )?(?:la )?semaine (?:prochaine|qui vient)|en huit|en 8",
    vague=r"hier|derniere?|passee?|il y a|semaines?|mois|week end|pas",
    choice=r"ou",
    between=r"entre",
    to=r"a|jusqu'a",
    added=r"et|plus|avec",
    one=r"une?|1",
    counts={
        r"(?:juste|seulement) moi|moi tout seul|seule?": 1,
        r"ma femme et moi|mon mari et moi": 2,
        r"(?<=et )(?:ma (?:femme|fille|copine)|mon (?:mari|fils|copain|ami))": 1,
        r"(?:une )?(?:½|demi) douzaine": 6,
        r"(?:une )?douzaine": 12,
        r"moi(?= et)": 1,
    },
    zero=r"zero",
    repeated={"double": 2},
    next_month=r"mois prochain",
    weeks_on={r"\bWEEKDAY en 8\b": 1, r"\bWEEKDAY en 15\b": 2},
)

SPANISH = Words(
    half=r"medi[ao]",
    quarter=r"cuarto",
    weekdays="lunes martes miercoles jueves viernes sabado domingo",
    months="enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    days={
        r"pasado manana": 2,
        r"(?<!la )(?<!de )manana(?! por la manana\b.*manana)": 1,
        r"hoy|esta (?:noche|tarde|manana)": 0,
    },
    morning=r"(?:de|por|en|esta) la manana|esta manana|madrugada",
    later=r"tarde|noche|cena|comida",
    night=r"de la noche",
    noon=r"(?:las 12 )?(?:del? )?(?:mediodia|½ dia)",
    midnight=r"(?:las 12 )?(?:de la )?(?:medianoche|½ noche)",
    sharp="las {}",
    clock=(
        rf"{HOUR} y (?:1 |un )?{MINUTE}",
        rf"{HOUR} menos (?:1 |un )?{EARLIER}",
        rf"{EARLIER} para (?:el )?las? {HOUR}",
        rf"\blas? {HOUR} (?P<m>[0-5]\d)(?!\d)",
        rf"\blas? {HOUR}(?! person)",
        rf"{HOUR} ?(?=horas\b|de la (?:manana|tarde|noche|madrugada))",
    ),
    ranges=(
        rf"\bentre (?:las? )?{MOMENT} y (?:el )?(?:las? )?{MOMENT}",
        rf"\b(?:de|desde) las? {MOMENT} (?:a|hasta) (?:el )?las? {MOMENT}",
        rf"(?<!mesa )\b(?:de|desde) {MOMENT} (?:a|hasta) {MOMENT}(?! person)",
        rf"\blas? {MOMENT} (?:a|hasta) las? {MOMENT}",
    ),
    bound=r"antes|despues|hasta|a partir|pasad[oa]s?|mas (?:tarde|temprano)",
    open_ended=rf"(?:o|y(?={LAST})) (?:mas tarde|despues|antes)"
    r"|en adelante|como (?:muy )?(?:tarde|pronto)|a mas tardar",
    ahead=(rf"\b(?:dentro de|en) (?P<n>{NUMBER}|una?) ?(?P<unit>minuto|hora|dia|semana)s?\b",),
    dates=(
        r"\b(?P<d>\d{1,2})º? de (?P<mon>MONTH)\b",
        r"\b(?:el|el dia|dia) (?P<d>\d{1,2})\b",
    ),
    no_day=r"(?:(?:primer|segund|tercer|cuart|quint|ultim)[oa] (?:vez|piso|planta|opcion|llamada|cita|visita|"
    r"lugar|hora|persona|linea|intento)|(?:primer|tercer)(?! (?:de|del|dia del mes)\b)|un segundo)\b",
    next_week=r"(?:de |en |para )?(?:la )?(?:semana (?:que viene|proxima|siguiente)|"
    r"(?:proxima|siguiente) semana)",
    vague=r"ayer|pasad[oa]|hace|semanas?|mes|fin de semana|no",
    choice=r"o|u",
    between=r"entre",
    to=r"a|hasta",
    added=r"y|mas|con",
    one=r"una?|1",
    counts={
        r"(?:solo|solamente) yo": 1,
        r"mi (?:mujer|marido|esposa|esposo) y yo": 2,
        r"(?<=y )mi (?:mujer|marido|espos[ao]|novi[ao]|hij[ao]|amig[ao])": 1,
        r"yo(?= y)": 1,
        r"(?:½|media) docena": 6,
        r"(?:una )?docena": 12,
        r"(?:un )?par": 2,
    },
    zero=r"cero",
    repeated={"doble": 2},
    next_month=r"mes que viene|proximo mes",
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
    night=r"di notte",
    noon=r"(?:le 12 (?:di )?)?mezzogiorno",
    midnight=r"(?:le 12 (?:di )?)?mezzanotte",
    sharp="le {}",
    clock=(
        rf"{HOUR} e (?:1 |un )?{MINUTE}",
        rf"{HOUR} meno (?:1 |un )?{EARLIER}",
        r"(?:1 |un )?(?P<minus>¼|5|10|15|20|25|[0-5]?\d(?= minuti))(?!\d)(?: minuti)? "
        rf"(?:alle|all'|al|a) ?(?:le )?{HOUR}",
        rf"\b(?:alle|le|ore|dalle|verso le) {HOUR} (?P<m>[0-5]\d)(?!\d)",
        rf"\b(?:alle|le|ore|dalle|(?<=innanzi )delle|all'?|l'|dall'|(?<=innanzi )dell') ?{HOUR}(?! person)",
        rf"{HOUR} ?(?=di (?:sera|mattina|notte)|del (?:mattino|pomeriggio))",
    ),
    ranges=(
        rf"\b(?:tra|fra) (?:le |l' ?)?{MOMENT} e (?:le |l' ?)?{MOMENT}",
        rf"(?<!tavolo )(?<!gruppo )\b(?:dalle|dall'|da) ?(?:le )?{MOMENT}"
        rf" (?:(?:fino )?(?:alle|all'|al|a)) ?(?:le )?"
        rf"{MOMENT}(?! person)",
    ),
    bound=r"innanzi|dopo|fino|entro|a partire|piu tardi|oltre",
    open_ended=rf"(?:o|e(?={LAST})) (?:piu tardi|dopo|prima)"
    r"|in poi|in avanti|al piu (?:tardi|presto)|passat[ae]",
    ahead=(rf"\b(?:tra|fra) (?P<n>{NUMBER}|un[ao']?) ?(?P<unit>minut|or|giorn|settiman)[aeio]\b",),
    dates=(
        r"\b(?P<d>\d{1,2})º? (?:di )?(?P<mon>MONTH)\b",
        r"\b(?:il|giorno) (?P<d>\d{1,2})º?\b",
    ),
    no_day=r"(?:un |il )(?:secondo|terzo|quarto|quinto|ultimo)\b(?! (?:di|MONTH|[a-z]+edi|sabato|domenica))|"
    r"il primo (?:appuntamento|posto|giorno(?! di)|disponibile|libero|orario|piano|turno|che|figlio|utile)|"
    r"(?:prim|second|terz|quart|quint)[ao] (?:volta|cosa|persona|chiamata|visita|opzione|fila|linea|piano)|"
    r"(?:la )?prima di tutto",
    next_week=r"(?:della |la |nella )?(?:settimana (?:prossima|che viene)|prossima settimana)",
    vague=r"ieri|scors[ao]|passat[ao]|fa|settiman[ae]|mese|non",
    choice=r"o|oppure",
    between=r"tra|fra",
    to=r"a|alle|fino a",
    added=r"e|piu|con",
    one=r"un[ao]?|1",
    counts={
        r"(?:solo|soltanto) io|da sol[ao]": 1,
        r"(?:mia moglie|mio marito) e io|io e (?:mia moglie|mio marito)": 2,
        r"io(?= e)": 1,
        r"(?:una )?(?:½|mezza) dozzina": 6,
        r"(?:una )?dozzina": 12,
        r"(?:un )?paio": 2,
    },
    zero=r"zero",
    repeated={"doppio": 2},
    next_month=r"mese prossimo|prossimo mese",
)

PORTUGUESE = Words(
    half=r"mei[ao]",
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
    morning=r"manha|madrugada",
    later=r"tarde|noite|jantar|almoco",
    night=r"da noite",
    noon=r"(?:as )?(?:12 (?:horas )?do )?½ dia",
    midnight=r"(?:as )?(?:12 (?:horas )?da )?½ noite",
    sharp="{} horas",
    clock=(
        rf"(?:1 |um )?{EARLIER} (?:para|pra) (?:as|a|o) {HOUR}",
        rf"{HOUR}(?: horas?)? e (?:1 |um )?{MINUTE}",
        rf"{HOUR}(?: horas?)? menos (?:1 |um )?{EARLIER}",
        rf"{HOUR} ?h(?:oras?)? ?{MINUTE}",
        rf"{HOUR} ?(?:h|horas?)\b",
        rf"\b(?:d?as|d?a|pelas) {HOUR} (?P<m>[0-5]\d)(?!\d)",
        rf"\b(?:d?as|d?a|pelas) {HOUR}(?! pessoa)",
        rf"{HOUR}(?: em ponto)? ?(?=da (?:manha|tarde|noite|madrugada))",
    ),
    ranges=(
        rf"\bentre (?:[ao]s? )?{MOMENT} e (?:[ao]s? )?{MOMENT}",
        rf"\b(?:das|da|desde as) {MOMENT} (?:(?:ate )?(?:as?|ao?)|ate) {MOMENT}",
        rf"(?<!mesa )\bde {MOMENT} (?:a|ate) {MOMENT}(?! pessoa)",
    ),
    bound=r"antes|depois|apos|ate|a partir|passad[ao]s?|mais (?:tarde|cedo)",
    open_ended=rf"(?:ou|e(?={LAST})) (?:mais tarde|depois|antes)"
    r"|em diante|no (?:maximo|minimo)|o mais tardar",
    ahead=(rf"\b(?:daqui a|dentro de|em) (?P<n>{NUMBER}|uma?) ?(?P<unit>minuto|hora|dia|semana)s?\b",),
    dates=(
        r"\b(?P<d>\d{1,2})º? de (?P<mon>MONTH)\b",
        r"\bdia (?P<d>\d{1,2})º?\b",
    ),
    no_day=r"(?:primeir|segund|terceir|quart|quint|sext)a (?:vez|opcao|pessoa|chamada|ligacao|parte|consulta|"
    r"visita|tentativa|mensagem|filha|via|casa|rua|linha|pergunta|fila|mao)\b",
    next_week=r"(?:d[ae] |na |para )?(?:a )?(?:semana que vem|(?:proxima|outra) semana|semana seguinte)",
    vague=r"ontem|passad[ao]|ha|semanas?|mes|fim de semana|nao",
    choice=r"ou",
    between=r"entre",
    to=r"a|ate",
    added=r"e|mais|com",
    one=r"uma?|1",
    counts={
        r"(?:so|apenas) eu": 1,
        r"(?:minha mulher|meu marido) e eu|eu e (?:minha mulher|meu marido)": 2,
        r"eu(?= e)": 1,
        r"(?:½|meia) duzia": 6,
        r"(?:uma )?duzia": 12,
        r"(?:um )?(?:par|casal)": 2,
    },
    zero=r"zero",
    sounds_like={r"½|\bmeia\b": "6"},  # half a dozen
    repeated={"duplo": 2},
    next_month=r"mes que vem|proximo mes",
)

LANGUAGES = {"en": ENGLISH, "fr": FRENCH, "es": SPANISH, "it": ITALIAN, "pt": PORTUGUESE}
