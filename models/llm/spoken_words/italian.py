from __future__ import annotations

from models.llm.spoken_words.words import EARLIER, HOUR, LAST, MINUTE, MOMENT, NUMBER, Words

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
