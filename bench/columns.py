"""Which run stands beside which, and which figures make a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.results import Metric, Run, ScenarioResult, ratio


@dataclass(frozen=True, slots=True)
class Column:
    """`against`: the run whose figures are divided by these; None for the subject's own runs."""

    run: Run
    heading: str
    against: Run | None

    def metric(self, scenario: str, key: str) -> Metric | None:
        return self.run.metric(scenario, key)

    def ratio(self, scenario: str, key: str) -> float | None:
        """How many times the subject is better, of a column that isn't its own."""
        now = self.against.metric(scenario, key) if self.against else None
        return None if now is None else ratio(now, self.metric(scenario, key))


def own(runs: Sequence[Run]) -> list[Run]:
    """Those of what is measured: of the first run's subject, over any transport."""
    return [run for run in runs if run.subject == runs[0].subject]


def columns(runs: Sequence[Run], earlier: Sequence[Run]) -> list[Column]:
    """The subject's runs, then everything else beside its run over the same transport."""
    mine = own(runs)
    several = len({run.transport for run in [*runs, *earlier]}) > 1
    others = [(run, _heading(run, several)) for run in runs if run not in mine]
    others += [(run, f"{_heading(run, several)}, earlier") for run in earlier]
    return [
        *(Column(run, run.transport if len(mine) > 1 else run.subject, None) for run in mine),
        *(Column(run, heading, _same_transport(run, mine)) for run, heading in others),
    ]


def _heading(run: Run, several: bool) -> str:
    return f"{run.subject} over {run.transport}" if several else run.subject


def _same_transport(other: Run, mine: Sequence[Run]) -> Run:
    return next((run for run in mine if run.transport == other.transport), mine[0])


def results(runs: Sequence[Run]) -> list[list[tuple[Run, ScenarioResult]]]:
    """The runs' results, scenario by scenario in the order in which they first come."""
    grouped: dict[str, list[tuple[Run, ScenarioResult]]] = {}
    for run in runs:
        for result in run.scenarios:
            grouped.setdefault(result.name, []).append((run, result))
    return list(grouped.values())


def rows(found: Sequence[ScenarioResult]) -> Iterator[Metric]:
    """One metric for each row of a scenario: its first result's, then what only others have in its place."""
    order: list[Metric] = []
    for result in found:
        place = 0
        for metric in result.metrics:
            known = next((at for at, one in enumerate(order) if one.key == metric.key), None)
            if known is None:
                order.insert(place, metric)
                place += 1
            else:
                place = known + 1
    return iter(order)
