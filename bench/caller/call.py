"""One call, whatever the transport: from the script to the result."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.caller.impair import load_wav
from bench.caller.media import Media
from bench.caller.outcome import Outcome
from bench.caller.prompting import LinePrompter
from bench.caller.recording import columns, write_stereo
from bench.caller.script import Performance, Play, Prompted, Samples, Script


def run(script: Script) -> dict[str, Any]:
    """Make the call. Returns what is written as the result.

    Raises OSError if no socket can be had, ValueError if something that the call needs is missing.
    """
    loaded = {step: load_wav(step.wav, step.gain_db) for step in script.steps if isinstance(step, Play)}

    def load(step: Play) -> Samples:
        return loaded[step] if step in loaded else load_wav(step.wav, step.gain_db)

    prompted = any(isinstance(step, Prompted) for step in script.steps)
    prompter = LinePrompter(sys.stdin, sys.stdout) if prompted else None
    performance = Performance(script.steps, load, prompter)
    media = Media(performance, script.line)
    call = _call_over(script)
    began = time.monotonic()
    outcome = call(script, media)
    wav = None
    if script.wav is not None and media.recording.caller_audio:
        try:
            write_stereo(script.wav, media.recording)
            wav = str(script.wav)
        except OSError as error:  # what was measured is worth more
            outcome.findings.append(f"{script.wav} can't be written: {error.strerror}")
    return {
        **dataclasses.asdict(outcome),
        "transport": script.transport,
        "began_at": began,
        "ended_at": time.monotonic(),
        "marks": [dataclasses.asdict(mark) for mark in performance.marks],
        "unreadable_packets": media.recording.unreadable,
        "sent": columns(media.recording.sent),
        "received": columns(media.recording.received),
        "wav": wav,
    }


def _call_over(script: Script) -> Callable[[Script, Media], Outcome]:
    """Imported when it is wanted: aiortc alone takes most of a second to load."""
    match script.transport:
        case "sip":
            from bench.caller import sip_call

            return sip_call.call
        case "webrtc":
            from bench.caller import webrtc_call

            return webrtc_call.call
        case "twilio":
            from bench.caller import twilio_call

            return twilio_call.call


def write_result(path: Path, result: dict[str, Any]) -> None:
    path.write_text(json.dumps(result))
