"""Whether an answer is right: pure functions of what was asked for and what was said."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent.conversation import ToolCall
from agent.evals.language import KNOWN, language_of, refuses
from agent.evals.scenario import CallerTurn, Rules
from agent.evals.words import clauses, folded, pattern, sentences, words

# So many words in a row don't come twice within two sentences unless they go round in circles.
LOOP_WORDS = 6
CLAUSE_WORDS = 3
_UNSPEAKABLE = {
    "emphasis": re.compile(r"\*\*?\S|(?<!\w)__?\w[^_]*__?(?!\w)|~~"),
    "code": re.compile(r"`|\b(?:def|function|import|print)\s*\(|\(\)|=>|[{}]|[<>=]=|\w_\w"),
    "a heading": re.compile(r"^\s{0,3}#{1,6}\s", re.MULTILINE),
    # "42. Anything else?" is none.
    "a list": re.compile(r"^\s*(?:[-*•+]|1[.)])\s+\S", re.MULTILINE),
    "a table": re.compile(r"\|"),
    "a link": re.compile(r"https?:|www\.|\]\(|\b[\w-]+\.(?:com|org|net|io|gov|edu)\b", re.IGNORECASE),
    "a tag": re.compile(r"</?[A-Za-z|_][^>]*>?|<\|"),
    "an emoji": re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f\u2b50]"),
    "a role": re.compile(r"^\s*(?:assistant|user|system|caller|agent)\s*:", re.IGNORECASE | re.MULTILINE),
    "a placeholder": re.compile(r"\[[^\]]{2,}\]"),
    "several lines": re.compile(r"\n\s*\n\s*\S"),
}


def judge(
    turn: CallerTurn,
    rules: Rules,
    *,
    answer: str,
    tool_calls: Sequence[ToolCall],
    language: str,
    previous: str = "",
) -> list[str]:
    """A sentence for each rule that the answer breaks. `previous` is the agent's answer before it."""
    failures = _tools(turn, tool_calls)
    if answer.strip():
        # Two things that nobody knows may well be answered alike.
        failures += _manner(rules, answer, language, "" if turn.refuses else previous)
    elif not tool_calls:
        failures.append("said nothing")
    if answer.strip() or not tool_calls:
        failures += _content(turn, answer, language)
    return failures


def _content(turn: CallerTurn, answer: str, language: str) -> list[str]:
    plain = folded(answer)
    failures = []
    if turn.says and not any(pattern(one).search(plain) for one in turn.says):
        failures.append(f"says none of: {', '.join(turn.says)}")
    failures += [f"doesn't say: {one}" for one in turn.says_all if not pattern(one).search(plain)]
    failures += [f"says: {found[0]}" for one in turn.not_says if (found := pattern(one).search(plain))]
    if turn.refuses is not None and refuses(answer, language) is not turn.refuses:
        failures.append("doesn't say that it doesn't know" if turn.refuses else "says that it doesn't know")
    return failures


def _tools(turn: CallerTurn, calls: Sequence[ToolCall]) -> list[str]:
    expected = turn.tool or ("none",)
    names = [call.name for call in calls]
    if not calls:
        return [] if "none" in expected else [f"calls no tool instead of {' or '.join(expected)}"]
    if len(calls) > 1:
        return [f"calls {len(calls)} tools at once: {', '.join(names)}"]
    if names[0] not in expected:
        return [
            f"calls {names[0]} instead of {'no tool' if expected == ('none',) else ' or '.join(expected)}"
        ]
    given = calls[0].arguments
    return [
        f"{names[0]} has {key}={given.get(key)!r} instead of {' or '.join(patterns)}"
        for key, patterns in turn.arguments.items()
        if not any(pattern(one).search(folded(str(given.get(key, "")))) for one in patterns)
    ]


def _manner(rules: Rules, answer: str, language: str, previous: str) -> list[str]:
    failures = []
    if rules.max_words is not None and (count := len(words(answer))) > rules.max_words:
        failures.append(f"has {count} words, more than {rules.max_words}")
    if rules.max_sentences is not None and (count := len(sentences(answer))) > rules.max_sentences:
        failures.append(f"has {count} sentences, more than {rules.max_sentences}")
    if rules.speakable:
        failures += [
            f"can't be spoken: {what}" for what, found in _UNSPEAKABLE.items() if found.search(answer)
        ]
    # Of a language that isn't known an answer would surely be in another.
    checked = rules.own_language and language in KNOWN
    if checked and (other := language_of(answer)) not in (None, language):
        failures.append(f"is in another language: {other}")
    if repeated := repetition(answer):
        failures.append(f"repeats itself: {repeated}")
    if not rules.repeats and previous and words(previous) == words(answer):
        failures.append("repeats the previous answer")
    return failures


def repetition(answer: str) -> str | None:
    """What an answer says twice: a clause of three words or more, or six words in a row."""
    parts = [part for part in clauses(answer) if len(part.split()) >= CLAUSE_WORDS]
    for at, part in enumerate(parts):
        if any(before == part or before.endswith(f" {part}") for before in parts[:at]):
            return part
    said = words(answer)
    runs = [tuple(said[at : at + LOOP_WORDS]) for at in range(len(said) - LOOP_WORDS + 1)]
    for at, run in enumerate(runs):
        if run in runs[:at]:
            return " ".join(run)
    return None
