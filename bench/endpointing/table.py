"""The table of cuts: one row a cut, with what each signal said of it."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path

TABLE = Path(__file__).parent / "cuts.csv"


@dataclass(frozen=True)
class Row:
    language: str
    source: str  # "person" or "synthesized"
    sentence: int
    voice: str
    kind: str
    place: str  # end, pause, gap, hesitation, word: see `callers.cuts`
    said: str
    agent: str  # what is answered; "" for the greeting
    transcript: str
    word_logprob: float
    completeness: float
    finished: float  # by weights that were fitted on other voices and other sentences

    @property
    def done(self) -> bool:
        return self.place == "end"

    @property
    def pauses(self) -> bool:
        """Whether it is where callers pause: behind any word nobody does."""
        return self.place in ("pause", "gap", "hesitation")


def write(rows: list[Row], path: Path = TABLE) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def read(path: Path = TABLE) -> list[Row]:
    kinds = {field.name: {"int": int, "float": float}.get(str(field.type), str) for field in fields(Row)}
    with path.open(newline="") as file:
        return [
            Row(**{name: kinds[name](value) for name, value in row.items()}) for row in csv.DictReader(file)
        ]
