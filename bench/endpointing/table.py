"""The table of cuts: one row a cut, with what each signal said of it."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path

TABLE = Path(__file__).parent / "cuts.csv"


@dataclass(frozen=True)
class Cut:
    sentence: int
    voice: str
    kind: str
    place: str  # end, hesitation, hesitation (lengthened), word
    done: int
    speech_ms: int
    said: str
    transcript: str
    acoustic: float
    completeness: float
    word_logprob: float


def write(table: list[Cut], path: Path = TABLE) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Cut)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(cut) for cut in table)


def read(path: Path = TABLE) -> list[Cut]:
    with path.open(newline="") as file:
        return [
            Cut(
                sentence=int(row["sentence"]),
                voice=row["voice"],
                kind=row["kind"],
                place=row["place"],
                done=int(row["done"]),
                speech_ms=int(row["speech_ms"]),
                said=row["said"],
                transcript=row["transcript"],
                acoustic=float(row["acoustic"]),
                completeness=float(row["completeness"]),
                word_logprob=float(row["word_logprob"]),
            )
            for row in csv.DictReader(file)
        ]
