"""Where a call's recording is, where in it a turn begins, and what was done to the call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("calls", sa.Column("recording_path", sa.String()))
    op.add_column("calls", sa.Column("recording_began", _TIME))
    op.add_column("calls", sa.Column("recording_s", sa.Double()))
    op.add_column("calls", sa.Column("recording_bytes", sa.BigInteger()))
    op.add_column("turns", sa.Column("began", _TIME))
    op.create_table(
        "actions",
        sa.Column("call_id", sa.String(), sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("actions")
    op.drop_column("turns", "began")
    for name in ("recording_bytes", "recording_s", "recording_began", "recording_path"):
        op.drop_column("calls", name)
