from __future__ import annotations

from agent.flows.lexicon import Lexicon, any_of
from agent.flows.state import Intent

ENGLISH = Lexicon(
    begins={
        Intent.YES: any_of(
            """yes/yeah/yep/yup/ya/sure/correct(?! (?:the|it|that)\\b(?!'))/right/exactly/perfect/absolutely
            of course/indeed/certainly/definitely"""
        ),
        Intent.NO: any_of("no(?! problem| worries)/nope/nah/not quite/not really/wait no"),
    },
    whole={
        Intent.YES: any_of(
            """that's (?:right|correct|it|fine|good|great|perfect|true)/that is (?:right|correct|fine)
            sounds (?:good|great|right|perfect)/(?:please )?do(?: that| it)?/go ahead/fine/okay/ok/great
            all good/it is/all (?:right|correct)/alright/you got it/please/mm hmm/uh huh/that works
            works for me/i think so/no (?:problem|worries)"""
        ),
        Intent.NO: any_of(
            """that's (?:wrong|not right|not correct|incorrect)/wrong/incorrect/it isn't/that's not it"""
        ),
        Intent.REPEAT: any_of(
            """sorry/pardon/pardon me/excuse me/what/huh/come again/again/once more/hello/say what"""
        ),
        Intent.BACK: any_of("back/previous/the previous one"),
        Intent.LEAVE: any_of(
            """cancel/cancel (?:that|this|it)/stop/stop (?:it|that)/forget (?:it|that|about it)/quit"""
        ),
    },
    within={
        Intent.NO: any_of(
            """that's (?:wrong|not right|not correct)/isn't right/is wrong/i (?:don't|do not) think so
            (?:absolutely|of course|certainly|definitely) not/not (?:exactly|at all)"""
        ),
        Intent.REPEAT: any_of(
            """(?:say|repeat) (?:that|it|the question|what you (?:just )?said)
            (?:can|could|would) you repeat/what was that/what did you (?:just )?say/what was the question
            (?:didn't (?:quite )?(?:hear|catch|get)|couldn't (?:quite )?(?:hear|catch)) (?:that|you|it)
            say again
            i beg your pardon/one more time"""
        ),
        Intent.BACK: any_of("go back/step back/back up/back to the (?:last|previous)/previous question"),
        Intent.UNKNOWN: any_of(
            """(?:i )?(?:don't|do not) know/no idea/(?:i'm )?not sure/couldn't (?:say|tell you)
            (?:don't|do not) (?:remember|have (?:one|it|that))/no clue/no preference/doesn't matter"""
        ),
        Intent.LEAVE: any_of(
            """never mind/nevermind/forget (?:about )?the whole/changed my mind/leave it
            i'll call (?:back|again)/(?:don't|do not) want (?:to|it|that|any of) (?:anymore|any more)
            call the whole thing off"""
        ),
        Intent.PERSON: any_of(
            """(?:speak|talk) (?:to|with) (?!(?:you|my|him|her|them)\\b)\\w+/a word with (?!you\\b)\\w+
            (?:real|live|actual) (?:person|human)/(?:a|another) (?:human|human being)/operator
            representative/(?:put|patch) me through/(?:connect|transfer) me
            get me (?:someone|somebody|(?:a|your|the) (?:person|human|manager|boss))
            (?:someone|somebody|anyone|anybody) (?:else )?(?:i|we) (?:can|could) (?:speak|talk)
            (?:don't|do not) want (?:to (?:speak|talk) (?:to|with) )?a (?:machine|robot|computer|bot)"""
        ),
    },
    asks=any_of(
        """what/what's/whats/when/when's/where/where's/who/who's/whose/why/how/how's/which/do you/does
            did/is there/are there/are you/is it/is the/is your/can i/can we/can you/could you/could i
            could we/may i/will you/would you/would it/have you/has the/do i/do we/shall i/should i
            and (?:what|when|where|how|do you|is there)/i (?:was wondering|wanted to ask|have a question)
            tell me/quick question"""
    ),
    wonders=any_of(
        """what/what's/whats/when/when's/where/where's/who/who's/whose/why/how/how's/which/do you/does
            did/is there/are there/are you/is it/is that/is this/is the/is your/is he/is she/have you/has
            do i/do we/will you/would you/would it/tell me/(?:just )?(?:a |one )?(?:quick )?question
            i (?:was wondering|wanted to ask|wonder|have a question)"""
    ),
    offers=any_of(
        """(?:what|how) about/anything/something/free/available/availability/openings?/slots?/space
            room for me/possible/ok/okay/all right/alright/suit/earliest/soonest/next/fit me in
            squeeze me in/see me/take me/book me/put me/have me/appointments?
            (?:it|that|which) (?:be|do)/works?(?: for (?:you|me))?\\Z/can you do/could you do"""
    ),
    repeating=any_of(
        """(?:can|could|would|will) you/i'm (?:so )?sorry/i am (?:so )?sorry/sorry/pardon(?: me)?/excuse me
            please/i/i just/just/again/once more/(?:to|for) me/that/it/what/what you (?:just )?said
            the last (?:part|bit|thing)"""
    ),
    politeness="oh|um|uh|er|erm|hm|hmm|well|so|okay|ok|and|please|actually|sorry|hi|hello|ah|yeah so"
    "|by the way|before that|hold on|wait|but",
    but="but|except|only",
    waits="wait|hold on|hang on|(?:one|a|just a) (?:moment|second|minute)",
    harmless="no (?:problem|worries|need|doubt)|why not|not a problem|(?:don't|do not) mind|can't wait",
    denies="don't|do not|didn't|not|never|instead of|rather than|without|can't|cannot|won't|couldn't"
    "|unable to",
    nothing=any_of(
        """(?:that|it)(?:'s| is| was) (?:it|all|everything|enough)
            (?:that|it)(?:'s| is| was) (?:all|everything) (?:that )?(?:i|we) (?:need|want|have|had)(?:ed)?
            that(?:'ll| will| would|'d| should) (?:be|do)(?: (?:it|all|everything|fine))?
            that covers (?:it|everything)/nothing(?: else| more| further)?(?: (?:really|comes to mind))?
            all (?:good|set|done|sorted)
            (?:i'm|we're|i am|we are) (?:all )?(?:good|fine|set|done|okay|ok|finished|sorted)/never ?mind
            not (?:right now|now|today|really|this time|at the moment|for now|that i (?:can think|know) of)
            i don't (?:think so|think there is|need anything(?: else)?)/no more(?: questions)?/nope
            i (?:have|got)(?: got)? everything(?: i need)?/i've got everything(?: i need)?"""
    ),
    farewell=any_of(
        """bye(?: bye)?(?: now| then| for now)?/goodbye/good ?bye/so long/good night/take care
            see (?:you|ya)(?: (?:then|soon|later|there|tomorrow|next week))?/see you (?:next |on )?\\w+day
            (?:talk|speak) (?:to you )?(?:soon|later)/until (?:then|next time|tomorrow|\\w+day)
            have an? (?:\\w+ ){1,2}(?:day|one|evening|afternoon|morning|weekend|week|night)"""
    ),
    thanks=any_of(
        """(?:many )?thanks(?: (?:a lot|a bunch|so much|very much|again|ever so much))?
            (?:i )?thank you(?: (?:so much|very much|again|kindly|ever so much))?/cheers/much appreciated
            i (?:really )?appreciate (?:it|that|your help|the help)"""
    ),
    courtesies=any_of(
        """great/perfect/wonderful/lovely/excellent/brilliant/awesome/fantastic/super/fine/good/cool
            nice/amazing/alright/all right/okay/ok/right/very (?:good|kind|helpful|nice)(?: of you)?/got it
            for (?:all )?(?:your|the) (?:help|time|assistance|patience)/for (?:everything|that|now|today|me)
            for helping(?: me)?/(?:that|it|you)(?:'s|'re|'ve been| is| are| were| was| have been)
            really/very/so/most/just/such/an?/kind/helpful/sweet/star/(?:big |great )?help/of you
            i (?:think|guess|believe|suppose)/actually/then/sir/ma'am/madam/dear/(?:and )?you too
            same to you/you as well/please/well/um/uh/at the moment"""
    ),
    small="the|this|next|coming|on|at|around|about|say|maybe|like|a|for",
)
