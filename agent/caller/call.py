"""One call from INVITE to BYE: sockets, threads and the result."""

from __future__ import annotations

import dataclasses
import json
import socket
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np

from agent.caller.impair import load_wav
from agent.caller.media import Media, Recording, open_rtp
from agent.caller.script import RATE_HZ, Cancel, Performance, Play, Samples, Script
from agent.caller.sip import Dialog, State

POLL_S = 0.02


def run(script: Script) -> dict[str, Any]:
    """Make the call. Returns what is written as the result; raises OSError if no socket can be had."""
    host, _, port = script.target.rpartition(":")
    target = (socket.gethostbyname(host), int(port))
    with _local_socket(target) as sip, open_rtp(sip.getsockname()[0]) as rtp:
        dialog = Dialog(
            local=sip.getsockname(),
            target=target,
            rtp_port=rtp.getsockname()[1],
            user=script.user,
            caller=script.caller,
            law=script.codec,
        )
        loaded = {step: load_wav(step.wav, step.gain_db) for step in script.steps if isinstance(step, Play)}
        performance = Performance(script.steps, loaded.__getitem__)
        began = time.monotonic()
        media = _converse(script, dialog, sip, rtp, performance, began)
    recording = media.recording if media is not None else Recording()
    result = _result(script, dialog, performance, recording, began)
    if script.wav is not None and recording.caller_audio:
        write_stereo(script.wav, recording)
    return result


def _local_socket(target: tuple[str, int]) -> socket.socket:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(target)  # sends nothing; tells which address of ours faces the agent
        host = probe.getsockname()[0]
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.settimeout(POLL_S)
    return sock


def _converse(
    script: Script,
    dialog: Dialog,
    sip: socket.socket,
    rtp: socket.socket,
    performance: Performance,
    began: float,
) -> Media | None:
    cancel = bool(script.steps) and isinstance(script.steps[0], Cancel)
    media: Media | None = None
    outgoing = dialog.invite(time.monotonic())
    try:
        while dialog.state is not State.ENDED or outgoing:
            for datagram in outgoing:
                sip.sendto(datagram, dialog.target)
            outgoing = []
            try:
                data = sip.recv(65535)
                outgoing += dialog.receive(data, time.monotonic())
            except TimeoutError:
                pass
            except ConnectionRefusedError:
                dialog.findings.append("nobody listens at the target")
                break
            now = time.monotonic()
            outgoing += dialog.due(now)
            if dialog.state is State.CONFIRMED and dialog.media is not None and media is None:
                media = Media(rtp, dialog.media, performance, script.line)
                media.start()
            unanswered = now - began > script.answer_timeout_s
            if dialog.state is State.PROCEEDING and (cancel or unanswered):
                outgoing += dialog.cancel(now)
            if (media is not None and media.finished.is_set()) or now - began > script.max_s:
                outgoing += dialog.bye(now)
    finally:
        if media is not None:
            media.stop()
    return media


def _result(
    script: Script, dialog: Dialog, performance: Performance, recording: Recording, began: float
) -> dict[str, Any]:
    return {
        "outcome": "answered" if dialog.answered else (dialog.ended_by or "unreachable"),
        "status": dialog.status,
        "reason": dialog.reason,
        "ended_by": dialog.ended_by,
        "began_at": began,
        "acked_at": dialog.acked_at,
        "ended_at": time.monotonic(),
        "codec": dialog.media.law if dialog.media else "",
        "findings": dialog.findings,
        "sip": [list(entry) for entry in dialog.log],
        "marks": [dataclasses.asdict(mark) for mark in performance.marks],
        "unreadable_packets": recording.unreadable,
        "sent": _columns(recording.sent),
        "received": _columns(recording.received),
        "wav": str(script.wav) if script.wav else None,
    }


def _columns(packets: list[Any]) -> dict[str, list[Any]]:
    """One list per field: a third of the size of one object per packet."""
    if not packets:
        return {}
    names = [item.name for item in dataclasses.fields(packets[0])]
    return {name: [_short(getattr(packet, name)) for packet in packets] for name in names}


def _short(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value


def write_stereo(path: Path, recording: Recording) -> None:
    """Left the caller, right the agent, both laid down at the time of their packets."""
    parts = [*recording.caller_audio, *recording.agent_audio]
    start = min(at for at, _ in parts)
    end = max(at + len(samples) / RATE_HZ for at, samples in parts)
    stereo = np.zeros((round((end - start) * RATE_HZ) + 1, 2), np.int16)
    for channel, side in enumerate((recording.caller_audio, recording.agent_audio)):
        for at, samples in side:
            _lay(stereo[:, channel], round((at - start) * RATE_HZ), samples)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(stereo.tobytes())


def _lay(channel: Samples, position: int, samples: Samples) -> None:
    room = len(channel) - position
    channel[position : position + len(samples)] = samples[:room]


def write_result(path: Path, result: dict[str, Any]) -> None:
    path.write_text(json.dumps(result))
