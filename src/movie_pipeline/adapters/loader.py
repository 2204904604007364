"""Loading a batch in one transaction, with the offset that stands for it.

Order inside the transaction: move the offset by compare-and-set (a stale writer finds it moved and loads
nothing), films, history, warehouse, entities, join rows, findings, commit. The offset's row lock makes writers of
one partition take turns, so films themselves need no locks. New films are copied straight into their tables; only
what exists already and differs goes through a staging table.

Entities are what workers share: whoever inserts somebody whom another transaction has just inserted waits for its
end. What new films name is therefore stored ahead, in a short transaction of its own.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import psycopg2
import pyarrow as pa
from psycopg2.errors import ForeignKeyViolation, UniqueViolation
from psycopg2.extras import execute_values

from movie_pipeline import logs
from movie_pipeline.adapters import postgres
from movie_pipeline.adapters.copying import Rows, copy, encode
from movie_pipeline.adapters.entities import Entities, Frames, Sheet
from movie_pipeline.adapters.statements import (
    ADD_FINDINGS,
    BEGIN_AHEAD,
    BURY,
    MOVE_OFFSET,
    REFRESH,
    STAGING,
    STORED,
    STORED_IDS,
    UPDATE_HISTORY,
    UPDATE_MOVIES,
)
from movie_pipeline.errors import DatabaseUnavailableError
from movie_pipeline.messages import OffsetRange
from movie_pipeline.transform.batch import Batch, DeadLetter, Round, Tombstone
from movie_pipeline.transform.frames import unwrapped
from movie_pipeline.transform.normalize import LINKS, entities, history, normalize
from movie_pipeline.transform.star import star

log = logs.get(__name__)

CONFLICT_ATTEMPTS = 8
CONFLICT_PAUSE_SECONDS = 0.05
CONFLICT_STATES = {"40001", "40P01", "55P03", "23505", "23503"}
"""Another writer was in the way; 23503 says that an entity we took for stored is not there (any more)."""


class FilmRows(NamedTuple):
    """The rows of some films for every table."""

    movies: Rows
    entities: Frames
    links: dict[str, Rows]
    history: Rows
    warehouse: Rows


class Staged(NamedTuple):
    """A batch, and its films encoded ahead where they are expected to be new."""

    batch: Batch
    encoded: tuple[FilmRows | None, ...]
    """A round each; the first one's entities are in `ahead` instead."""
    ahead: Sequence[Sheet]


class Ahead(NamedTuple):
    """What was found and done before a load: the transaction that stored entities, and whether all films are new."""

    writer: str
    all_new: bool


class Outcome(NamedTuple):
    """What a load did: counts by kind of change; `stale` when another writer had done it already."""

    counts: Counter[str]
    stale: bool = False


class StaleRangeError(Exception):
    """The offset has moved: somebody else loaded this range."""


class Loader:
    """One connection's loads; not safe for several threads, but `stage` may run on another than `load`."""

    def __init__(
        self,
        dsn: str,
        *,
        run_id: str,
        send_dead_letters: Callable[[Sequence[DeadLetter]], None],
        verb: str = "consume",
    ) -> None:
        self._dsn, self._run_id, self._verb = dsn, run_id, verb
        self._send_dead_letters = send_dead_letters
        self._connection: Any = None
        self._entities = Entities()
        self._expect_new = True

    def stage(self, batch: Batch) -> Staged:
        """Do ahead what needs no connection; cheap to call for films that turn out unchanged."""
        if not (self._expect_new and batch.rounds and len(batch.rounds[0].films)):
            return _unprepared(batch)
        first, *rest = (encode_films(round_.films) for round_ in batch.rounds)
        ahead = self._entities.sheets(first.entities)
        # Stored before the next batch needs them, or that one is not loaded either.
        self._entities.learn(ahead)
        return Staged(batch, (first._replace(entities={}), *rest), ahead)

    def load(self, staged: Staged) -> Outcome:
        """Load one batch; it has taken effect exactly once when this returns.

        Conflicts with other writers are retried here. DatabaseUnavailableError when PostgreSQL is away,
        StateConflictError when schema or rights do not fit: nothing but entities was written, and the same batch may
        be loaded again.
        """
        dead = list(staged.batch.dead)
        sent: list[DeadLetter] = []
        for attempt in range(1, CONFLICT_ATTEMPTS + 1):
            try:
                return self._attempt(staged, dead, sent)
            except StaleRangeError:
                self._entities.forget()
                return Outcome(Counter(), stale=True)
            except psycopg2.Error as error:
                self.close()
                if error.pgcode not in CONFLICT_STATES:
                    with postgres.translated():
                        raise
                log.info("load retried", offsets=tuple(staged.batch.offsets), attempt=attempt, sqlstate=error.pgcode)
                # What was left out as known to be stored may have been what was missing.
                staged = _unprepared(staged.batch)
                time.sleep(CONFLICT_PAUSE_SECONDS * attempt)
            except BaseException:
                self._entities.forget()
                raise
        raise DatabaseUnavailableError(f"the load of {staged.batch.offsets} found a conflict {CONFLICT_ATTEMPTS} times")

    def close(self) -> None:
        """Let go of the connection and of what was known through it."""
        self._entities.forget()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _attempt(self, staged: Staged, dead: list[DeadLetter], sent: list[DeadLetter]) -> Outcome:
        batch = staged.batch
        ahead = self._store_ahead(staged)
        encoded = staged.encoded if ahead or not staged.ahead else _unprepared(batch).encoded
        with self._open() as connection, connection.cursor() as cursor:
            _move_offset(cursor, batch.offsets)
            counts: Counter[str] = Counter()
            poison: list[DeadLetter] = []
            all_new = ahead is not None and ahead.all_new
            for round_, rows in zip(batch.rounds, encoded, strict=True):
                load = _RoundLoad(cursor, self._entities, all_new=all_new)
                counts += load.load(round_, rows, batch.records, poison)
                all_new = False
            if poison and ahead:
                self._entities.withdraw(cursor, staged.ahead, ahead.writer)
            unsent = [letter for letter in (*dead, *poison) if letter not in sent]
            if unsent:
                self._send_dead_letters(unsent)
                sent.extend(unsent)
            counts["dead"] = len(dead) + len(poison)
            add_findings(cursor, self._run_id, self._verb, batch.findings)
        self._entities.committed()
        films = counts.total() - counts["dead"]
        if films:
            self._expect_new = counts["new"] * 2 >= films
        return Outcome(counts)

    def _store_ahead(self, staged: Staged) -> Ahead | None:
        """Commit the entities of films that are not stored yet, if any is left to store.

        They are there for good, whatever becomes of this load: the same films come again, from the same offset. What
        the database refuses is left to the load itself, which finds the film that is to blame.
        """
        if not staged.ahead:
            return None
        films = staged.batch.rounds[0].films
        try:
            with self._open() as connection, connection.cursor() as cursor:
                writer = _begin_ahead(cursor, staged.batch.offsets)
                cursor.execute(STORED_IDS, (unwrapped(films["id"]).to_pylist(),))
                stored = [row[0] for row in cursor.fetchall()]
                sheets = staged.ahead
                if stored:
                    self._entities.unlearn(sheets)
                    sheets = self._entities.sheets(entities(films[~films["id"].isin(stored)]))
                self._entities.put(cursor, sheets)
        except psycopg2.Error as error:
            if not refuses_rows(error):
                raise
            self._entities.forget()
            return None
        self._entities.committed()
        return Ahead(writer, all_new=not stored)

    def _open(self) -> Any:
        if self._connection is None:
            self._connection = postgres.connect(self._dsn, application="movie-pipeline consume")
            with self._connection, self._connection.cursor() as cursor:
                cursor.execute(STAGING)
        return self._connection


def load_rounds(cursor: Any, batch: Batch) -> tuple[Counter[str], list[DeadLetter]]:
    """Load a batch's rounds into an open transaction whose connection has `STAGING`; also return what is refused."""
    counts: Counter[str] = Counter()
    poison: list[DeadLetter] = []
    for round_ in batch.rounds:
        counts += _RoundLoad(cursor, Entities()).load(round_, None, batch.records, poison)
    return counts, poison


class _RoundLoad:
    """One round inside an open transaction."""

    def __init__(self, cursor: Any, entities: Entities, *, all_new: bool = False) -> None:
        self._cursor, self._entities = cursor, entities
        self._all_new = all_new

    def load(
        self, round_: Round, encoded: FilmRows | None, records: dict[int, Any], poison: list[DeadLetter]
    ) -> Counter[str]:
        counts = self._bury(round_.tombstones)
        if len(round_.films):
            counts += self._films_or_bisect(round_.films, encoded, records, poison)
        return counts

    def _films_or_bisect(
        self, films: pd.DataFrame, encoded: FilmRows | None, records: dict[int, Any], poison: list[DeadLetter]
    ) -> Counter[str]:
        """Load films under a savepoint; what the database refuses is halved down to the single film."""
        self._cursor.execute("SAVEPOINT films")
        put_before = self._entities.mark()
        try:
            counts = self._films(films, encoded)
        except psycopg2.Error as error:
            if not refuses_rows(error):
                raise
            self._cursor.execute("ROLLBACK TO SAVEPOINT films")
            self._entities.back_to(put_before)
            if len(films) == 1:
                record = records[int(films["message_offset"].iloc[0])]
                poison.append(DeadLetter(record, type(error).__name__, str(error)))
                return Counter()
            middle = len(films) // 2
            return sum(
                (
                    self._films_or_bisect(half, None, records, poison)
                    for half in (films.iloc[:middle], films.iloc[middle:])
                ),
                Counter(),
            )
        self._cursor.execute("RELEASE SAVEPOINT films")
        return counts

    def _films(self, films: pd.DataFrame, encoded: FilmRows | None) -> Counter[str]:
        # Asked a moment ago, before the offset was ours: who is wrong finds a key twice, and asks again.
        stored = {} if self._all_new else self._stored(films)
        self._all_new = False
        if not stored:
            self._insert(encoded or encode_films(films))
            return Counter(new=len(films))
        verdicts = np.array(_verdicts(films, stored))
        counts = Counter(verdicts.tolist())
        if counts["new"]:
            self._insert(encode_films(films[verdicts == "new"]))
        if counts["changed"]:
            self._update(films[verdicts == "changed"], {movie_id: row[3] for movie_id, row in stored.items()})
        if counts["refreshed"]:
            self._refresh(films[verdicts == "refreshed"])
        return counts

    def _stored(self, films: pd.DataFrame) -> dict[int, tuple[int, int, str | None, str | None]]:
        self._cursor.execute(STORED, (unwrapped(films["id"]).to_pylist(),))
        return {row[0]: row[1:] for row in self._cursor.fetchall()}

    def _insert(self, rows: FilmRows) -> None:
        copy(self._cursor, "movies", rows.movies)
        copy(self._cursor, "movie_history", rows.history)
        copy(self._cursor, "movie_data_warehouse", rows.warehouse)
        # Those that were not stored ahead come late, since others may wait for them: only the join rows need them.
        self._entities.put(self._cursor, self._entities.sheets(rows.entities))
        for table, links in rows.links.items():
            copy(self._cursor, table, links)

    def _update(self, films: pd.DataFrame, links_before: dict[int, str | None]) -> None:
        normalized = normalize(films)
        self._entities.put(self._cursor, self._entities.sheets(normalized.entities))
        self._cursor.execute("DELETE FROM stage_movies")
        copy(self._cursor, "stage_movies", encode(normalized.movies))
        self._cursor.execute(UPDATE_HISTORY)
        self._cursor.execute(UPDATE_MOVIES)
        ids = films["id"].tolist()
        self._cursor.execute("DELETE FROM movie_data_warehouse WHERE tmdb_id = ANY(%s)", (ids,))
        copy(self._cursor, "movie_data_warehouse", encode(star(films)))
        relinked = films[[links_before[key] != digest for key, digest in zip(ids, films["links_digest"], strict=True)]]
        if len(relinked):
            self._replace_links(relinked)

    def _replace_links(self, films: pd.DataFrame) -> None:
        links = normalize(films).links
        for link in LINKS:
            self._cursor.execute(f"DELETE FROM {link.table} WHERE movie_id = ANY(%s)", (films["id"].tolist(),))  # noqa: S608
            copy(self._cursor, link.table, encode(links[link.table]))

    def _refresh(self, films: pd.DataFrame) -> None:
        """Fetched again and found the same: only when and whence is written."""
        rows = list(
            zip(films["id"].tolist(), films["fetched_at"].tolist(), films["message_offset"].tolist(), strict=True)
        )
        execute_values(self._cursor, REFRESH, rows)

    def _bury(self, tombstones: Sequence[Tombstone]) -> Counter[str]:
        """Mark films deleted unless something newer is stored; a film never seen leaves nothing to mark."""
        if not tombstones:
            return Counter()
        rows = sorted((gone.movie_id, gone.at, gone.offset) for gone in tombstones)
        buried = execute_values(self._cursor, BURY, rows, fetch=True)
        self._cursor.execute(
            "DELETE FROM movie_data_warehouse WHERE tmdb_id = ANY(%s)", (sorted(row[0] for row in buried),)
        )
        return Counter({"deleted": len(buried), "older": len(rows) - len(buried)})


def refuses_rows(error: psycopg2.Error) -> bool:
    """Tell whether the rows themselves are at fault: not the server, the schema, or another writer."""
    too_large = (error.pgcode or "").startswith("54")
    about_rows = isinstance(error, psycopg2.DataError | psycopg2.IntegrityError)
    return too_large or (about_rows and not isinstance(error, UniqueViolation | ForeignKeyViolation))


def encode_films(films: pd.DataFrame) -> FilmRows:
    """Return the rows of cleaned films for every table."""
    normalized = normalize(films)
    return FilmRows(
        encode(normalized.movies),
        normalized.entities,
        {table: encode(frame) for table, frame in normalized.links.items()},
        encode(history(films)),
        encode(star(films)),
    )


def _unprepared(batch: Batch) -> Staged:
    return Staged(batch, (None,) * len(batch.rounds), ())


def _verdicts(films: pd.DataFrame, stored: dict[int, tuple[int, int, str | None, str | None]]) -> list[str]:
    """Say for each film: new, changed, refreshed (same content, fetched later), unchanged, or older."""
    fetched = unwrapped(films["fetched_at"]).cast(pa.int64()).to_pylist()
    ids, *rest = (unwrapped(films[name]).to_pylist() for name in ("id", "message_offset", "content_digest"))
    return [_verdict(stored.get(movie_id), film) for movie_id, *film in zip(ids, fetched, *rest, strict=True)]


def _verdict(stored: tuple[int, int, str | None, str | None] | None, film: Sequence[Any]) -> str:
    if stored is None:
        return "new"
    fetched, offset, content = film
    if content == stored[2]:
        return "refreshed" if fetched > stored[0] else "unchanged"
    return "changed" if (fetched, offset) > stored[:2] else "older"


def _move_offset(cursor: Any, offsets: OffsetRange) -> None:
    """Compare and set: only who finds the offset where its range starts may load the range."""
    cursor.execute(MOVE_OFFSET, (offsets.end, offsets.topic, offsets.partition, offsets.start))
    if cursor.rowcount != 1:
        raise StaleRangeError(offsets)


def _begin_ahead(cursor: Any, offsets: OffsetRange) -> str:
    """Return this transaction's number if the offset is where the range starts, without holding the offset."""
    cursor.execute(BEGIN_AHEAD, (offsets.topic, offsets.partition))
    position, writer = cursor.fetchone() or (None, "")
    if position != offsets.start:
        raise StaleRangeError(offsets)
    return str(writer)


def add_findings(cursor: Any, run_id: str, verb: str, findings: Counter[str]) -> None:
    """Add counted findings to those of the run, in the caller's transaction."""
    if findings:
        rows = [(run_id, verb, name, count) for name, count in sorted(findings.items())]
        execute_values(cursor, ADD_FINDINGS, rows)
