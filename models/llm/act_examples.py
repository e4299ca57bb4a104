"""What callers say to have something done, and what they say that is only to be answered.

They stand in the prompt from which a tool is chosen, so none of it may come from the words it is tested on.
"""

from __future__ import annotations

TALK = {
    "en": (
        "Hello?",
        "What time do you open?",
        "Am I talking to a machine?",
        "I was with you a month ago, it was nice.",
        "How do you say thank you in French?",
        "Thanks.",
        "Is the boss nice?",
        "Do you have a garden?",
    ),
    "fr": (
        "Bonjour.",
        "Vous êtes ouverts le lundi ?",
        "C'était très bien la dernière fois.",
        "Vous êtes une machine ?",
    ),
    "es": (
        "Buenas tardes.",
        "¿Abren los lunes?",
        "La última vez me gustó mucho.",
        "¿Es usted una máquina?",
    ),
    "it": (
        "Buongiorno.",
        "Siete aperti il lunedì?",
        "L'ultima volta mi è piaciuto molto.",
        "Lei è una macchina?",
    ),
    "pt": (
        "Bom dia.",
        "Abrem à segunda?",
        "Da última vez gostei muito.",
        "Você é uma máquina?",
    ),
}

# What the agent said before, and the caller's words.
GOODBYES = {
    "en": (
        ("", "Okay, thanks, bye."),
        ("Is there anything else?", "No, thank you."),
        ("", "I think that's it."),
        ("", "Great, that's all I wanted to know."),
    ),
    "fr": (("", "Merci, au revoir."), ("", "Ce sera tout.")),
    "es": (("", "Gracias, adiós."), ("", "Con eso es suficiente.")),
    "it": (("", "Grazie, arrivederci."), ("", "Non mi serve altro.")),
    "pt": (("", "Obrigado, tchau."), ("", "Era tudo.")),
}

# Words without which nobody asks to hang up in more than a few words; beginnings of them are enough.
PARTING = {
    language: tuple(beginnings.split())
    for language, beginnings in {
        "en": "bye goodbye farewell thank cheers that hang done finish nothing everything enough later go "
        "end stop night care",
        "fr": "revoir merci tout bientôt raccroch rien suffi fini journée soirée laisse",
        "es": "adiós adios gracias todo luego colg cuelg nada basta sufic chao hasta",
        "it": "arrivederci grazie tutto ciao altro basta niente riagganci presto giornata",
        "pt": "tchau obrigad tudo deslig nada chega adeus até basta",
    }.items()
}

# How arguments are written, shown on tools that nobody here has, so that no word of them is copied.
FILLED = """\
# Calls to a taxi firm, and what the caller said, word for word, null where they said nothing:
Caller: I need a taxi to the station at noon. -> call_taxi \
{"destination": "the station", "time": "at noon", "passengers": null}
Caller: I want a taxi. Agent: Where to, and how many are you? Caller: to the old harbour we're three \
-> call_taxi {"destination": "the old harbour", "time": null, "passengers": "three"}
Caller: Tell the driver I'm waiting outside. -> tell_driver {"message": "I'm waiting outside"}
Caller: Can you tell my driver something? -> tell_driver {"message": null}
Caller: A taxi, please. -> call_taxi {"destination": null, "time": null, "passengers": null}

"""

# By what a tool's name has in it; the first that fits.
KINDS: dict[str, dict[str, tuple[str, ...]]] = {
    r"cancel": {
        "en": ("I can't come on Monday after all.", "We have to call it off, I'm ill."),
        "fr": ("Je dois décommander.",),
        "es": ("Ya no puedo ir.",),
        "it": ("Devo disdire.",),
        "pt": ("Tenho de desmarcar.",),
    },
    r"(?:call|ring|phone)_?back": {
        "en": ("Have someone ring me tomorrow.", "Call me back later, please."),
        "fr": ("Rappelez-moi demain.",),
        "es": ("Que me llamen mañana.",),
        "it": ("Mi richiami, per favore.",),
        "pt": ("Me liguem amanhã.",),
    },
    r"message|note": {
        "en": (
            "Please let Tom know that I'll be late.",
            "Tell your colleague that I rang.",
            "Can I leave a message?",
        ),
        "fr": ("Dites à Luc que j'ai téléphoné.", "C'est pour laisser un message."),
        "es": ("Dígale a Luis que venga.", "Es para dejar un mensaje."),
        "it": ("Dica a Marco che ho telefonato.", "È per lasciare un messaggio."),
        "pt": ("Diga ao João que telefonei.", "É para deixar uma mensagem."),
    },
    r"transfer|human|agent|operator|person|staff|reception|connect|colleague|forward": {
        "en": (
            "I'd rather talk to a person.",
            "No robots, please.",
            "Can I have a word with the person in charge?",
        ),
        "fr": ("Passez-moi un conseiller.", "La directrice est là ? J'aimerais l'avoir."),
        "es": ("Páseme con un compañero.", "¿Me pone con la directora?"),
        "it": ("Mi passi un collega.", "C'è la direttrice? Me la passi."),
        "pt": ("Me passe para alguém.", "Quero a diretora ao telefone."),
    },
    r"book|reserv|appointment|schedule": {
        "en": ("Have you got anything free on Sunday?", "There are three of us, Monday at one."),
        "fr": ("Vous avez encore une place dimanche ?", "On serait trois, lundi à midi."),
        "es": ("¿Queda algo libre el lunes?", "Seríamos tres, el lunes a la una."),
        "it": ("C'è posto lunedì?", "Saremmo in tre, lunedì all'una."),
        "pt": ("Têm vaga na segunda?", "Seríamos três, segunda à uma."),
    },
    r"order|parcel|track|deliver|status": {
        "en": ("It still hasn't arrived.", "Has number three eight left yet?"),
        "fr": ("Mon colis n'est pas arrivé.",),
        "es": ("No me ha llegado el paquete.",),
        "it": ("Il pacco non è arrivato.",),
        "pt": ("O pacote não chegou.",),
    },
    r"send|sms|text": {
        "en": ("Text it to me, please.", "Can I have that by text message?"),
        "fr": ("Envoyez-le-moi par SMS.",),
        "es": ("Mándemelo por mensaje.",),
        "it": ("Me lo mandi per SMS.",),
        "pt": ("Me mande por SMS.",),
    },
}
