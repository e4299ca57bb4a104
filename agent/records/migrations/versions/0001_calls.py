"""Calls, turns, tool calls and problems."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.String(), primary_key=True),
        *_texts("node", "transport", "direction", "account", "caller", "caller_name", "called"),
        sa.Column("diverted_from", sa.JSON(), nullable=False),
        *_texts("remote", "codec", "encryption", "wire_id", "persona", "language"),
        sa.Column("began", _TIME, nullable=False),
        sa.Column("connected", _TIME),
        sa.Column("ended", _TIME),
        sa.Column("cause", sa.String()),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in ("guesses", "guesses_discarded", "false_starts", "turn_count")
        ),
        sa.Column("last_voice_to_voice_ms", sa.Double()),
        sa.Column("packets_received", sa.Integer()),
        sa.Column("packets_lost", sa.Integer()),
        sa.Column("jitter_ms", sa.Double()),
        sa.Column("round_trip_ms", sa.Double()),
        sa.Column("models", sa.JSON(), nullable=False),
    )
    op.create_index("calls_by_time", "calls", ["began", "id"])
    op.create_index("calls_by_caller", "calls", ["caller"])
    op.create_index("ix_calls_ended", "calls", ["ended"])
    op.create_table(
        "turns",
        *_key(),
        *_texts("speaker", "text"),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("cut_off", sa.Boolean(), nullable=False),
        sa.Column("end_of_turn", sa.JSON(), nullable=False),
        sa.Column("ledger", sa.JSON(), nullable=False),
        sa.Column("voice_to_voice_ms", sa.Double()),
    )
    op.create_table(
        "tool_calls",
        *_key(),
        *_texts("name"),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
    )
    op.create_table("problems", *_key(), *_texts("text"), sa.Column("at", _TIME, nullable=False))

    op.create_table(
        "deliveries",
        sa.Column("call_id", sa.String(), primary_key=True),
        *_texts("node"),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("due", _TIME, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
    )
    op.create_index("ix_deliveries_due", "deliveries", ["due"])


def downgrade() -> None:
    for table in ("deliveries", "problems", "tool_calls", "turns", "calls"):
        op.drop_table(table)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def _key() -> list[sa.Column[str] | sa.Column[int]]:
    """Of a call's rows, in their order."""
    return [
        sa.Column("call_id", sa.String(), sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
    ]
