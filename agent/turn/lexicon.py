"""Closed classes of words that tell about a caller's turn, in the languages offhook knows.

Only closed classes of words stand here: what a sentence can't end on, what asks for time, what answers
in a word, what merely says "I'm listening". Everything else is left to the models.
"""

from __future__ import annotations

from dataclasses import dataclass


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _phrases(phrases: str) -> tuple[tuple[str, ...], ...]:
    """Longest first, so that the first match is the longest."""
    return tuple(sorted((tuple(phrase.split()) for phrase in phrases.split(",")), key=len, reverse=True))


@dataclass(frozen=True)
class Lexicon:
    """One language's closed classes."""

    hanging: frozenset[str]  # a sentence doesn't end on these
    leaning: frozenset[str]  # it seldom does: "for" ends a question, rarely anything else
    fillers: frozenset[str]
    more_time: tuple[tuple[str, ...], ...]  # "hold on", "let me check"
    answers: tuple[tuple[str, ...], ...]  # whole turns of a word or two
    backchannels: tuple[tuple[str, ...], ...]
    stops: tuple[tuple[str, ...], ...]  # take the floor, however short
    digits: frozenset[str] = frozenset()
    dictates: frozenset[str] = frozenset()  # announce a number or a spelling
    yes_no_openers: frozenset[str] = frozenset()
    openers: frozenset[str] = frozenset()  # begin a clause that another must follow
    completes: bool = False  # whether the completeness of its sentences has been measured


ENGLISH = Lexicon(
    hanging=_set("""
        and or but because cause if unless although though whether than while since until plus the a
        an my your our their his its every i i'm i'd i'll i've we're we'd we'll we've you're you'd
        they're he's she's into onto per via between toward towards
    """),
    leaning=_set("""
        of from with at to for in on about by as like is are was were be been am the that this so
        then very really which who where when how what can could would will should do does did
        have has had not just also maybe some any
    """),
    fillers=_set("um uh er erm uhm hmm hm well mm"),
    more_time=_phrases("""
        hold on, hang on, one moment, one second, one sec, one minute, just a moment, just a second,
        just a sec, just a minute, give me a moment, give me a second, give me a sec, give me a
        minute, wait a moment, wait a second, wait a sec, wait a minute, bear with me, let me check,
        let me see, let me think, let me look, let me find, let me get, let me grab, let me just,
        i'll check, i'll just check
    """),
    answers=_phrases("""
        yes, yeah, yep, yup, no, nope, nah, sure, okay, ok, correct, exactly, right, absolutely,
        definitely, of course, please, yes please, no thanks, no thank you, thanks, thank you, thank
        you very much, bye, bye bye, goodbye, that's right, that's correct, that's all, that's it,
        not really, yes it is, yes i do, no i don't, yes i am, fine, never mind, no problem, all
        right, alright, sounds good, perfect, great
    """),
    backchannels=_phrases("""
        m, h, mm, mmm, hm, hmm, mhm, mm hmm, mm hm, mhmm, uh huh, uhuh, uh, um, ah, oh, aha, right, okay,
        ok, yeah, yep, yup, yes, sure, i see, got it, cool, nice, great, good, wow, really, oh okay,
        all right, alright, of course, exactly, true, huh, oh really, oh i see, fine, perfect, makes
        sense, i know, thank you, thanks
    """),
    stops=_phrases("""
        stop, wait, no, hold on, hang on, excuse me, pause, enough, one moment, one second, be
        quiet, shut up, never mind, hello, sorry
    """),
    digits=_set("zero oh o one two three four five six seven eight nine double triple"),
    dictates=_set("""
        number code pin zip postcode account card reference order extension digits phone telephone
        mobile cell serial policy ticket booking confirmation spelled spell spelt spelling
    """),
    yes_no_openers=_set("""
        is are was were do does did can could would will shall should have has had may am isn't
        aren't don't doesn't didn't can't couldn't wouldn't won't
    """),
    openers=_set("if because although though since unless while before after until whenever as even"),
    completes=True,
)

FRENCH = Lexicon(
    hanging=_set("""
        et ou mais car parce que puisque si comme donc or ni le la les un une des du de d l au aux
        mon ma mes ton ta tes son sa ses notre votre nos vos leur leurs ce cet cette ces je tu il
        elle on nous ils elles j'ai je c'est qu qui dont avec pour sans par chez dans sur sous
    """),
    leaning=_set("à en est sont était être très plus ne y quand"),
    fillers=_set("euh heu ben bah hum alors hein"),
    more_time=_phrases("""
        un instant, un moment, une seconde, une minute, attendez, attends, ne quittez pas,
        laissez moi voir, laissez moi vérifier, je regarde, je vérifie, je vais
        voir, patientez
    """),
    answers=_phrases("""
        oui, non, ouais, si, d'accord, bien sûr, merci, non merci, oui merci, au revoir, exactement,
        c'est ça, tout à fait, ok, okay, bonjour, allô, s'il vous plaît, voilà, parfait
    """),
    backchannels=_phrases("""
        hum, mm, mmm, hm, hmm, mhm, oui, ouais, ok, okay, d'accord, ah, ah oui, ah bon, je vois,
        bien, très bien, bien sûr, voilà, c'est ça, exactement, oui oui, entendu, parfait, super
    """),
    stops=_phrases("""
        stop, attendez, attends, non, arrêtez, arrête, pardon, excusez moi, un instant,
        un moment, allô, ça suffit
    """),
    digits=_set("zéro un deux trois quatre cinq six sept huit neuf"),
    dictates=_set("numéro code carte compte référence téléphone postal épelle s'épelle"),
)

SPANISH = Lexicon(
    hanging=_set("""
        y e o u pero porque pues si como aunque que el la los las un una unos unas del al de mi mis
        tu tus su sus nuestro nuestra este esta ese esa con para sin por en sobre entre desde yo
    """),
    leaning=_set("a es son era está estoy muy más no ya cuando"),
    fillers=_set("eh este em mmm bueno"),
    more_time=_phrases("""
        un momento, un segundo, un minuto, un momentito, espere, espera, espérame, espéreme, déjame
        ver, déjeme ver, a ver, permítame
    """),
    answers=_phrases("""
        sí, si, no, claro, vale, bueno, de acuerdo, correcto, exacto, gracias, no gracias, sí
        gracias, adiós, hola, por supuesto, por favor, ok, okay, perfecto, eso es todo
    """),
    backchannels=_phrases("""
        mm, mmm, hm, hmm, mhm, ajá, aja, sí, si, ya, vale, claro, ok, okay, bueno, bien, muy bien,
        de acuerdo, entiendo, ah, exacto, por supuesto, ya veo, perfecto, sí sí, eso
    """),
    stops=_phrases("para, pare, alto, espere, espera, no, perdón, disculpe, un momento, basta, oiga, stop"),
    digits=_set("cero uno dos tres cuatro cinco seis siete ocho nueve"),
    dictates=_set("número código tarjeta cuenta referencia teléfono postal deletreo"),
)

GERMAN = Lexicon(
    hanging=_set("""
        und oder aber weil denn dass wenn ob obwohl sondern damit der die das den dem des ein eine
        einen einem einer mein meine meinen meiner dein deine ihr ihre unser unsere sein seine ich
        wir mit für von bei aus nach zum zur vom beim im am ins
    """),
    leaning=_set("in auf an zu ist sind war sehr nicht auch noch wie als"),
    fillers=_set("äh ähm öh hm also naja"),
    more_time=_phrases("""
        einen moment, moment, moment mal, einen augenblick, augenblick, sekunde, eine sekunde,
        warten sie, warte, warte mal, lassen sie mich, lass mich, ich schaue, ich schau mal, mal
        sehen
    """),
    answers=_phrases("""
        ja, nein, nee, doch, genau, richtig, okay, ok, gut, danke, nein danke, ja bitte, bitte,
        tschüss, auf wiederhören, hallo, stimmt, natürlich, das ist alles, vielen dank, klar, sicher
    """),
    backchannels=_phrases("""
        mm, mmm, hm, hmm, mhm, aha, ja, ja ja, jaja, genau, okay, ok, gut, ach so, achso, ah, klar,
        stimmt, richtig, verstehe, ich verstehe, alles klar, natürlich, schön, super
    """),
    stops=_phrases("""
        stopp, stop, halt, warte, warten sie, nein, moment, entschuldigung, einen moment,
        augenblick, hallo
    """),
    digits=_set("null eins zwei zwo drei vier fünf sechs sieben acht neun"),
    dictates=_set("nummer code karte konto kontonummer telefonnummer postleitzahl kundennummer buchstabiere"),
)

ITALIAN = Lexicon(
    hanging=_set("""
        e ed o oppure ma però perché poiché siccome se mentre che il lo la i gli le un uno una del
        dello della dei degli delle al allo alla ai agli alle dal dalla dai dalle nel nella nei nelle
        sul sulla sui sulle mio mia miei mie tuo tua suo sua nostro nostra vostro vostra questo
        questa quel quella con per senza tra fra di da in su io cui
    """),
    leaning=_set("a è sono era ero sto sta molto più non come quando ci si mi"),
    fillers=_set("eh ehm em mmm beh allora cioè dunque"),
    more_time=_phrases("""
        un momento, un attimo, un secondo, un minuto, un istante, un attimino, aspetti, aspetta,
        attenda, resti in linea, mi faccia vedere, mi faccia controllare, fammi vedere, vediamo,
        guardo, controllo
    """),
    answers=_phrases("""
        sì, si, no, certo, certamente, va bene, d'accordo, esatto, giusto, grazie, no grazie, sì
        grazie, grazie mille, prego, arrivederci, ciao, pronto, per favore, ok, okay, perfetto, è
        tutto, va bene così, sì certo
    """),
    backchannels=_phrases("""
        mm, mmm, hm, hmm, mhm, ah, ah sì, sì, si, sì sì, certo, ok, okay, va bene, bene, benissimo,
        d'accordo, capisco, ho capito, capito, esatto, giusto, ecco, perfetto, già, davvero
    """),
    stops=_phrases("""
        stop, basta, fermo, ferma, si fermi, aspetti, aspetta, no, scusi, scusa, mi scusi, un
        momento, un attimo, pronto, senta
    """),
    digits=_set("zero uno due tre quattro cinque sei sette otto nove"),
    dictates=_set("numero codice carta conto riferimento telefono cellulare cap ordine lettere scrive"),
)

PORTUGUESE = Lexicon(
    hanging=_set("""
        e ou mas porque porém pois se como embora que o a os as um uma uns umas do da dos das de no
        na nos nas ao aos pelo pela num numa meu minha meus minhas teu tua seu sua seus suas nosso
        nossa este esta esse essa aquele aquela com para pra sem por em sobre entre desde eu
    """),
    leaning=_set("à é são era está estou tô muito mais não já quando te me"),
    fillers=_set("eh hum ã hã ahn tipo"),
    more_time=_phrases("""
        um momento, um momentinho, um segundo, um minuto, um minutinho, um instante, só um momento,
        só um minuto, só um segundo, só um pouquinho, espera, espere, espera aí, peraí, aguarde,
        deixa eu ver, deixe me ver, deixa ver, vou ver, vou verificar
    """),
    answers=_phrases("""
        sim, não, claro, isso, isso mesmo, exato, certo, correto, tá, tá bom, está bem, está bom, tudo
        bem, beleza, pode ser, com certeza, obrigado, obrigada, muito obrigado, muito obrigada, não
        obrigado, não obrigada, sim por favor, por favor, tchau, até logo, oi, olá, alô, ok, okay,
        perfeito, só isso, é só isso
    """),
    backchannels=_phrases("""
        mm, mmm, hm, hmm, mhm, aham, uhum, ah, ah tá, ah sim, sim, sim sim, tá, tá bom, certo, claro,
        ok, okay, bom, muito bem, entendi, sei, isso, isso mesmo, exato, é, pois é, perfeito, legal,
        beleza
    """),
    stops=_phrases("""
        para, pare, chega, espera, espere, espera aí, peraí, não, desculpa, desculpe, com licença, um
        momento, um minuto, alô, escuta, stop
    """),
    digits=_set("zero um dois três quatro cinco seis meia sete oito nove"),
    dictates=_set("número código cartão conta referência telefone celular cep cpf protocolo pedido soletro"),
)

HINDI = Lexicon(
    hanging=_set("""
        और या लेकिन मगर पर क्योंकि अगर यदि तो कि जब जो जिस का की के को से में ने तक मेरा मेरी मेरे
        आपका आपकी आपके हमारा हमारी हमारे इस उस एक मैं वह यह
    """),
    leaning=_set("भी ही बहुत कुछ नहीं कब कैसे लिए साथ"),
    fillers=_set("उम अं हम्म मतलब अच्छा"),
    more_time=_phrases("""
        एक मिनट, एक सेकंड, एक क्षण, ज़रा रुकिए, जरा रुकिए, रुकिए, रुको, ठहरिए, देखता हूँ, देखती हूँ,
        देखने दीजिए
    """),
    answers=_phrases("""
        हाँ, हां, जी, जी हाँ, जी हां, नहीं, जी नहीं, ठीक, ठीक है, सही, बिल्कुल, धन्यवाद, शुक्रिया, नमस्ते,
        हेलो, अलविदा, बस, बस इतना ही, कृपया, ओके
    """),
    backchannels=_phrases("""
        हम्म, हूँ, हाँ, हां, जी, अच्छा, ठीक, ठीक है, सही, हाँ हाँ, समझ गया, समझ गई, ओके, बिल्कुल, वाह
    """),
    stops=_phrases("रुकिए, रुको, ठहरिए, बस, नहीं, सुनिए, माफ़ कीजिए, एक मिनट, हेलो, चुप"),
    digits=_set("शून्य एक दो तीन चार पाँच पांच छह सात आठ नौ"),
    dictates=_set("नंबर नम्बर संख्या कोड कार्ड खाता फ़ोन फोन मोबाइल पिन"),
)

_LEXICONS = {
    "en": ENGLISH,
    "fr": FRENCH,
    "es": SPANISH,
    "de": GERMAN,
    "it": ITALIAN,
    "pt": PORTUGUESE,
    "hi": HINDI,
}
_UNKNOWN = Lexicon(frozenset(), frozenset(), frozenset(), (), (), (), ())


def lexicon(language: str) -> Lexicon:
    """The lexicon for a tag such as "en" or "en-GB"; an empty one where the language isn't known."""
    return _LEXICONS.get(language.lower().replace("_", "-").partition("-")[0], _UNKNOWN)
