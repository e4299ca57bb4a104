"""What the numbers that test the line say, language by language."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from config.files import read_yaml
from config.primer import Text
from config.section import Section

FOLDER = Path(__file__).parent / "announcements"


class Announcements(Section):
    """One language's. Words in braces are filled in."""

    greetings: Mapping[str, Text]  # by test number: what it does
    star: Text
    pound: Text
    heard: Text  # {text}
    sure: Text  # {percent}, behind it
    nothing_heard: Text
    not_recognized: Text  # the recognizer failed
    took: Text  # {ms} {parts}
    parts: Mapping[str, Text]  # by stage of the answer, as the latency trace has them
    codec: Text  # {codec}
    packets: Text  # {received} {lost}
    packets_unlost: Text  # {received}: what is lost can't be known
    jitter: Text  # {ms}
    round_trip: Text  # {ms}
    no_round_trip: Text
    decimal: Text  # what stands before the tenths
    mos: Text  # {mos}
    no_mos: Text


@functools.cache
def announcements(language: str) -> Announcements:
    """For an ISO 639 code; English for a language without any."""
    path = FOLDER / f"{language}.yaml"
    if not path.is_file():
        return announcements("en")
    return Announcements.model_validate(read_yaml(path, "The announcements"))
