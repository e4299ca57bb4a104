"""The tables of the records; a change needs a migration beside it (`migrations/versions`)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, ForeignKey, Index, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Moment(TypeDecorator[datetime]):
    """A time with its zone, which SQLite doesn't keep: there it is UTC's."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and (value if value.tzinfo else value.replace(tzinfo=UTC))


class Base(DeclarativeBase):
    type_annotation_map: ClassVar = {datetime: Moment(), dict[str, Any]: JSON(), list[str]: JSON()}


class Call(Base):
    """One call, from its arrival on. What isn't known, or not yet, is null."""

    __tablename__ = "calls"
    __table_args__ = (Index("calls_by_time", "began", "id"), Index("calls_by_caller", "caller"))

    id: Mapped[str] = mapped_column(primary_key=True)
    node: Mapped[str]
    transport: Mapped[str]
    direction: Mapped[str]
    account: Mapped[str]  # of sip.accounts
    caller: Mapped[str]
    caller_name: Mapped[str]
    called: Mapped[str]
    diverted_from: Mapped[list[str]]
    remote: Mapped[str]
    codec: Mapped[str]
    encryption: Mapped[str]  # of the media; empty if there was none
    wire_id: Mapped[str]  # SIP's Call-ID, or the carrier's
    persona: Mapped[str]
    language: Mapped[str]
    began: Mapped[datetime]
    connected: Mapped[datetime | None]
    ended: Mapped[datetime | None] = mapped_column(index=True)
    cause: Mapped[str | None]  # an `EndReason`, PROCESS_DIED or NODE_LOST
    guesses: Mapped[int]
    guesses_discarded: Mapped[int]
    false_starts: Mapped[int]
    turn_count: Mapped[int]
    last_voice_to_voice_ms: Mapped[float | None]
    packets_received: Mapped[int | None]
    packets_lost: Mapped[int | None]
    jitter_ms: Mapped[float | None]
    round_trip_ms: Mapped[float | None]
    recording_path: Mapped[str | None]
    recording_began: Mapped[datetime | None]
    recording_s: Mapped[float | None]
    recording_bytes: Mapped[int | None] = mapped_column(BigInteger)
    summary: Mapped[str | None]
    flow: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # where it stood in one
    models: Mapped[dict[str, Any]]  # by part: model, device, precision
    turns: Mapped[list[Turn]] = relationship(order_by="Turn.number", lazy="raise")
    tool_calls: Mapped[list[ToolCall]] = relationship(order_by="ToolCall.number", lazy="raise")
    actions: Mapped[list[Action]] = relationship(order_by="Action.number", lazy="raise")
    problems: Mapped[list[Problem]] = relationship(order_by="Problem.number", lazy="raise")


def _call_id() -> Mapped[str]:
    return mapped_column(ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True)


class Turn(Base):
    """One side's words."""

    __tablename__ = "turns"

    call_id: Mapped[str] = _call_id()
    number: Mapped[int] = mapped_column(primary_key=True)
    speaker: Mapped[Literal["caller", "agent"]] = mapped_column(String)
    text: Mapped[str]
    at: Mapped[datetime]
    began: Mapped[datetime | None]  # when its sound did
    cut_off: Mapped[bool]
    end_of_turn: Mapped[dict[str, Any]]
    ledger: Mapped[dict[str, Any]]
    voice_to_voice_ms: Mapped[float | None]
    sources: Mapped[list[str]]  # passages of the persona's pages that an agent's was given on


class ToolCall(Base):
    """What the agent did, or was to do."""

    __tablename__ = "tool_calls"

    call_id: Mapped[str] = _call_id()
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    arguments: Mapped[dict[str, Any]]
    at: Mapped[datetime]
    seconds: Mapped[float | None]  # null until it is over, as what came of it
    result: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    error: Mapped[str | None]


class Action(Base):
    """What somebody did to the call."""

    __tablename__ = "actions"

    call_id: Mapped[str] = _call_id()
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    arguments: Mapped[dict[str, Any]]
    by: Mapped[str]  # a key's name
    at: Mapped[datetime]


class Problem(Base):
    """What failed in a call."""

    __tablename__ = "problems"

    call_id: Mapped[str] = _call_id()
    number: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    at: Mapped[datetime]


class Delivery(Base):
    """A record that is to be posted. It stays when the record goes."""

    __tablename__ = "deliveries"

    call_id: Mapped[str] = mapped_column(primary_key=True)
    node: Mapped[str]
    since: Mapped[datetime]
    due: Mapped[datetime] = mapped_column(index=True)
    tries: Mapped[int]


class ApiKey(Base):
    """Who may ask over HTTP, and for what. A name is never given twice, so that logs stay true."""

    __tablename__ = "api_keys"

    name: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(unique=True)  # SHA-256, in hex
    prefix: Mapped[str]  # how it begins, for people
    scopes: Mapped[list[str]]
    created: Mapped[datetime]
    expires: Mapped[datetime | None]
    last_used: Mapped[datetime | None]
    revoked: Mapped[datetime | None]


class Node(Base):
    """A machine that shares the database with others. Its times are the database's."""

    __tablename__ = "nodes"

    name: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str]  # where others reach its HTTP
    instance: Mapped[str]  # one life of its process
    version: Mapped[str]
    configuration: Mapped[str]  # hashes, as those of its personas
    personas: Mapped[str]
    state: Mapped[str]  # of agent.cluster.node
    calls: Mapped[int]
    max_calls: Mapped[int]
    beat: Mapped[datetime]


class Outgoing(Base):
    """A call that a node has begun: what limits over all nodes count. Its times are the database's."""

    __tablename__ = "outgoing"

    id: Mapped[str] = mapped_column(primary_key=True)
    node: Mapped[str]
    instance: Mapped[str]
    by: Mapped[str]
    begun: Mapped[datetime]
    answered: Mapped[datetime | None]
    ended: Mapped[datetime | None]


class HeldCall(Base):
    """A call that is on, of a source that may only have so many over all processes and nodes."""

    __tablename__ = "held_calls"

    id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(index=True)
    node: Mapped[str]
    since: Mapped[datetime]


class Requests(Base):
    """How often a key has asked one life of a node's process. Its time is the database's."""

    __tablename__ = "requests"

    whom: Mapped[str] = mapped_column(primary_key=True)
    instance: Mapped[str] = mapped_column(primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]
