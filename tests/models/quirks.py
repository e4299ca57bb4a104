"""What real servers and models send, seen in their public reports; a fake OpenAI server sends it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.models.fake_openai import CallTool, Raw, Refuse, Say, Step, Strict

ANSWER = "We are open every day until eight in the evening."
GOOD = Say((ANSWER,))
THINKS_S = 3.6  # in THINKS_LONG


@dataclass(frozen=True)
class Quirk:
    """One question, whose answer is `said`; `called` are the tools that exist in a call.

    `lost`: more can't be had, and a caller is asked to say it again.
    """

    name: str
    script: tuple[Step, ...]
    said: str = ANSWER
    called: tuple[str, ...] = ()
    lost: bool = False


def deltas(*contents: Any, reason: str | None = "stop") -> Raw:
    events = [choice({"content": content}) for content in contents]
    return Raw([*events, choice({}, finish_reason=reason)])


def choice(delta: Any, **more: Any) -> str:
    return json.dumps({"id": "1", "choices": [{"index": 0, "delta": delta, **more}]})


def tool_call(**call: Any) -> str:
    return choice({"tool_calls": [{"index": 0, **call}]})


def asked_with(parameter: str) -> Callable[[dict[str, Any]], bool]:
    return lambda asked: parameter in asked


def two_of_one_side(asked: dict[str, Any]) -> bool:
    roles = [message["role"] for message in asked["messages"] if message["role"] != "system"]
    return roles[0] != "user" or any(a == b for a, b in itertools.pairwise(roles))


def has_system(asked: dict[str, Any]) -> bool:
    return any(message["role"] == "system" for message in asked["messages"])


WANTED = choice({"content": ANSWER})
HALVES = [choice({"content": half}) for half in (f"{ANSWER} \ud83d", "\ude00")]
THINKS_LONG = Raw([*[choice({"reasoning": "Hm."})] * 9, WANTED], pause_s=THINKS_S / 9)

THINKING_ALOUD = (
    Quirk("tags, cut", (deltas("<thi", "nk>Hm.</th", "ink>", ANSWER),)),
    Quirk("tags, letter by letter", (deltas(*f"<think>\nHm.\n</think>\n\n{ANSWER}"),)),
    Quirk("tags of another kind", (deltas(f"<thinking>Is it? No.</thinking> {ANSWER}"),)),
    Quirk("tags in square brackets", (deltas("[THINK]Hm.", f"[/THINK]{ANSWER}"),)),
    Quirk("tags of Kimi", (deltas(f"◁think▷Hm.◁/think▷{ANSWER}"),)),
    Quirk("tags of Seed", (deltas(f"<seed:think>Hm.</seed:think>{ANSWER}"),)),
    Quirk("no thoughts in the tags", (deltas("<think>\n\n</think>\n\n", ANSWER),)),
    Quirk("tags around the answer", (deltas(f"<think>Hm.</think><answer>{ANSWER}</answer>"),)),
    Quirk(
        "channels",
        (
            deltas(
                "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant",
                f"<|channel|>final<|message|>{ANSWER}<|return|>",
            ),
        ),
    ),
    Quirk("thoughts behind the answer", (deltas(ANSWER, "<think>Was that right?"),)),
    Quirk("reasoning", (Raw([choice({"reasoning": "Hm."}), WANTED]),)),
    Quirk("reasoning_content", (Raw([choice({"reasoning_content": "Hm.", "content": None}), WANTED]),)),
    Quirk("thinking", (Raw([choice({"thinking": "Hm.", "content": ""}), WANTED]),)),
    Quirk(
        "a part that is thought",
        (
            Raw(
                [
                    choice(
                        {"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": ANSWER}]}
                    )
                ]
            ),
        ),
    ),
    Quirk(
        "a field and tags",
        (Raw([choice({"reasoning": "Hm."}), choice({"content": f"<think></think>{ANSWER}"})]),),
    ),
    Quirk("thoughts for longer than the deadline", (THINKS_LONG,)),
    Quirk("thoughts until there is no room", (deltas("<think>Hm, hm", reason="length"), GOOD)),
    Quirk(
        "reasoning until there is no room",
        (Raw([choice({"reasoning": "Hm."}), choice({}, finish_reason="length")]), GOOD),
    ),
)

CALL = '{"name": "end_call", "arguments": {}}'
_WRITTEN = {
    "bare": ('{"name": "end_', 'call", "parameters": {}}'),
    "arguments": (CALL,),
    "arguments in a string": ('{"name": "end_call", "arguments": "{}"}',),
    "a fence of JSON": ("```json\n", CALL, "\n```"),
    "a fence": ("```\n", CALL, "\n```"),
    "doubled braces": (f"{{{CALL}}}",),
    "tools": (f"<tools>\n{CALL}\n</tools>",),
    "tools, unclosed": (f"<tools>{CALL}",),
    "tool_call": ("<tool_call>\n", CALL, "\n</tool_call>"),
    "tool_call, unclosed": ("<tool_call>", CALL),
    "function": ("<function=end_call>{}</function>",),
    "TOOL_CALLS": (f"[TOOL_CALLS] [{CALL}]",),
    "TOOL_CALLS with a name": ("[TOOL_CALLS]end_call{}",),
    "python_tag": (f"<|python_tag|>{CALL}",),
    "a list": (f"[{CALL}]",),
    "as OpenAI nests it": ('{"type": "function", "function": {"name": "end_call", "arguments": "{}"}}',),
    "by another name": ('{"function": "end_call", "args": {}}',),
}
WRITTEN_CALLS = (
    *(
        Quirk(f"a call as text: {name}", (deltas(f"{ANSWER} ", *written),), called=("end_call",))
        for name, written in _WRITTEN.items()
    ),
    Quirk("a call as text, of no tool", (deltas(f"{ANSWER} ", '{"name": "sing", "arguments": {}}'),)),
    Quirk("nothing but a call of no tool", (deltas('<tool_call>{"name": "sing"}</tool_call>'), GOOD)),
    Quirk("a call of no tool", (CallTool("sing"), GOOD)),
    Quirk(
        "a call without arguments",
        (Raw([WANTED, tool_call(id="1", function={"name": "end_call", "arguments": None})]),),
        called=("end_call",),
    ),
    Quirk(
        "a call in pieces",
        (
            Raw(
                [
                    WANTED,
                    tool_call(function={"name": "end_call", "arguments": ""}),
                    tool_call(function={"arguments": "{"}),
                    tool_call(function={"arguments": "}"}),
                ]
            ),
        ),
        called=("end_call",),
    ),
    Quirk(
        "a call whose arguments are broken",
        (Raw([WANTED, tool_call(id="1", function={"name": "end_call", "arguments": '{"a'})]),),
    ),
)

STRICT = (
    Quirk("no system role", (Strict("System role not supported", has_system, GOOD),)),
    Quirk(
        "max_completion_tokens",
        (
            Strict(
                "'max_tokens' is not supported, use 'max_completion_tokens'", asked_with("max_tokens"), GOOD
            ),
        ),
    ),
    Quirk("no temperature", (Strict("'temperature' isn't supported", asked_with("temperature"), GOOD),)),
    Quirk("no reason given", (Strict("Bad Request", asked_with("chat_template_kwargs"), GOOD),)),
    Quirk("busy, and says until when", (Refuse(429, retry_after="1"), GOOD)),
    Quirk("busy", (Refuse(429), GOOD)),
    Quirk("overloaded twice", (Refuse(503), Refuse(503), GOOD)),
    Quirk("a gateway without a server", (Refuse(502), GOOD)),
    Quirk("a gateway that gives up", (Refuse(504), GOOD)),
    Quirk("an error", (Refuse(500), GOOD)),
    Quirk("hangs up at once", (Say((), break_off=True), GOOD)),
    Quirk(
        "an error in the stream",
        (Raw(['{"error": {"message": "out of memory", "code": 500}}'], done=False), GOOD),
    ),
    Quirk("half an event", (Raw(['{"choices": [{"index": 0, "del'], done=False), GOOD)),
    Quirk("another page", (Raw(["<html>Bad gateway</html>"], done=False), GOOD)),
)
# Of what only calls are asked with: who greets first, and tools.
STRICT_WITH_CALLS = (
    Quirk(
        "roles alternate",
        (Strict("Conversation roles must alternate user/assistant", two_of_one_side, GOOD),),
    ),
    Quirk(
        "tools must be enabled",
        (Strict("--enable-auto-tool-choice must be set for tools", asked_with("tools"), GOOD),),
    ),
)

SHAPES = (
    Quirk(
        "parts",
        (
            Raw(
                [
                    choice(
                        {
                            "content": [
                                {"type": "text", "text": "We are open every day "},
                                {"type": "text", "text": "until eight in the evening."},
                            ]
                        }
                    )
                ]
            ),
        ),
    ),
    Quirk("no delta", (Raw([choice(None), WANTED]),)),
    Quirk(
        "a role alone, and usage",
        (Raw([choice({"role": "assistant"}), WANTED, '{"choices": [], "usage": null}']),),
    ),
    Quirk("null for choices", (Raw(['{"choices": null}', WANTED]),)),
    Quirk("no choices", (Raw(['{"id": "1", "object": "chat.completion.chunk"}', WANTED]),)),
    Quirk("a second answer", (Raw([WANTED, '{"choices": [{"index": 1, "delta": {"content": "Hi!"}}]}']),)),
    Quirk("blank lines", (Raw([WANTED], head=b"\n\n\n"),)),
    Quirk("comments", (Raw([WANTED], head=b": keep-alive\n\n\r\n: ping\r\n\r\n"),)),
    Quirk("CRLF", (Raw([WANTED], line_end=b"\r\n"),)),
    Quirk("no end", (Raw([WANTED], done=False),)),
    Quirk("halves of a character", (Raw(HALVES),), said=f"{ANSWER} 😀"),
    Quirk("half a character", (Raw(HALVES[:1]),)),
    Quirk("the other half", (Raw([choice({"content": f"\ude00{ANSWER}"})]),)),
    Quirk(
        "NUL and terminal codes",
        (Raw([choice({"content": "We\x00 are open \x1b[1mevery day\x1b[0m until eight in the evening."})]),),
    ),
    Quirk(
        "what can't be seen", (deltas("\ufeffWe\u200b are open every day until eight in the evening.\u202e"),)
    ),
    Quirk("the caller's next words", (deltas(f"{ANSWER}<|im_end|>", "<|im_start|>user\nAnd now?"),)),
    Quirk("those of Llama", (deltas(f"{ANSWER}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nAnd?"),)),
    Quirk("those of Gemma", (deltas(f"{ANSWER}<end_of_turn>\n<start_of_turn>user\nAnd?"),)),
    Quirk("those of Mistral", (deltas(f"{ANSWER}</s>[INST] And? [/INST]"),)),
    Quirk("those by name", (deltas(ANSWER, "\nUser: And?\nAssistant: Hi."),)),
    Quirk("a label", (deltas("Assistant", f": {ANSWER}"),)),
)

NOTHING = (
    Quirk("nothing, once", (deltas(""), GOOD)),
    Quirk("no event, once", (Raw([]), GOOD)),
    Quirk("dots, once", (deltas("..."), GOOD), said=f"...{ANSWER}"),
    Quirk("white space, once", (deltas(" \n "), GOOD)),
    Quirk("no room for a word, once", (deltas("", reason="length"), GOOD)),
    Quirk("nothing", (deltas(""),), said="", lost=True),
    Quirk("half an answer", (Say(("We are",), break_off=True),), said="We are", lost=True),
)

IN_TEXT = (*THINKING_ALOUD, *WRITTEN_CALLS, *SHAPES, *NOTHING, *STRICT)
QUIRKS = (*IN_TEXT, *STRICT_WITH_CALLS)
