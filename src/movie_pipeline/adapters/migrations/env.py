"""Alembic's entry: the caller hands over an open connection, nothing is read from a file."""

from alembic import context

from movie_pipeline.adapters.tables import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, transaction_per_migration=False
)
with context.begin_transaction():
    context.run_migrations()
