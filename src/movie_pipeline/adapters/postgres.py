"""Connections to PostgreSQL by psycopg2 alone, and what its errors mean for a caller.

The producer imports this module, so nothing here may load SQLAlchemy or pandas.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 spells its class small

from movie_pipeline import logs
from movie_pipeline.errors import ConfigurationError, DatabaseUnavailableError, StateConflictError

CONNECT_TIMEOUT_SECONDS = 10

RETRY_STATES = re.compile(r"^(08...|40001|40P01|55P03|53...|57...|58...|25006|XX...)$")
"""SQLSTATEs that say nothing about the data: connection, serialization, deadlock, resources, shutdown, failover."""
SCHEMA_STATES = ("42", "3F")
"""Classes for a table, column or right that is missing."""


def connect(dsn: str, *, application: str = "movie-pipeline") -> Connection:
    """Open a connection; DatabaseUnavailableError (password masked) when there is none to be had."""
    try:
        return psycopg2.connect(
            dsn,
            application_name=application,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
        )
    except psycopg2.ProgrammingError:
        # libpq's text repeats parts of the address, and so perhaps of the password.
        raise ConfigurationError(
            "DATABASE_URL (or a PG* setting) is no connection address; allowed is"
            " postgresql://USER:PASSWORD@HOST:PORT/DATABASE with special characters percent-encoded"
        ) from None
    except psycopg2.OperationalError as error:
        raise DatabaseUnavailableError(
            f"PostgreSQL does not answer: {_reason(error)}; check DATABASE_URL or PGHOST, PGPORT, PGUSER, PGPASSWORD"
        ) from None


@contextmanager
def session(dsn: str, *, application: str = "movie-pipeline") -> Iterator[Connection]:
    """Give one connection with one transaction: committed at the end, rolled back on an error, always closed."""
    connection = connect(dsn, application=application)
    try:
        with translated(), connection:
            yield connection
    finally:
        connection.close()


@contextmanager
def translated() -> Iterator[None]:
    """Turn what only a retry can cure into DatabaseUnavailableError, and what no row causes into StateConflictError.

    What is left speaks of the rows that were sent.
    """
    try:
        yield
    except psycopg2.Error as error:
        if is_outage(error):
            raise DatabaseUnavailableError(f"PostgreSQL asks for another try: {_reason(error)}") from error
        if (error.pgcode or "").startswith(SCHEMA_STATES):
            raise StateConflictError(
                f"the database's schema or the role's rights do not fit: {_reason(error)};"
                " run `movie-pipeline migrate` as the owner"
            ) from error
        raise


def is_outage(error: psycopg2.Error) -> bool:
    """Tell whether the error speaks of the server's state, not of the rows sent."""
    if error.pgcode is None:
        return isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
    return RETRY_STATES.match(error.pgcode) is not None


def _reason(error: psycopg2.Error) -> str:
    return logs.redact(" ".join(str(error).split())) or type(error).__name__
