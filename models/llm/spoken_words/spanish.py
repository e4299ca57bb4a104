from __future__ import annotations

from models.llm.spoken_words.words import EARLIER, HOUR, LAST, MINUTE, MOMENT, NUMBER, Words

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
