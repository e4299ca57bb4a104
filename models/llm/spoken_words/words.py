"""What is known of a language's days, times and numbers.

Written as `models.llm.spoken` folds them: in lower case, without accents and hyphens, numbers as digits, the
words for a half, a quarter and three of them as "½", "¼" and "¾".
"""

from __future__ import annotations

from dataclasses import dataclass, field

NUMBER = r"½|¼|\d{1,3}"
LAST = r" \w+(?: \w+)? ?$"  # two words at most are left
NOON = 36  # o'clock, for it is noon whatever else is said
HOUR = rf"(?P<h>[01]?\d|2[0-4]|{NOON})(?!\d)"
MINUTE = r"(?P<m>½|¼|¾|[0-5]?\d)(?!\d)"
EARLIER = r"(?P<minus>¼|[0-5]?\d)(?!\d)"
# One of the two times of a range, and a number and its unit in one.
_PARTS = r"[½¼¾]|\d[\d:h]*|h|heures?|horas?|ore|o|clock|o'clock|[ap]m|past|et|y|e|un|moins|menos|meno|le"
MOMENT = rf"(?:[½¼] (?:past|to) )?\d[\d:h]*(?: (?:{_PARTS}))*"
UNITS = (  # of `ahead`, in minutes
    dict.fromkeys(("minute", "minuto", "minut"), 1)
    | dict.fromkeys(("hour", "heure", "hora", "or"), 60)
    | dict.fromkeys(("day", "jour", "dia", "giorn"), 1440)
    | dict.fromkeys(("week", "semaine", "semana", "settiman"), 10080)
)


@dataclass(frozen=True)
class Words:
    """The strings are regular expressions.

    `clock` has groups h and m, or h and minus, the minutes before that hour; `ahead` has n and unit, a time
    from now; `dates` has d, and mon where MONTH stands. `days` maps a phrase to days from today, longer
    phrases first.
    """

    half: str
    quarter: str
    weekdays: str  # from Monday on, a space between
    months: str
    days: dict[str, int]
    morning: str
    later: str  # noon to midnight
    night: str  # after which twelve is midnight
    noon: str
    midnight: str
    sharp: str  # how the clock says a whole hour
    clock: tuple[str, ...]
    ranges: tuple[str, ...]  # of times, of which none is meant alone
    bound: str  # before a time that isn't meant itself
    open_ended: str  # behind such a time
    ahead: tuple[str, ...]
    dates: tuple[str, ...]
    no_day: str  # ordinals and weekdays that are none, in words that aren't folded but plain
    next_week: str  # with a weekday: the one in the calendar week that follows
    vague: str  # a day or time that can't be read, or one that is over
    choice: str  # two values of which neither is settled
    between: str  # two numbers, the ends of what may be meant
    to: str
    added: str  # between numbers that are counted together
    one: str  # a person, after `added`
    counts: dict[str, int]  # phrases that are a number
    zero: str
    repeated: dict[str, int]
    next_month: str  # with the number of a day
    # Digits of a telephone number, as recognizers take them for other words.
    sounds_like: dict[str, str] = field(default_factory=dict)
    weeks_on: dict[str, int] = field(default_factory=dict)  # phrases with a WEEKDAY that is so much later

    @property
    def any_month(self) -> str:
        return self.months.replace(" ", "|")
