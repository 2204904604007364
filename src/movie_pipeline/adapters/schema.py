"""Creating and upgrading the schema: by Alembic, or by plain SQL with psycopg2 as the seed has it."""

from importlib import resources
from pathlib import Path

import psycopg2
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg2 import sql
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from movie_pipeline import logs
from movie_pipeline.adapters import migrations
from movie_pipeline.adapters.postgres import connect, session
from movie_pipeline.errors import DatabaseUnavailableError, StateConflictError

MIGRATION_LOCK = 4_603_017_734  # any constant: whoever migrates this database takes this lock
RAW_SCHEMA = "schema.sql"

log = logs.get(__name__)


def migrate(dsn: str, *, app_role: str | None = None, app_role_password: str | None = None) -> str:
    """Bring the database to the newest schema that this program knows and return the database's revision.

    Two migrations at once wait for one another. A database of a newer program stays as it is: migrations only expand,
    so a rolled-back program works on it. With `app_role` that role is created or updated: it may read and write rows,
    and may not create, alter or drop anything.
    """
    engine = create_engine(_sqlalchemy_url(dsn), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
            connection.commit()
            revision = _upgrade(connection)
            connection.commit()
    except OperationalError as error:
        raise DatabaseUnavailableError(f"the schema cannot be migrated: {logs.redact(str(error.orig))}") from error
    finally:
        engine.dispose()
    if app_role:
        _grant(dsn, app_role, app_role_password)
    return revision


def _upgrade(connection: Connection) -> str:
    found = current_revision(connection)
    if found and found not in _known():
        log.warning("the schema is newer than this program, it stays as it is", found=found, newest_known=head())
        return found
    command.upgrade(_config(connection), "head")
    return head()


def head() -> str:
    """Return the newest revision that this program knows."""
    revision = ScriptDirectory(_migrations()).get_current_head()
    if revision is None:
        raise StateConflictError("the package has no migrations: install it again")
    return revision


def require_current(dsn: str) -> None:
    """Raise StateConflictError unless the schema is at least as new as this program.

    A newer schema is fine: migrations only expand.
    """
    with session(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('alembic_version')")
        exists = cursor.fetchone() != (None,)
        if exists:
            cursor.execute("SELECT version_num FROM alembic_version")
        found = cursor.fetchone() if exists else None
    if not found:
        raise StateConflictError("the database has no schema yet: run `movie-pipeline migrate` first")
    if found[0] in _known() and found[0] != head():
        raise StateConflictError(
            f"the schema is at revision {found[0]}, needed is {head()}: run `movie-pipeline migrate`"
        )


def create_schema_and_tables_raw(dsn: str) -> None:
    """Create the same schema by psycopg2 and plain SQL, for those who do not want Alembic (the seed's way)."""
    statements = resources.files("movie_pipeline.adapters").joinpath(RAW_SCHEMA).read_text(encoding="utf-8")
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statements)
    finally:
        connection.close()


def current_revision(connection: Connection) -> str | None:
    """Return the revision of an open SQLAlchemy connection's database."""
    return MigrationContext.configure(connection).get_current_revision()


def _grant(dsn: str, role: str, password: str | None) -> None:
    name = sql.Identifier(role)
    connection = connect(dsn, application="movie-pipeline migrate")
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
            if not cursor.fetchone():
                # Only at birth: to change these later takes a superuser, even where nothing would change.
                cursor.execute(sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE").format(name))
            if password is not None:
                cursor.execute(sql.SQL("ALTER ROLE {} PASSWORD %s").format(name), (password,))
            cursor.execute(sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {}").format(name))
            cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))
            cursor.execute(
                sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}").format(name)
            )
            cursor.execute(sql.SQL("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {}").format(name))
            cursor.execute(sql.SQL("REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {}").format(name))
    finally:
        connection.close()


def _sqlalchemy_url(dsn: str) -> str:
    return make_url(dsn).set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


def _known() -> set[str]:
    return {script.revision for script in ScriptDirectory(_migrations()).walk_revisions()}


def _migrations() -> str:
    return str(Path(migrations.__file__).parent)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", _migrations().replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
