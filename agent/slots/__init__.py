"""What a caller is asked for: read from words, found in longer sentences, said back.

Every kind is a `Slot`. Code reads, not a model: half past seven is 19:30 or is asked about, never guessed.
"""

from __future__ import annotations

from agent.slots.choice import Choice
from agent.slots.moments import Date, Duration, Time
from agent.slots.names import Email, Name, Spelled
from agent.slots.numbers import Amount, Count, Money, Phone
from agent.slots.slot import Problem, Slot, as_json

__all__ = [
    "Amount",
    "Choice",
    "Count",
    "Date",
    "Duration",
    "Email",
    "Money",
    "Name",
    "Phone",
    "Problem",
    "Slot",
    "Spelled",
    "Time",
    "as_json",
]
