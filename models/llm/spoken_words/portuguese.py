from __future__ import annotations

from models.llm.spoken_words.words import EARLIER, HOUR, LAST, MINUTE, MOMENT, NUMBER, Words

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
