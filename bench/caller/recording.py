"""What is kept of a call: every packet of both directions, and its sound."""

from __future__ import annotations

import dataclasses
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from bench.caller.script import RATE_HZ, Samples


@dataclass(frozen=True, slots=True)
class SentPacket:
    """`due`: its place in time. `sent`: when it left the socket; None for one the line lost."""

    due: float
    sent: float | None
    level_dbfs: float
    speech_dbfs: float
    play: int


@dataclass(frozen=True, slots=True)
class ReceivedPacket:
    """`at`: when the caller had it. RTP's own fields are 0 where the transport isn't RTP."""

    at: float
    sequence_number: int
    level_dbfs: float
    rtp_timestamp: int = 0
    ssrc: int = 0
    payload_type: int = 0


@dataclass(slots=True)
class Recording:
    sent: list[SentPacket] = field(default_factory=list)
    received: list[ReceivedPacket] = field(default_factory=list)
    caller_audio: list[tuple[float, Samples]] = field(default_factory=list)
    agent_audio: list[tuple[float, Samples]] = field(default_factory=list)
    unreadable: int = 0


def columns(packets: list[Any]) -> dict[str, list[Any]]:
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


def read_agent(path: Path, rate_hz: int) -> Samples:
    """The agent's side of what `write_stereo` wrote, at `rate_hz`."""
    with wave.open(str(path)) as recording:
        frames = np.frombuffer(recording.readframes(recording.getnframes()), np.int16)
        return np.asarray(soxr.resample(frames.reshape(-1, 2)[:, 1], recording.getframerate(), rate_hz))


def _lay(channel: Samples, position: int, samples: Samples) -> None:
    room = len(channel) - position
    channel[position : position + len(samples)] = samples[:room]
