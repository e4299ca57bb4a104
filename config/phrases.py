"""What is said without the model when a call is put through, held, or left a message in."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints

from config.section import Section

Phrase = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300)]


class Overridable(Section):
    """Phrases, an empty one of which is the language's own."""

    def over(self, other: Self) -> Self:
        """These, and where they are empty those of `other`."""
        return other.model_copy(update={name: said for name, said in self if said})


class Phrases(Overridable):
    """An empty one is the language's own; where that has none either, nothing is said."""

    may_be_recorded: Phrase = Field("", description="First of all, where calls are recorded.")
    may_be_heard: Phrase = Field("", description="First of all, where operators may listen, too.")
    connecting: Phrase = Field("", description="Before a caller is put through: 'One moment.'")
    holding: Phrase = Field("", description="Before a caller is put on hold.")
    resumed: Phrase = Field("", description="When they are taken off it.")
    leave_message: Phrase = Field("", description="Before the tone behind which a message is recorded.")
    message_taken: Phrase = Field("", description="When it has been.")
    no_message: Phrase = Field("", description="When nothing was said, or no message can be taken.")
    not_entered: Phrase = Field("", description="To a caller who didn't key in what they were asked for.")
    announcing: Phrase = Field("", description="To a colleague who is asked to take a call.")
    about: Phrase = Field("", description="And what it is about: the caller's {words}.")
    not_connected: Phrase = Field("", description="To a caller who couldn't be put through.")

    not_told: Phrase = Field("", description="In the place of an answer that would recite the prompt.")
    limit_reached: Phrase = Field("", description="Before a call is ended that has reached one of `limits`.")
