from __future__ import annotations

from models.llm.spoken_words.words import HOUR, LAST, MINUTE, MOMENT, NUMBER, Words

ENGLISH = Words(
    half=r"half",
    quarter=r"quarter",
    weekdays="monday tuesday wednesday thursday friday saturday sunday",
    months="january february march april may june july august september october november december",
    days={
        r"(?:an?|1) week tomorrow|tomorrow week": 8,
        r"(?:in )?an? fortnight(?: (?:today|from (?:now|today)))?|in an? couple of weeks": 14,
        r"in an? couple of days|day after tomorrow": 2,
        r"tomorrow": 1,
        r"(?<!week )(?<!weeks )today|tonight|this (?:morning|afternoon|evening)": 0,
    },
    morning=r"am|morning|breakfast",
    later=r"pm|afternoon|evening|tonight|night|lunch|lunchtime|dinner|supper",
    night=r"at night",
    noon=r"(?:12 )?(?:noon|midday)",
    midnight=r"(?:12 )?midnight",
    sharp="{} o clock",
    clock=(
        rf"{MINUTE}(?: minutes?)? (?:past|after) {HOUR}",
        r"(?P<minus>¼|5|10|15|20|25|[0-5]?\d(?= minutes?))(?!\d)(?: minutes?)? "
        rf"(?:to|before|till) {HOUR}",
        rf"(?P<minus>¼) of {HOUR}",
        rf"(?P<m>½) {HOUR}",
        rf"{HOUR} (?:o clock )?(?P<m>[0-5]\d)(?! ?(?:people|persons|of us))(?!\d)",
        rf"{HOUR} ?(?=o[ ']?clock|[ap]m\b|in the|at night|tonight)",
        r"\b(?:at|around|about|from|before|after|until|till|by|later than|earlier than) "
        rf"{HOUR}(?! (?:people|persons|guests|adults|kids|of us))",
    ),
    ranges=(
        rf"\bbetween (?:a )?{MOMENT} (?:and|to|or) (?:a )?{MOMENT}",
        rf"\bfrom (?:a )?{MOMENT} (?:to|till|until|through) (?:a )?{MOMENT}",
        # "Ten to eleven" is a time, and "seven to nine" none.
        rf"(?<![½¼\d] )(?<!\d)(?!(?:5|10|15|20|25) to){MOMENT} (?:to|till|until) {MOMENT}"
        r"(?! (?:people|persons|guests|adults|kids|of us))",
    ),
    bound=r"before|after|until|till|past|(?:later|earlier) than"
    r"|(?<!come )(?<!coming )(?<!stop )(?<!drop )(?<!swing )(?<!pop )(?<!pass )by",
    open_ended=rf"(?:or|and(?={LAST})) (?:later|earlier|after|before|onwards?)|onwards?"
    r"|at the (?:latest|earliest|soonest)|at (?:latest|earliest)",
    ahead=(
        rf"\bin (?P<n>{NUMBER}|an?) ?(?:an )?(?P<unit>minute|hour|day|week)s?\b",
        r"\b(?P<n>\d+|an?) (?P<unit>day|week)s? (?:from (?:now|today)|today)\b",
    ),
    dates=(
        # "Fine, December second" is heard as "five December 2nd".
        r"\b(?P<d>\d{1,2})(?:st|nd|rd|th)?(?: day)?(?: of)? (?P<mon>MONTH)\b(?! \d{1,2}(?:st|nd|rd|th)\b)",
        r"\b(?P<mon>MONTH) (?:the )?(?P<d>\d{1,2})(?:st|nd|rd|th)?\b",
        r"\b(?P<d>\d{1,2})(?:st|nd|rd|th)\b",
    ),
    no_day=r"(?:(?:\d(?:st|nd|rd|th)|first|second|third|fourth|last|other) "
    r"(?:one|1|times?|visits?|calls?|floor|attempt|try|person|name|line|half(?! past)|class|hand|place|"
    r"option|choice|opinion|street|avenue|anniversary|birthday|child|kid|number|message|question|"
    r"available|free|slot|appointment|opening|thing|of all|off|up|come|week|day(?! of))"
    r"|(?:an?|one|1|any|every|per|split) (?:second|sec)|at first|on the one hand"
    # "Thursday, please", misheard
    r"|^first (?!of|please|then|is|works|would|if|at|in|and|or)\w+)\b",
    next_week=r"next week|next",
    vague=r"yesterday|last|ago|weeks?|month|weekend|not",
    choice=r"or",
    between=r"between",
    to=r"to|till|until",
    added=r"and|plus|with",
    one=r"an?|1",
    counts={
        r"(?:just|only) (?:me|myself)": 1,
        r"my (?:wife|husband|girlfriend|boyfriend|partner|friend) and (?:i|me)": 2,
        r"(?<=and )my (?:wife|husband|girlfriend|boyfriend|partner|friend|son|daughter)": 1,
        r"a couple": 2,
        r"(?:½|half) (?:a )?dozen": 6,
        r"(?:an? )?dozen": 12,
        r"(?:me|i)(?= (?:and|my))|my (?:wife|husband)(?= and)": 1,
    },
    zero=r"oh|o|zero|nought",
    sounds_like={
        r"\b(?:to|too)(?= \d)": "2",
        r"\b(?:for|fore)(?= \d)": "4",
        r"(?<=\d) (?:a|of|all|go)(?= \d)": " 0",
    },
    repeated={"double": 2, "triple": 3, "treble": 3},
    next_month=r"next month",
    weeks_on={
        r"\b(?:an?|1) week (?:from|on|after) (?:this |next )?WEEKDAY\b": 1,
        r"\bWEEKDAY week\b": 1,
        r"\b2 weeks (?:from|on|after) (?:this |next )?WEEKDAY\b": 2,
    },
)
