"""What the caller does: a script that is data, and the plain class that performs it.

`Performance` has no clock and no I/O: every 20 ms it is told the time and what the agent's line did,
and answers with the audio of one packet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.caller.g711 import Law

RATE_HZ = 8000
PTIME_S = 0.020  # 20ms
PACKET_SAMPLES = 160
AUDIBLE_DBFS = -50.0  # an agent's packet above this can be heard

Samples = NDArray[np.int16]
Transport = Literal["sip", "webrtc", "twilio"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Play(_Part):
    """Speak a WAV file (mono, 16 bit, 8 or 16 kHz)."""

    do: Literal["play"] = "play"
    wav: Path
    label: str = ""
    kind: str = "question"
    gain_db: float = 0.0


class Wait(_Part):
    """Wait for one thing, at most `timeout_s`; a timeout is marked and the script goes on.

    - time: `timeout_s` itself.
    - speaking: the agent has been heard for `for_ms`, counted from this step.
    - reply: the agent is heard after the end of the last play.
    - silent: the agent hasn't been heard for `for_ms`.
    """

    do: Literal["wait"] = "wait"
    until: Literal["time", "speaking", "reply", "silent"] = "time"
    for_ms: int = 0
    timeout_s: float = 10.0


class Digits(_Part):
    """Press keys, 100 ms each with 100 ms between them: RFC 4733 events, or the transport's own message."""

    do: Literal["digits"] = "digits"
    digits: str = Field(pattern=r"^[0-9*#A-D]+$")


class Prompted(_Part):
    """Wait for what comes next: further steps, once whoever runs the caller knows them."""

    do: Literal["prompt"] = "prompt"


class Hangup(_Part):
    do: Literal["hangup"] = "hangup"


class Cancel(_Part):
    """SIP only, as the first step: CANCEL the INVITE once the agent's side has answered provisionally."""

    do: Literal["cancel"] = "cancel"


Step = Annotated[Play | Wait | Digits | Prompted | Hangup | Cancel, Field(discriminator="do")]


class Echo(_Part):
    """The agent's own voice coming back, as from a loudspeaker."""

    gain_db: float = -15.0
    delay_ms: int = Field(default=200, ge=40, le=1000)


class Line(_Part):
    """What the network and the room do to the caller's audio. Everything repeats from `seed`."""

    loss: float = Field(default=0.0, ge=0, le=1, description="Share of packets never sent.")
    loss_pattern: tuple[int, ...] = Field(
        default=(), description="1 loses a packet; repeated. Wins over `loss`."
    )
    jitter_ms: float = Field(
        default=0.0, ge=0, le=500, description="Each packet is late by 0 to this, in order."
    )
    noise_dbfs: float | None = Field(
        default=-68.0, description="White noise under everything; none is digital silence."
    )
    noise_wav: Path | None = Field(default=None, description="A background, looped.")
    noise_gain_db: float = 0.0
    echo: Echo | None = None
    seed: int = 1


class Script(_Part):
    transport: Transport = "sip"
    target: str = Field(default="127.0.0.1:5060", description="HOST:PORT of the SIP server.")
    api: str = Field(
        default="http://127.0.0.1:8080", description="The server's HTTP address, for the other transports."
    )
    user: str = "agent"
    caller: str = "bench"
    codec: Law = Field(default="pcmu", description="What is offered over SIP.")
    steps: tuple[Step, ...]
    line: Line = Line()
    wav: Path | None = Field(default=None, description="Where the call goes as a stereo WAV.")
    answer_timeout_s: float = 30.0
    max_s: float = 3600.0

    @model_validator(mode="after")
    def _possible(self) -> Self:
        line = self.line
        if self.transport == "twilio" and (line.loss or line.loss_pattern or line.jitter_ms):
            raise ValueError("Loss and jitter are of RTP packets: Twilio's stream is a WebSocket.")
        if self.transport != "sip" and any(isinstance(step, Cancel) for step in self.steps):
            raise ValueError("Only a SIP call can be cancelled.")
        return self


@dataclass(slots=True)
class AgentLine:
    """What the caller hears: updated with each of the agent's packets."""

    last_heard: float = float("-inf")
    heard: deque[float] = field(default_factory=lambda: deque(maxlen=500))

    def packet(self, at: float, level_dbfs: float) -> None:
        if level_dbfs > AUDIBLE_DBFS:
            self.last_heard = at
            self.heard.append(at)

    def heard_s(self, since: float) -> float:
        return PTIME_S * sum(1 for at in self.heard if at >= since)


@dataclass(frozen=True, slots=True)
class Mark:
    """A step's beginning or end."""

    at: float
    step: int
    event: Literal["begin", "end", "timeout"]
    what: str
    label: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One packet: speech (None when the caller is silent), of which play, and the digit sent instead."""

    speech: Samples | None = None
    play: int = -1
    digit: str = ""
    digit_tick: int = 0


class Prompter(Protocol):
    def ask(self) -> None: ...
    def steps(self) -> tuple[Step, ...]: ...


class Performance:
    """Goes through the steps, one packet at a time. `load` gives a WAV's 8 kHz samples."""

    DIGIT_TICKS = 5
    PAUSE_TICKS = 5

    def __init__(
        self,
        steps: tuple[Step, ...],
        load: Callable[[Play], Samples],
        prompter: Prompter | None = None,
    ) -> None:
        """`prompter` gives the steps behind each Prompted one."""
        self._steps = steps
        self._load = load
        self._prompter = prompter
        self._index = -1
        self._began = 0.0
        self._samples: Samples = np.zeros(0, np.int16)
        self._position = 0
        self._last_play_end = float("-inf")
        self.marks: list[Mark] = []
        self.done = False

    def tick(self, now: float, agent: AgentLine) -> Outgoing:
        if self._index < 0:
            self._enter(0, now)
        while not self.done:
            step = self._steps[self._index]
            match step:
                case Play():
                    if self._position < len(self._samples):
                        return self._speech()
                    self._last_play_end = now
                case Wait():
                    satisfied = self._satisfied(step, now, agent)
                    late = now - self._began >= step.timeout_s
                    if not satisfied and not late:
                        return Outgoing()
                    if late and not satisfied:
                        self._mark(now, "timeout")
                case Digits():
                    tick, self._position = self._position, self._position + 1
                    place, phase = divmod(tick, self.DIGIT_TICKS + self.PAUSE_TICKS)
                    if place < len(step.digits):
                        if phase < self.DIGIT_TICKS:
                            return Outgoing(digit=step.digits[place], digit_tick=phase)
                        return Outgoing()
                case Prompted():
                    assert self._prompter is not None
                    if not (steps := self._prompter.steps()):
                        return Outgoing()
                    self._steps += steps
                case Hangup() | Cancel():
                    self.done = True
                    self._mark(now, "end")
                    return Outgoing()
            self._mark(now, "end")
            self._enter(self._index + 1, now)
        return Outgoing()

    def _enter(self, index: int, now: float) -> None:
        self._index = index
        self._began = now
        self._position = 0
        if index >= len(self._steps):
            self.done = True
            return
        step = self._steps[index]
        if isinstance(step, Play):
            self._samples = self._load(step)
        if isinstance(step, Prompted) and self._prompter is not None:
            self._prompter.ask()
        self._mark(now, "begin")

    def _speech(self) -> Outgoing:
        packet = self._samples[self._position : self._position + PACKET_SAMPLES]
        self._position += PACKET_SAMPLES
        if len(packet) < PACKET_SAMPLES:
            packet = np.pad(packet, (0, PACKET_SAMPLES - len(packet)))
        return Outgoing(speech=packet, play=self._index)

    def _satisfied(self, step: Wait, now: float, agent: AgentLine) -> bool:
        match step.until:
            case "speaking":
                return agent.heard_s(self._began) * 1000 >= max(step.for_ms, 20)
            case "reply":
                return agent.last_heard > self._last_play_end
            case "silent":
                return (now - max(agent.last_heard, self._began)) * 1000 >= step.for_ms
            case "time":
                return now - self._began >= step.timeout_s

    def _mark(self, at: float, event: Literal["begin", "end", "timeout"]) -> None:
        step = self._steps[self._index]
        label, kind = (step.label, step.kind) if isinstance(step, Play) else ("", "")
        what = f"wait {step.until}" if isinstance(step, Wait) else step.do
        self.marks.append(Mark(at, self._index, event, what, label, kind))
