"""What a model says and does, out of what it writes.

The one place between a server's stream and everything that is spoken, shown, stored or remembered. A policy:
no I/O. What models are known to write besides their answer:

- thoughts, in tags of several kinds, sometimes without the opening one, which then stood in the prompt
  (DeepSeek-R1, Qwen3, Magistral, Kimi, gpt-oss through a server that doesn't know its channels);
- calls of tools as text: bare JSON, in a code fence, in tags, in doubled braces, as Python (Qwen2.5-Coder,
  Llama 3, Mistral, Phi, Hermes);
- the marks of their chat format, and the other side's next words behind them;
- halves of characters, NUL, terminal codes.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

# Where thoughts begin, and where they end.
THOUGHTS: Mapping[str, str] = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "<reflection>": "</reflection>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|channel|>analysis<|message|>": "<|end|>",
    "<|channel|>commentary<|message|>": "<|end|>",
}
# What stands around an answer, and is no part of it.
FRAMES = (
    "<answer>",
    "</answer>",
    "<response>",
    "</response>",
    "<|begin_of_solution|>",
    "<|end_of_solution|>",
    "<|start|>assistant",
    "<|channel|>final<|message|>",
    "<|im_start|>assistant\n",
    "<s>",
    "<bos>",
)
# Behind these nothing is the agent's any more.
ENDS = (
    "<|im_end|>",
    "<|im_start|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|start_header_id|>",
    "<|end|>",
    "<|user|>",
    "<|return|>",
    "</s>",
    "<eos>",
    "<end_of_turn>",
    "<start_of_turn>",
    "[INST]",
    "[/INST]",
    "\nUser:",
    "\nHuman:",
    "\nCaller:",
)
# Where a call of a tool may begin; what closes it, where that isn't the end of its JSON.
CALLS: Mapping[str, str] = {
    "<tool_call>": "</tool_call>",
    "<tool_calls>": "</tool_calls>",
    "<tools>": "</tools>",
    "<function_call>": "</function_call>",
    "<function=": "</function>",
    "<|tool_call|>": "<|/tool_call|>",
    "<|tool_call>": "<tool_call|>",
    "<|python_tag|>": "",
    "[TOOL_CALLS]": "",
    "```": "```",
    "{": "",
    "[{": "",
}
MARKS = (*THOUGHTS, *THOUGHTS.values(), *FRAMES, *ENDS, *CALLS)
MOST_HELD = 4000  # characters: more than any call of a tool
_TERMINAL = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\^_])")
_UNFINISHED_TERMINAL = re.compile(r"\x1b(\[[0-?]*[ -/]*|\][^\x07\x1b]*)?$")
# Control characters but line ends and tabs, what turns the direction of writing, private characters.
_UNSPEAKABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffd\ue000-\uf8ff]"
)
LABELS = ("assistant:", "agent:", "ai:")
_WORDS = re.compile(r"\w")


@dataclass(frozen=True)
class ToolCall:
    """`arguments` is the JSON of an object."""

    name: str
    arguments: str


class Cleaner:
    """One answer's. `tools` are those that exist; what is written to call another is dropped.

    `thinks_first`: it begins with thoughts that no tag opens.
    """

    def __init__(self, tools: Collection[str] = (), *, thinks_first: bool = False) -> None:
        self.calls: list[ToolCall] = []
        self.thinking = thinks_first
        self.ended = False  # what comes from now on isn't the agent's
        self.closed_unopened = False  # thoughts ended that had never begun: they may have been said
        self._tools = frozenset(tools)
        self._until: tuple[str, ...] = tuple(THOUGHTS.values()) if thinks_first else ()
        self._raw = ""  # taken, and not yet decoded: half a character, half a terminal code
        self._text = ""  # decoded, and not yet decided
        self._said = False
        self._names = sorted(self._tools, key=len, reverse=True)
        openings = (opening for name in self._names for opening in (f"{name}(", f"[{name}("))
        self._beginnings = (*MARKS, *openings)
        self._head = ""  # the answer's beginning, while it may be a label

    def take(self, written: str) -> str:
        """What of it, and of what came before, can be said by now."""
        self._text += self._decoded(written)
        return self._said_of(last=False)

    def finish(self) -> str:
        """What is left to say once the model has written all."""
        self._text += _spoken(_joined(self._raw))
        self._raw = ""
        return self._said_of(last=True)

    def _decoded(self, written: str) -> str:
        raw = self._raw + written
        held = 0
        if raw and "\ud800" <= raw[-1] <= "\udbff":
            held = 1
        elif unfinished := _UNFINISHED_TERMINAL.search(raw[-200:]):
            held = len(unfinished[0])
        cut = len(raw) - held
        self._raw = raw[cut:]
        return _spoken(_joined(raw[:cut]))

    def _said_of(self, *, last: bool) -> str:
        said = ""
        while self._text and not self.ended:
            if self.thinking:
                if not self._skip_thoughts(last):
                    break
                continue
            piece, more = self._next(last)
            said += piece
            if not more:
                break
        if self.ended or last:
            self._text = ""
        return self._unlabelled(said, last=last)

    def _skip_thoughts(self, last: bool) -> bool:
        """Whether they are over."""
        found = [(at, end) for end in self._until if (at := self._text.find(end)) >= 0]
        if not found:
            self._text = "" if last else self._text[-max(map(len, self._until)) :]
            return False
        at, end = min(found)
        self._text = self._text[at + len(end) :].lstrip()
        self.thinking = False
        return True

    def _next(self, last: bool) -> tuple[str, bool]:
        """What can be said up to the next mark, and whether to look on behind it."""
        at, mark = self._mark()
        if not mark:
            held = 0 if last else self._tail()
            cut = len(self._text) - held
            said, self._text = self._text[:cut], self._text[cut:]
            return said, False
        said, rest = self._text[:at], self._text[at + len(mark) :]
        if mark in THOUGHTS:
            self._text, self.thinking, self._until = rest, True, (THOUGHTS[mark],)
            return said, True
        if mark in THOUGHTS.values() and mark not in ENDS:
            self.closed_unopened = True
            self._text = rest.lstrip()
            return "", True  # what came before it was thought
        if mark in FRAMES:
            self._text = rest
            return said, True
        if mark in ENDS:
            self.ended = True
            return said.rstrip(), False
        call_ends = self._call_end(at, mark, last)
        if call_ends is None:
            self._text = self._text[at:]
            return said, False
        written, self._text = self._text[at:call_ends], self._text[call_ends:]
        if not self._calls_in(written, mark):
            said += written
        return said, True

    def _mark(self) -> tuple[int, str]:
        """Where the first mark stands, the longest of those that begin there."""
        best, mark = len(self._text), ""
        for one in MARKS:
            at = self._text.find(one, 0, best + len(one))
            if 0 <= at < best or (at == best and len(one) > len(mark)):
                best, mark = at, one
        for name in self._names:
            called = re.compile(rf"(?<!\w)\[?{re.escape(name)}\s*\(").search(self._text)
            if called and called.start() < best:
                best, mark = called.start(), called[0]
        return best, mark

    def _tail(self) -> int:
        """How many characters at the end may be the beginning of a mark."""
        text = self._text
        marks = self._beginnings
        longest = min(len(text), max(map(len, marks)) - 1)
        for length in range(longest, 0, -1):
            tail = text[-length:]
            if any(
                mark.startswith(tail) for mark in marks if not mark[0].isalpha() or _at_word(text, length)
            ):
                return length
        return 0

    def _call_end(self, at: int, mark: str, last: bool) -> int | None:
        """Where what may be a call ends; None while that isn't decided."""
        text = self._text
        if mark.rstrip().endswith("("):
            end = _balanced(text, at + len(mark) - 1, "()")
            if end is not None and text[at] == "[":
                end = None if end == len(text) else end + text[end:].startswith("]")
        elif closing := CALLS.get(mark):
            close = text.find(closing, at + len(mark))
            end = close + len(closing) if close >= 0 else None  # some never close their tag
        else:
            opener = re.compile(r"[\[{]").search(text, at if mark in ("{", "[{") else at + len(mark))
            end = _balanced(text, opener.start(), "{}" if opener[0] == "{" else "[]") if opener else None
        if end is None and (last or len(text) - at > MOST_HELD):
            return len(text)
        return end

    def _calls_in(self, written: str, mark: str) -> bool:
        """Whether it was a call of a tool, or meant as one; those of tools that exist are noted."""
        found = list(_parsed(written))
        for name, arguments in found:
            if name in self._tools:
                self.calls.append(ToolCall(name, json.dumps(arguments, ensure_ascii=False)))
        # In tags of its own it was meant as a call, whatever became of it.
        return bool(found) or (mark in CALLS and mark not in ("{", "[{", "```"))

    def _unlabelled(self, said: str, *, last: bool) -> str:
        """Without an "Assistant:" at the very beginning."""
        if self._said:
            return said
        head = (self._head + said).lstrip()
        if not last and any(label.startswith(head.lower()) for label in LABELS):
            self._head = head
            return ""
        label = next((label for label in LABELS if head.lower().startswith(label)), "")
        self._said = bool(head)
        return head[len(label) :].lstrip()


def speakable(text: str) -> bool:
    """Whether there is anything in it that a voice can say."""
    return bool(_WORDS.search(text))


def _joined(text: str) -> str:
    """Characters in one piece that came in halves; a half without its other is left out."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")


def _spoken(text: str) -> str:
    return _UNSPEAKABLE.sub("", _TERMINAL.sub("", text))


def _at_word(text: str, length: int) -> bool:
    return len(text) == length or not (text[-length - 1].isalnum() or text[-length - 1] == "_")


def _balanced(text: str, start: int, pair: str) -> int | None:
    """Behind the bracket that closes the one at `start`, but for those in strings."""
    depth, quote, escaped = 0, "", False
    for at in range(start, len(text)):
        character = text[at]
        if escaped:
            escaped = False
        elif quote:
            escaped = character == "\\"
            quote = "" if character == quote else quote
        elif character == '"':
            quote = character
        elif character == pair[0]:
            depth += 1
        elif character == pair[1]:
            depth -= 1
            if depth == 0:
                return at + 1
    return None


def _parsed(written: str) -> list[tuple[str, dict[str, Any]]]:
    """The calls in it, as name and arguments."""
    if tagged := re.match(r"<function=([\w.-]+)>\s*(.*?)\s*(</function>|$)", written, re.DOTALL):
        return [(tagged[1], _object(tagged[2]))]
    if python := re.match(r"\[?([A-Za-z_]\w*)\s*(\(.*\))\]?\s*$", written, re.DOTALL):
        return [(python[1], _keywords(python[1] + python[2]))]
    opener = re.compile(r"\[\s*\{|\{").search(written)
    if named := re.match(r"\[TOOL_CALLS\]\s*([\w.-]+)\s*(\[ARGS\])?\s*(\{.*)", written, re.DOTALL):
        return [(named[1], _object(named[3]))]
    if not opener:
        return []
    return [call for one in _values(written[opener.start() :]) for call in _calls(one)]


def _values(text: str) -> list[Any]:
    """The JSON values in it; doubled braces, as of a template, are taken for single ones."""
    for form in (text, re.sub(r"\{\{(.*)\}\}", r"{\1}", text, flags=re.DOTALL)):
        values, rest = [], form.strip()
        while rest[:1] in ("{", "["):
            try:
                value, end = json.JSONDecoder(strict=False).raw_decode(rest)
            except ValueError:
                break
            values.append(value)
            rest = rest[end:].lstrip(" \t\r\n,;")
        if values:
            return values
    return []


def _calls(value: Any) -> list[tuple[str, dict[str, Any]]]:
    if isinstance(value, list):
        return [call for one in value for call in _calls(one)]
    if not isinstance(value, dict):
        return []
    if isinstance(inner := value.get("tool_calls", value.get("function")), (dict, list)):
        return _calls(inner)
    name = next((value[key] for key in ("name", "function", "tool", "tool_name") if key in value), None)
    keys = ("arguments", "parameters", "args", "params", "input")
    arguments = next((value[key] for key in keys if key in value), None)
    if not isinstance(name, str) or (
        arguments is None and set(value) - {"name", "function", "tool", "type", "id"}
    ):
        return []
    if isinstance(arguments, str):
        arguments = _object(arguments)
    return [(name.removeprefix("functions."), arguments if isinstance(arguments, dict) else {})]


def _object(text: str) -> dict[str, Any]:
    found = _values(text)
    return found[0] if found and isinstance(found[0], dict) else {}


def _keywords(call: str) -> dict[str, Any]:
    """The arguments of a call in Python, as far as they are named and literal."""
    try:
        node = ast.parse(call, mode="eval").body
        assert isinstance(node, ast.Call)
        return {one.arg: ast.literal_eval(one.value) for one in node.keywords if one.arg}
    except (SyntaxError, ValueError, AssertionError):
        return {}
