"""What machines and people say when they answer a telephone, in the languages of the bundled voices."""

from __future__ import annotations

import re


def _any(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(phrases), re.IGNORECASE)


MACHINE = _any(
    *(r"leave\b.*\b(message|name|number)", r"(after|at) the (tone|beep|signal)", r"voice ?mail"),
    *(r"mail ?box", r"answering machine", r"record (your|a) message"),
    r"(can ?not|can't|unable to|not able to) (take|come|get|answer|reach)",
    r"(isn't|is not|not|are not|aren't|am not|i'm not) (currently )?(available|here|in the office|at home)",
    *(r"(you've|you have|you) reached", r"(we're|we are|are|is) (currently |now )?closed"),
    *(r"(call|phone|ring) (you )?back", r"get back to you"),
    *(r"(busy|away) (right now|at the moment)", r"missed your call", r"the (person|number) you"),
    *(r"please hold", r"you know what to do", r"sorry (i|we) missed"),
    *(r"press (one|two|zero|\d)", r"your call (is|may|will)", r"office hours", r"no one is"),
    *(r"laiss(ez|er|e).*message", r"bip sonore", r"après le (bip|signal)", r"répondeur"),
    *(r"messagerie", r"(suis|sommes) (absent|pas)", r"(vous êtes|bienvenue) (bien )?(sur|chez)"),
    *(r"indisponible", r"pas disponible", r"rappeler", r"actuellement (absent|fermé)"),
    *(r"nachricht", r"signalton", r"piepton", r"anrufbeantworter"),
    *(r"nicht (erreichbar|zu hause|da)", r"rufen .* zurück", r"außerhalb"),
    *(r"dej(e|a|en) .*mensaje", r"(después|tras) .*(señal|tono)", r"buzón"),
    *(r"no (está|estoy|estamos) disponible", r"contestador", r"no podemos atender"),
    *(r"no puedo (atender|contestar)", r"(ha|has) llamado", r"devolver"),
    *(r"lasci(a|ate|are) .*messaggio", r"segreteria", r"segnale acustico"),
    r"non (sono|siamo|è) (disponibil|in casa|raggiungibil)",
    *(r"non (posso|possiamo) rispondere", r"richiam", r"risponde la"),
    *(r"deix(e|a|ar) .*(mensagem|recado)", r"(após|depois d)o (sinal|bip)", r"caixa postal"),
    *(r"não (posso|podemos) atender", r"não est(ou|amos) disponí", r"ligaremos", r"você ligou"),
)
# Whoever asks so waits for an answer.
HUMAN = _any(
    *(r"(how|what) (can|may|could|do) (i|we) (help|do|get)", r"help you"),
    *(r"who('s| is) (this|calling|there|it)", r"speaking\b", r"can i help", r"are you there"),
    *(r"\b(how|what) (can|may|could)\b", r"\bcan (i|we|$)", r"hi there", r"puis-je"),
    *(r"vous aider", r"qui est", r"à l'appareil", r"c'est de la part", r"j'écoute"),
    *(r"en qu[eé] pued", r"ayudar", r"dígame", r"diga\b", r"quién (es|habla)"),
    *(r"posso (aiuta|ajud)", r"chi (parla|è)", r"pronto\b", r"quem (fala|é)", r"kann ich"),
    *(r"wer ist", r"am apparat"),
)
# A recording doesn't know it.
TIME_OF_DAY = _any(
    *(r"good (morning|afternoon|evening)", r"bonsoir", r"guten (morgen|abend)"),
    *(r"buenas (tardes|noches)", r"buonasera", r"boa (tarde|noite)"),
)
