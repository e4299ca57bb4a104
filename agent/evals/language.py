"""What language an answer is in, and whether it says that the agent doesn't know or can't."""

from __future__ import annotations

import re
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from agent.evals.words import folded, words

# Those that a model answers in; of all of the hundred that py3langid knows, short answers fit too many.
KNOWN = ("en", "fr", "es", "it", "pt", "de", "nl", "hi", "zh", "ru", "ar", "ja")
# Short answers belong to no language ("Paris.", "Two."), and are given a low probability in each.
SURE = 0.9
FEWEST_WORDS = 3
LATIN_END = "\u0250"  # Unicode's first letter behind Latin Extended-B

# That there is no pool is a statement, that one doesn't know of any is none: so not every "don't have".
_REFUSALS = {
    "en": (
        r"(?:do not|don't|did not|didn't|does not|doesn't) (?:\w+ ){0,2}(?:know|mention|say|specify)",
        r"(?:not|\w+n't|no) (?:\w+ ){0,3}(?:information|details?|access|data|idea|record|mention|knowledge)",
        r"(?:not|\w+n't) (?:\w+ ){0,2}(?:sure|certain|aware|able|mentioned|specified|listed)",
        r"(?:not|\w+n't) (?:\w+ ){0,2}(?:provided|informed|allowed|permitted)",
        r"(?:i|we) (?:\w+ )?(?:can ?not|can't|could ?n't|won't be able)|unable",
        r"(?:take|leave) (?:\w+ )?(?:a )?message",
    ),
    "fr": (
        r"(?:sais|savons|peux|pouvons|suis|sommes) (?:\w+ )?pas",
        r"(?:pas|aucune?) (?:\w+ ){0,3}(?:informations?|acces|renseignements?|donnees?|idee|details?|moyen)",
        r"pas (?:\w+ )?(?:sure?|capable|precise|indique|mentionne|possible|en mesure)",
        r"(?:prendre|laisser|noter|transmettre) (?:un |votre )?message",
        r"j'ignore|impossible",
    ),
    "es": (
        r"no (?:lo |la |le |se )?(?:se|sabemos|sabria|puedo|podemos|conozco|consta|figura|es posible)",
        r"(?:no|ninguna?) (?:\w+ ){0,4}(?:informacion|acceso|datos|idea|detalles|forma de|manera de)",
        r"no (?:estoy|estamos) (?:segur|al tanto)",
        r"(?:tomar|tomo|dejar|deja\w*|tome|anotar) (?:le |un |su )?(?:un )?(?:mensaje|recado)",
        r"desconozco|imposible",
    ),
    "it": (
        r"non (?:lo |la |ne |le |ci )?(?:so|sappiamo|saprei|posso|possiamo|conosco|riesco|risulta)",
        r"(?:non|nessuna?) (?:\w+ ){0,3}(?:informazion|accesso|dati|idea|dettagli|modo di)",
        r"non (?:sono|siamo) (?:sicur|in grado|a conoscenza|al corrente|capac)",
        r"(?:prendere|lasciare|prendo|lasciar\w*|annotare) (?:un |il suo )?messaggio",
        r"impossibile",
    ),
    "pt": (
        r"nao (?:o |a |me |lhe )?(?:sei|sabemos|saberia|conheco|posso|podemos|consigo|conseguimos|consta)",
        r"(?:nao|nenhuma?) (?:\w+ ){0,3}(?:informac|acesso|dados|ideia|detalhes|como saber)",
        r"nao (?:estou|sou|estamos) (?:cert|segur|a par|capaz|ciente)",
        r"(?:anotar|deixar|tomar|anoto|tirar) (?:um |o seu |uma )?(?:recado|mensagem)",
        r"desconheco|impossivel",
    ),
}
REFUSAL_LANGUAGES = frozenset(_REFUSALS)


@cache
def _identifier() -> LanguageIdentifier:
    identifier: LanguageIdentifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(KNOWN))
    return identifier


def language_of(text: str) -> str | None:
    """ISO 639, or None where the text is too short or too mixed to be sure. Takes a second at first."""
    latin = all(character < LATIN_END for character in text if character.isalpha())
    if latin and len(words(text)) < FEWEST_WORDS:  # "São Paulo." may be said in any language
        return None
    language, probability = _identifier().classify(text)
    return str(language) if float(probability) >= SURE else None


def refuses(answer: str, language: str) -> bool:
    """Whether the answer says that the agent doesn't know, can't, or would rather take a message.

    Raises KeyError for a language outside REFUSAL_LANGUAGES.
    """
    plain = folded(answer)
    return any(re.search(rf"(?<!\w)(?:{one})", plain) for one in _REFUSALS[language])
