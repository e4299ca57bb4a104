from __future__ import annotations

from agent.flows.lexicon import Lexicon, any_of
from agent.flows.state import Intent

FRENCH = Lexicon(
    begins={
        Intent.YES: any_of(
            """oui/ouais/si\\Z/exact/exactement/tout à fait/bien sûr/parfait/d'accord/absolument/voilà"""
        ),
        Intent.NO: any_of("non/pas du tout/pas tout à fait"),
    },
    whole={
        Intent.YES: any_of(
            """c'est (?:bien )?(?:ça|bon|exact|juste|correct|parfait)/ça marche/ça me (?:va|convient)
            très bien/allez y/ok/je confirme/entendu/pas de (?:problème|souci)"""
        ),
        Intent.NO: any_of("c'est (?:faux|pas ça|pas bon)/ce n'est pas ça/faux"),
        Intent.REPEAT: any_of("pardon/comment/quoi/hein/allô/encore une fois"),
        Intent.BACK: any_of("retour/précédent"),
        Intent.LEAVE: any_of("annulez/arrêtez/stop/laissez tomber/tant pis"),
    },
    within={
        Intent.NO: any_of(
            """c'est (?:faux|pas ça)/n'est pas (?:ça|bon|juste)/(?:bien sûr|évidemment) que non/absolument pas
            je (?:ne )?(?:crois|pense) pas/pas d'accord/ça (?:ne )?va pas/pas (?:exactement|vraiment)"""
        ),
        Intent.REPEAT: any_of(
            """répéter/répétez/redire/redites/pas (?:bien )?(?:entendu|compris)/vous avez dit quoi
            qu'(?:est ce que vous avez|avez vous) dit"""
        ),
        Intent.BACK: any_of("en arrière/question précédente/revenir/revenez"),
        Intent.UNKNOWN: any_of("(?:je )?(?:ne )?sais pas/aucune idée/pas sûre?/peu importe/je n'en ai pas"),
        Intent.LEAVE: any_of("laissez tomber/oubliez/changé d'avis/je rappellerai/ce n'est pas grave"),
        Intent.PERSON: any_of(
            """parler (?:à|avec) \\w+/une vraie personne/un (?:humain|conseiller|opérateur)/passez moi
            me passer"""
        ),
    },
    asks=any_of(
        """quel/quelle/quels/quelles/quand/où/qui/pourquoi/comment/combien/est ce que/est ce qu'
            avez vous/êtes vous/y a t il/peut on/puis je/pouvez vous/c'est quoi/vous êtes/vous avez
            je voulais savoir"""
    ),
    wonders=any_of(
        """quel/quelle/quels/quelles/quand/où/qui/pourquoi/comment/combien/est ce que (?:vous|c'est|ça)
            avez vous/êtes vous/y a t il/pouvez vous/c'est quoi
            vous (?:êtes|avez|ouvrez|fermez|prenez|acceptez)/à quelle heure/je voulais savoir/dites moi
            une question"""
    ),
    offers=any_of(
        """quelque chose/libres?/disponibles?/disponibilités?/possible/place/créneaux?/rendez vous
            (?:ça|cela) (?:ira|irait|marche|va)/me prendre/au plus tôt/prochaine?"""
    ),
    repeating=any_of(
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
    nothing=any_of(
        """(?:ce|ça) sera tout/c'(?:est|était) tout(?: ce qu'il me fallait)?/rien(?: d'autre| de plus)?
            c'est bon/ça (?:ira|va)/pas (?:pour (?:le moment|l'instant|aujourd'hui)|maintenant|aujourd'hui)
            je (?:ne )?(?:crois|pense) pas/j'ai (?:fini|terminé)/tant pis/laissez tomber/plus rien"""
    ),
    farewell=any_of(
        """au revoir/bonne (?:journée|soirée|fin de journée|nuit|continuation)
            à (?:bientôt|demain|plus tard|plus)/à (?:lundi|mardi|mercredi|jeudi|vendredi|samedi)
            bon week ?end/salut/ciao/bye"""
    ),
    thanks="merci(?: (?:beaucoup|bien|infiniment|encore|à vous))*|je vous remercie",
    courtesies=any_of(
        """très bien/parfait/super/d'accord/génial/c'est (?:très )?(?:gentil|parfait|super|noté)/madame
            monsieur/bien/vous aussi/(?:à )?vous (?:aussi|de même)/également
            pour (?:aujourd'hui|tout|votre aide)/ok/alors/entendu/bon"""
    ),
    small="le|la|l'|ce|cette|au|à|vers|pour|prochain|prochaine",
)
