"""The first load of an empty database: rows by COPY, keys and indexes after them, all in one transaction.

Whatever ends the transaction early leaves the database as it was: empty, with all its constraints. The result is
the ordinary path's, row for row. Films that come once are copied as they come; later versions of a film,
tombstones and whatever else depends on stored rows wait for the keys and then go through the ordinary loader's
code, still in the same transaction.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import psycopg2

from movie_pipeline import logs, metrics
from movie_pipeline.adapters import indexes, postgres
from movie_pipeline.adapters.copying import Rows, copy
from movie_pipeline.adapters.entities import Entities
from movie_pipeline.adapters.loader import FilmRows, add_findings, encode_films, load_rounds, refuses_rows
from movie_pipeline.adapters.statements import STAGING
from movie_pipeline.errors import ConfigurationError, StateConflictError
from movie_pipeline.messages import MAX_ID, OffsetRange, Record
from movie_pipeline.transform.batch import DeadLetter, Tombstone, prepare
from movie_pipeline.transform.normalize import ENTITIES, LINKS

log = logs.get(__name__)

TABLES = (
    "movies", *ENTITIES, *(link.table for link in LINKS), "movie_history", "movie_data_warehouse",
)  # fmt: skip
WAITING_BYTES = 64 * 1024 * 1024
"""What may wait for the keys; when more comes, the bulk load ends there and the ordinary path goes on."""
LOCK_SECONDS = 30
PLACE = np.dtype([("id", np.int64), ("offset", np.int64)])
"""Which film, and where its record lies in the partition."""
NO_IDS = np.empty(0, np.int64)


class Encoded(NamedTuple):
    """One batch, ready for COPY: rows by table, the films in them, and what has to wait for the keys."""

    offsets: OffsetRange
    films: Any
    rows: tuple[tuple[str, Rows], ...]
    later: tuple[Record, ...]
    missed: int
    """Tombstones of films that never came: they leave nothing to mark."""
    dead: tuple[DeadLetter, ...]
    findings: Counter[str]


class Target(NamedTuple):
    """Where a bulk load goes, and on whose behalf."""

    dsn: str
    run_id: str
    topic: str
    topic_id: str | None
    firsts: Mapping[int, int]
    """First offset of each partition."""
    verb: str = "consume"


class Encoder:
    """Encodes the batches of some partitions, each in the order of its offsets: every film and entity once.

    Only the first version of a film becomes rows; whatever comes after it waits for the keys.
    """

    def __init__(self) -> None:
        self._seen = _FilmIds()
        self._entities = Entities()

    def encode(self, offsets: OffsetRange, records: Sequence[Record]) -> Encoded:
        """Encode the records of an offset range."""
        batch = prepare(offsets, records)
        if not batch.rounds:
            return Encoded(offsets, NO_IDS, (), (), 0, batch.dead, batch.findings)
        first, *rest = batch.rounds
        later = [part for round_ in rest for part in (_films(round_.films), _tombstones(round_.tombstones))]
        gone = _tombstones(first.tombstones)
        buried = gone[self._seen.among(gone["id"])]
        places = _films(first.films)
        held = self._seen.among(places["id"])
        ids = places["id"][~held]
        waiting = np.concatenate([*later, buried, places[held]])
        self._seen.add(ids)
        self._seen.add(waiting["id"])
        return Encoded(
            offsets,
            ids,
            self._rows(encode_films(first.films[~held])) if len(ids) else (),
            tuple(batch.records[offset] for offset in waiting["offset"].tolist()),
            len(gone) - len(buried),
            batch.dead,
            batch.findings,
        )

    def _rows(self, content: FilmRows) -> tuple[tuple[str, Rows], ...]:
        sheets = self._entities.sheets(content.entities)
        self._entities.learn(sheets)
        return (
            *((f"stage_{sheet.table}", sheet.rows) for sheet in sheets),
            ("movies", content.movies),
            *content.links.items(),
            ("movie_history", content.history),
            ("movie_data_warehouse", content.warehouse),
        )


def load_empty(
    target: Target, batches: Iterable[Encoded], send_dead_letters: Callable[[Sequence[DeadLetter]], None]
) -> Counter[str]:
    """Load batches into an empty database and return the counts by kind of change.

    `batches` come in the order of their offsets within a partition. Nothing is loaded (empty counts) when the
    database refuses a row or a film lies in two partitions: the ordinary path can do both. Raises ConfigurationError
    under a role that does not own the tables, StateConflictError on a database that is not empty,
    DatabaseUnavailableError when PostgreSQL goes away; nothing is stored then.
    """
    connection = postgres.connect(target.dsn, application="movie-pipeline consume --bulk")
    with closing(connection), postgres.translated():
        try:
            with connection, connection.cursor() as cursor:
                counts = _Load(cursor, target, send_dead_letters).run(batches)
        except UnsuitableError as error:
            log.warning("nothing is bulk loaded, the ordinary path goes on", reason=str(error))
            return Counter()
        except psycopg2.Error as error:
            if not refuses_rows(error):
                raise
            log.warning("a row was refused: nothing is bulk loaded, the ordinary path goes on", reason=str(error))
            return Counter()
    metrics.count_loaded(counts)
    return counts


class UnsuitableError(Exception):
    """What the topic holds is not for a bulk load."""


class _Load:
    """The transaction."""

    def __init__(
        self,
        cursor: Any,
        target: Target,
        send_dead_letters: Callable[[Sequence[DeadLetter]], None],
    ) -> None:
        self._cursor, self._target = cursor, target
        self._send_dead_letters = send_dead_letters
        self._seen = _FilmIds()
        self._positions = dict(target.firsts)
        self._counts: Counter[str] = Counter()
        self._findings: Counter[str] = Counter()
        self._dead: list[DeadLetter] = []
        self._later: dict[int, list[Record]] = defaultdict(list)
        self._waiting_bytes = 0

    def run(self, batches: Iterable[Encoded]) -> Counter[str]:
        """Load the batches and return the counts by kind of change."""
        self._claim()
        removed = indexes.remove(self._cursor, TABLES)
        # They are empty; said by this transaction, it lets COPY write rows that nobody need look at again (FREEZE).
        self._cursor.execute(f"TRUNCATE {', '.join(TABLES)}")
        for batch in batches:
            self._take(batch)
            if self._waiting_bytes > WAITING_BYTES:
                log.info("the bulk load ends early: too much waits for the keys", waiting_bytes=self._waiting_bytes)
                break
        for table in ENTITIES:
            self._cursor.execute(PUT_NEWEST.format(table=table))
        indexes.restore(self._cursor, removed)
        self._cursor.execute(SAMPLE + ", ".join(TABLES))
        self._load_later()
        self._finish()
        return self._counts

    def _claim(self) -> None:
        """Keep everybody else out, and refuse what this is not for."""
        self._cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        self._cursor.execute(OWNED, (list(TABLES),))
        owned, role = self._cursor.fetchone()
        if not owned:
            raise ConfigurationError(
                f"--bulk drops and rebuilds indexes, and role {role!r} does not own the tables: use the role that"
                " migrates, or leave --bulk out"
            )
        self._cursor.execute(f"LOCK TABLE {', '.join(TABLES)} IN ACCESS EXCLUSIVE MODE")
        self._cursor.execute("LOCK TABLE ingest_offsets IN EXCLUSIVE MODE")
        for table in TABLES:
            self._cursor.execute(f"SELECT EXISTS (SELECT FROM {table})")  # noqa: S608 - our own table names
            if self._cursor.fetchone()[0]:
                raise StateConflictError(f"--bulk is for an empty database, and {table} has rows: leave --bulk out")
        self._cursor.execute(
            "SELECT partition, next_offset FROM ingest_offsets WHERE topic = %s", (self._target.topic,)
        )
        for partition, position in self._cursor.fetchall():
            if position != self._target.firsts.get(partition):
                raise StateConflictError(
                    f"--bulk is for an empty database, and {self._target.topic}[{partition}] is read up to"
                    f" {position} already: leave --bulk out"
                )
        self._cursor.execute(STAGING + TUNING)

    def _take(self, batch: Encoded) -> None:
        self._findings += batch.findings
        self._dead += batch.dead
        if self._seen.among(batch.films).any():
            raise UnsuitableError("a film lies in two partitions, as when a topic was given more of them")
        for table, rows in batch.rows:
            copy(self._cursor, table, rows, "FREEZE")
        self._counts += Counter({"new": len(batch.films), "older": batch.missed})
        self._seen.add(batch.films)
        partition = batch.offsets.partition
        self._later[partition] += batch.later
        self._waiting_bytes += sum(map(_size, batch.later)) + sum(_size(letter.record) for letter in batch.dead)
        self._positions[partition] = batch.offsets.end

    def _load_later(self) -> None:
        for partition, records in sorted(self._later.items()):
            records.sort(key=lambda record: record.offset)
            whole = OffsetRange(
                self._target.topic, partition, self._target.firsts[partition], self._positions[partition]
            )
            batch = prepare(whole, records)
            counts, poison = load_rounds(self._cursor, batch)
            self._counts += counts
            self._dead += poison

    def _finish(self) -> None:
        self._counts["dead"] = len(self._dead)
        add_findings(self._cursor, self._target.run_id, self._target.verb, self._findings)
        for partition, position in sorted(self._positions.items()):
            self._cursor.execute(SET_OFFSET, (self._target.topic, partition, position, self._target.topic_id))
        if self._dead:
            self._send_dead_letters(self._dead)


class _FilmIds:
    """A set of film ids, a bit each: at most 256 MiB, and in practice as much as the largest id needs."""

    def __init__(self) -> None:
        self._bits = np.zeros(1024, np.uint8)

    def add(self, ids: Any) -> None:
        """Add an array of ids."""
        if len(ids):
            self._reach(int(ids.max()))
            np.bitwise_or.at(self._bits, ids >> 3, np.left_shift(1, ids & 7).astype(np.uint8))

    def among(self, ids: Any) -> Any:
        """Say for each of an array of ids whether it is in the set."""
        if not len(ids):
            return np.empty(0, bool)
        self._reach(int(ids.max()))
        return ((self._bits[ids >> 3] >> (ids & 7).astype(np.uint8)) & 1).astype(bool)

    def _reach(self, movie_id: int) -> None:
        if movie_id >> 3 >= len(self._bits):
            wanted = min(2 * (movie_id >> 3) + 1, (MAX_ID >> 3) + 1)
            self._bits = np.concatenate([self._bits, np.zeros(wanted - len(self._bits), np.uint8)])


def _films(films: pd.DataFrame) -> Any:
    return _places(films["id"].tolist(), films["message_offset"].tolist()) if len(films) else _places((), ())


def _tombstones(tombstones: Sequence[Tombstone]) -> Any:
    return _places([gone.movie_id for gone in tombstones], [gone.offset for gone in tombstones])


def _places(ids: Sequence[int], offsets: Sequence[int]) -> Any:
    return np.array(list(zip(ids, offsets, strict=True)), PLACE)


def _size(record: Record) -> int:
    return len(record.value or b"") + 200


OWNED = """
SELECT bool_and(pg_has_role(current_user, relowner, 'USAGE')), current_user
FROM pg_class WHERE oid = ANY(%s::regclass[])
"""

TUNING = """
SET LOCAL maintenance_work_mem = '256MB';
SET LOCAL work_mem = '64MB';
"""

# A small sample, for whoever asks first: the server takes a full one by itself within a minute of the commit, and
# here it would take as long as a fourth of the load.
SAMPLE = "SET LOCAL default_statistics_target = 10; ANALYZE "

PUT_NEWEST = """
INSERT INTO {table} (id, name, named_at)
SELECT DISTINCT ON (id) id, name, named_at FROM stage_{table} ORDER BY id, named_at DESC, name DESC
"""

SET_OFFSET = """
INSERT INTO ingest_offsets AS old (topic, partition, next_offset, topic_id) VALUES (%s, %s, %s, %s)
ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset
"""
