"""What leans on the private parts of libraries stands in one module a library, and here by name.

An upgrade that takes one away fails here, with the module that has to change.
"""

from __future__ import annotations

import ast
import ctypes
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import aiortc
import aiortc.rtcsctptransport
import baresip._events
import baresip._native
import baresip.call
import pytest
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregator
from pipecat.processors.frameworks.rtvi import RTVIProcessor
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_transport import BaseTransport
from pipecat.turns.speculation_gate import SpeculationGate
from pipecat.turns.user_stop import EagerUserTurnStopStrategy

import agent
import bench
import models
import transports
from transports.sip import (
    hooks,
    native,
    native_agents,
    native_calls,
    native_link,
    native_rtp,
    native_srtp,
    native_tls,
    requests,
)

ROOT = Path(__file__).parent.parent
LIBRARIES = {"pipecat": "pipecat-ai", "aiortc": "aiortc", "baresip": "baresip-python"}

PARTS: dict[str, list[tuple[str, Any, list[str]]]] = {
    "models/pipecat_internals.py": [
        (
            "pipecat",
            TTSService,
            [
                "_text_aggregator",
                "_is_yielding_frames_synchronously",
                "_start_interruption",
                "_handle_interruption",
                "_push_word_frames",
                "_stamp_segment_announcement",
                "_stamp_llm_response_frame",
                "_record_context_audio_outcome",
                "_apply_force_complete",
                "_aggregated_frame_sequencer",
            ],
        ),
        ("pipecat", SpeculationGate, ["_drop_held"]),
        ("pipecat", OpenAILLMService, ["_speculation_gate", "_process_context"]),
        ("pipecat", EagerUserTurnStopStrategy, ["_take_speculation"]),
        ("pipecat", LLMUserAggregator, ["_user_idle_controller"]),
        ("pipecat", RTVIProcessor, ["_handle_message", "_handle_send_text", "_send_error_response"]),
    ],
    # Transports know nothing of models/, and nobody may import both ways.
    "transports/call.py": [
        ("pipecat", BaseTransport, ["_register_event_handler", "_call_event_handler"]),
    ],
    "transports/webrtc/aiortc_internals.py": [
        ("aiortc", aiortc.RTCRtpReceiver, ["_RTCRtpReceiver__jitter_buffer"]),
        ("aiortc", aiortc.RTCRtpTransceiver, ["_codecs"]),
        ("aiortc", aiortc.RTCRtpSender, ["_ssrc"]),
        ("aiortc", aiortc.RTCDtlsTransport, ["_send_rtp"]),
        ("aiortc", aiortc.rtcsctptransport, ["USERDATA_MAX_LENGTH"]),
    ],
    "transports/sip/native.py": [
        ("baresip", baresip._events, ["set_sink"]),
        ("baresip", baresip._native, ["lib"]),
        ("baresip", baresip._native.lib, ["BP_CMD_PING", "BP_EV_PONG"]),
        ("baresip", ctypes.CDLL(str(baresip._native.__file__)), list(native._SIGNATURES)),
    ],
    "transports/sip/native_dial.py": [("baresip", baresip.call.Call, ["_on_stack_event"])],
    "transports/sip/hooks.py": [
        ("baresip", ctypes.CDLL(str(baresip._native.__file__)), list(hooks._SIGNATURES)),
    ],
    "transports/sip/native_agents.py": [
        ("baresip", baresip._native, ["__file__"]),
        ("baresip", ctypes.CDLL(str(baresip._native.__file__)), list(native_agents.SIGNATURES)),
    ],
    "transports/sip/requests.py": [
        ("baresip", baresip._native, ["__file__"]),
        ("baresip", ctypes.CDLL(str(baresip._native.__file__)), list(requests.SIGNATURES)),
    ],
    "transports/sip/native_calls.py": [
        ("baresip", baresip._native, ["__file__"]),
        ("baresip", ctypes.CDLL(str(baresip._native.__file__)), list(native_calls._SIGNATURES)),
    ],
    "transports/sip/native_link.py": [
        ("baresip", baresip._native, ["__file__"]),
        ("baresip", ctypes.CDLL(str(baresip._native.__file__)), list(native_link._SIGNATURES)),
    ],
    "transports/sip/native_rtp.py": [
        ("baresip", baresip._native, ["__file__"]),
        ("baresip", ctypes.CDLL(str(baresip._native.__file__)), list(native_rtp._SIGNATURES)),
    ],
    "transports/sip/native_tls.py": [
        ("baresip", ctypes.CDLL(str(baresip._native.__file__)), list(native_tls._SIGNATURES)),
    ],
    "transports/sip/native_srtp.py": [
        ("baresip", ctypes.CDLL(str(baresip._native.__file__)), list(native_srtp._SIGNATURES)),
    ],
}
EACH = [
    (file, library, owner, name)
    for file, parts in PARTS.items()
    for library, owner, names in parts
    for name in names
]


@pytest.mark.parametrize(
    ("file", "library", "owner", "name"), EACH, ids=[f"{library}-{name}" for _, library, _, name in EACH]
)
def test_the_library_still_has_it(file: str, library: str, owner: Any, name: str) -> None:
    what = getattr(owner, "__name__", repr(owner))
    distribution = LIBRARIES[library]
    assert has(owner, name), (
        f"{distribution} {version(distribution)} has no {name} in {what}, which {file} leans on"
    )


def test_what_is_gone_is_missed() -> None:
    assert not has(TTSService, "_no_such_part")
    assert not has(baresip._events, "no_such_part")


def test_nobody_else_leans_on_private_parts() -> None:
    found = {}
    for module in modules():
        path = Path(str(module.__file__))
        file = str(path.relative_to(ROOT))
        tree = ast.parse(path.read_text())
        own = {name for _, _, names in PARTS.get(file, []) for name in names}
        elsewhere = set(reached(tree)) - defined(tree) - NOT_THEIRS
        if others := (elsewhere | set(inherited(module, tree))) - own:
            found[file] = sorted(others)

    assert found == {}


# A named tuple's own, and Python's.
NOT_THEIRS = {"_replace", "_exit", "_transport", "_Pointer"}


def has(owner: Any, name: str) -> bool:
    """Whether a module or library has it, or a class, as an attribute of its own or of its instances."""
    if hasattr(owner, name):
        return True
    if not inspect.isclass(owner):
        return False
    return any(
        re.search(rf"\bself\.{re.sub(rf'^_{base.__name__}(?=__)', '', name)}\b", source(base))
        for base in owner.__mro__[:-1]
        if inspect.getmodule(base) is not None and base.__module__.partition(".")[0] in LIBRARIES
    )


@cache
def source(of: type) -> str:
    return inspect.getsource(of)


# What comes with an extra, or by hand: modules, and what they import.
NOT_ALWAYS_THERE = {"agent.otlp": "opentelemetry.exporter", "bench.mind.train": "torch"}


def modules() -> Iterator[ModuleType]:
    for package in (agent, bench, models, transports):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.endswith(("__main__", "child_main")):  # run as they are imported
                continue
            if (needed := NOT_ALWAYS_THERE.get(found.name)) and find_spec(needed) is None:
                continue
            yield importlib.import_module(found.name)


def private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def defined(tree: ast.Module) -> set[str]:
    """The private names that a module's own functions and assignments make."""
    made = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            made.add(node.id)
    return made


def reached(tree: ast.Module) -> Iterator[str]:
    """Private attributes of anything but `self`, and what is imported from a library's private modules."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(attr=name) if private(name):
                yield name
            case ast.ImportFrom(module=str(module), names=names):
                if module.partition(".")[0] in LIBRARIES and "._" in module:
                    yield from (alias.name for alias in names)


def inherited(module: ModuleType, tree: ast.Module) -> Iterator[str]:
    """Private parts of a library's class that a class of ours, derived from it, uses or replaces."""
    for ours in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        bases = getattr(module, ours.name).__mro__
        theirs = [base for base in bases if base.__module__.partition(".")[0] in LIBRARIES]
        for node in ast.walk(ours):
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.Attribute(attr=name):
                    if private(name) and any(has(base, name) for base in theirs):
                        yield name
