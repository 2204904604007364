"""The same films loaded as people usually do it; what is printed is our films/s over theirs.

load.vs_seed_design           each entity looked up by name, ORM add, commit for each film
load.vs_executemany           SQLAlchemy Core with ON CONFLICT, executemany, batches of 1,000 films
load.vs_insertmanyvalues      the same with RETURNING, which SQLAlchemy sends many rows at a time
load.vs_execute_values        psycopg2's execute_values with ON CONFLICT
load.vs_dlt                   dlt from the same messages into its own normalized tables, CSV and COPY, "append"
load.vs_dlt_first             the same over our path for a first load, `consume --bulk`: both into an empty database
load.vs_dlt_merge             dlt with "merge" on the film's id: what makes its loads repeatable, as ours are

The rivals but dlt get finished rows: only ours decodes, cleans and normalizes within the measured time. Slow ones
load the first part of the films, which is to their advantage: their tables stay small.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extras import execute_values
from sqlalchemy import Connection, Table, create_engine, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from benchmarks import films
from benchmarks.load import TOPIC, bulk, ordinary
from benchmarks.places import databases, show, spent
from movie_pipeline.adapters import tables
from movie_pipeline.messages import OffsetRange, Record
from movie_pipeline.transform.batch import prepare
from movie_pipeline.transform.normalize import ENTITIES, LINKS, history, normalize
from movie_pipeline.transform.star import star

BATCH = 1_000
SHARES = {"seed_design": 100, "executemany": 10, "insertmanyvalues": 2, "execute_values": 1, "dlt": 1, "dlt_merge": 1}
"""Which part of the films each rival loads: one in so many."""
SERIAL = ("movie_history", "movie_data_warehouse")
DLT_SETTINGS = {
    "NORMALIZE__LOADER_FILE_FORMAT": "csv",
    "NORMALIZE__WORKERS": "2",
    "LOAD__WORKERS": "4",
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
    "DATA_WRITER__BUFFER_MAX_ITEMS": "20000",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
}

Rows = list[tuple[str, list[dict[str, Any]]]]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=SHARES, default=SHARES, help="some of the rivals")
    parser.add_argument("--dlt-python", default=os.environ.get("DLT_PYTHON", sys.executable))
    options = parser.parse_args()
    records = list(films.records(options.films))
    rivals: dict[str, Callable[[str, Sequence[Record]], float]] = {
        "seed_design": seed_design,
        "executemany": partial(rows_by, executemany),
        "insertmanyvalues": partial(rows_by, insertmanyvalues),
        "execute_values": partial(rows_by, values_lists),
        "dlt": partial(dlt, options.dlt_python, "append"),
        "dlt_merge": partial(dlt, options.dlt_python, "merge"),
    }
    rivals = {name: rival for name, rival in rivals.items() if name in options.only}
    ratios: dict[str, list[float]] = {name: [] for name in rivals}
    with databases() as places:
        for _ in range(options.rounds):
            with places.fresh() as dsn:
                ours = spent(places, partial(ordinary, dsn, records)).wall / len(records)
            for name, rival in rivals.items():
                part = records[: max(len(records) // SHARES[name], 50)]
                with places.fresh() as dsn:
                    ratios[name].append(rival(dsn, part) / len(part) / ours)
            if "dlt" in rivals:
                with places.fresh() as dsn:
                    first = spent(places, partial(bulk, dsn, records)).wall / len(records)
                ratios.setdefault("dlt_first", []).append(ratios["dlt"][-1] * ours / first)
    for name, values in ratios.items():
        show(f"load.vs_{name}", values, "times")


def finished(records: Sequence[Record]) -> Iterator[Rows]:
    """Yield the rows of each thousand films, parents first."""
    for start in range(0, len(records), BATCH):
        chunk = records[start : start + BATCH]
        batch = prepare(OffsetRange(TOPIC, 0, start, start + len(chunk)), chunk).rounds[0].films
        parts = normalize(batch)
        frames = {**parts.entities, "movies": parts.movies, **parts.links}
        frames |= {"movie_history": history(batch), "movie_data_warehouse": star(batch)}
        yield [(name, _plain(frame)) for name, frame in frames.items()]


def _plain(frame: Any) -> list[dict[str, Any]]:
    columns = {name: frame[name].array._pa_array.to_pylist() for name in frame.columns}  # noqa: SLF001
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def rows_by(
    send: Callable[[Connection, Table, list[dict[str, Any]]], None], dsn: str, records: Sequence[Record]
) -> float:
    """Return the seconds of loading finished rows, a transaction for each thousand films."""
    batches = list(finished(records))
    engine = create_engine(dsn.replace("postgresql:", "postgresql+psycopg2:"))

    def load() -> None:
        for batch in batches:
            with engine.begin() as connection:
                for name, rows in batch:
                    send(connection, tables.Base.metadata.tables[name], rows)

    with closing(psycopg2.connect(dsn)):
        took = _wall(load)
    engine.dispose()
    return took


def upsert(table: Table) -> Any:
    """Return an insert that replaces what is there."""
    statement = insert(table)
    if table.name in SERIAL:
        return statement
    keys = [column.name for column in table.primary_key]
    rest = [column for column in statement.excluded if column.name not in {*keys, "tmdb_id", "deleted_at"}]
    return statement.on_conflict_do_update(index_elements=keys, set_={column.name: column for column in rest})


def executemany(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Send rows one by one, as psycopg2's executemany does."""
    connection.execute(upsert(table), rows)


def insertmanyvalues(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Send many rows in one statement, as SQLAlchemy does when rows are to be returned."""
    connection.execute(upsert(table).returning(*table.primary_key), rows).all()


def values_lists(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Send many rows in one statement by psycopg2's helper."""
    names = list(rows[0])
    keys = [column.name for column in table.primary_key]
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
    conflict = "" if table.name in SERIAL else f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"
    with connection.connection.cursor() as cursor:
        statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES %s{conflict}"
        execute_values(cursor, statement, [tuple(row.values()) for row in rows], page_size=1000)


def seed_design(dsn: str, records: Sequence[Record]) -> float:
    """Return the seconds of the seed's way: each name looked up, objects added, a commit for each film."""
    engine = create_engine(dsn.replace("postgresql:", "postgresql+psycopg2:"))
    with engine.begin() as connection:
        for name in ENTITIES:
            connection.exec_driver_sql(f"CREATE INDEX ON {name} (name)")
        for link in LINKS:
            connection.exec_driver_sql(f"ALTER TABLE {link.table} ALTER {link.order} DROP NOT NULL")
    batches = list(finished(records))

    def load() -> None:
        for batch in batches:
            rows = dict(batch)
            by_film: dict[str, dict[int, list[dict[str, Any]]]] = {}
            for name in ("movie_genres", "movie_production_companies", "movie_directors", "movie_cast"):
                for row in rows[name]:
                    by_film.setdefault(name, {}).setdefault(row["movie_id"], []).append(row)
            names = {name: {row["id"]: row["name"] for row in rows[name]} for name in ENTITIES}
            warehouse: dict[int, list[dict[str, Any]]] = {}
            for row in rows["movie_data_warehouse"]:
                warehouse.setdefault(row["tmdb_id"], []).append(row)
            for row in rows["movies"]:
                with Session(engine) as session:
                    _add_film(session, row, by_film, names, warehouse[row["id"]])
                    session.commit()

    took = _wall(load)
    engine.dispose()
    return took


def _add_film(session: Session, row: dict[str, Any], links: Any, names: Any, warehouse: list[dict[str, Any]]) -> None:
    film = tables.Movie(**row)
    session.add(film)
    for relation, link, model, entity, key in (
        (film.genres, "movie_genres", tables.Genre, "genres", "genre_id"),
        (
            film.production_companies,
            "movie_production_companies",
            tables.ProductionCompany,
            "production_companies",
            "company_id",
        ),
        (film.directors, "movie_directors", tables.Person, "people", "person_id"),
        (film.cast, "movie_cast", tables.Person, "people", "person_id"),
    ):
        for pair in links[link].get(row["id"], ()):
            name = names[entity][pair[key]]
            found = session.scalars(select(model).where(model.name == name)).first()
            if found is None:
                found = model(id=pair[key], name=name, named_at=row["fetched_at"])
                session.add(found)
                session.flush()
            relation.append(found)
    session.add_all(tables.WarehouseRow(**item) for item in warehouse)


def dlt(python: str, disposition: str, dsn: str, records: Sequence[Record]) -> float:
    """Return the seconds that dlt says it took, extract to load, from the messages' bytes on."""
    with tempfile.TemporaryDirectory() as name:
        messages = Path(name) / "messages.jsonl"
        messages.write_bytes(b"\n".join(record.value or b"" for record in records))
        environment = {**os.environ, **DLT_SETTINGS, "DLT_DATA_DIR": name, "DSN": dsn}
        command = [python, "-c", DLT, str(messages), name, disposition]
        answer = subprocess.run(command, env=environment, cwd=name, check=True, capture_output=True, text=True).stdout
    return float(answer.split()[-1])


DLT = """
import os, sys, time
import dlt, orjson

lines = open(sys.argv[1], "rb").read().splitlines()

@dlt.resource(name="films", primary_key="id", write_disposition=sys.argv[3])
def films():
    for start in range(0, len(lines), 2000):
        yield [orjson.loads(line) for line in lines[start:start + 2000]]

pipeline = dlt.pipeline("bench", pipelines_dir=sys.argv[2], dataset_name="bench",
                        destination=dlt.destinations.postgres(credentials=os.environ["DSN"]))
started = time.perf_counter()
pipeline.run(films())
print(time.perf_counter() - started)
"""


def _wall(work: Callable[[], None]) -> float:
    import time

    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
