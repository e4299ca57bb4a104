"""The figures of a run as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from bench import svg
from bench.columns import Column, columns, own, results, rows
from bench.results import Metric, Run, ScenarioResult
from bench.table import shown

TILES = (
    ("voice-to-voice", "median"),
    ("voice-to-voice", "p95"),
    ("voice-to-voice", "over_sip"),
    ("barge-in", "stop_median"),
    ("hesitation", "false_0.8_gap"),
    ("hesitation", "silent_median"),
    ("hesitant-caller", "left"),
    ("false-interruption", "stopped"),
    ("greeting", "worst"),
)

MEASURED = {
    "sip": "SIP: G.711 in RTP; arrivals by the kernel's own stamp.",
    "webrtc": "WebRTC: Opus in SRTP; arrivals as the packets are decrypted, before any jitter buffer.",
    "twilio": "Twilio: the caller hears what Twilio would play of the stream, in real time, less what a "
    "clear finds unplayed; Twilio's own way to its caller isn't in the figures.",
}

STYLE = (Path(__file__).parent / "report.css").read_text()


def page(runs: Sequence[Run], earlier: Sequence[Run]) -> str:
    first, mine, beside = runs[0], own(runs), columns(runs, earlier)
    over = ", ".join(run.transport for run in mine)
    at = datetime.fromtimestamp(first.at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    body = [
        "<h1>offhook bench</h1>",
        f'<p class="about">{escape(first.subject)} over {escape(over)} · {at}</p>',
        f'<p class="about">{escape(str(first.machine))}</p>',
        f'<p class="about missed">{escape(first.machine.busy)}</p>' if first.machine.busy else "",
        _tiles(mine),
        *(_section(group, beside) for group in results(mine)),
        "<h2>How it was measured</h2>",
        '<p class="note">A caller in a process of its own takes every time at its socket. '
        "Voice to voice is from the caller's last speech packet to the agent's first "
        "audible one; barge-in stop from the caller's first speech packet to the agent's last audible one. "
        "A speech packet is within 30 dB of the recording's own level, an audible one above -50 dBFS. "
        "In the plots of dots, the line is the median and the dotted one the 95th percentile.</p>",
        *(f'<p class="note">{MEASURED[run.transport]}</p>' for run in mine if run.transport in MEASURED),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>offhook bench, {at}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _tiles(mine: Sequence[Run]) -> str:
    tiles = []
    for run in mine:
        over = f" over {escape(run.transport)}" if len(mine) > 1 else ""
        for scenario, key in TILES:
            metric = run.metric(scenario, key)
            if metric is not None and metric.value is not None:
                goal = "" if metric.goal is None else f" · goal {metric.goal:g}"
                tiles.append(
                    f'<div class="tile"><b class="{_class(metric)}">{shown(metric)}</b>'
                    f"<span>{escape(metric.title)}{over}{goal}</span></div>"
                )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _section(group: Sequence[tuple[Run, ScenarioResult]], beside: Sequence[Column]) -> str:
    (_, first), *_ = group
    parts = [f"<h2>{escape(first.title)}</h2>", _table([result for _, result in group], beside)]
    for name in first.samples:
        series = [(column.heading, _samples(column.run, first.name, name)) for column in beside]
        own = (one for one in first.metrics if one.title.startswith(name) and "median" in one.key)
        goal = next((one.goal for one in own), None)
        unit = "s" if first.name == "false-interruption" else "ms"
        parts.append(_card(name, svg.distribution(series, unit, goal)))
    for run, result in group:
        over = f" over {run.transport}" if len(group) > 1 else ""
        if any(turn.voice_to_voice_ms is not None for turn in result.turns):
            goal = next((m.goal for m in result.metrics if m.key == "median"), None)
            plot = svg.legend(result.turns) + svg.waterfall(result.turns, goal)
            parts.append(_card(f"Turn by turn{over}", plot))
        parts += [_card(f"“{line.label}”{over}", svg.barge_in(line)) for line in result.timelines]
        parts += [f'<p class="note">{escape(note + over)}</p>' for note in result.notes]
    return "".join(parts)


def _samples(run: Run, scenario: str, name: str) -> Sequence[float]:
    return next((one.samples.get(name, []) for one in run.scenarios if one.name == scenario), [])


def _table(found: Sequence[ScenarioResult], beside: Sequence[Column]) -> str:
    heads = ["", "n", "goal"]
    for column in beside:
        heads += [column.heading] if column.against is None else [column.heading, "ratio"]
    lines = ["<tr>" + "".join(f"<th>{escape(head)}</th>" for head in heads) + "</tr>"]
    for metric in rows(found):
        goal = "" if metric.goal is None else f"≤ {metric.goal:g}"
        cells = [
            f"<td>{escape(metric.title)}</td>",
            f'<td class="faint">{metric.count}</td><td class="faint">{goal}</td>',
        ]
        cells += [_cell(column, found[0].name, metric.key) for column in beside]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f'<div class="card"><table>{"".join(lines)}</table></div>'


def _cell(column: Column, scenario: str, key: str) -> str:
    metric = column.metric(scenario, key)
    if column.against is None:
        return f'<td class="{_class(metric)}">{shown(metric)}</td>' if metric else "<td></td>"
    times = column.ratio(scenario, key)
    ratio = "-" if times is None else f"{times:.2f}×"
    return f"<td>{shown(metric) if metric else '-'}</td><td>{ratio}</td>"


def _class(metric: Metric) -> str:
    return {True: "met", False: "missed", None: ""}[metric.met]


def _card(title: str, content: str) -> str:
    return f'<h3>{escape(title)}</h3><div class="card">{content}</div>' if content else ""
