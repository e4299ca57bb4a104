"""What callers say in a flow, in each language that code knows."""

from __future__ import annotations

import functools

from agent.flows.lexicon import NEVER, Lexicon
from agent.flows.state import Intent


def _any(patterns: str) -> str:
    return "|".join(line.strip() for line in patterns.replace("\n", "/").split("/") if line.strip())


ENGLISH = Lexicon(
    begins={
        Intent.YES: _any(
            """yes/yeah/yep/yup/ya/sure/correct(?! (?:the|it|that)\\b(?!'))/right/exactly/perfect/absolutely
            of course/indeed/certainly/definitely"""
        ),
        Intent.NO: _any("no(?! problem| worries)/nope/nah/not quite/not really/wait no"),
    },
    whole={
        Intent.YES: _any(
            """that's (?:right|correct|it|fine|good|great|perfect|true)/that is (?:right|correct|fine)
            sounds (?:good|great|right|perfect)/(?:please )?do(?: that| it)?/go ahead/fine/okay/ok/great
            all good/it is/all (?:right|correct)/alright/you got it/please/mm hmm/uh huh/that works
            works for me/i think so/no (?:problem|worries)"""
        ),
        Intent.NO: _any(
            """that's (?:wrong|not right|not correct|incorrect)/wrong/incorrect/it isn't/that's not it"""
        ),
        Intent.REPEAT: _any(
            """sorry/pardon/pardon me/excuse me/what/huh/come again/again/once more/hello/say what"""
        ),
        Intent.BACK: _any("back/previous/the previous one"),
        Intent.LEAVE: _any(
            """cancel/cancel (?:that|this|it)/stop/stop (?:it|that)/forget (?:it|that|about it)/quit"""
        ),
    },
    within={
        Intent.NO: _any(
            """that's (?:wrong|not right|not correct)/isn't right/is wrong/i (?:don't|do not) think so
            (?:absolutely|of course|certainly|definitely) not/not (?:exactly|at all)"""
        ),
        Intent.REPEAT: _any(
            """(?:say|repeat) (?:that|it|the question|what you (?:just )?said)
            (?:can|could|would) you repeat/what was that/what did you (?:just )?say/what was the question
            (?:didn't (?:quite )?(?:hear|catch|get)|couldn't (?:quite )?(?:hear|catch)) (?:that|you|it)
            say again
            i beg your pardon/one more time"""
        ),
        Intent.BACK: _any("go back/step back/back up/back to the (?:last|previous)/previous question"),
        Intent.UNKNOWN: _any(
            """(?:i )?(?:don't|do not) know/no idea/(?:i'm )?not sure/couldn't (?:say|tell you)
            (?:don't|do not) (?:remember|have (?:one|it|that))/no clue/no preference/doesn't matter"""
        ),
        Intent.LEAVE: _any(
            """never mind/nevermind/forget (?:about )?the whole/changed my mind/leave it
            i'll call (?:back|again)/(?:don't|do not) want (?:to|it|that|any of) (?:anymore|any more)
            call the whole thing off"""
        ),
        Intent.PERSON: _any(
            """(?:speak|talk) (?:to|with) (?!(?:you|my|him|her|them)\\b)\\w+/a word with (?!you\\b)\\w+
            (?:real|live|actual) (?:person|human)/(?:a|another) (?:human|human being)/operator
            representative/(?:put|patch) me through/(?:connect|transfer) me
            get me (?:someone|somebody|(?:a|your|the) (?:person|human|manager|boss))
            (?:someone|somebody|anyone|anybody) (?:else )?(?:i|we) (?:can|could) (?:speak|talk)
            (?:don't|do not) want (?:to (?:speak|talk) (?:to|with) )?a (?:machine|robot|computer|bot)"""
        ),
    },
    asks=_any(
        """what/what's/whats/when/when's/where/where's/who/who's/whose/why/how/how's/which/do you/does
            did/is there/are there/are you/is it/is the/is your/can i/can we/can you/could you/could i
            could we/may i/will you/would you/would it/have you/has the/do i/do we/shall i/should i
            and (?:what|when|where|how|do you|is there)/i (?:was wondering|wanted to ask|have a question)
            tell me/quick question"""
    ),
    wonders=_any(
        """what/what's/whats/when/when's/where/where's/who/who's/whose/why/how/how's/which/do you/does
            did/is there/are there/are you/is it/is that/is this/is the/is your/is he/is she/have you/has
            do i/do we/will you/would you/would it/tell me/(?:just )?(?:a |one )?(?:quick )?question
            i (?:was wondering|wanted to ask|wonder|have a question)"""
    ),
    offers=_any(
        """(?:what|how) about/anything/something/free/available/availability/openings?/slots?/space
            room for me/possible/ok/okay/all right/alright/suit/earliest/soonest/next/fit me in
            squeeze me in/see me/take me/book me/put me/have me/appointments?
            (?:it|that|which) (?:be|do)/works?(?: for (?:you|me))?\\Z/can you do/could you do"""
    ),
    repeating=_any(
        """(?:can|could|would|will) you/i'm (?:so )?sorry/i am (?:so )?sorry/sorry/pardon(?: me)?/excuse me
            please/i/i just/just/again/once more/(?:to|for) me/that/it/what/what you (?:just )?said
            the last (?:part|bit|thing)"""
    ),
    politeness="oh|um|uh|er|erm|hm|hmm|well|so|okay|ok|and|please|actually|sorry|hi|hello|ah|yeah so"
    "|by the way|before that|hold on|wait|but",
    but="but|except|only",
    waits="wait|hold on|hang on|(?:one|a|just a) (?:moment|second|minute)",
    harmless="no (?:problem|worries|need|doubt)|why not|not a problem|(?:don't|do not) mind|can't wait",
    denies="don't|do not|didn't|not|never|instead of|rather than|without|can't|cannot|won't|couldn't"
    "|unable to",
    nothing=_any(
        """(?:that|it)(?:'s| is| was) (?:it|all|everything|enough)
            (?:that|it)(?:'s| is| was) (?:all|everything) (?:that )?(?:i|we) (?:need|want|have|had)(?:ed)?
            that(?:'ll| will| would|'d| should) (?:be|do)(?: (?:it|all|everything|fine))?
            that covers (?:it|everything)/nothing(?: else| more| further)?(?: (?:really|comes to mind))?
            all (?:good|set|done|sorted)
            (?:i'm|we're|i am|we are) (?:all )?(?:good|fine|set|done|okay|ok|finished|sorted)/never ?mind
            not (?:right now|now|today|really|this time|at the moment|for now|that i (?:can think|know) of)
            i don't (?:think so|think there is|need anything(?: else)?)/no more(?: questions)?/nope
            i (?:have|got)(?: got)? everything(?: i need)?/i've got everything(?: i need)?"""
    ),
    farewell=_any(
        """bye(?: bye)?(?: now| then| for now)?/goodbye/good ?bye/so long/good night/take care
            see (?:you|ya)(?: (?:then|soon|later|there|tomorrow|next week))?/see you (?:next |on )?\\w+day
            (?:talk|speak) (?:to you )?(?:soon|later)/until (?:then|next time|tomorrow|\\w+day)
            have an? (?:\\w+ ){1,2}(?:day|one|evening|afternoon|morning|weekend|week|night)"""
    ),
    thanks=_any(
        """(?:many )?thanks(?: (?:a lot|a bunch|so much|very much|again|ever so much))?
            (?:i )?thank you(?: (?:so much|very much|again|kindly|ever so much))?/cheers/much appreciated
            i (?:really )?appreciate (?:it|that|your help|the help)"""
    ),
    courtesies=_any(
        """great/perfect/wonderful/lovely/excellent/brilliant/awesome/fantastic/super/fine/good/cool
            nice/amazing/alright/all right/okay/ok/right/very (?:good|kind|helpful|nice)(?: of you)?/got it
            for (?:all )?(?:your|the) (?:help|time|assistance|patience)/for (?:everything|that|now|today|me)
            for helping(?: me)?/(?:that|it|you)(?:'s|'re|'ve been| is| are| were| was| have been)
            really/very/so/most/just/such/an?/kind/helpful/sweet/star/(?:big |great )?help/of you
            i (?:think|guess|believe|suppose)/actually/then/sir/ma'am/madam/dear/(?:and )?you too
            same to you/you as well/please/well/um/uh/at the moment"""
    ),
    small="the|this|next|coming|on|at|around|about|say|maybe|like|a|for",
)

FRENCH = Lexicon(
    begins={
        Intent.YES: _any(
            """oui/ouais/si\\Z/exact/exactement/tout à fait/bien sûr/parfait/d'accord/absolument/voilà"""
        ),
        Intent.NO: _any("non/pas du tout/pas tout à fait"),
    },
    whole={
        Intent.YES: _any(
            """c'est (?:bien )?(?:ça|bon|exact|juste|correct|parfait)/ça marche/ça me (?:va|convient)
            très bien/allez y/ok/je confirme/entendu/pas de (?:problème|souci)"""
        ),
        Intent.NO: _any("c'est (?:faux|pas ça|pas bon)/ce n'est pas ça/faux"),
        Intent.REPEAT: _any("pardon/comment/quoi/hein/allô/encore une fois"),
        Intent.BACK: _any("retour/précédent"),
        Intent.LEAVE: _any("annulez/arrêtez/stop/laissez tomber/tant pis"),
    },
    within={
        Intent.NO: _any(
            """c'est (?:faux|pas ça)/n'est pas (?:ça|bon|juste)/(?:bien sûr|évidemment) que non/absolument pas
            je (?:ne )?(?:crois|pense) pas/pas d'accord/ça (?:ne )?va pas/pas (?:exactement|vraiment)"""
        ),
        Intent.REPEAT: _any(
            """répéter/répétez/redire/redites/pas (?:bien )?(?:entendu|compris)/vous avez dit quoi
            qu'(?:est ce que vous avez|avez vous) dit"""
        ),
        Intent.BACK: _any("en arrière/question précédente/revenir/revenez"),
        Intent.UNKNOWN: _any("(?:je )?(?:ne )?sais pas/aucune idée/pas sûre?/peu importe/je n'en ai pas"),
        Intent.LEAVE: _any("laissez tomber/oubliez/changé d'avis/je rappellerai/ce n'est pas grave"),
        Intent.PERSON: _any(
            """parler (?:à|avec) \\w+/une vraie personne/un (?:humain|conseiller|opérateur)/passez moi
            me passer"""
        ),
    },
    asks=_any(
        """quel/quelle/quels/quelles/quand/où/qui/pourquoi/comment/combien/est ce que/est ce qu'
            avez vous/êtes vous/y a t il/peut on/puis je/pouvez vous/c'est quoi/vous êtes/vous avez
            je voulais savoir"""
    ),
    wonders=_any(
        """quel/quelle/quels/quelles/quand/où/qui/pourquoi/comment/combien/est ce que (?:vous|c'est|ça)
            avez vous/êtes vous/y a t il/pouvez vous/c'est quoi
            vous (?:êtes|avez|ouvrez|fermez|prenez|acceptez)/à quelle heure/je voulais savoir/dites moi
            une question"""
    ),
    offers=_any(
        """quelque chose/libres?/disponibles?/disponibilités?/possible/place/créneaux?/rendez vous
            (?:ça|cela) (?:ira|irait|marche|va)/me prendre/au plus tôt/prochaine?"""
    ),
    repeating=_any(
        """(?:pouvez|pourriez) vous/vous (?:pouvez|pourriez)/(?:est ce que )?vous pouvez/pardon
            (?:je suis )?désolée?/excusez moi/s'il (?:vous|te) plaît/je (?:n'ai|ne vous ai|vous ai)/j'ai
            me/le/ça/cela/la question/ce que vous (?:avez dit|disiez|venez de dire)/encore une fois
            comment/quoi"""
    ),
    politeness="euh|ah|oh|alors|bon|ben|et|s'il vous plaît|en fait|bonjour|allô|ok|au fait|attendez",
    but="mais|sauf",
    waits="attendez|attends|un (?:instant|moment)|une (?:seconde|minute)",
    harmless="pas de (?:problème|souci)|pourquoi pas|n'est ce pas",
    denies="pas|plus|jamais|au lieu de|plutôt que|sans|peux pas",
    nothing=_any(
        """(?:ce|ça) sera tout/c'(?:est|était) tout(?: ce qu'il me fallait)?/rien(?: d'autre| de plus)?
            c'est bon/ça (?:ira|va)/pas (?:pour (?:le moment|l'instant|aujourd'hui)|maintenant|aujourd'hui)
            je (?:ne )?(?:crois|pense) pas/j'ai (?:fini|terminé)/tant pis/laissez tomber/plus rien"""
    ),
    farewell=_any(
        """au revoir/bonne (?:journée|soirée|fin de journée|nuit|continuation)
            à (?:bientôt|demain|plus tard|plus)/à (?:lundi|mardi|mercredi|jeudi|vendredi|samedi)
            bon week ?end/salut/ciao/bye"""
    ),
    thanks="merci(?: (?:beaucoup|bien|infiniment|encore|à vous))*|je vous remercie",
    courtesies=_any(
        """très bien/parfait/super/d'accord/génial/c'est (?:très )?(?:gentil|parfait|super|noté)/madame
            monsieur/bien/vous aussi/(?:à )?vous (?:aussi|de même)/également
            pour (?:aujourd'hui|tout|votre aide)/ok/alors/entendu/bon"""
    ),
    small="le|la|l'|ce|cette|au|à|vers|pour|prochain|prochaine",
)

SPANISH = Lexicon(
    begins={
        Intent.YES: _any(
            """sí/si(?! (?:es|se|puede|puedo|no|hay|me|le|fuera)\\b)/claro/exacto/correcto/perfecto
            por supuesto/vale/de acuerdo/eso es/así es"""
        ),
        Intent.NO: _any("no(?! hay problema| me acuerdo| (?:lo )?recuerdo| le oigo)/para nada"),
    },
    whole={
        Intent.YES: _any(
            "está (?:bien|perfecto|correcto)/es correcto/muy bien/adelante/me (?:parece|va) bien/ok/bueno"
            "/no hay problema"
        ),
        Intent.NO: _any("está mal/eso no/no es (?:así|correcto)/incorrecto"),
        Intent.REPEAT: _any("perdón/cómo/qué/otra vez/aló/diga"),
        Intent.BACK: _any("atrás/anterior"),
        Intent.LEAVE: _any("cancele/cancelar/pare/déjelo/olvídelo/da igual"),
    },
    within={
        Intent.NO: _any(
            "está mal/no es (?:así|correcto)/(?:claro|por supuesto|creo) que no/se equivoca/no está bien"
        ),
        Intent.REPEAT: _any(
            """repet[ií]r(?:me)?(?:lo)?/repita/repite/rep[ií]t[ae](?:me)?lo/otra vez
            no (?:l[eo] |te )?(?:he )?(?:oído|oí|entendido|entendí|escuché)/qué (?:ha dicho|has dicho|dijo)"""
        ),
        Intent.BACK: _any("volver atrás/vuelva atrás/pregunta anterior"),
        Intent.UNKNOWN: _any(
            "no (?:lo )?(?:sé|recuerdo)/no me acuerdo/ni idea/no estoy segur[oa]/no tengo/me da igual"
        ),
        Intent.LEAVE: _any(
            """déjelo/olvídelo/he cambiado de (?:idea|opinión)/llamaré (?:luego|otra vez|más tarde)"""
        ),
        Intent.PERSON: _any(
            """hablar con (?!usted)\\w+/una persona real/operador[a]?/(?:páseme|me pasa|me pone) con
            un humano"""
        ),
    },
    asks=_any(
        """qué/cuál/cuáles/cuándo/dónde/quién/por qué/cómo/cuánto/cuánta/cuántos/cuántas/tienen/tiene
            hay/puedo/podría/se puede/es posible/están/abren/quería saber"""
    ),
    wonders=_any(
        """qué/cuál/cuáles/cuándo/dónde/quién/por qué/cómo/cuánto/cuánta/cuántos/cuántas
            (?:ustedes )?(?:abren|cierran|aceptan|están|tienen|tiene)/hay/a qué hora
            quería (?:saber|preguntar)/dígame/una pregunta"""
    ),
    offers=_any(
        """algo/libres?/disponibles?/disponibilidad/posible/huecos?/sitio/citas?
            (?:le|les) (?:viene|va) bien/lo antes/próxim[oa]"""
    ),
    repeating=_any(
        """(?:puede|podría|puedes|podrías)(?: usted)?/perdón/perdone/perdona/disculp[ae]/lo siento/por favor
            me/me lo/lo/eso/bien/la pregunta/lo que (?:ha dicho|dijo)/una vez más/de nuevo/es que/cómo/qué"""
    ),
    politeness="eh|ah|oh|bueno|pues|y|por favor|hola|este|mire|oiga|en realidad|por cierto|espere",
    but="pero|salvo",
    waits="esper[ae]|un (?:momento|segundo|momentito)",
    harmless="no hay (?:problema|inconveniente)|por qué no|cómo no|no importa",
    denies="no|nunca|en vez de|en lugar de|sin",
    nothing=_any(
        """(?:eso|ya) (?:es|era|sería|será) todo/es todo/nada(?: más)?
            con eso (?:está|es suficiente|basta)/ya está/estoy bien/por ahora no/(?:creo|pienso) que no
            (?:de momento|hoy) no/así está bien/da igual"""
    ),
    farewell=_any(
        """adiós/adios/hasta (?:luego|pronto|mañana|otra|la próxima|el \\w+)/nos vemos/chao/chau
            buenas noches
            que (?:tenga|pase) (?:un )?buen(?:a|as|os)? (?:día|tarde|tardes|noche|fin de semana)
            buen (?:día|fin de semana)"""
    ),
    thanks="(?:muchas |muchísimas |mil )?gracias(?: (?:por todo|por su ayuda|a usted))?|se lo agradezco",
    courtesies=_any(
        """muy (?:bien|amable)/perfecto/estupendo/genial/vale/de acuerdo/bien/bueno/excelente/está bien
            igualmente/(?:a )?usted también/señor/señora/señorita/por hoy/por ahora/entonces/ok/claro"""
    ),
    small="el|la|este|esta|a|al|las|los|para|próximo|próxima",
)

ITALIAN = Lexicon(
    begins={
        Intent.YES: _any(
            """sì/si(?! (?:può|potrebbe|possa|tratta|deve)\\b)/certo/esatto/giusto/corretto
            perfetto/va bene/d'accordo/certamente/proprio così"""
        ),
        Intent.NO: _any("no/per niente"),
    },
    whole={
        Intent.YES: _any(
            """è (?:giusto|corretto|esatto)/tutto giusto/benissimo/ok/faccia pure/prego/mi va bene/bene
            confermo/esattamente/ottimo/non c'è problema"""
        ),
        Intent.NO: _any("è sbagliato/non è (?:giusto|corretto|così)/sbagliato"),
        Intent.REPEAT: _any("scusi/come/cosa/pronto/ancora/di nuovo/come (?:ha|hai) detto"),
        Intent.BACK: _any("indietro/precedente"),
        Intent.LEAVE: _any("annulla/annulli/basta/lasci (?:stare|perdere)/fa niente"),
    },
    within={
        Intent.NO: _any(
            """è sbagliato/non è (?:giusto|corretto|così)/(?:certo che|va bene) no/non va bene/credo di no
            ha sbagliato"""
        ),
        Intent.REPEAT: _any(
            """ripeter(?:e|lo|mi|melo)/ripet[ai]/non ho (?:sentito|capito)/cos(?:a |')(?:ha|hai) detto
            un'altra volta"""
        ),
        Intent.BACK: _any("torn(?:i|are|iamo) indietro/domanda precedente"),
        Intent.UNKNOWN: _any("non (?:lo )?so/nessuna idea/non sono sicur[oa]/non ce l'ho/è uguale"),
        Intent.LEAVE: _any(
            """lasci (?:stare|perdere)/ho cambiato idea/non importa/richiamo (?:dopo|più tardi)"""
        ),
        Intent.PERSON: _any(
            """parlare con (?!lei)\\w+/una persona vera/operatore/(?:mi passi|mi può passare|passarmi)
            un umano"""
        ),
    },
    asks=_any(
        """che/cosa/qual/quale/quali/quando/dove/dov'è/chi/perché/come/quanto/quanta/quanti/quante
            avete/siete/c'è/ci sono/posso/potrei/si può/è possibile/volevo sapere"""
    ),
    wonders=_any(
        """che/cosa/qual/quale/quali/quando/dove/dov'è/chi/perché/come/quanto/quanta/quanti/quante
            avete/siete/c'è/ci sono/aprite/chiudete/accettate/a che ora/volevo (?:sapere|chiedere)/mi dica
            una domanda"""
    ),
    offers=_any(
        """qualcosa/liber[oaie]/disponibil[ei]/disponibilità/possibile/post[oi]/appuntament[oi]
            (?:le|vi) va bene/andrebbe bene/prima possibile/prossim[oa]"""
    ),
    repeating=_any(
        """può/potrebbe/puoi/potresti/mi/me lo/lo/per (?:favore|cortesia)/(?:mi )?(?:scusi|scusa)/mi dispiace
            bene/la domanda/(?:quello )?che ha detto/ancora(?: una volta)?/di nuovo/come/che/cosa"""
    ),
    politeness="ehm|eh|ah|oh|allora|beh|e|per favore|buongiorno|senta|veramente|a proposito|aspetti",
    but="ma|però|tranne",
    waits="aspett[ai]|un (?:momento|attimo|secondo)",
    harmless="non c'è problema|perché no",
    denies="non|mai|invece di|senza",
    nothing=_any(
        """(?:è|era|sarebbe|sarà) tutto/nient'altro/niente(?: altro)?/nulla/basta così
            (?:sono|siamo) a posto/a posto così/per (?:ora|adesso|oggi) no/(?:credo|penso) di no
            va bene così/non (?:mi )?serve altro/fa niente"""
    ),
    farewell=_any(
        """arrivederci/arrivederla/addio/ciao
            a (?:presto|domani|dopo|risentirci|lunedì|martedì|mercoledì|giovedì|venerdì)
            buona (?:giornata|serata|notte)/buon (?:fine settimana|weekend|pomeriggio)"""
    ),
    thanks="(?:mille |molte |tante )?grazie(?: (?:mille|tante|a lei|di tutto|infinite))?|la ringrazio",
    courtesies=_any(
        """benissimo/perfetto/ottimo/d'accordo/va bene/bene/molto gentile/gentilissim[oa]/altrettanto
            anche a lei/signor[ae]?/per oggi/per ora/allora/ok/certo/bravissim[oa]"""
    ),
    small="il|lo|la|l'|questo|questa|a|al|alle|per|verso|prossimo|prossima",
)

PORTUGUESE = Lexicon(
    begins={
        Intent.YES: _any(
            """sim/é/isso/claro/exato/exatamente/certo/correto/perfeito/com certeza/está bem/tudo bem"""
        ),
        Intent.NO: _any("não(?! tem problema| (?:me )?lembro| faço ideia)/de jeito nenhum"),
    },
    whole={
        Intent.YES: _any(
            """isso mesmo/está (?:tudo )?(?:certo|bem|bom|correto|ótimo)/tá (?:bom|certo)/pode ser/ok/ótimo
            pode/confirmo/combinado/pode marcar/(?:não tem|sem) problemas?"""
        ),
        Intent.NO: _any("está errado/não é isso/errado/incorreto"),
        Intent.REPEAT: _any("desculpe/como/o quê/quê/alô/de novo/outra vez"),
        Intent.BACK: _any("voltar/anterior"),
        Intent.LEAVE: _any("cancele/cancela/pare/deixa (?:para lá|pra lá)/esqueça/esquece"),
    },
    within={
        Intent.NO: _any("está errado/não é isso/não está certo/(?:com certeza|claro que|acho que|isso) não"),
        Intent.REPEAT: _any(
            """repetir/repita/repete/de novo/não (?:ouvi|entendi|percebi|escutei)
            o que (?:é que )?(?:você |o senhor |a senhora )?(?:disse|falou)"""
        ),
        Intent.BACK: _any("volt(?:e|ar) atrás/pergunta anterior"),
        Intent.UNKNOWN: _any(
            """não sei/não (?:me )?lembro/não faço ideia/nem ideia/não tenho (?:certeza|ideia|um|uma)?
            tanto faz"""
        ),
        Intent.LEAVE: _any("deixa (?:para|pra) lá/esqueça/esquece/mudei de ideia/ligo (?:depois|mais tarde)"),
        Intent.PERSON: _any(
            """falar com (?!voc[eê])\\w+/uma pessoa de verdade/atendente
            (?:me passe|me passa|passe me) (?:para|a)/um humano"""
        ),
    },
    asks=_any(
        """que/o que/qual/quais/quando/onde/quem/por que/porque/como/quanto/quanta/quantos/quantas
            vocês têm/tem/há/posso/poderia/pode se/é possível/estão/abrem/queria saber"""
    ),
    wonders=_any(
        """que/o que/qual/quais/quando/onde/quem/por que|porque|como/quanto/quanta/quantos/quantas
            vocês (?:têm|abrem|fecham|aceitam|estão)/tem/têm/há/abrem/fecham/estão/a que horas
            queria (?:saber|perguntar)/uma pergunta"""
    ),
    offers=_any(
        """algo/alguma coisa/livres?/dispon[íi]ve(?:l|is)/disponibilidade/poss[íi]vel/vagas?/horários?
            consultas?/(?:fica|está) bem/pode ser/mais cedo/próxim[oa]"""
    ),
    repeating=_any(
        """(?:você |o senhor |a senhora )?(?:pode|poderia|podia)/desculp[ea]/perdão/por favor/me/isso/bem
            a pergunta/mais uma vez/outra vez/como/o quê"""
    ),
    politeness="é|eh|ah|oh|bom|bem|e|por favor|olá|oi|então|na verdade|aliás|espere",
    but="mas|exceto",
    waits="esper[ae]|(?:só )?um (?:momento|instante|minuto|segundo)",
    harmless="não tem problema|por que não|sem problemas?|não faz mal",
    denies="não|nunca|em vez de|sem",
    nothing=_any(
        """(?:é|era|seria|só) (?:só )?(?:isso|tudo)/mais nada/nada(?: mais)?/só isso(?: mesmo)?
            estou bem/tudo certo/por (?:enquanto|agora|hoje) não/(?:acho|creio) que não/está bom assim
            deixa (?:para|pra) lá"""
    ),
    farewell=_any(
        """tchau/adeus
            até (?:logo|mais|breve|amanhã|a próxima|à próxima|segunda|terça|quarta|quinta|sexta)
            (?:tenha )?(?:um )?bo[ma] (?:dia|tarde|noite|fim de semana)"""
    ),
    thanks="(?:muito )?obrigad[oa](?: (?:por tudo|pela ajuda|a você|mesmo))?|agradeço",
    courtesies=_any(
        """muito (?:bem|bom|gentil)/perfeito/ótimo/certo/está (?:bem|bom)/tá (?:bom|certo)/beleza/bem
            igualmente/(?:para )?você também/senhora?/por hoje/por agora/então/ok/claro"""
    ),
    small="o|a|os|as|este|esta|para|pra|às|ao|próximo|próxima",
)

NONE = Lexicon(
    begins={Intent.YES: NEVER, Intent.NO: NEVER},
    whole={},
    within={},
    asks=NEVER,
    wonders=NEVER,
    offers=NEVER,
    repeating=NEVER,
    politeness=NEVER,
    but=NEVER,
    waits=NEVER,
    harmless=NEVER,
    denies=NEVER,
    nothing=NEVER,
    farewell=NEVER,
    thanks=NEVER,
    courtesies=NEVER,
    small=NEVER,
)


@functools.cache
def lexicon(language: str) -> Lexicon:
    """For a BCP 47 tag; one that knows nothing for a language that code doesn't: the model then says."""
    known = {"en": ENGLISH, "fr": FRENCH, "es": SPANISH, "it": ITALIAN, "pt": PORTUGUESE}
    return known.get(language.partition("-")[0], NONE)
