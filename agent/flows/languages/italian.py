from __future__ import annotations

from agent.flows.lexicon import Lexicon, any_of
from agent.flows.state import Intent

ITALIAN = Lexicon(
    begins={
        Intent.YES: any_of(
            """sì/si(?! (?:può|potrebbe|possa|tratta|deve)\\b)/certo/esatto/giusto/corretto
            perfetto/va bene/d'accordo/certamente/proprio così"""
        ),
        Intent.NO: any_of("no/per niente"),
    },
    whole={
        Intent.YES: any_of(
            """è (?:giusto|corretto|esatto)/tutto giusto/benissimo/ok/faccia pure/prego/mi va bene/bene
            confermo/esattamente/ottimo/non c'è problema"""
        ),
        Intent.NO: any_of("è sbagliato/non è (?:giusto|corretto|così)/sbagliato"),
        Intent.REPEAT: any_of("scusi/come/cosa/pronto/ancora/di nuovo/come (?:ha|hai) detto"),
        Intent.BACK: any_of("indietro/precedente"),
        Intent.LEAVE: any_of("annulla/annulli/basta/lasci (?:stare|perdere)/fa niente"),
    },
    within={
        Intent.NO: any_of(
            """è sbagliato/non è (?:giusto|corretto|così)/(?:certo che|va bene) no/non va bene/credo di no
            ha sbagliato"""
        ),
        Intent.REPEAT: any_of(
            """ripeter(?:e|lo|mi|melo)/ripet[ai]/non ho (?:sentito|capito)/cos(?:a |')(?:ha|hai) detto
            un'altra volta"""
        ),
        Intent.BACK: any_of("torn(?:i|are|iamo) indietro/domanda precedente"),
        Intent.UNKNOWN: any_of("non (?:lo )?so/nessuna idea/non sono sicur[oa]/non ce l'ho/è uguale"),
        Intent.LEAVE: any_of(
            """lasci (?:stare|perdere)/ho cambiato idea/non importa/richiamo (?:dopo|più tardi)"""
        ),
        Intent.PERSON: any_of(
            """parlare con (?!lei)\\w+/una persona vera/operatore/(?:mi passi|mi può passare|passarmi)
            un umano"""
        ),
    },
    asks=any_of(
        """che/cosa/qual/quale/quali/quando/dove/dov'è/chi/perché/come/quanto/quanta/quanti/quante
            avete/siete/c'è/ci sono/posso/potrei/si può/è possibile/volevo sapere"""
    ),
    wonders=any_of(
        """che/cosa/qual/quale/quali/quando/dove/dov'è/chi/perché/come/quanto/quanta/quanti/quante
            avete/siete/c'è/ci sono/aprite/chiudete/accettate/a che ora/volevo (?:sapere|chiedere)/mi dica
            una domanda"""
    ),
    offers=any_of(
        """qualcosa/liber[oaie]/disponibil[ei]/disponibilità/possibile/post[oi]/appuntament[oi]
            (?:le|vi) va bene/andrebbe bene/prima possibile/prossim[oa]"""
    ),
    repeating=any_of(
        """può/potrebbe/puoi/potresti/mi/me lo/lo/per (?:favore|cortesia)/(?:mi )?(?:scusi|scusa)/mi dispiace
            bene/la domanda/(?:quello )?che ha detto/ancora(?: una volta)?/di nuovo/come/che/cosa"""
    ),
    politeness="ehm|eh|ah|oh|allora|beh|e|per favore|buongiorno|senta|veramente|a proposito|aspetti",
    but="ma|però|tranne",
    waits="aspett[ai]|un (?:momento|attimo|secondo)",
    harmless="non c'è problema|perché no",
    denies="non|mai|invece di|senza",
    nothing=any_of(
        """(?:è|era|sarebbe|sarà) tutto/nient'altro/niente(?: altro)?/nulla/basta così
            (?:sono|siamo) a posto/a posto così/per (?:ora|adesso|oggi) no/(?:credo|penso) di no
            va bene così/non (?:mi )?serve altro/fa niente"""
    ),
    farewell=any_of(
        """arrivederci/arrivederla/addio/ciao
            a (?:presto|domani|dopo|risentirci|lunedì|martedì|mercoledì|giovedì|venerdì)
            buona (?:giornata|serata|notte)/buon (?:fine settimana|weekend|pomeriggio)"""
    ),
    thanks="(?:mille |molte |tante )?grazie(?: (?:mille|tante|a lei|di tutto|infinite))?|la ringrazio",
    courtesies=any_of(
        """benissimo/perfetto/ottimo/d'accordo/va bene/bene/molto gentile/gentilissim[oa]/altrettanto
            anche a lei/signor[ae]?/per oggi/per ora/allora/ok/certo/bravissim[oa]"""
    ),
    small="il|lo|la|l'|questo|questa|a|al|alle|per|verso|prossimo|prossima",
)
