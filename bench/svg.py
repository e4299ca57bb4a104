"""The plots of the report, as SVG text. Colours come from the page's CSS classes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, log10

from bench.results import Timeline, TurnRecord

WIDTH = 920
LABEL_WIDTH = 230
STAGES = ("end_of_turn", "transcript", "first_token", "first_sentence", "first_audio", "first_packet")


def axis_steps(most: float, wanted: int = 6) -> list[float]:
    """Round numbers from 0 to at least `most`."""
    if most <= 0:
        return [0.0, 1.0]
    raw = most / wanted
    power = 10 ** int(f"{raw:e}".partition("e")[2])
    step = next(nice * power for nice in (1, 2, 2.5, 5, 10) if nice * power >= raw)
    return [step * index for index in range(ceil(most / step) + 1)]


def waterfall(turns: Sequence[TurnRecord], goal_ms: float | None) -> str:
    """One bar a turn, from the caller's last speech packet to the agent's first audible one."""
    answered = [turn for turn in turns if turn.voice_to_voice_ms is not None]
    if not answered:
        return ""
    most = max(turn.voice_to_voice_ms or 0.0 for turn in answered)
    steps = axis_steps(max(most, goal_ms or 0.0))
    row = 17
    height = row * len(answered) + 34
    scale = (WIDTH - LABEL_WIDTH - 60) / steps[-1]
    parts = [_x_axis(steps, scale, height - 26, LABEL_WIDTH, "ms")]
    for index, turn in enumerate(answered):
        y = index * row + 4
        total = turn.voice_to_voice_ms or 0.0
        parts.append(
            f'<text class="label" x="{LABEL_WIDTH - 8}" y="{y + 10}" text-anchor="end">'
            f"{escape(_short(turn.label, 36))}</text>"
        )
        parts.append(_bar(turn, total, y, scale))
        parts.append(
            f'<text class="value" x="{LABEL_WIDTH + total * scale + 6:.1f}" y="{y + 10}">{total:.0f}</text>'
        )
    if goal_ms is not None:
        parts.append(_line(LABEL_WIDTH + goal_ms * scale, 0, height - 26, "goal", f"goal: {goal_ms:g} ms"))
    return _svg(height, parts, "Voice to voice, turn by turn")


def _bar(turn: TurnRecord, total: float, y: int, scale: float) -> str:
    if not turn.stages:
        return (
            f'<rect class="whole" x="{LABEL_WIDTH}" y="{y}" width="{max(1.0, total * scale):.1f}" '
            f'height="12" rx="2"><title>{escape(turn.label)}: {total:.0f} ms</title></rect>'
        )
    parts, x = [], float(LABEL_WIDTH)
    for name, ms in turn.stages.items():
        width = ms * scale
        kind = STAGES.index(name) if name in STAGES else len(STAGES)
        title = f"{escape(name.replace('_', ' '))}: {ms:.0f} ms"
        parts.append(
            f'<rect class="stage{kind}" x="{x:.1f}" y="{y}" width="{max(0.0, width - 1):.1f}" height="12">'
            f"<title>{title}</title></rect>"
        )
        x += width
    return "".join(parts)


def legend(turns: Sequence[TurnRecord]) -> str:
    """The stages that a waterfall shows, as HTML."""
    names = [name for name in STAGES if any(name in turn.stages for turn in turns)]
    items = [
        f'<span><i class="swatch stage{STAGES.index(name)}"></i>{name.replace("_", " ")}</span>'
        for name in names
    ]
    return f'<p class="legend">{"".join(items)}</p>' if items else ""


def distribution(series: Sequence[tuple[str, Sequence[float]]], unit: str, goal: float | None) -> str:
    """A row of dots for each series, its median as a bar and the 95th percentile as a tick."""
    series = [(name, sorted(values)) for name, values in series if values]
    if not series:
        return ""
    steps = axis_steps(max(max(values[-1] for _, values in series), goal or 0.0))
    row, label_width = 58, 150
    height = row * len(series) + 30
    scale = (WIDTH - label_width - 40) / steps[-1]
    parts = [_x_axis(steps, scale, height - 26, label_width, unit)]
    for index, (name, values) in enumerate(series):
        middle = index * row + row / 2
        parts.append(
            f'<text class="label" x="{label_width - 10}" y="{middle + 4}" text-anchor="end">'
            f"{escape(name)}</text>"
        )
        for place, value in enumerate(values):
            offset = ((place * 7) % 11 - 5) * 2.6
            parts.append(
                f'<circle class="dot series{min(index, 3)}" cx="{label_width + value * scale:.1f}" '
                f'cy="{middle + offset:.1f}" r="4"><title>{value:.0f} {unit}</title></circle>'
            )
        for share, kind in ((0.5, "median"), (0.95, "p95")):
            value = _percentile(values, share)
            x = label_width + value * scale
            parts.append(
                f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{middle - 22}" y2="{middle + 22}">'
                f"<title>{kind}: {value:.0f} {unit}</title></line>"
            )
    if goal is not None:
        parts.append(_line(label_width + goal * scale, 0, height - 26, "goal", f"goal: {goal:g} {unit}"))
    return _svg(height, parts, "Distribution")


def barge_in(timeline: Timeline) -> str:
    """Both sides' levels around an interruption: the caller above the line, the agent below it."""
    count = len(timeline.caller_dbfs)
    if not count:
        return ""
    left, half, height = 70, 62, 170
    scale = (WIDTH - left - 20) / count
    zero = left - timeline.from_ms / 20 * scale
    parts = []
    for index, (caller, agent) in enumerate(zip(timeline.caller_dbfs, timeline.agent_dbfs, strict=True)):
        x, width = left + index * scale, max(0.6, scale - 0.4)
        up, down = _loudness(caller) * half, _loudness(agent) * half
        if up:
            parts.append(
                f'<rect class="caller" x="{x:.1f}" y="{70 - up:.1f}" width="{width:.2f}" height="{up:.1f}"/>'
            )
        if down:
            parts.append(f'<rect class="agent" x="{x:.1f}" y="72" width="{width:.2f}" height="{down:.1f}"/>')
    parts.append(f'<text class="label" x="{left - 8}" y="44" text-anchor="end">caller</text>')
    parts.append(f'<text class="label" x="{left - 8}" y="104" text-anchor="end">agent</text>')
    stop_x = zero + timeline.stop_ms / 20 * scale
    parts.append(_line(zero, 0, 140, "onset", "the caller's first speech packet"))
    parts.append(_line(stop_x, 0, 140, "stop", "the agent's last audible packet"))
    parts.append(f'<text class="value" x="{stop_x + 5:.1f}" y="136">{timeline.stop_ms:.0f} ms</text>')
    end_ms = timeline.from_ms + count * 20
    ticks = range(int(timeline.from_ms), int(end_ms) + 1, 500)
    parts += [
        f'<text class="tick" x="{zero + tick / 20 * scale:.1f}" y="160" text-anchor="middle">{tick}</text>'
        for tick in ticks
    ]
    return _svg(height, parts, f"Barge-in: {timeline.label}")


def _loudness(dbfs: float) -> float:
    """0 at -60 dBFS and below, 1 at -10."""
    return min(1.0, max(0.0, (dbfs + 60) / 50))


def _percentile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _x_axis(steps: Sequence[float], scale: float, y: float, left: int, unit: str) -> str:
    parts = []
    digits = max(0, -int(log10(steps[1]) // 1))
    for index, step in enumerate(steps):
        x = left + step * scale
        text = f"{step:.{digits}f}" + (f" {unit}" if index == len(steps) - 1 else "")
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{y + 16}" text-anchor="middle">{text}</text>')
    return "".join(parts)


def _line(x: float, top: float, bottom: float, kind: str, title: str) -> str:
    return (
        f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}">'
        f"<title>{escape(title)}</title></line>"
    )


def _svg(height: float, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(title, quote=True)}">'
        f"{''.join(parts)}</svg>"
    )


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
