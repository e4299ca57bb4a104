"""Run by Alembic, with the connection that it was given."""

from __future__ import annotations

from alembic import context

from agent.records.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite can't alter a column
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
