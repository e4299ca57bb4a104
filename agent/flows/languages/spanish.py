from __future__ import annotations

from agent.flows.lexicon import Lexicon, any_of
from agent.flows.state import Intent

SPANISH = Lexicon(
    begins={
        Intent.YES: any_of(
            """sí/si(?! (?:es|se|puede|puedo|no|hay|me|le|fuera)\\b)/claro/exacto/correcto/perfecto
            por supuesto/vale/de acuerdo/eso es/así es"""
        ),
        Intent.NO: any_of("no(?! hay problema| me acuerdo| (?:lo )?recuerdo| le oigo)/para nada"),
    },
    whole={
        Intent.YES: any_of(
            "está (?:bien|perfecto|correcto)/es correcto/muy bien/adelante/me (?:parece|va) bien/ok/bueno"
            "/no hay problema"
        ),
        Intent.NO: any_of("está mal/eso no/no es (?:así|correcto)/incorrecto"),
        Intent.REPEAT: any_of("perdón/cómo/qué/otra vez/aló/diga"),
        Intent.BACK: any_of("atrás/anterior"),
        Intent.LEAVE: any_of("cancele/cancelar/pare/déjelo/olvídelo/da igual"),
    },
    within={
        Intent.NO: any_of(
            "está mal/no es (?:así|correcto)/(?:claro|por supuesto|creo) que no/se equivoca/no está bien"
        ),
        Intent.REPEAT: any_of(
            """repet[ií]r(?:me)?(?:lo)?/repita/repite/rep[ií]t[ae](?:me)?lo/otra vez
            no (?:l[eo] |te )?(?:he )?(?:oído|oí|entendido|entendí|escuché)/qué (?:ha dicho|has dicho|dijo)"""
        ),
        Intent.BACK: any_of("volver atrás/vuelva atrás/pregunta anterior"),
        Intent.UNKNOWN: any_of(
            "no (?:lo )?(?:sé|recuerdo)/no me acuerdo/ni idea/no estoy segur[oa]/no tengo/me da igual"
        ),
        Intent.LEAVE: any_of(
            """déjelo/olvídelo/he cambiado de (?:idea|opinión)/llamaré (?:luego|otra vez|más tarde)"""
        ),
        Intent.PERSON: any_of(
            """hablar con (?!usted)\\w+/una persona real/operador[a]?/(?:páseme|me pasa|me pone) con
            un humano"""
        ),
    },
    asks=any_of(
        """qué/cuál/cuáles/cuándo/dónde/quién/por qué/cómo/cuánto/cuánta/cuántos/cuántas/tienen/tiene
            hay/puedo/podría/se puede/es posible/están/abren/quería saber"""
    ),
    wonders=any_of(
        """qué/cuál/cuáles/cuándo/dónde/quién/por qué/cómo/cuánto/cuánta/cuántos/cuántas
            (?:ustedes )?(?:abren|cierran|aceptan|están|tienen|tiene)/hay/a qué hora
            quería (?:saber|preguntar)/dígame/una pregunta"""
    ),
    offers=any_of(
        """algo/libres?/disponibles?/disponibilidad/posible/huecos?/sitio/citas?
            (?:le|les) (?:viene|va) bien/lo antes/próxim[oa]"""
    ),
    repeating=any_of(
        """(?:puede|podría|puedes|podrías)(?: usted)?/perdón/perdone/perdona/disculp[ae]/lo siento/por favor
            me/me lo/lo/eso/bien/la pregunta/lo que (?:ha dicho|dijo)/una vez más/de nuevo/es que/cómo/qué"""
    ),
    politeness="eh|ah|oh|bueno|pues|y|por favor|hola|este|mire|oiga|en realidad|por cierto|espere",
    but="pero|salvo",
    waits="esper[ae]|un (?:momento|segundo|momentito)",
    harmless="no hay (?:problema|inconveniente)|por qué no|cómo no|no importa",
    denies="no|nunca|en vez de|en lugar de|sin",
    nothing=any_of(
        """(?:eso|ya) (?:es|era|sería|será) todo/es todo/nada(?: más)?
            con eso (?:está|es suficiente|basta)/ya está/estoy bien/por ahora no/(?:creo|pienso) que no
            (?:de momento|hoy) no/así está bien/da igual"""
    ),
    farewell=any_of(
        """adiós/adios/hasta (?:luego|pronto|mañana|otra|la próxima|el \\w+)/nos vemos/chao/chau
            buenas noches
            que (?:tenga|pase) (?:un )?buen(?:a|as|os)? (?:día|tarde|tardes|noche|fin de semana)
            buen (?:día|fin de semana)"""
    ),
    thanks="(?:muchas |muchísimas |mil )?gracias(?: (?:por todo|por su ayuda|a usted))?|se lo agradezco",
    courtesies=any_of(
        """muy (?:bien|amable)/perfecto/estupendo/genial/vale/de acuerdo/bien/bueno/excelente/está bien
            igualmente/(?:a )?usted también/señor/señora/señorita/por hoy/por ahora/entonces/ok/claro"""
    ),
    small="el|la|este|esta|a|al|las|los|para|próximo|próxima",
)
