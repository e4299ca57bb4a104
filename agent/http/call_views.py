"""Calls, live and past, as the control plane answers them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from agent.conversation import CallState
from agent.http.contracts import Action, LiveCall, Problem, ToolCall, Turn
from agent.http.views import rounded
from agent.observer import Observed
from agent.quality import mos
from agent.records.tables import Call
from config.redaction import without_credentials
from transports.call import MediaStats

CUT = "—"
BEGINS_S = 0.5  # a recording begins with the turn behind the announcement, or a moment later


class RecordingView(BaseModel):
    path: str = Field(description="On the machine that had the call.")
    began: datetime
    seconds: float = Field(description="How long it is, or was when it was last looked at.")
    bytes: int
    paused: bool = Field(description="What is heard now isn't recorded.")


class SessionView(BaseModel):
    id: str = Field(examples=["9f2c51d07a3e"])
    node: str = Field(
        "", description="The machine that has it, or had it (records.node); empty in an action's answer."
    )
    transport: str = Field(examples=["sip"])
    direction: Literal["inbound", "outbound"] = Field(description="Who called: they, or we.")
    from_: str = Field(alias="from", examples=["alice"])
    from_name: str = Field(description="The caller's name, where the wire has one.", examples=["Alice"])
    to: str = Field(examples=["agent"])
    diverted_from: tuple[str, ...] = Field(
        description="Whose calls were diverted here, the last diversion first.", examples=[["600"]]
    )
    account: str = Field(description="Of sip.accounts, by which it came.", examples=["provider"])
    remote: str = Field(description="The peer's network address.", examples=["192.0.2.7"])
    codec: str = Field(examples=["pcmu"])
    encryption: str | None = Field(
        description="Of the media: sdes, or dtls-srtp; null if there is none that is known of.",
        examples=["dtls-srtp"],
    )
    since: datetime
    state: CallState | Literal["ended", "unknown"] = Field(
        description="unknown where the node that has it doesn't answer."
    )
    ended: datetime | None = Field(None, description="Null while it is live.")
    cause: str | None = Field(None, description="Why it ended.", examples=["caller_hangup"])
    persona: str = Field(description="Who answers.", examples=["Joe"])
    language: str = Field(description="In which language.", examples=["en"])
    caller_muted: bool = Field(description="By an operator: the agent doesn't hear the caller.")
    agent_muted: bool = Field(description="By an operator: the caller doesn't hear the agent.")
    recording: RecordingView | None = Field(description="Null where there is none.")
    turns: int = Field(description="Turns so far, both sides counted.")
    last_voice_to_voice_ms: float | None = Field(
        None, description="From the caller's last speech packet to the agent's first, in the last turn."
    )
    guesses: int = Field(description="Answers begun before the caller's turn was surely over.")
    guesses_discarded: int = Field(description="How many of them were thrown away, since the caller went on.")
    false_starts: int = Field(
        description="Turns that were answered and went on: taken back, and answered as a whole."
    )

    model_config = {"populate_by_name": True, "serialize_by_alias": True}

    @classmethod
    def of(cls, call: LiveCall, node: str = "") -> SessionView:
        return cls(**_summary(call), node=node)

    @classmethod
    def of_record(cls, call: Call) -> SessionView:
        return cls(**_record(call))


class TurnView(BaseModel):
    speaker: Literal["caller", "agent"]
    text: str = Field(description=f"What was heard; what was cut off ends in '{CUT}'.")
    cut_off: bool
    at: datetime
    recorded_s: float | None = Field(
        description="Where in the recording it begins; null where that doesn't have it."
    )
    end_of_turn: dict[str, float | str] = Field(
        description="Of a caller's turn: how long a silence was waited for, how probable it was that the "
        "turn was over, by what it was told, and whether what the caller's pauses taught changed the wait.",
        examples=[{"wait_ms": 1500, "probability": 0.43, "reason": "unsure", "patience": "hesitant"}],
    )
    ledger: dict[str, float] = Field(
        description="Where the time went, in milliseconds.",
        examples=[
            {
                "transcript": 90.0,
                "end_of_turn": 220.0,
                "first_token": 40.0,
                "first_sentence": 80.0,
                "first_audio": 60.0,
                "first_packet": 12.0,
            }
        ],
    )

    sources: list[str] = Field(
        description="Of an agent's turn: the passages of the persona's pages on which it was given.",
        examples=[["opening-hours: Opening hours, Holidays"]],
    )

    @classmethod
    def of(cls, turn: Turn, recording_began: datetime | None) -> TurnView:
        text = turn.text.rstrip() + CUT if turn.cut_off else turn.text
        return cls(
            speaker=turn.speaker,
            text=text,
            cut_off=turn.cut_off,
            at=time_of(turn.at),
            recorded_s=_place(turn, recording_began),
            end_of_turn=dict(turn.end_of_turn),
            ledger={stage: round(ms, 1) for stage, ms in turn.ledger.items()},
            sources=list(turn.sources),
        )


class ToolCallView(BaseModel):
    name: str = Field(examples=["take_message"])
    arguments: dict[str, Any]
    at: datetime
    seconds: float | None = Field(None, description="How long it took; null until it is over.")
    result: Any = Field(None, description="What it returned to the model; null where it failed.")
    error: str | None = Field(None, description="Why it failed, as the model was told.")

    @classmethod
    def of(cls, call: ToolCall) -> ToolCallView:
        return cls(
            name=call.name,
            arguments=dict(call.arguments),
            at=time_of(call.at),
            seconds=None if call.seconds is None else round(call.seconds, 3),
            result=call.result,
            error=call.error,
        )


class ActionView(BaseModel):
    name: str = Field(
        examples=["say"],
        description="hang_up, say, inject, persona, mute, hold, resume, transfer, keys, keypad, message, "
        "recording, listening_began or listening_ended; moved_to, where the peer has put us through.",
    )
    arguments: dict[str, Any]
    by: str = Field(description="The name of the API key; empty where none is asked for; or peer.")
    at: datetime

    @classmethod
    def of(cls, action: Action) -> ActionView:
        return cls(name=action.name, arguments=dict(action.arguments), by=action.by, at=time_of(action.at))


class ProblemView(BaseModel):
    text: str = Field(examples=["Speech recognition failed: TimeoutError()"])
    at: datetime

    @classmethod
    def of(cls, problem: Problem) -> ProblemView:
        return cls(text=without_credentials(problem.text), at=time_of(problem.at))


class QualityView(BaseModel):
    """Of what comes from the caller; null where the wire doesn't tell."""

    packets_received: int | None = Field(description="RTP packets, or a carrier's messages with sound.")
    packets_lost: int | None = Field(description="Null over a carrier's WebSocket, which loses none itself.")
    jitter_ms: float | None
    round_trip_ms: float | None = Field(description="By RTCP, once the peer has reported.")
    codec: str = Field(examples=["pcmu"])
    mos: float | None = Field(description="Mean opinion score by the E-model (ITU-T G.107), 1 to 4.4.")

    @classmethod
    def of(cls, stats: MediaStats, codec: str) -> QualityView:
        return cls(
            packets_received=stats.packets_received,
            packets_lost=stats.packets_lost,
            jitter_ms=rounded(stats.jitter_ms),
            round_trip_ms=rounded(stats.round_trip_ms),
            codec=codec,
            mos=rounded(mos(stats)),
        )


class FlowView(BaseModel):
    task: str = Field(description="That is under way; empty between tasks.", examples=["book"])
    step: str = Field(examples=["what"])
    waits_for: str = Field(
        description="The slot that was asked for; yes to what was read back, what to change, or an act.",
        examples=["day"],
    )
    slots: dict[str, Any] = Field(
        description="What is known; null was left out, and secrets are stars.", examples=[{"people": 4}]
    )


class SessionDetail(SessionView):
    quality: QualityView
    summary: str | None = Field(None, description="What it was about (`webhook.summary`), when it is over.")
    flow: FlowView | None = Field(None, description="Where it stands in its persona's flow, or stood last.")
    transcript: list[TurnView]
    tool_calls: list[ToolCallView] = Field(description="What the agent did, or was to do.")
    actions: list[ActionView] = Field(description="What was done to the call over HTTP, and by whom.")
    problems: list[ProblemView] = Field(description="What failed.")

    @classmethod
    async def of_call(cls, call: LiveCall, node: str = "") -> SessionDetail:
        return cls(
            **_summary(call),
            node=node,
            quality=QualityView.of(await call.media_stats(), call.info.codec),
            **_happened(call, recording_began(call)),
        )

    @classmethod
    def of_whole_record(cls, call: Call) -> SessionDetail:
        stats = MediaStats(call.packets_received, call.packets_lost, call.jitter_ms, call.round_trip_ms)
        return cls(
            **_record(call),
            quality=QualityView.of(stats, call.codec),
            summary=call.summary,
            **_happened(call, call.recording_began),
        )


class Sessions(BaseModel):
    sessions: list[SessionView]
    next: str | None = Field(None, description="The `cursor` of the next page; null on the last one.")
    unreachable: list[str] = Field([], description="Nodes that didn't tell of their live calls.")


class Forgotten(BaseModel):
    calls: int = Field(description="Calls with them that were deleted.")
    messages: int = Field(description="Messages of theirs that were.")
    recordings: int = Field(0, description="And recordings of those calls, on this machine.")


def _summary(call: LiveCall) -> dict[str, Any]:
    info = call.info
    return {
        "id": info.id,
        "transport": info.transport,
        "direction": info.direction,
        "from": info.caller,
        "from_name": info.caller_name,
        "to": info.called,
        "diverted_from": info.diverted_from,
        "account": info.account,
        "remote": info.remote,
        "codec": info.codec,
        "encryption": info.encryption or None,
        "since": time_of(info.since),
        "state": call.state,
        "persona": call.persona.name,
        "language": call.persona.language,
        "caller_muted": call.control.caller_muted,
        "agent_muted": call.control.agent_muted,
        "recording": _recording(call),
        "turns": len(call.turns),
        "last_voice_to_voice_ms": call.last_voice_to_voice_ms,
        "guesses": call.guesses[0],
        "guesses_discarded": call.guesses[1],
        "false_starts": call.false_starts,
    }


def _record(call: Call) -> dict[str, Any]:
    return {
        "id": call.id,
        "node": call.node,
        "transport": call.transport,
        "direction": call.direction,
        "account": call.account,
        "from": call.caller,
        "from_name": call.caller_name,
        "to": call.called,
        "diverted_from": call.diverted_from,
        "remote": call.remote,
        "codec": call.codec,
        "encryption": call.encryption or None,
        "since": call.began,
        "state": "ended" if call.ended else "unknown",
        "ended": call.ended,
        "cause": call.cause,
        "persona": call.persona,
        "language": call.language,
        "caller_muted": False,
        "agent_muted": False,
        "recording": _past_recording(call),
        "turns": call.turn_count,
        "last_voice_to_voice_ms": call.last_voice_to_voice_ms,
        "guesses": call.guesses,
        "guesses_discarded": call.guesses_discarded,
        "false_starts": call.false_starts,
    }


def recording_began(call: Observed) -> datetime | None:
    return time_of(call.recorded.began) if call.recorded else None


def _recording(call: LiveCall) -> RecordingView | None:
    if (known := call.recorded) is None:
        return None
    return RecordingView(
        path=str(known.path),
        began=time_of(known.began),
        seconds=round(known.seconds, 3),
        bytes=known.bytes,
        paused=call.monitor.paused,
    )


def _past_recording(call: Call) -> RecordingView | None:
    if call.recording_path is None or call.recording_began is None:
        return None
    return RecordingView(
        path=call.recording_path,
        began=call.recording_began,
        seconds=round(call.recording_s or 0.0, 3),
        bytes=call.recording_bytes or 0,
        paused=False,
    )


def _place(turn: Turn, recording_began: datetime | None) -> float | None:
    if turn.began is None or recording_began is None:
        return None
    seconds = (time_of(turn.began) - recording_began).total_seconds()
    return round(max(0.0, seconds), 3) if seconds >= -BEGINS_S else None


def _happened(call: LiveCall | Call, recording_began: datetime | None) -> dict[str, Any]:
    return {
        "flow": call.flow and FlowView(**call.flow),
        "transcript": [TurnView.of(turn, recording_began) for turn in call.turns],
        "tool_calls": [ToolCallView.of(tool) for tool in call.tool_calls],
        "actions": [ActionView.of(action) for action in call.actions],
        "problems": [ProblemView.of(problem) for problem in call.problems],
    }


def time_of(at: float | datetime) -> datetime:
    return at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
