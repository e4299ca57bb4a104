"""Calls that the nodes have begun, for limits over all of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "outgoing",
        sa.Column("id", sa.String(), primary_key=True),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("node", "instance", "by")),
        sa.Column("begun", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.DateTime(timezone=True)) for name in ("answered", "ended")),
    )


def downgrade() -> None:
    op.drop_table("outgoing")
