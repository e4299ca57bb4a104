"""What callers say in a flow besides values, in the languages that code knows it in."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from agent.flows.state import Intent

# Regular expressions, one a line, over words in lower case without punctuation but apostrophes.
# `begins`: these words begin the turn. `whole`: they are all of it. `within`: they stand anywhere in it.
_Patterns = Mapping[Intent, str]


@dataclass(frozen=True)
class Lexicon:
    """One language's."""

    begins: _Patterns
    whole: _Patterns
    within: _Patterns
    asks: str  # begins a question
    politeness: str  # may stand around anything

    def intents(self, words: str, *, whole_only: bool = False) -> frozenset[Intent]:
        """What the words want. `whole_only`: they may be a message, in which anything may stand."""
        plain = _plain(words, self.politeness)
        found = {intent for intent, pattern in self.whole.items() if _found(rf"(?:{pattern})\Z", plain)}
        if whole_only:
            return frozenset(found)
        found |= {intent for intent, pattern in self.begins.items() if _found(pattern, plain)}
        found |= {
            intent for intent, pattern in self.within.items() if _found(rf"(?:.*\b)?(?:{pattern})", plain)
        }
        if found >= {Intent.YES, Intent.NO}:
            found.discard(Intent.NO if Intent.YES in self._begun(plain) else Intent.YES)
        if Intent.UNKNOWN in found:
            found -= {Intent.YES, Intent.NO}
        return frozenset(found)

    def behind_answer(self, words: str) -> str:
        """What follows a yes or no with which the words begin."""
        answer = rf"\A\W*(?:{self.begins[Intent.YES]}|{self.begins[Intent.NO]})(?![\w'])\W*"
        return re.sub(answer, "", words, count=1, flags=re.IGNORECASE)

    def is_question(self, words: str) -> bool:
        return words.rstrip().endswith("?") or bool(_found(self.asks, _plain(words, self.politeness)))

    def _begun(self, plain: str) -> set[Intent]:
        return {intent for intent in (Intent.YES, Intent.NO) if _found(self.begins[intent], plain)}


def _found(pattern: str, plain: str) -> bool:
    return re.match(rf"(?:{pattern})(?![\w'])", plain) is not None


def _plain(words: str, politeness: str) -> str:
    plain = " ".join(re.findall(r"[\w']+", words.lower().replace("’", "'")))
    return re.sub(rf"^(?:(?:{politeness})\s+)+(?=\S)", "", plain)


def _any(patterns: str) -> str:
    return "|".join(line.strip() for line in patterns.replace("\n", "/").split("/") if line.strip())


ENGLISH = Lexicon(
    begins={
        Intent.YES: _any(
            """yes/yeah/yep/yup/ya/sure/correct/right/exactly/perfect/absolutely/of course/indeed"""
        ),
        Intent.NO: _any("no/nope/nah/not quite/not really/wait no"),
    },
    whole={
        Intent.YES: _any(
            """that's (?:right|correct|it|fine|good|great|perfect|true)/that is (?:right|correct|fine)
            sounds (?:good|great|right|perfect)/(?:please )?do(?: that| it)?/go ahead/fine/okay/ok/great
            all good/it is/all (?:right|correct)/alright/you got it/please/mm hmm/uh huh/that works
            works for me"""
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
        Intent.NO: _any("that's (?:wrong|not right|not correct)/isn't right/is wrong"),
        Intent.REPEAT: _any(
            """(?:say|repeat) (?:that|it|the question)/(?:can|could|would) you repeat/what was that
            what did you say/what was the question/didn't (?:hear|catch|get) (?:that|you|it)/say again
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
            r"(?:speak|talk) (?:to|with) (?:a |an |some |any |the |your )?(?:someone|somebody|anyone|anybody"
            r"|one|human|person|people|real|manager|boss|agent|operator|member|colleague)"
            r"/real person/actual human/operator/put me through to"
        ),
    },
    asks=_any(
        """what/what's/whats/when/when's/where/where's/who/who's/whose/why/how/how's/which/do you/does/did
        is there/are there/are you/is it/is the/is your/can i/can we/can you/could you/could i/could we
        may i/will you/would you/would it/have you/has the/do i/do we/shall i/should i
        and (?:what|when|where|how|do you|is there)/i (?:was wondering|wanted to ask|have a question)
        tell me/quick question"""
    ),
    politeness="oh|um|uh|er|erm|hm|hmm|well|so|okay|ok|and|please|actually|sorry|hi|hello|ah|yeah so",
)

FRENCH = Lexicon(
    begins={
        Intent.YES: _any(
            """oui/ouais/si/exact/exactement/tout à fait/bien sûr/parfait/d'accord/absolument/voilà"""
        ),
        Intent.NO: _any("non/pas du tout/pas tout à fait"),
    },
    whole={
        Intent.YES: _any(
            """c'est (?:ça|bon|exact|juste|correct|parfait)/ça marche/ça me va/très bien/allez y/ok"""
        ),
        Intent.NO: _any("c'est (?:faux|pas ça|pas bon)/ce n'est pas ça/faux"),
        Intent.REPEAT: _any("pardon/comment/quoi/hein/allô/encore une fois"),
        Intent.BACK: _any("retour/précédent"),
        Intent.LEAVE: _any("annulez/arrêtez/stop/laissez tomber/tant pis"),
    },
    within={
        Intent.NO: _any("c'est (?:faux|pas ça)/n'est pas (?:ça|bon|juste)"),
        Intent.REPEAT: _any("répéter/répétez/redire/redites/pas (?:entendu|compris)/vous avez dit quoi"),
        Intent.BACK: _any("en arrière/question précédente/revenir/revenez"),
        Intent.UNKNOWN: _any("(?:je )?(?:ne )?sais pas/aucune idée/pas sûre?/peu importe/je n'en ai pas"),
        Intent.LEAVE: _any("laissez tomber/oubliez/changé d'avis/je rappellerai/ce n'est pas grave"),
        Intent.PERSON: _any(
            """parler (?:à|avec) (?:quelqu'un|une personne|un humain|un conseiller)/une vraie personne"""
        ),
    },
    asks=_any(
        """quel/quelle/quels/quelles/quand/où/qui/pourquoi/comment/combien/est ce que/est ce qu'/avez vous
        êtes vous/y a t il/peut on/puis je/pouvez vous/c'est quoi/vous êtes/vous avez/je voulais savoir"""
    ),
    politeness="euh|ah|oh|alors|bon|ben|et|s'il vous plaît|en fait|bonjour|allô|ok",
)

SPANISH = Lexicon(
    begins={
        Intent.YES: _any("sí/si/claro/exacto/correcto/perfecto/por supuesto/vale/de acuerdo/eso es/así es"),
        Intent.NO: _any("no/para nada"),
    },
    whole={
        Intent.YES: _any("está (?:bien|perfecto|correcto)/muy bien/adelante/me parece bien/ok/bueno"),
        Intent.NO: _any("está mal/eso no/no es (?:así|correcto)/incorrecto"),
        Intent.REPEAT: _any("perdón/cómo/qué/otra vez/aló/diga"),
        Intent.BACK: _any("atrás/anterior"),
        Intent.LEAVE: _any("cancele/cancelar/pare/déjelo/olvídelo/da igual"),
    },
    within={
        Intent.NO: _any("está mal/no es (?:así|correcto)"),
        Intent.REPEAT: _any(
            """repetir/repita/repite/otra vez/no (?:he )?(?:oído|entendido|entendí|escuché)/qué ha dicho"""
        ),
        Intent.BACK: _any("volver atrás/vuelva atrás/pregunta anterior"),
        Intent.UNKNOWN: _any("no (?:lo )?sé/ni idea/no estoy segur[oa]/no tengo/me da igual"),
        Intent.LEAVE: _any(
            """déjelo/olvídelo/he cambiado de (?:idea|opinión)/llamaré (?:luego|otra vez|más tarde)"""
        ),
        Intent.PERSON: _any(
            """hablar con (?:alguien|una persona|un humano|un agente)/una persona real/operador[a]?"""
        ),
    },
    asks=_any(
        """qué/cuál/cuáles/cuándo/dónde/quién/por qué/cómo/cuánto/cuánta/cuántos/cuántas/tienen/tiene/hay
        puedo/podría/se puede/es posible/están/abren/quería saber"""
    ),
    politeness="eh|ah|oh|bueno|pues|y|por favor|hola|este|mire|oiga|en realidad",
)

ITALIAN = Lexicon(
    begins={
        Intent.YES: _any(
            """sì/si/certo/esatto/giusto/corretto/perfetto/va bene/d'accordo/certamente/proprio così"""
        ),
        Intent.NO: _any("no/per niente"),
    },
    whole={
        Intent.YES: _any("è (?:giusto|corretto|esatto)/benissimo/ok/faccia pure/prego/mi va bene/bene"),
        Intent.NO: _any("è sbagliato/non è (?:giusto|corretto|così)/sbagliato"),
        Intent.REPEAT: _any("scusi/come/cosa/pronto/ancora/di nuovo"),
        Intent.BACK: _any("indietro/precedente"),
        Intent.LEAVE: _any("annulla/annulli/basta/lasci (?:stare|perdere)/fa niente"),
    },
    within={
        Intent.NO: _any("è sbagliato/non è (?:giusto|corretto|così)"),
        Intent.REPEAT: _any("ripetere/ripeta/non ho (?:sentito|capito)/cosa ha detto/un'altra volta"),
        Intent.BACK: _any("torn(?:i|are|iamo) indietro/domanda precedente"),
        Intent.UNKNOWN: _any("non (?:lo )?so/nessuna idea/non sono sicur[oa]/non ce l'ho/è uguale"),
        Intent.LEAVE: _any(
            """lasci (?:stare|perdere)/ho cambiato idea/non importa/richiamo (?:dopo|più tardi)"""
        ),
        Intent.PERSON: _any(
            """parlare con (?:qualcuno|una persona|un operatore|un umano)/una persona vera/operatore"""
        ),
    },
    asks=_any(
        """che/cosa/qual/quale/quali/quando/dove/dov'è/chi/perché/come/quanto/quanta/quanti/quante/avete
        siete/c'è/ci sono/posso/potrei/si può/è possibile/volevo sapere"""
    ),
    politeness="ehm|eh|ah|oh|allora|beh|e|per favore|buongiorno|senta|veramente",
)

PORTUGUESE = Lexicon(
    begins={
        Intent.YES: _any(
            """sim/é/isso/claro/exato/exatamente/certo/correto/perfeito/com certeza/está bem/tudo bem"""
        ),
        Intent.NO: _any("não/de jeito nenhum"),
    },
    whole={
        Intent.YES: _any(
            """isso mesmo/está (?:certo|bem|correto|ótimo)/tá (?:bom|certo)/pode ser/ok/ótimo/pode"""
        ),
        Intent.NO: _any("está errado/não é isso/errado/incorreto"),
        Intent.REPEAT: _any("desculpe/como/o quê/quê/alô/de novo/outra vez"),
        Intent.BACK: _any("voltar/anterior"),
        Intent.LEAVE: _any("cancele/cancela/pare/deixa (?:para lá|pra lá)/esqueça/esquece"),
    },
    within={
        Intent.NO: _any("está errado/não é isso/não está certo"),
        Intent.REPEAT: _any(
            """repetir/repita/repete/de novo/não (?:ouvi|entendi|percebi)/o que (?:você )?disse"""
        ),
        Intent.BACK: _any("volt(?:e|ar) atrás/pergunta anterior"),
        Intent.UNKNOWN: _any("não sei/nem ideia/não tenho (?:certeza|ideia|um|uma)?/tanto faz"),
        Intent.LEAVE: _any("deixa (?:para|pra) lá/esqueça/esquece/mudei de ideia/ligo (?:depois|mais tarde)"),
        Intent.PERSON: _any(
            """falar com (?:alguém|uma pessoa|um humano|um atendente)/uma pessoa de verdade/atendente"""
        ),
    },
    asks=_any(
        """que/o que/qual/quais/quando/onde/quem/por que/porque/como/quanto/quanta/quantos/quantas
        vocês têm/tem/há/posso/poderia/pode se/é possível/estão/abrem/queria saber"""
    ),
    politeness="é|eh|ah|oh|bom|bem|e|por favor|olá|oi|então|na verdade",
)

NONE = Lexicon(
    begins={Intent.YES: r"\b\B", Intent.NO: r"\b\B"}, whole={}, within={}, asks=r"\b\B", politeness=r"\b\B"
)


@functools.cache
def lexicon(language: str) -> Lexicon:
    """For a BCP 47 tag; one that knows nothing for a language that code doesn't: the model then says."""
    known = {"en": ENGLISH, "fr": FRENCH, "es": SPANISH, "it": ITALIAN, "pt": PORTUGUESE}
    return known.get(language.partition("-")[0], NONE)
