from __future__ import annotations

from models.llm.spoken_words.words import EARLIER, HOUR, LAST, MINUTE, MOMENT, NUMBER, Words

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
