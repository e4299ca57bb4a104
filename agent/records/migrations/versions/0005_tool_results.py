"""What came of a tool."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("tool_calls", sa.Column("seconds", sa.Double()))
    op.add_column("tool_calls", sa.Column("result", sa.JSON()))
    op.add_column("tool_calls", sa.Column("error", sa.String()))


def downgrade() -> None:
    for column in ("error", "result", "seconds"):
        op.drop_column("tool_calls", column)
