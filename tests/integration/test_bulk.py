"""The bulk path gives what the ordinary path gives, or nothing at all."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from kafka import KafkaProducer

from movie_pipeline import messages, settings
from movie_pipeline.adapters.bulk import TABLES
from movie_pipeline.adapters.schema import migrate
from movie_pipeline.errors import ConfigurationError, StateConflictError
from movie_pipeline.wiring import parts
from movie_pipeline.wiring.bulk import load_empty_database
from movie_pipeline.wiring.consume import consume

SERIAL_OR_TIME = {"id": ("movie_data_warehouse", "movie_history"), "data_date": TABLES}
CATALOG = """
SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
ORDER BY 1, 2, 3
"""


def film(movie_id: int, **changes: Any) -> dict[str, Any]:
    people = [movie_id % 5 + 1, movie_id % 7 + 10]
    return {
        "id": movie_id,
        "title": f"Film {movie_id}",
        "release_date": "1999-03-31",
        "popularity": 7.5,
        "vote_average": 8.0,
        "vote_count": 12,
        "budget": 10 * movie_id,
        "revenue": 25 * movie_id,
        "runtime": 90,
        "genres": ["Drama", "War"],
        "genre_ids": [18, 10752],
        "production_companies": ["No number"],
        "directors": [f"Person {people[0]}"],
        "director_ids": people[:1],
        "cast": [f"Person {number}" for number in people],
        "cast_ids": people,
        "fetched_at": "2026-01-01T00:00:00Z",
        **changes,
    }


def awkward_records() -> list[tuple[bytes, bytes | None]]:
    """Films once, twice, older than before, deleted, deleted before they came, and what is no film."""
    films = [film(number) for number in range(1, 201)]
    films += [film(7, popularity=99.0, fetched_at="2026-02-01T00:00:00Z")]
    films += [film(8, title="Older", fetched_at="2025-02-01T00:00:00Z")]
    films += [film(9, cast=["Person 3", "Person 3"], cast_ids=[3, 3], fetched_at="2026-03-01T00:00:00Z")]
    films += [film(number, fetched_at="2026-04-01T00:00:00Z") for number in range(20, 30)]
    films += [film(10, runtime=-5, budget=None, fetched_at="2026-04-01T00:00:00Z")]
    films += [film(1, directors=["Renamed"], director_ids=[2], fetched_at="2026-05-01T00:00:00Z")]
    records: list[tuple[bytes, bytes | None]] = [(b"300", None), (b"12", None)]
    records += [(messages.key_of(item["id"]), messages.encode(item)) for item in films]
    records += [(b"11", None), (b"400", None), (b"5", b"no film"), (b"0", b"{}"), (b"300", messages.encode(film(300)))]
    return records


@pytest.fixture
def topic_settings(kafka: str, topics: Callable[[str], str], migrated_database: str) -> settings.Settings:
    return settings.load(
        kafka_bootstrap_servers=kafka,
        kafka_topic=topics("bulk"),
        kafka_dlq_topic=topics("bulk-dlq"),
        kafka_partitions=2,
        database_url=migrated_database,
        dask_engine="inline",
        analysis=False,
        run_id="bulk-test",
    )


def publish(configured: settings.Settings, records: list[tuple[bytes, bytes | None]]) -> None:
    with closing(parts.publisher(configured)) as publisher:
        publisher.ensure_topics()
        for key, value in records:
            publisher.publish(configured.kafka_topic, key, value, [])
        publisher.flush()


def rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def contents(dsn: str) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    for table in (*TABLES, "ingest_offsets", "quality_findings"):
        names = rows(dsn, f"SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0")
        kept = [name for (name,) in names if table not in SERIAL_OR_TIME.get(name, ())]
        found[table] = sorted(rows(dsn, f"SELECT {', '.join(kept)} FROM {table}"), key=repr)
    return found


def dead_letters(configured: settings.Settings) -> int:
    with closing(parts.reader(configured)) as reader:
        return sum(end - first for first, end in reader.bounds(configured.kafka_dlq_topic).values())


@pytest.fixture
def other_database(postgres: Any, migrated_template: str) -> Iterator[str]:
    """A second database with the schema and no rows."""
    with closing(psycopg2.connect(postgres.dsn)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f"CREATE DATABASE bulk_other TEMPLATE {migrated_template}")
        yield f"{postgres.dsn.rpartition('/')[0]}/bulk_other"
        cursor.execute("DROP DATABASE bulk_other WITH (FORCE)")


def test_the_result_is_the_ordinary_path_s_row_for_row(topic_settings: settings.Settings, other_database: str) -> None:
    publish(topic_settings, awkward_records())
    before = rows(topic_settings.database_dsn(), CATALOG)

    counts = load_empty_database(topic_settings, "bulk-test", batch=30)
    dead = dead_letters(topic_settings)
    consume(topic_settings.model_copy(update={"database_url": settings.SecretStr(other_database)}))

    bulk, ordinary = contents(topic_settings.database_dsn()), contents(other_database)
    assert {name: len(found) for name, found in bulk.items()} == {name: len(found) for name, found in ordinary.items()}
    assert bulk == ordinary
    assert rows(topic_settings.database_dsn(), CATALOG) == before
    assert (counts["dead"], dead, counts["new"]) == (2, 2, 201)


def test_the_ordinary_path_goes_on_where_the_bulk_load_ended(topic_settings: settings.Settings) -> None:
    publish(topic_settings, awkward_records())
    consume(topic_settings, bulk=True)
    publish(topic_settings, [(b"500", messages.encode(film(500)))])
    consume(topic_settings)
    assert rows(topic_settings.database_dsn(), "SELECT count(*) FROM movies") == [(202,)]


def test_a_film_in_two_partitions_is_left_to_the_ordinary_path(topic_settings: settings.Settings) -> None:
    publish(topic_settings, awkward_records())
    producer = KafkaProducer(bootstrap_servers=topic_settings.kafka_bootstrap_servers)
    for partition in range(2):
        newer = film(15, title=f"In {partition}", fetched_at=f"2026-06-0{partition + 1}T00:00:00Z")
        key, value = messages.key_of(15), messages.encode(newer)
        producer.send(topic_settings.kafka_topic, key=key, value=value, partition=partition).get(30)
    producer.close()
    before = rows(topic_settings.database_dsn(), CATALOG)

    # More than one batch, since what waits for the keys is no row that could stand twice.
    assert load_empty_database(topic_settings, "bulk-test", batch=30) == {}
    assert rows(topic_settings.database_dsn(), CATALOG) == before
    assert rows(topic_settings.database_dsn(), "SELECT count(*) FROM movies") == [(0,)]
    consume(topic_settings, bulk=True)
    assert rows(topic_settings.database_dsn(), "SELECT count(*) FROM movies") == [(201,)]
    assert rows(topic_settings.database_dsn(), "SELECT title FROM movies WHERE id = 15") == [("In 1",)]


def test_a_full_database_is_refused_and_keeps_its_keys(topic_settings: settings.Settings) -> None:
    publish(topic_settings, awkward_records())
    consume(topic_settings)
    before = contents(topic_settings.database_dsn()), rows(topic_settings.database_dsn(), CATALOG)
    with pytest.raises(StateConflictError, match=r"empty database.*leave --bulk out"):
        load_empty_database(topic_settings, "again")
    assert (contents(topic_settings.database_dsn()), rows(topic_settings.database_dsn(), CATALOG)) == before


def test_a_role_that_does_not_own_the_tables_is_refused(topic_settings: settings.Settings) -> None:
    role = f"app_{os.getpid()}"
    migrate(topic_settings.database_dsn(), app_role=role, app_role_password="secret-of-app")
    publish(topic_settings, awkward_records())
    owner = topic_settings.database_dsn()
    server = owner.partition("@")[2]
    as_app = topic_settings.model_copy(
        update={"database_url": settings.SecretStr(f"postgresql://{role}:secret-of-app@{server}")}
    )
    with pytest.raises(ConfigurationError, match="does not own"):
        load_empty_database(as_app, "app")
    assert rows(owner, "SELECT count(*) FROM movies") == [(0,)]


def test_a_bulk_load_that_is_killed_leaves_an_empty_database_with_all_its_keys(
    topic_settings: settings.Settings,
) -> None:
    dsn = topic_settings.database_dsn()
    before = rows(dsn, CATALOG)
    publish(topic_settings, [(messages.key_of(n), messages.encode(film(n))) for n in range(1, 501)])
    publish(topic_settings, [(b"501", messages.encode(film(501, runtime=-5)))])

    # The load wants to count the impossible running time when its rows are in, and finds the table taken.
    with closing(psycopg2.connect(dsn)) as guard, guard.cursor() as cursor:
        cursor.execute("LOCK TABLE quality_findings IN SHARE MODE")
        program = subprocess.Popen(
            [sys.executable, "-m", "movie_pipeline.cli", "consume", "--bulk"],
            env={**os.environ, **topic_settings.environment()},
            stdout=subprocess.DEVNULL,
        )
        try:
            until(lambda: rows(dsn, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == [(1,)])
        finally:
            program.send_signal(signal.SIGKILL)
            program.wait()
    until(lambda: rows(dsn, "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'") == [(0,)])

    assert rows(dsn, CATALOG) == before
    assert rows(dsn, "SELECT count(*) FROM movies") == [(0,)]
    consume(topic_settings, bulk=True)
    assert rows(dsn, "SELECT count(*) FROM movies") == [(501,)]


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
