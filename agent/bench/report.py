"""The figures of a run as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from agent.bench import svg
from agent.bench.results import Metric, Run, ScenarioResult, ratio
from agent.bench.table import shown

TILES = (
    ("voice-to-voice", "median"),
    ("voice-to-voice", "p95"),
    ("barge-in", "stop_median"),
    ("hesitation", "cut_0.8"),
    ("false-interruption", "stopped"),
    ("greeting", "worst"),
)

STYLE = (Path(__file__).parent / "report.css").read_text()


def page(runs: Sequence[Run], earlier: Sequence[Run]) -> str:
    first, others = runs[0], [*runs[1:], *earlier]
    at = datetime.fromtimestamp(first.at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    body = [
        "<h1>offhook bench</h1>",
        f'<p class="about">{escape(first.subject)} over {escape(first.transport)} · {at}</p>',
        f'<p class="about">{escape(str(first.machine))}</p>',
        f'<p class="about missed">{escape(first.machine.busy)}</p>' if first.machine.busy else "",
        _tiles(first),
        *(_section(result, first, others) for result in first.scenarios),
        "<h2>How it was measured</h2>",
        '<p class="note">A caller in a process of its own takes every time at its socket, arrivals by the '
        "kernel's own stamp. Voice to voice is from the caller's last speech packet to the agent's first "
        "audible one; barge-in stop from the caller's first speech packet to the agent's last audible one. "
        "A speech packet is within 30 dB of the recording's own level, an audible one above -50 dBFS. "
        "In the plots of dots, the line is the median and the dotted one the 95th percentile.</p>",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>offhook bench, {at}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _tiles(run: Run) -> str:
    tiles = []
    for scenario, key in TILES:
        metric = run.metric(scenario, key)
        if metric is not None and metric.value is not None:
            goal = "" if metric.goal is None else f" · goal {metric.goal:g}"
            tiles.append(
                f'<div class="tile"><b class="{_class(metric)}">{shown(metric)}</b>'
                f"<span>{escape(metric.title)}{goal}</span></div>"
            )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _section(result: ScenarioResult, first: Run, others: Sequence[Run]) -> str:
    parts = [f"<h2>{escape(result.title)}</h2>", _table(result, first, others)]
    for name in result.samples:
        series = [(run.subject, _samples(run, result.name, name)) for run in (first, *others)]
        goal = next((m.goal for m in result.metrics if m.key.endswith("median")), None)
        unit = "s" if result.name == "false-interruption" else "ms"
        parts.append(_card(name, svg.distribution(series, unit, goal)))
    if any(turn.voice_to_voice_ms is not None for turn in result.turns):
        goal = next((m.goal for m in result.metrics if m.key == "median"), None)
        parts.append(_card("Turn by turn", svg.legend(result.turns) + svg.waterfall(result.turns, goal)))
    parts += [_card(f"“{line.label}”", svg.barge_in(line)) for line in result.timelines]
    parts += [f'<p class="note">{escape(note)}</p>' for note in result.notes]
    return "".join(parts)


def _samples(run: Run, scenario: str, name: str) -> Sequence[float]:
    return next((one.samples.get(name, []) for one in run.scenarios if one.name == scenario), [])


def _table(result: ScenarioResult, first: Run, others: Sequence[Run]) -> str:
    heads = ["", "n", "goal", first.subject]
    for other in others:
        heads += [other.subject, "ratio"]
    rows = ["<tr>" + "".join(f"<th>{escape(head)}</th>" for head in heads) + "</tr>"]
    for metric in result.metrics:
        goal = "" if metric.goal is None else f"≤ {metric.goal:g}"
        cells = [
            f"<td>{escape(metric.title)}</td>",
            f'<td class="faint">{metric.count}</td><td class="faint">{goal}</td>',
            f'<td class="{_class(metric)}">{shown(metric)}</td>',
        ]
        for other in others:
            theirs = other.metric(result.name, metric.key)
            times = ratio(metric, theirs)
            cells.append(f"<td>{shown(theirs) if theirs else '-'}</td>")
            cells.append(f"<td>{'-' if times is None else f'{times:.2f}×'}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f'<div class="card"><table>{"".join(rows)}</table></div>'


def _class(metric: Metric) -> str:
    return {True: "met", False: "missed", None: ""}[metric.met]


def _card(title: str, content: str) -> str:
    return f'<h3>{escape(title)}</h3><div class="card">{content}</div>' if content else ""
