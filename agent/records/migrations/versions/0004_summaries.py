"""What a call was about."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("calls", sa.Column("summary", sa.String()))


def downgrade() -> None:
    op.drop_column("calls", "summary")
