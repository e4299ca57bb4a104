"""The scenarios of callers who pause before they have said it all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from bench import asking, metrics
from bench.callers import Call, CallerTurn
from bench.metrics import Distribution
from bench.results import Metric, PauseRecord, ScenarioResult, Timeline, TurnRecord
from bench.sentences import plain
from bench.strangers import LENGTHS_S, Hesitation
from bench.workbench import Bench

# A caller's rhythm isn't known for long: what a call of many pauses teaches is hesitant_caller's to tell.
TURNS_PER_CALL = 4
HESITANT_TURNS = 12
HESITANT_S = 0.9
FALSE_STARTS_GOAL = 12.0  # %
GOAL_LENGTHS_S = (0.8, 1.2)
HEARD = 0.5  # of the words on each side of a pause: telephone sound is misheard


async def hesitation(bench: Bench) -> ScenarioResult:
    """Sentences with pauses in them, and as they were said, in calls of a few turns by one voice each."""
    calls: list[Call] = []
    pauses: list[PauseRecord] = []
    turns: list[tuple[TurnRecord, bool]] = []
    timelines: list[Timeline] = []
    bench.say("looks for the ends of words")
    asked = await bench.strangers.hesitations(bench.share(0.25))
    for part in by_voice(asked, TURNS_PER_CALL):
        call = await asking.one_call(bench, [one.sound for one in part])
        calls.append(call)
        pauses += records(call, part)
        timelines += _timelines(call)
        strange = {one.sound.label: one.sound.stranger for one in part}
        turns += [(turn, strange[turn.label]) for turn in asking.records([call])]
        bench.say(f"{len(turns)} of {len(asked)} turns")
    found = [*false_start_metrics(pauses), *_latency_metrics(turns, len(asked))]
    started = [one for one in pauses if one.false_start]
    kept = sorted(timelines, key=lambda one: one.stop_ms)
    return ScenarioResult(
        "hesitation",
        "Pauses of callers who aren't done",
        found,
        turns=[turn for turn, _ in turns],
        samples={
            "silent again": [one.silent_ms for one in started if one.silent_ms is not None],
            "heard of a false start": [one.heard_ms for one in started if one.heard_ms is not None],
        },
        timelines=kept[len(kept) // 2 : len(kept) // 2 + 1] + kept[-1:],
        notes=[_drawn(bench), *asking.findings(calls)],
        pauses=pauses,
    )


async def hesitant_caller(bench: Bench) -> ScenarioResult:
    """Whole calls of one who pauses for about the same time in each sentence: does the agent learn it?"""
    calls: list[Call] = []
    halves: tuple[list[PauseRecord], list[PauseRecord]] = ([], [])
    for caller in range(bench.share(1 / 30, least=2)):
        part = await bench.strangers.one_caller(caller, HESITANT_TURNS, HESITANT_S)
        call = await asking.one_call(bench, [one.sound for one in part])
        calls.append(call)
        bench.say(f"{len(calls)} callers")
        first = {one.sound.label for one in part[: len(part) // 2]}
        for record in records(call, part):
            if record.place != "own":
                halves[record.label not in first].append(record)
    pauses = [*halves[0], *halves[1]]
    return ScenarioResult(
        "hesitant-caller",
        f"Callers who pause for {HESITANT_S:g} s in each sentence",
        half_metrics(*halves),
        notes=[_drawn(bench), *asking.findings(calls)],
        pauses=pauses,
    )


def by_voice(asked: Sequence[Hesitation], most: int) -> list[list[Hesitation]]:
    """In calls of at most so many turns, each by one voice."""
    voices: dict[str, list[Hesitation]] = {}
    for one in asked:
        voices.setdefault(one.sentence.voice, []).append(one)
    return [said[start : start + most] for said in voices.values() for start in range(0, len(said), most)]


def records(call: Call, asked: Sequence[Hesitation]) -> list[PauseRecord]:
    """What became of each pause in a call in which these were said, in this order."""
    found = []
    starts = [float(speech[0]) for one in call.log.played if len(speech := call.log.speech(one))]
    for played, one in zip(call.log.played, asked, strict=False):
        pauses = metrics.pauses(call.log, played)
        started = [metrics.false_start(call.log, pause) for pause in pauses]
        first = next(iter(call.log.speech(played)), 0.0)
        until = next((start for start in starts if start > first), float("inf"))
        said = [turn for turn in call.caller_turns if first <= turn.at < until]
        for pause, start in zip(pauses, started, strict=True):
            put_in = one.put_in if one.is_put_in(pause.at_s) else None
            words = one.words_before(pause.at_s)
            whole = one_turn(said, one.sentence.text, words) if start and call.caller_turns else None
            found.append(
                PauseRecord(
                    label=one.sound.label,
                    length_s=round(pause.length_s, 2),
                    around_s=put_in.around_s if put_in else None,
                    place=put_in.place if put_in else "own",
                    stranger=one.sound.stranger,
                    false_start=start is not None,
                    begun_ms=start.begun_ms if start else None,
                    heard_ms=start.heard_ms if start else None,
                    silent_ms=start.silent_ms if start else None,
                    one_turn=whole,
                )
            )
    return found


def one_turn(said: Sequence[CallerTurn], text: str, words: int) -> bool:
    """Whether the first so many `words` of `text` and the rest of it are in one turn, and in no other."""
    if len(said) != 1:
        return False
    heard, written = plain(said[0].text), text.split()
    halves = (plain(" ".join(half)) for half in (written[:words], written[words:]))
    return all(_share_heard(half, heard) >= HEARD for half in halves if half)


def _share_heard(words: Sequence[str], heard: Sequence[str]) -> float:
    matcher = SequenceMatcher(None, words, heard, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks()) / len(words)


def false_start_metrics(pauses: Sequence[PauseRecord]) -> list[Metric]:
    """How often, where, and before whom; then what became of them."""
    strangers = [one for one in pauses if one.stranger]
    places = (("gap", "at the longest gap"), ("word", "at another word's end"))
    found = []
    for place, where in places:
        for length_s in LENGTHS_S:
            mine = [one for one in strangers if (one.around_s, one.place) == (length_s, place)]
            goal = FALSE_STARTS_GOAL if place == "gap" and length_s in GOAL_LENGTHS_S else None
            title = f"false starts, {length_s:g} s {where}"
            found.append(_share(f"false_{length_s:g}_{place}", title, mine, goal))
    own = [one for one in strangers if one.place == "own"]
    known = [one for one in pauses if not one.stranger]
    found += [
        _share("false_own", "false starts, the speakers' own pauses", own),
        _share("false_known", "false starts, voices or sentences that the fit has seen", known),
    ]
    started = [one for one in pauses if one.false_start]
    told = [one for one in started if one.one_turn is not None]
    parted = 100 * sum(not one.one_turn for one in told) / len(told) if told else None
    return [
        *found,
        *_spread("begun", "a false start begins, after", [one.begun_ms for one in started]),
        *_spread("silent", "silent again, after the caller went on", [one.silent_ms for one in started], 250),
        *_spread("heard", "heard of a false start", [one.heard_ms for one in started], 300),
        Metric("parted", "false starts that made two turns of one", parted, "%", len(told), 5),
    ]


def half_metrics(first: Sequence[PauseRecord], second: Sequence[PauseRecord]) -> list[Metric]:
    """False starts in the two halves of calls, and how much of the first's rate is left in the second.

    A first half without any counts as one with one, so that any number in the second isn't as good as none.
    """
    found = [
        _share("first_half", "false starts in the first half of a call", first),
        _share("second_half", "false starts in the second half", second),
    ]
    before, after = found[0].value, found[1].value
    left = None
    if before is not None and after is not None:
        left = 100 * after / max(before, 100 / len(first))
    return [*found, Metric("left", "second half against the first", left, "%", len(first) + len(second), 50)]


def _share(key: str, title: str, pauses: Sequence[PauseRecord], goal: float | None = None) -> Metric:
    share = 100 * sum(one.false_start for one in pauses) / len(pauses) if pauses else None
    return Metric(key, title, share, "%", len(pauses), goal)


def _spread(
    key: str, title: str, values: Iterable[float | None], median_goal: float | None = None
) -> list[Metric]:
    known = [value for value in values if value is not None]
    of = Distribution.of(known)
    median, p95 = (of.median, of.p95) if known else (None, None)
    return [
        Metric(f"{key}_median", f"{title}, median", median, "ms", of.count, median_goal),
        Metric(f"{key}_p95", f"{title}, p95", p95, "ms", of.count),
    ]


def _latency_metrics(turns: Sequence[tuple[TurnRecord, bool]], asked: int) -> list[Metric]:
    """From the sentence's end, where the agent hadn't spoken before it. The goals are the default model's."""
    found = []
    for key, whose, strange, goals in (
        ("stranger", "strangers", True, (700.0, 1700.0)),
        ("known", "voices or sentences that the fit has seen", False, (None, None)),
    ):
        values = [turn.voice_to_voice_ms for turn, one in turns if one == strange]
        median, p95 = _spread(key, f"voice-to-voice, {whose}", values, goals[0])
        found += [median, Metric(p95.key, p95.title, p95.value, "ms", p95.count, goals[1])]
    silent = asked - sum(turn.voice_to_voice_ms is not None or turn.talked_over for turn, _ in turns)
    return [*found, Metric("unanswered", "turns without an answer", silent, "count", asked, 0)]


def _timelines(call: Call) -> list[Timeline]:
    """Around where the caller goes on, of each false start."""
    found = []
    for played in call.log.played:
        for pause in metrics.pauses(call.log, played):
            if start := metrics.false_start(call.log, pause):
                last = max(pause.until, pause.end)
                found.append(asking.timeline(call.log, played.label, pause.end, last, start.silent_ms))
    return found


def _drawn(bench: Bench) -> str:
    return f"the pauses were drawn with --seed {bench.strangers.seed}"
