"""How close loading comes to COPY, with 20,000 films (467,000 rows) and one client.

load.same_schema_ratio    decode, clean, normalize, load / COPY of the finished rows into the same constrained tables
load.replay_ratio         the same films again, unchanged / COPY into plain tables without keys, one transaction
load.bulk_ratio           the bulk path on an empty database / the same

The methods take turns, on a new server in every round; every ratio is of two neighbours, and the median of the ratios
counts. A ratio `_alone` is the same from processor time, as if each side had a core for itself: on a machine that
others use too it says more.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial

import psycopg2

from benchmarks import films
from benchmarks.places import Databases, MemoryReader, Spent, databases, show, spent
from movie_pipeline.adapters.bulk import TABLES, Encoded, Encoder, Target, load_empty
from movie_pipeline.adapters.copying import Rows, copy, encode
from movie_pipeline.adapters.crew import Crew
from movie_pipeline.adapters.loader import Loader, encode_films
from movie_pipeline.adapters.offsets import PostgresOffsets
from movie_pipeline.adapters.postgres import session
from movie_pipeline.jobs.ranges import ingest_range
from movie_pipeline.messages import OffsetRange, Record
from movie_pipeline.transform.batch import prepare
from movie_pipeline.transform.normalize import ENTITIES, LINKS
from movie_pipeline.wiring.bulk import BATCH

LOAD_SIZE = 2_000
PROCESSES = 2
TOPIC = "films"

RATIOS = {
    "same_schema_ratio": ("ordinary", "copy_constrained"),
    "replay_ratio": ("replay", "copy_plain"),
    "bulk_ratio": ("bulk", "copy_plain"),
}

Finished = list[list[tuple[str, Rows]]]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    records = list(films.records(options.films))
    finished = list(finished_rows(records))
    found: dict[str, list[Spent]] = defaultdict(list)
    for _ in range(options.rounds):
        # A server keeps through its life how its memory happens to lie, which is worth up to a tenth of the time.
        with databases() as places:
            for name, times in one_round(places, records, finished).items():
                found[name].append(times)
    for name, rounds in found.items():
        show(f"load.{name}", [options.films / times.wall for times in rounds], "films/s")
        for side in ("client", "server"):
            show(f"load.{name}.{side}_cpu", [1e6 * getattr(times, side) / options.films for times in rounds], "us/film")
    for name, (ours, limit) in RATIOS.items():
        pairs = list(zip(found[ours], found[limit], strict=True))
        show(f"load.{name}", [b.wall / a.wall for a, b in pairs], "ratio")
        show(f"load.{name}_alone", [b.alone() / alone(ours, a) for a, b in pairs], "ratio")


def alone(method: str, times: Spent) -> float:
    """Return a lower bound of the time with free cores: bulk's processes share two, the rest have one a side."""
    return max((times.client + times.server) / 2, times.server) if method == "bulk" else times.alone()


def one_round(places: Databases, records: Sequence[Record], finished: Finished) -> dict[str, Spent]:
    """Return what each method took."""
    found = {}
    with places.fresh() as dsn:
        found["copy_constrained"] = spent(places, partial(copy_all, dsn, finished, transaction_each=True))
    with places.fresh() as dsn:
        found["ordinary"] = spent(places, partial(ordinary, dsn, records))
        require(dsn, len(records))
        found["replay"] = spent(places, partial(ordinary, dsn, records))
    with places.fresh() as dsn:
        make_plain(dsn)
        found["copy_plain"] = spent(places, partial(copy_all, dsn, finished, transaction_each=False))
    with places.fresh() as dsn:
        found["bulk"] = spent(places, partial(bulk, dsn, records))
        require(dsn, len(records))
    return found


def finished_rows(records: Sequence[Record]) -> Iterator[list[tuple[str, Rows]]]:
    """Yield for each batch the rows that COPY is to be given, every entity where it comes first."""
    stored: dict[str, set[int]] = {name: set() for name in ENTITIES}
    for start in range(0, len(records), LOAD_SIZE):
        chunk = records[start : start + LOAD_SIZE]
        content = encode_films(prepare(OffsetRange(TOPIC, 0, start, start + len(chunk)), chunk).rounds[0].films)
        tables = []
        for name, frame in content.entities.items():
            new = frame[~frame["id"].isin(stored[name])]
            stored[name].update(new["id"].tolist())
            tables.append((name, encode(new)))
        tables += [("movies", content.movies), *content.links.items()]
        yield [*tables, ("movie_history", content.history), ("movie_data_warehouse", content.warehouse)]


def copy_all(dsn: str, batches: Finished, *, transaction_each: bool) -> None:
    """COPY finished rows and nothing else."""
    with closing(psycopg2.connect(dsn)) as connection:
        for batch in batches:
            with connection.cursor() as cursor:
                for table, rows in batch:
                    copy(cursor, table, rows)
            if transaction_each:
                connection.commit()
        connection.commit()


def make_plain(dsn: str) -> None:
    """Replace the tables by logged ones without keys, indexes, checks or computed columns."""
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("DROP VIEW movies_in_warehouse")
        for table in TABLES:
            cursor.execute(f"CREATE TABLE plain_{table} (LIKE {table})")
        for table in (*(link.table for link in LINKS), *(set(TABLES) - {link.table for link in LINKS})):
            cursor.execute(f"DROP TABLE {table}")
            cursor.execute(f"ALTER TABLE plain_{table} RENAME TO {table}")
            if table != "movie_data_warehouse":
                cursor.execute(f"ALTER TABLE {table} DROP COLUMN IF EXISTS tmdb_id")
            if table in {"movie_history", "movie_data_warehouse"}:
                cursor.execute(f"ALTER TABLE {table} ALTER id DROP NOT NULL, ALTER data_date DROP NOT NULL")


def ordinary(dsn: str, records: Sequence[Record]) -> None:
    """Load as a worker does, from the record's bytes on."""
    with session(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM ingest_offsets")
    PostgresOffsets(dsn).begin(TOPIC, 0, 0, None)
    loader = Loader(dsn, run_id="bench", send_dead_letters=none_expected)
    whole = OffsetRange(TOPIC, 0, 0, len(records))
    ingest_range(whole, reader=MemoryReader(records), warehouse=loader, load_size=LOAD_SIZE)
    loader.close()


def bulk(dsn: str, records: Sequence[Record]) -> Counter[str]:
    """Load as `consume --bulk` does, from the record's bytes on, processes' start included."""
    shares = [(partition, records[partition::PROCESSES]) for partition in range(PROCESSES)]
    target = Target(dsn, "bench", TOPIC, None, dict.fromkeys(range(PROCESSES), 0))
    with Crew(encoded, shares) as crew:
        return load_empty(target, crew.results(), none_expected)


def encoded(share: tuple[int, Sequence[Record]]) -> Iterator[Encoded]:
    """Encode one partition's batches."""
    partition, records = share
    whole = OffsetRange(TOPIC, partition, 0, len(records))
    start, encoder = 0, Encoder()
    for chunk, end in MemoryReader(records).read(whole, BATCH):
        placed = [record._replace(partition=partition, offset=start + index) for index, record in enumerate(chunk)]
        yield encoder.encode(whole._replace(start=start, end=end), placed)
        start = end


def require(dsn: str, expected: int) -> None:
    """Stop when a method did not load everything: its time would be worth nothing."""
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM movies")
        assert cursor.fetchone() == (expected,)


def none_expected(letters: Iterable[object]) -> None:
    """Refuse dead letters: there are none among these films."""
    raise AssertionError(list(letters)[:1])


if __name__ == "__main__":
    main()
