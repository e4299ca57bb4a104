from __future__ import annotations

from agent.flows.lexicon import Lexicon, any_of
from agent.flows.state import Intent

PORTUGUESE = Lexicon(
    begins={
        Intent.YES: any_of(
            """sim/é/isso/claro/exato/exatamente/certo/correto/perfeito/com certeza/está bem/tudo bem"""
        ),
        Intent.NO: any_of("não(?! tem problema| (?:me )?lembro| faço ideia)/de jeito nenhum"),
    },
    whole={
        Intent.YES: any_of(
            """isso mesmo/está (?:tudo )?(?:certo|bem|bom|correto|ótimo)/tá (?:bom|certo)/pode ser/ok/ótimo
            pode/confirmo/combinado/pode marcar/(?:não tem|sem) problemas?"""
        ),
        Intent.NO: any_of("está errado/não é isso/errado/incorreto"),
        Intent.REPEAT: any_of("desculpe/como/o quê/quê/alô/de novo/outra vez"),
        Intent.BACK: any_of("voltar/anterior"),
        Intent.LEAVE: any_of("cancele/cancela/pare/deixa (?:para lá|pra lá)/esqueça/esquece"),
    },
    within={
        Intent.NO: any_of(
            "está errado/não é isso/não está certo/(?:com certeza|claro que|acho que|isso) não"
        ),
        Intent.REPEAT: any_of(
            """repetir/repita/repete/de novo/não (?:ouvi|entendi|percebi|escutei)
            o que (?:é que )?(?:você |o senhor |a senhora )?(?:disse|falou)"""
        ),
        Intent.BACK: any_of("volt(?:e|ar) atrás/pergunta anterior"),
        Intent.UNKNOWN: any_of(
            """não sei/não (?:me )?lembro/não faço ideia/nem ideia/não tenho (?:certeza|ideia|um|uma)?
            tanto faz"""
        ),
        Intent.LEAVE: any_of(
            "deixa (?:para|pra) lá/esqueça/esquece/mudei de ideia/ligo (?:depois|mais tarde)"
        ),
        Intent.PERSON: any_of(
            """falar com (?!voc[eê])\\w+/uma pessoa de verdade/atendente
            (?:me passe|me passa|passe me) (?:para|a)/um humano"""
        ),
    },
    asks=any_of(
        """que/o que/qual/quais/quando/onde/quem/por que/porque/como/quanto/quanta/quantos/quantas
            vocês têm/tem/há/posso/poderia/pode se/é possível/estão/abrem/queria saber"""
    ),
    wonders=any_of(
        """que/o que/qual/quais/quando/onde/quem/por que|porque|como/quanto/quanta/quantos/quantas
            vocês (?:têm|abrem|fecham|aceitam|estão)/tem/têm/há/abrem/fecham/estão/a que horas
            queria (?:saber|perguntar)/uma pergunta"""
    ),
    offers=any_of(
        """algo/alguma coisa/livres?/dispon[íi]ve(?:l|is)/disponibilidade/poss[íi]vel/vagas?/horários?
            consultas?/(?:fica|está) bem/pode ser/mais cedo/próxim[oa]"""
    ),
    repeating=any_of(
        """(?:você |o senhor |a senhora )?(?:pode|poderia|podia)/desculp[ea]/perdão/por favor/me/isso/bem
            a pergunta/mais uma vez/outra vez/como/o quê"""
    ),
    politeness="é|eh|ah|oh|bom|bem|e|por favor|olá|oi|então|na verdade|aliás|espere",
    but="mas|exceto",
    waits="esper[ae]|(?:só )?um (?:momento|instante|minuto|segundo)",
    harmless="não tem problema|por que não|sem problemas?|não faz mal",
    denies="não|nunca|em vez de|sem",
    nothing=any_of(
        """(?:é|era|seria|só) (?:só )?(?:isso|tudo)/mais nada/nada(?: mais)?/só isso(?: mesmo)?
            estou bem/tudo certo/por (?:enquanto|agora|hoje) não/(?:acho|creio) que não/está bom assim
            deixa (?:para|pra) lá"""
    ),
    farewell=any_of(
        """tchau/adeus
            até (?:logo|mais|breve|amanhã|a próxima|à próxima|segunda|terça|quarta|quinta|sexta)
            (?:tenha )?(?:um )?bo[ma] (?:dia|tarde|noite|fim de semana)"""
    ),
    thanks="(?:muito )?obrigad[oa](?: (?:por tudo|pela ajuda|a você|mesmo))?|agradeço",
    courtesies=any_of(
        """muito (?:bem|bom|gentil)/perfeito/ótimo/certo/está (?:bem|bom)/tá (?:bom|certo)/beleza/bem
            igualmente/(?:para )?você também/senhora?/por hoje/por agora/então/ok/claro"""
    ),
    small="o|a|os|as|este|esta|para|pra|às|ao|próximo|próxima",
)
