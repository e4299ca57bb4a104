"""What a model's failure costs a call: a policy."""

from __future__ import annotations

from enum import Enum, auto


class Outcome(Enum):
    NOTHING = auto()  # it is part of a failure that was told already
    AGAIN = auto()  # the caller is asked to say it again
    END = auto()  # an apology, and the end of the call


class Troubles:
    """One call's. The first failure is apologized for, and the caller asks again; one that follows it, with
    no answer between them, ends the call."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._told = False

    def answered(self) -> None:
        """The caller has heard an answer."""
        self._in_a_row = 0

    def caller_speaks(self) -> None:
        """What fails from now on fails anew."""
        self._told = False

    def one_more(self) -> Outcome:
        """A model failed."""
        if self._told:
            return Outcome.NOTHING
        self._told = True
        self._in_a_row += 1
        return Outcome.AGAIN if self._in_a_row == 1 else Outcome.END
