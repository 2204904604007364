"""Marks by folder, and the real parts: an embedded Kafka and an embedded PostgreSQL for each worker.

Both start when the first test asks for them and stop with the session. A test gets topics and a database of its own, so
no test sees what another one left. Imports are late because tests/dags runs in Airflow's environment, which has none of
our packages.
"""

import itertools
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from movie_pipeline.embedded import EmbeddedKafka, EmbeddedPostgres

TESTS = Path(__file__).parent
_numbers = itertools.count(1)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background jobs ignore Ctrl-C and hand that down to the programs which tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the marker that its folder is named after."""
    for item in items:
        place = item.path.relative_to(TESTS).parts
        if len(place) > 1:
            item.add_marker(place[0])


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder that a database server of another user can reach, which pytest's own folders are not for root."""
    folder = Path(tempfile.gettempdir()) / f"movie-pipeline-tests-{os.getpid()}-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def kafka_server(short_folder: Path) -> "Iterator[EmbeddedKafka]":
    """The session's broker itself, for tests that need more than its address; whoever stops it must start it again."""
    from movie_pipeline.embedded import EmbeddedKafka

    with EmbeddedKafka(short_folder / "kafka") as server:
        yield server


@pytest.fixture(scope="session")
def kafka(kafka_server: "EmbeddedKafka") -> str:
    """Bootstrap servers of the session's broker. Topics come from `topics`."""
    return kafka_server.bootstrap_servers


@pytest.fixture(scope="session")
def postgres(short_folder: Path) -> "Iterator[EmbeddedPostgres]":
    """The session's database server. Databases come from `database` and `migrated_database`."""
    from movie_pipeline.embedded import EmbeddedPostgres

    with EmbeddedPostgres(short_folder / "postgres") as server:
        yield server


@pytest.fixture
def topics() -> Callable[[str], str]:
    """Return a maker of topic names that no other test has: `topics("films")` twice gives two names."""
    return lambda stem="topic": f"{stem}-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def database(postgres: "EmbeddedPostgres") -> Iterator[str]:
    """URL of a new, empty database."""
    with new_database(postgres) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def migrated_template(postgres: "EmbeddedPostgres") -> str:
    """Name of a database with the schema, which `migrated_database` copies: that is faster than migrating each time."""
    from movie_pipeline.adapters.schema import migrate

    name = "migrated_template"
    _administer(postgres.dsn, f"CREATE DATABASE {name}")
    migrate(database_url(postgres, name))
    return name


@pytest.fixture
def migrated_database(postgres: "EmbeddedPostgres", migrated_template: str) -> Iterator[str]:
    """URL of a new database with the schema and no rows."""
    with new_database(postgres, template=migrated_template) as dsn:
        yield dsn


@contextmanager
def new_database(server: "EmbeddedPostgres", template: str = "template1") -> Iterator[str]:
    """Make a database, give its URL, and drop it with whatever is still connected to it."""
    name = f"test_{next(_numbers)}"
    _administer(server.dsn, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield database_url(server, name)
    _administer(server.dsn, f"DROP DATABASE {name} WITH (FORCE)")


def database_url(server: "EmbeddedPostgres", name: str) -> str:
    """Return the URL of one database of the server."""
    return f"{server.dsn.rpartition('/')[0]}/{name}"


def _administer(dsn: str, statement: str) -> None:
    import psycopg2

    with closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
