"""State of producer runs: in PostgreSQL, or in the output directory while the database is away.

Both places hold `(saved at, state)` and the newer one counts, so a run may begin with the database and go on without
it, or the other way round.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson
import psycopg2
from psycopg2.extras import Json, execute_values

from movie_pipeline import logs
from movie_pipeline.adapters.files import FileStore, output_errors
from movie_pipeline.adapters.postgres import connect
from movie_pipeline.errors import DatabaseUnavailableError, StateConflictError
from movie_pipeline.ports import Retry

log = logs.get(__name__)

T = TypeVar("T")
FOLDER = ".producer_state"
RETRIES = "retries"
DATABASE_RETRY_SECONDS = 30.0
CLAIM_SECONDS = 10.0
"""How long a crawl's lock may still be held by a producer that was killed."""


class FileState:
    """One small JSON file for each name, written atomically."""

    def __init__(self, root: Path) -> None:
        self._files = FileStore(root)

    def load(self, name: str) -> dict[str, Any] | None:
        """Return what was saved, None for nothing."""
        path = self._path(name)
        return orjson.loads(path.read_bytes()) if path.exists() else None

    def save(self, name: str, state: Mapping[str, Any]) -> None:
        """Save under this name; OutputError when that fails."""
        self._files.write_bytes(str(self._path(name).relative_to(self._files.root)), orjson.dumps(dict(state)))

    def forget(self, name: str) -> None:
        """Remove what was saved."""
        path = self._path(name)
        if path.exists():
            with output_errors(path):
                path.unlink()

    def _path(self, name: str) -> Path:
        safe = "".join(letter if letter.isalnum() or letter in "-_." else "~" for letter in name)
        return self._files.root / FOLDER / f"{safe}.json"


class StoredCrawlState:
    """State in PostgreSQL with the output directory behind it; see `ports.CrawlState`.

    `dsn` None means: no database at all, the output directory is the place.
    """

    def __init__(self, dsn: str | None, root: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._dsn, self._files, self._clock = dsn, FileState(root), clock
        self._connection: Any = None
        self._away_until = float("-inf") if dsn else float("inf")

    def claim(self, name: str) -> None:
        """Keep other producers off this crawl until the program ends; StateConflictError when one has it.

        The lock is the database's (a session lock, gone with its process); without the database nothing is locked.
        """
        self._try(lambda cursor: self._lock(cursor, name), None)

    def load(self, name: str) -> dict[str, Any] | None:
        """Return what was saved last under this name."""
        found = [self._try(lambda cursor: _select(cursor, name), None), self._files.load(name)]
        newest = max((item for item in found if item), key=lambda item: item["saved_at"], default=None)
        return newest["state"] if newest else None

    def save(self, name: str, state: Mapping[str, Any] | None) -> None:
        """Save under this name, or forget it (None)."""
        stored = {"saved_at": time.time(), "state": None if state is None else dict(state)}
        if self._try(lambda cursor: _upsert(cursor, name, stored), default=False):
            self._files.forget(name)
        else:
            self._files.save(name, stored)

    def retries(self) -> dict[int, Retry]:
        """Return the films that earlier runs could not settle; what lay in files moves to the database."""
        nothing: dict[int, Retry | None] = {}
        owed = self._try(_select_retries, nothing)
        kept = self._kept_retries()
        moved = bool(kept) and self._try(lambda cursor: _store_retries(cursor, kept), default=False)
        if moved:
            self._files.forget(RETRIES)
        merged = {**owed, **kept}
        return {movie_id: retry for movie_id, retry in merged.items() if retry}

    def record_retries(self, changes: Mapping[int, Retry | None]) -> None:
        """Put films on the retry list, or take them off it (None)."""
        if not changes or self._try(lambda cursor: _store_retries(cursor, changes), default=False):
            return
        kept = {**self._kept_retries(), **changes}
        rows = {
            str(movie_id): [*retry[:2], retry.since.isoformat()] if retry else None for movie_id, retry in kept.items()
        }
        self._files.save(RETRIES, rows)

    def stale_ids(self, before: datetime, limit: int) -> list[int]:
        """Return films of the database that were fetched before that moment, oldest first; none without it."""

        def select(cursor: Any) -> list[int]:
            cursor.execute(
                "SELECT id FROM movies WHERE deleted_at IS NULL AND fetched_at < %s ORDER BY fetched_at, id LIMIT %s",
                (before, limit),
            )
            return [row[0] for row in cursor.fetchall()]

        return self._try(select, [])

    def close(self) -> None:
        """Let go of the connection, and with it of what was claimed."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _kept_retries(self) -> dict[int, Retry | None]:
        rows = self._files.load(RETRIES) or {}
        return {
            int(movie_id): Retry(row[0], row[1], datetime.fromisoformat(row[2])) if row else None
            for movie_id, row in rows.items()
        }

    def _try(self, work: Callable[[Any], T], default: T) -> T:
        if self._clock() < self._away_until:
            return default
        try:
            with self._cursor() as cursor:
                return work(cursor)
        except (DatabaseUnavailableError, psycopg2.Error) as error:
            self.close()
            self._away_until = self._clock() + DATABASE_RETRY_SECONDS
            log.warning("producer state goes to the output directory", reason=logs.redact(" ".join(str(error).split())))
            return default

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        if self._connection is None:
            self._connection = connect(str(self._dsn), application="movie-pipeline-producer")
            self._connection.autocommit = True
        with self._connection.cursor() as cursor:
            yield cursor

    def _lock(self, cursor: Any, name: str) -> None:
        deadline = self._clock() + CLAIM_SECONDS
        while True:
            cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (f"movie-pipeline/{name}",))
            if cursor.fetchone()[0]:
                return
            if self._clock() > deadline:
                raise StateConflictError(
                    f"crawl {name!r} is under way in another producer; wait for it, or give this one other films"
                )
            time.sleep(0.1)


def _select(cursor: Any, name: str) -> dict[str, Any] | None:
    cursor.execute("SELECT state FROM producer_state WHERE name = %s", (name,))
    row = cursor.fetchone()
    return row[0] if row else None


def _upsert(cursor: Any, name: str, stored: Mapping[str, Any]) -> bool:
    cursor.execute(
        """
        INSERT INTO producer_state (name, state, updated) VALUES (%s, %s, now())
        ON CONFLICT (name) DO UPDATE SET state = excluded.state, updated = excluded.updated
        """,
        (name, Json(dict(stored), dumps=lambda value: orjson.dumps(value).decode())),
    )
    return True


def _select_retries(cursor: Any) -> dict[int, Retry | None]:
    cursor.execute("SELECT movie_id, attempts, reason, since FROM producer_retries")
    return {row[0]: Retry(row[1], row[2], row[3].astimezone(UTC)) for row in cursor.fetchall()}


def _store_retries(cursor: Any, changes: Mapping[int, Retry | None]) -> bool:
    rows = [(movie_id, *retry) for movie_id, retry in sorted(changes.items()) if retry]
    settled = [movie_id for movie_id, retry in changes.items() if retry is None]
    if rows:
        execute_values(
            cursor,
            """
            INSERT INTO producer_retries (movie_id, attempts, reason, since) VALUES %s
            ON CONFLICT (movie_id) DO UPDATE SET attempts = excluded.attempts, reason = excluded.reason
            """,
            rows,
        )
    if settled:
        cursor.execute("DELETE FROM producer_retries WHERE movie_id = ANY(%s)", (settled,))
    return True
