"""Where a call's recording is, and where in it a turn begins."""

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


def downgrade() -> None:
    op.drop_column("turns", "began")
    for name in ("recording_bytes", "recording_s", "recording_began", "recording_path"):
        op.drop_column("calls", name)
