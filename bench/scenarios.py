"""What is tried: each scenario makes calls and turns their packets into figures.

The goals are those for 2 cores, the bundled models, PCMU, and one call at a time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bench import asking, metrics
from bench.asking import ask, converse, findings, median, timeline
from bench.caller.script import Echo, Hangup, Line, Play, Step, Transport, Wait
from bench.callers import Call, CallFailed, together
from bench.hesitating import hesitant_caller, hesitation
from bench.material import Sound
from bench.pacing import pacing
from bench.results import Metric, ScenarioResult, Timeline, TurnRecord
from bench.subjects import PersonaName
from bench.workbench import Bench

ECHO_DELAYS_MS = (50, 100, 200, 300, 400)
EVERY: tuple[Transport, ...] = ("sip", "webrtc", "twilio")
SHORTEST_GREETING_S = 5.0
OVER_RTP: tuple[Transport, ...] = ("sip", "webrtc")


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    persona: PersonaName
    run: Callable[[Bench], Awaitable[ScenarioResult]]
    transports: tuple[Transport, ...] = EVERY


def _latency_metrics(
    prefix: str,
    records: Sequence[TurnRecord],
    asked: int,
    median_goal: float | None,
    p95_goal: float | None = None,
) -> list[Metric]:
    """`asked`: how many turns there should have been; a call that ends early leaves some unanswered."""
    values = [record.voice_to_voice_ms for record in records if record.voice_to_voice_ms is not None]
    distribution = metrics.Distribution.of(values)
    unanswered = asked - len(values) - sum(record.talked_over for record in records)
    middle = distribution.median if values else None
    p95 = distribution.p95 if values else None
    return [
        Metric(f"{prefix}median", f"{prefix}voice-to-voice, median", middle, "ms", len(values), median_goal),
        Metric(f"{prefix}p95", f"{prefix}voice-to-voice, p95", p95, "ms", len(values), p95_goal),
        Metric(f"{prefix}unanswered", f"{prefix}turns without an answer", unanswered, "count", asked, 0),
    ]


async def voice_to_voice(bench: Bench) -> ScenarioResult:
    sounds = await bench.material.questions(bench.turns)
    calls = await converse(bench, sounds)
    records = asking.records(calls)
    found = _latency_metrics("", records, bench.turns, 400, 800)
    strangers = {sound.label for sound in sounds if sound.stranger}
    for key, whose, strange in (
        ("stranger", "of strangers", True),
        ("known", "of those seen in the fit", False),
    ):
        values = [
            one.voice_to_voice_ms
            for one in records
            if one.voice_to_voice_ms is not None and (one.label in strangers) == strange
        ]
        found.append(Metric(f"{key}_median", f"  {whose}, median", median(values), "ms", len(values)))
    over = sum(record.talked_over for record in records)
    found.append(Metric("talked_over", "questions talked over", over, "count", len(records)))
    told = [record for record in records if record.stages and record.voice_to_voice_ms is not None]
    names = list(dict.fromkeys(name for record in told for name in record.stages))
    for name in names:
        values = [record.stages[name] for record in told if name in record.stages]
        found.append(
            Metric(f"stage_{name}", f"  of it {name.replace('_', ' ')}", median(values), "ms", len(values))
        )
    if told:
        off = [abs(sum(one.stages.values()) - (one.voice_to_voice_ms or 0)) for one in told]
        found.append(Metric("ledger_off", "ledger against wire, median", median(off), "ms", len(off), 30))
        lost = sum(record.voice_to_voice_ms is not None for record in records) - len(told)
        found.append(Metric("ledger_lost", "answers without a ledger", lost, "count", len(records)))
    found.append(_discarded("", calls))
    samples = {"voice-to-voice": [r.voice_to_voice_ms for r in records if r.voice_to_voice_ms is not None]}
    return ScenarioResult(
        "voice-to-voice", "Voice to voice", found, turns=records, samples=samples, notes=findings(calls)
    )


async def barge_in(bench: Bench) -> ScenarioResult:
    stops: list[float] = []
    timelines: list[Timeline] = []
    missed = 0
    timing = random.Random(7)
    for sound in await bench.material.interruptions(bench.share(1 / 3)):
        steps = (
            Wait(until="speaking", for_ms=timing.randrange(1200, 2600), timeout_s=10),
            Play(wav=sound.wav, label=sound.label, kind="barge-in"),
            Wait(until="reply", timeout_s=6),
            Wait(until="time", timeout_s=0.3),
            Hangup(),
        )
        call = await bench.caller.call(steps)
        for turn in metrics.turns(call.log, kinds=("barge-in",)):
            if turn.barge_in_stop_ms is None:
                missed += 1
                continue
            stops.append(turn.barge_in_stop_ms)
            stop_ms = turn.barge_in_stop_ms
            timelines.append(timeline(call.log, turn.label, turn.first_speech, turn.last_speech, stop_ms))
        bench.say(f"{len(stops) + missed} interruptions")
    if not stops:
        raise CallFailed(f"none of {missed} interruptions met the agent speaking")
    distribution = metrics.Distribution.of(stops)
    found = [
        Metric(
            "stop_median",
            "barge-in stop, median",
            distribution.median,
            "ms",
            len(stops),
            200,
        ),
        Metric("stop_p95", "barge-in stop, p95", distribution.p95, "ms", len(stops), 300),
    ]
    notes = [f"{missed} fell into a pause of the agent's and don't count"] if missed else []
    kept = sorted(timelines, key=lambda one: one.stop_ms)
    middle = kept[len(kept) // 2 : len(kept) // 2 + 1] + kept[-1:]
    return ScenarioResult(
        "barge-in", "Barge-in", found, samples={"barge-in stop": stops}, timelines=middle, notes=notes
    )


async def false_interruption(bench: Bench) -> ScenarioResult:
    """Sounds and echoes during a long greeting, whose undisturbed length a first call measures."""
    hear_out = (
        Wait(until="speaking", timeout_s=10),
        Wait(until="silent", for_ms=2500, timeout_s=120),
        Hangup(),
    )
    whole_s = metrics.heard_s((await bench.caller.call(hear_out)).log)
    if whole_s < SHORTEST_GREETING_S:
        raise CallFailed(f"of the undisturbed greeting {whole_s:.1f} s were heard, too little to disturb it")
    bench.say(f"the undisturbed greeting lasts {whole_s:.1f} s")
    sounds = await bench.material.nothings(bench.share(5 / 3))
    per_call = max(1, int((whole_s - 5) / 2.5))
    two_at_once = asyncio.Semaphore(2)

    async def disturbed(part: Sequence[Sound]) -> Call:
        steps: list[Step] = [Wait(until="speaking", for_ms=1000, timeout_s=10)]
        for sound in part:
            steps += [Play(wav=sound.wav, label=sound.label, kind=sound.kind), Wait(timeout_s=1.7)]
        async with two_at_once:
            return await bench.caller.call((*steps, *hear_out[1:]))

    async def echoed(delay_ms: int) -> Call:
        async with two_at_once:
            return await bench.caller.call(hear_out, Line(echo=Echo(gain_db=-15, delay_ms=delay_ms)))

    parts = [sounds[start : start + per_call] for start in range(0, len(sounds), per_call)]
    calls = await together(disturbed(part) for part in parts)
    echoes = await together(echoed(delay_ms) for delay_ms in ECHO_DELAYS_MS)
    kinds = sorted({sound.kind for sound in sounds})
    met = [one for call in calls for one in metrics.disturbances(call.log, kinds)]
    stopped_by_echo = sum(metrics.longest_silence_s(call.log) > metrics.NATURAL_PAUSE_S for call in echoes)
    stopped = sum(one.stopped for one in met) + stopped_by_echo
    lost = sum(metrics.heard_s(call.log) < whole_s * 0.93 for call in (*calls, *echoes))
    count = len(met) + len(echoes)
    found = [
        Metric("stopped", "stopped over 1 s by nothing", 100 * stopped / max(1, count), "%", count, 3),
        Metric("lost", "greetings not heard to the end", lost, "count", len(calls) + len(echoes), 0),
    ]
    for kind in kinds:
        of_kind = [one.stopped for one in met if one.kind == kind]
        share = 100 * sum(of_kind) / len(of_kind) if of_kind else None
        found.append(Metric(f"stopped_{kind}", f"  by {kind}", share, "%", len(of_kind)))
    silences = {"silence after": [one.silence_s for one in met]}
    share = 100 * stopped_by_echo / len(echoes)
    found.append(Metric("stopped_echo", "  by echo at -15 dB, 50-400 ms", share, "%", len(echoes)))
    return ScenarioResult(
        "false-interruption",
        "False interruptions",
        found,
        samples=silences,
        notes=findings([*calls, *echoes]),
    )


async def greeting(bench: Bench) -> ScenarioResult:
    steps = (Wait(until="speaking", for_ms=100, timeout_s=10), Hangup())
    values = []
    made = bench.share(1 / 6)
    for _ in range(made):
        call = await bench.caller.call(steps)
        if (ms := metrics.greeting_ms(call.log)) is not None:
            values.append(ms)
    distribution = metrics.Distribution.of(values)
    found = [
        Metric(
            "median", "answer to greeting, median", distribution.median if values else None, "ms", len(values)
        ),
        Metric(
            "worst",
            "answer to greeting, longest",
            distribution.most if values else None,
            "ms",
            len(values),
            500,
        ),
        Metric("unheard", "greetings not heard", made - len(values), "count", made, 0),
    ]
    return ScenarioResult("greeting", "Greeting", found, samples={"greeting": values})


async def bad_network(bench: Bench) -> ScenarioResult:
    found: list[Metric] = []
    records: list[TurnRecord] = []
    notes: list[str] = []
    for loss, jitter_ms in ((0.01, 0.0), (0.05, 0.0), (0.05, 40.0)):
        sounds = await bench.material.questions(bench.share(0.2))
        line = Line(loss=loss, jitter_ms=jitter_ms, seed=3)
        calls = await converse(bench, sounds, line)
        part = asking.records(calls)
        records += part
        notes += findings(calls)
        name = f"{loss * 100:g}% loss" + (f", {jitter_ms:g} ms jitter" if jitter_ms else "")
        found += _latency_metrics(f"{name}: ", part, len(sounds), 700 if jitter_ms else None)
    return ScenarioResult("bad-network", "Loss and jitter", found, turns=records, notes=notes)


async def many_calls(bench: Bench) -> ScenarioResult:
    """Calls that talk at once: three turns each."""
    found: list[Metric] = []
    notes: list[str] = []
    sizes = sorted({size for size in (2, 4) if size < bench.calls} | {bench.calls})
    for size in sizes:
        sounds = await bench.material.questions(size * 3)
        calls = await together(_one_of(bench, sounds[start::size], start) for start in range(size))
        records = asking.records(calls)
        notes += findings(calls)
        found += _latency_metrics(f"{size} calls: ", records, len(sounds), 1500 if size == 4 else None)
        found.append(_discarded(f"{size} calls: ", calls))
        gaps = [pace.p99_ms for call in calls if (pace := metrics.pacing(call.log)) is not None]
        found.append(
            Metric(
                f"{size}_pacing", f"{size} calls: packet gap, p99", max(gaps, default=None), "ms", len(gaps)
            )
        )
        bench.say(f"{size} calls at once")
    return ScenarioResult("many-calls", "Calls at once", found, notes=notes)


async def _one_of(bench: Bench, sounds: Sequence[Sound], place: int) -> Call:
    steps = [Wait(timeout_s=3 + 0.3 * place), *(step for sound in sounds for step in ask(sound)), Hangup()]
    return await bench.caller.call(tuple(steps))


def _discarded(prefix: str, calls: Sequence[Call]) -> Metric:
    made = sum(call.guesses for call in calls)
    discarded = sum(call.guesses_discarded for call in calls)
    share = 100 * discarded / made if made else None
    return Metric(f"{prefix}discarded", f"{prefix}guesses thrown away", share, "%", made)


SCENARIOS = (
    Scenario("greeting", "default", greeting),
    Scenario("voice-to-voice", "default", voice_to_voice),
    Scenario("hesitation", "default", hesitation),
    Scenario("hesitant-caller", "default", hesitant_caller),
    Scenario("bad-network", "default", bad_network, OVER_RTP),
    Scenario("many-calls", "default", many_calls),
    Scenario("pacing", "default", pacing, OVER_RTP),
    Scenario("barge-in", "talker", barge_in),
    Scenario("false-interruption", "talker", false_interruption),
)
