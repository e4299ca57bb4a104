"""Where calls stood in their flow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("calls", sa.Column("flow", sa.JSON()))


def downgrade() -> None:
    op.drop_column("calls", "flow")
