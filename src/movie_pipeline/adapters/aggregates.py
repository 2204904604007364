"""The catalogue in PostgreSQL: every aggregate is computed by the database over one snapshot.

A million films never come to this process. The one frame that grows with the catalogue is the training sample,
and that has a limit.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Self

import pandas as pd
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 spells its class small

from movie_pipeline import quality
from movie_pipeline.adapters import queries
from movie_pipeline.adapters.postgres import connect, translated
from movie_pipeline.errors import FilmNotFoundError, StateConflictError
from movie_pipeline.ports import Finding

FETCH_ROWS = 2_000
RANKED_LOAD = 30
"""Measurements that a day's load needs before a percentile says anything."""


class PostgresCatalogue:
    """The live films, read in one read-only snapshot; use it as a context manager.

    Raises DatabaseUnavailableError when the database is away; the message never holds the password.
    """

    source = "postgresql"

    def __init__(self, dsn: str, work_memory_mib: int = 64) -> None:
        self._dsn = dsn
        self._work_memory_mib = work_memory_mib
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        self._connection = connect(self._dsn, application="movie-pipeline analysis")
        with translated():
            self._connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with self._connection.cursor() as cursor:
                # Compiling these queries costs more than it saves, and two hash joins at a time fit the memory.
                cursor.execute("SET LOCAL jit = off; SET LOCAL work_mem = %s", (f"{self._work_memory_mib}MB",))
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def overview(self) -> dict[str, Any]:
        """Return key figures; `popularity` holds the quantiles 10, 25, 50, 75, 90, 99 % (None without films)."""
        return dict(self._frame(queries.OVERVIEW).astype(object).iloc[0])

    def top_films(self, limit: int) -> pd.DataFrame:
        """Return the most popular films; ties by id."""
        return _dated(self._frame(queries.TOP_FILMS, limit=limit))

    def genres(self) -> pd.DataFrame:
        """Return the figures of each genre name."""
        return self._frame(queries.GENRES)

    def directors(self, limit: int, min_films: int) -> pd.DataFrame:
        """Return the figures of prolific directors; two people of one name are two rows."""
        return self._frame(queries.DIRECTORS, limit=limit, min_films=min_films)

    def levels(self) -> pd.DataFrame:
        """Return films by both levels, from the view that holds each film of the warehouse once."""
        return self._frame(queries.LEVELS)

    def decades(self) -> pd.DataFrame:
        """Return the figures of each decade of release, oldest first."""
        return self._frame(queries.DECADES)

    def history(self, limit: int) -> pd.DataFrame:
        """Return the measurements of the films that moved most, with their percentile of the day's load."""
        return self._frame(queries.HISTORY, limit=limit, load=RANKED_LOAD)

    def findings(self) -> list[Finding]:
        """Count `quality.CATALOGUE_FINDINGS`."""
        known = sorted(quality.TMDB_GENRES)
        limits = {"below": quality.MILLIONS_BELOW, "first": quality.FIRST_FILM_YEAR, "ahead": quality.YEARS_AHEAD}
        counts = dict(self._frame(queries.FINDINGS, known=known, **limits).iloc[0])
        (namesakes, name), (titles, title) = self._row(queries.NAMESAKES), self._row(queries.SAME_TITLE)
        counts |= {quality.NAMESAKES: namesakes, quality.SAME_TITLE: titles}
        (genres,) = self._row(queries.UNKNOWN_GENRE_NAMES, known=known)
        details = {quality.NAMESAKES: name, quality.SAME_TITLE: title, quality.UNKNOWN_GENRE: genres}
        return [Finding(key, int(counts[key]), details.get(key)) for key in quality.CATALOGUE_FINDINGS]

    def corrections(self) -> list[Finding]:
        """Return what all loads had to correct."""
        with translated(), self._open().cursor() as cursor:
            cursor.execute(queries.CORRECTIONS, {"ours": list(quality.CATALOGUE_FINDINGS)})
            return [Finding(*row) for row in cursor.fetchall()]

    def training_films(self, limit: int) -> pd.DataFrame:
        """Return at most `limit` films, by a server-side cursor; of more, those with the smallest md5(id)."""
        with translated(), self._open().cursor("training") as cursor:
            cursor.itersize = FETCH_ROWS
            cursor.execute(queries.TRAINING, {"limit": limit})
            pieces = list(_pieces(cursor))
        return _dated(pd.concat(pieces, ignore_index=True))

    def film(self, movie_id: int) -> pd.DataFrame:
        """Return one film; FilmNotFoundError when the database has none under this id."""
        frame = self._frame(queries.FILM, id=movie_id)
        if frame.empty:
            raise FilmNotFoundError(
                f"film {movie_id}: not in the database; give an id that `movie-pipeline produce` and `consume` have "
                "loaded, or the film itself as JSON or CSV"
            )
        return _dated(frame)

    def messages(self, limit: int) -> Iterator[tuple[int, bytes]]:
        """Yield (id, message) of the live films that were fetched last, at most `limit`."""
        with translated(), self._open().cursor("messages") as cursor:
            cursor.itersize = FETCH_ROWS
            cursor.execute(queries.MESSAGES, {"limit": limit})
            for movie_id, message in cursor:
                yield movie_id, message.encode()

    def _open(self) -> Connection:
        if self._connection is None:
            raise StateConflictError("the catalogue is closed; use it inside its `with` block")
        return self._connection

    def _row(self, query: str, **parameters: Any) -> tuple[Any, ...]:
        with translated(), self._open().cursor() as cursor:
            cursor.execute(query, parameters)
            row = cursor.fetchone()
        assert row is not None
        return row

    def _frame(self, query: str, **parameters: Any) -> pd.DataFrame:
        with translated(), self._open().cursor() as cursor:
            cursor.execute(query, parameters)
            return _frame(cursor, cursor.fetchall())


def _frame(cursor: Any, rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[column.name for column in cursor.description])


def _pieces(cursor: Any) -> Iterator[pd.DataFrame]:
    """Yield frames of at most FETCH_ROWS rows, one of them even when there is no row."""
    rows = cursor.fetchmany(FETCH_ROWS)
    yield _frame(cursor, rows)
    while rows := cursor.fetchmany(FETCH_ROWS):
        yield _frame(cursor, rows)


def _dated(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(release_date=pd.to_datetime(frame["release_date"]))
