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

_REFUSALS = {
    "en": (
        r"(?:do not|don't|didn't|does not|doesn't) (?:\w+ ){0,2}(?:know|have|mention|say|specify|offer|list)",
        r"(?:not|n't) (?:\w+ ){0,2}(?:sure|certain|aware|able|available|mentioned|specified|listed)",
        r"(?:not|n't) (?:\w+ ){0,2}(?:provided|informed|allowed|permitted)",
        r"(?:can ?not|can't|could ?n't|won't be able|unable)",
        r"no (?:\w+ )?(?:information|details?|idea|access|record|mention|way of)",
        r"(?:take|leave) (?:\w+ )?(?:a )?message",
        r"unknown|unfortunately|afraid",
    ),
    "fr": (
        r"(?:ne |n')(?:\w+ )?(?:sais|sait|savons|connais|connaissons|dispose|disposons|suis)"
        r" (?:\w+ )?(?:pas|aucune?|rien)",
        r"ne (?:\w+ )?(?:peux|peut|pouvons) (?:\w+ )?(?:pas|rien)",
        r"(?:ne |n')(?:\w+ )?(?:est|possede|figure|mentionne|precise|indique)\w*"
        r" (?:\w+ )?(?:pas|aucune?|rien)",
        r"(?:n'ai|n'avons|n'y a) (?:malheureusement )?(?:pas|aucune?)",
        r"sais pas",
        r"aucune (?:information|idee|precision)",
        r"(?:prendre|laisser|noter|transmettre) (?:un |votre )?message",
        r"malheureusement|ignore|impossible",
    ),
    "es": (
        r"no (?:lo |la |le |me |se )?(?:se|sabemos|sabria|conozco|tengo|tenemos|puedo|podemos|dispongo)",
        r"no (?:se )?(?:disponemos|dispone|estoy|consta|aparece|figura|hay|es posible|cuento|contamos)",
        r"(?:tomar|tomo|dejar|deja\w*|tome|anotar) (?:le |un |su )?(?:un )?(?:mensaje|recado)",
        r"ninguna informacion|lamentablemente|desgraciadamente|desconozco|imposible",
    ),
    "it": (
        r"non (?:lo |la |ne |ci |mi |le )?(?:so|sappiamo|saprei|conosco|ho|abbiamo|posso|possiamo|sono)",
        r"non (?:dispongo|disponiamo|e (?:possibile|specificat|indicat|menzionat)\w*|risulta|c'e|viene)",
        r"(?:prendere|lasciare|prendo|lasciar\w*|annotare) (?:un |il suo )?messaggio",
        r"nessuna informazione|purtroppo|impossibile|mi dispiace",
    ),
    "pt": (
        r"nao (?:o |a |me |lhe )?(?:sei|sabemos|saberia|conheco|tenho|temos|posso|podemos|consigo)",
        r"nao (?:conseguimos|disponho|dispomos|dispoe|estou|consta|ha|e possivel|foi)",
        r"(?:anotar|deixar|tomar|anoto|tirar) (?:um |o seu |uma )?(?:recado|mensagem)",
        r"nenhuma informacao|infelizmente|desconheco|impossivel",
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
