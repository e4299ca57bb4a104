"""What callers say to have something done, and what they say that is only to be answered.

They stand in the prompt from which a tool is chosen, so none of it may come from the words it is tested on.
"""

from __future__ import annotations

# Other places: what their agents can do, and what was asked for there (what the agent said before, the
# caller's words, the tool or None). From these the model learns what asking for something is.
Place = tuple[str, dict[str, str], tuple[tuple[str, str, str | None], ...]]
PLACES: tuple[Place, ...] = (
    (
        "A theatre",
        {
            "buy_tickets": "Sell tickets.",
            "refund_tickets": "Give the money for tickets back.",
            "transfer": "Put the caller through to a person.",
            "end_call": "Hang up.",
        },
        (
            ("", "Two seats for Hamlet on Friday, please.", "buy_tickets"),
            ("", "My wife bought tickets yesterday.", None),
            ("", "How much are the tickets?", None),
            ("", "I can't make it tonight, I'd like my money back.", "refund_tickets"),
            ("", "Is there somebody I could speak with?", "transfer"),
            ("", "hello", None),
            ("", "Have you still got anything for Sunday?", "buy_tickets"),
            ("", "Theatre people are odd.", None),
            ("", "Order me a taxi, please.", None),
            ("", "Okay, that was all, bye.", "end_call"),
            ("", "Last time somebody put me through to the wrong office.", None),
        ),
    ),
    (
        "A vet",
        {
            "book_visit": "Make an appointment for an animal.",
            "leave_message": "Take down a message for the vet.",
            "check_results": "Look up whether test results have come.",
            "transfer_call": "Put the caller through to the vet.",
        },
        (
            ("", "my cat hasn't eaten for two days can she be seen", "book_visit"),
            ("", "What should a puppy eat?", None),
            ("", "Tell the vet that Bruno is much better.", "leave_message"),
            ("", "Has the lab sent anything about my rabbit?", "check_results"),
            ("", "The results were fine last year.", None),
            ("", "Is the vet a nice man?", None),
            ("", "I'd rather discuss that with the vet.", "transfer_call"),
            ("", "We were there on Tuesday and it went well.", None),
            ("Shall I write that down for her?", "Yes, do that.", "leave_message"),
            ("", "My dog barks at visitors.", None),
            ("", "Do you listen to the messages that people leave?", None),
            ("", "Please ring oh two oh seven three for me.", None),
        ),
    ),
)
# And one in the caller's language.
LAST_PLACE: dict[str, Place] = {
    "en": (
        "A power company",
        {
            "report_outage": "Report that there is no power.",
            "check_bill": "Look up what the caller has to pay.",
            "send_form": "Send the caller a form.",
            "request_human": "Let a colleague take over.",
            "end_call": "Hang up.",
        },
        (
            ("", "All the lights in our street are out.", "report_outage"),
            ("", "What does a kilowatt hour mean?", None),
            ("", "I don't understand why I owe so much, could you look?", "check_bill"),
            ("", "I got your form, thanks.", None),
            ("", "Could you mail me the one for moving house?", "send_form"),
            ("", "there was no power last winter but that's long ago", None),
            ("", "You're a machine, aren't you?", None),
            ("", "Somebody with a brain, please.", "request_human"),
            ("Is there anything else?", "No, thank you, that's it.", "end_call"),
            ("", "Just a second, someone's at the door.", None),
        ),
    ),
    "fr": (
        "Une salle de sport",
        {
            "join": "Inscrire quelqu'un.",
            "pause_membership": "Suspendre un abonnement.",
            "report_problem": "Report something broken or dirty.",
            "connect": "Put the caller through to a person.",
            "end_call": "Hang up.",
        },
        (
            ("", "Les douches sont encore froides.", "report_problem"),
            ("", "Je serai absent en juillet, je n'en aurai pas besoin.", "pause_membership"),
            ("", "C'est bon pour quels muscles, la rame ?", None),
            ("", "le bureau s'il vous plaît", "connect"),
            ("", "J'aimerais m'entraîner chez vous dès lundi.", "join"),
            ("", "Ma sœur s'est inscrite en mai et elle est ravie.", None),
            ("", "Vous avez quelqu'un de plus malin que vous ?", "connect"),
            ("", "L'an dernier j'ai suspendu mon abonnement, c'était facile.", None),
            ("", "Parfait, c'est tout, au revoir.", "end_call"),
            ("", "Il fait une chaleur aujourd'hui.", None),
        ),
    ),
    "es": (
        "Un gimnasio",
        {
            "join": "Inscribir a alguien.",
            "pause_membership": "Suspender un abono.",
            "report_problem": "Report something broken or dirty.",
            "connect": "Put the caller through to a person.",
            "end_call": "Hang up.",
        },
        (
            ("", "Las duchas están otra vez frías.", "report_problem"),
            ("", "En julio no estaré y no lo voy a necesitar.", "pause_membership"),
            ("", "¿Qué músculos se trabajan con el remo?", None),
            ("", "la oficina por favor", "connect"),
            ("", "Me gustaría entrenar con ustedes desde el lunes.", "join"),
            ("", "Mi hermana se apuntó en mayo y está encantada.", None),
            ("", "¿No hay nadie más listo que usted?", "connect"),
            ("", "El año pasado suspendí el abono y fue fácil.", None),
            ("", "Perfecto, eso es todo, adiós.", "end_call"),
            ("", "Qué calor hace hoy.", None),
        ),
    ),
    "it": (
        "Una palestra",
        {
            "join": "Iscrivere qualcuno.",
            "pause_membership": "Sospendere un abbonamento.",
            "report_problem": "Report something broken or dirty.",
            "connect": "Put the caller through to a person.",
            "end_call": "Hang up.",
        },
        (
            ("", "Le docce sono di nuovo fredde.", "report_problem"),
            ("", "A luglio sono via e non mi serve.", "pause_membership"),
            ("", "Che muscoli si allenano con il canottaggio?", None),
            ("", "l'ufficio per favore", "connect"),
            ("", "Mi piacerebbe allenarmi da voi da lunedì.", "join"),
            ("", "Mia sorella si è iscritta a maggio ed è contentissima.", None),
            ("", "Non c'è qualcuno più sveglio di lei?", "connect"),
            ("", "L'anno scorso ho sospeso l'abbonamento, è stato facile.", None),
            ("", "Perfetto, è tutto, arrivederci.", "end_call"),
            ("", "Che caldo che fa oggi.", None),
        ),
    ),
    "pt": (
        "Uma academia",
        {
            "join": "Inscrever alguém.",
            "pause_membership": "Suspender uma assinatura.",
            "report_problem": "Report something broken or dirty.",
            "connect": "Put the caller through to a person.",
            "end_call": "Hang up.",
        },
        (
            ("", "Os chuveiros estão frios outra vez.", "report_problem"),
            ("", "Em julho vou estar fora e não vou precisar.", "pause_membership"),
            ("", "Que músculos o remo trabalha?", None),
            ("", "o escritório por favor", "connect"),
            ("", "Gostaria de treinar aí a partir de segunda.", "join"),
            ("", "Minha irmã se inscreveu em maio e adora.", None),
            ("", "Não tem alguém mais esperto que você?", "connect"),
            ("", "No ano passado suspendi a assinatura, foi fácil.", None),
            ("", "Perfeito, é só isso, tchau.", "end_call"),
            ("", "Que calor que está hoje.", None),
        ),
    ),
}

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

# Beginnings of what somebody says who asks to hang up.
PARTING = {
    language: tuple(beginning.strip() for beginning in beginnings.replace("\n", "/").split("/"))
    for language, beginnings in {
        "en": """bye / goodbye / good bye / farewell / so long / see you / take care
            good ?night(?! (?:at|an?|the|for|in|on|to)\\b)
            hang up / hanging up / end the call / end this call / end the conversation / stop the call
            that's all / that's it / that's everything / that's enough / that is all / that is it
            that was all / that was it / that was everything / that will be all / that'll be all
            that would be all / it's all / that'll do / that will do / i'm done / i'm all / i'm good
            i'm finished / we're done / all done / all set / nothing else / nothing more / nothing further
            no more questions / no further questions / talk to you / speak to you / speak later
            talk later / talk soon / call you later / until next time / have a good / have a nice
            have a great / have a lovely / have a wonderful / got to go / got to run / gotta / have to go
            have to run / have to leave / need to go / need to run / must go / must run / should go
            let you go / get going""",
        "fr": """au revoir / adieu / ciao / bye / raccroch / à bientôt / à plus / à demain / à la prochaine
            salut / bonne journée / bonne soirée / bonne nuit / bonne fin / bonne continuation
            bon week-end / c'est tout / c'était tout / ce sera tout / ça sera tout / c'est bon / ça ira
            ça suffi / cela suffi / rien d'autre / plus rien / d'autres questions / d'autre question
            j'ai fini / j'ai terminé / j'ai tout / dois y aller / dois partir / dois filer / vous laisse
            mettre fin""",
        "es": """adiós / adios / hasta luego / hasta pronto / hasta mañana / hasta otra / hasta la / nos vemos
            chao / chau / bye / colg / cuelg / que tenga / que pase / buenas noches / termin / finaliz
            es todo / era todo / sería todo / será todo / nada más / con eso / ya está / eso es
            tengo que irme / tengo que dejar / tengo que salir / me voy / me despido / tengo que marchar
            le dejo / lo dejo""",
        "it": """arrivederci / arrivederla / addio / ciao / a presto / a domani / a risentirci
            buona giornata / buona serata / buona notte / è tutto / era tutto / sarebbe tutto / nient'altro
            niente altro / nulla altro / null'altro / non mi serve altro / basta così / ho finito
            riaggan / riattac / metta giù / chiud / devo andare / devo scappare / devo lasciar / la saluto
            la lascio / può bastare""",
        "pt": """tchau / adeus / até logo / até mais / até breve / até amanhã / até a próxima / até à próxima
            deslig / tenha um / boa noite / bom fim / é só / era só / foi só / seria só / é tudo
            era tudo / só isso / mais nada / nada mais / chega / encerr / terminei / preciso ir
            tenho que ir / tenho de ir / vou indo""",
    }.items()
}
# The answer to whether there is anything else.
NO = {"en": ("no", "nope"), "fr": ("non",), "es": ("no",), "it": ("no",), "pt": ("não",)}

# With what a question for a tool's arguments begins: left to itself the model asks in the language of the
# tool's description, or tells the caller what it was told.
ASKING = {
    "en": "Of course. Could you tell me",
    "fr": "Bien sûr. Pourriez-vous me dire",
    "es": "Claro. ¿Podría decirme",
    "it": "Certo. Potrebbe dirmi",
    "pt": "Claro. Poderia me dizer",
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
    r"send_keys|press": {
        "en": ("For opening hours, press two.", "Please enter your account number, then press hash."),
        "fr": ("Pour les horaires, tapez deux.",),
        "es": ("Para los horarios, pulse dos.",),
        "it": ("Per gli orari, prema due.",),
        "pt": ("Para os horários, tecle dois.",),
    },
    r"keys|keypad|digits": {
        "en": ("Can I type it in?", "I'd rather key my number in."),
        "fr": ("Je peux taper le numéro ?",),
        "es": ("¿Puedo teclear el número?",),
        "it": ("Posso digitare il numero?",),
        "pt": ("Posso digitar o número?",),
    },
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

# Questions as they are written, and as somebody asks them who listens: nothing is promised, or told.
REWORDED = """\
# Telephone calls. The agent takes up what the caller said, and asks what is written down, in the caller's \
language. It promises nothing, and adds no facts:
Caller: Hi, my bicycle has a flat tyre. Written: Which kind of bicycle is it? -> \
{"says": "Oh, that's annoying. Which kind of bicycle is it?"}
Agent: Which kind of bicycle is it? Caller: a racing bike from the seventies Written: What colour is it? -> \
{"says": "A nice old one, then. And what colour is it?"}
Agent: What colour is it? Caller: Why do you ask? Written: What colour is it, please? -> \
{"says": "So that we find it again. What colour is it, please?"}
Agent: Où faut-il aller ? Caller: à la gare Written: Combien de valises avez-vous ? -> \
{"says": "À la gare, d'accord. Et combien de valises avez-vous ?"}

"""
