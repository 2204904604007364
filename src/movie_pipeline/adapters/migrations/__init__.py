"""Alembic migrations; they only expand, so that the previous release keeps working after a rollback."""
