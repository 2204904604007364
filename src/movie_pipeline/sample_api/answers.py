"""From a path and its query to TMDB's answer: what each endpoint says, right or wrong."""

import gzip
import io
import random
import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson

from movie_pipeline.sample_api import bodies
from movie_pipeline.sample_api.catalogue import Catalogue
from movie_pipeline.sample_api.faults import Faults

Answer = tuple[int, dict[str, Any]]
Query = Mapping[str, str]

PAGE_SIZE, CHANGES_PAGE_SIZE, LAST_PAGE = 20, 100, 500
MOST_DAYS, MOST_APPENDED = timedelta(days=14), 20
EXPORTS_KEPT = timedelta(days=90)
_PAGE = re.compile(r"[0-9]{1,9}")
_FILM_PATH = re.compile(r"/movie/([0-9]{1,10})(?:-[^/]*)?(/credits)?")


def today() -> date:
    """Return TMDB's day."""
    return datetime.now(UTC).date()


def pack(body: Mapping[str, Any]) -> bytes:
    """Return a body as gzip JSON."""
    return gzip.compress(orjson.dumps(body), 1, mtime=0)


class Answers:
    """The endpoints below `/3`, and the daily exports, over one catalogue.

    `changes` gives the ids that changed on a day; without it a fixed rule picks about one film in a hundred.
    """

    def __init__(self, catalogue: Catalogue, changes: Mapping[date, Sequence[int]] | None = None) -> None:
        self.catalogue = catalogue
        self.changes = changes
        self._known = lru_cache(maxsize=6_000)(self._packed)
        self._export = lru_cache(maxsize=1)(self._packed_export)
        self._fixed: Mapping[str, Callable[[Query, Faults], Answer]] = {
            "/movie/popular": self._popular,
            "/movie/changes": self._changes,
            "/genre/movie/list": lambda _query, _faults: (200, bodies.GENRE_LIST),
            "/configuration": lambda _query, _faults: (200, bodies.CONFIGURATION),
            "/authentication": lambda _query, _faults: (200, bodies.AUTHENTICATED),
        }

    def film_id(self, path: str) -> int | None:
        """Return the id in a details path, None for any other path."""
        match = _FILM_PATH.fullmatch(path)
        return int(match[1]) if match and not match[2] else None

    def packed(self, path: str, query: Query, faults: Faults) -> tuple[int, bytes]:
        """Return status and gzip body for a path below `/3`."""
        match = _FILM_PATH.fullmatch(path)
        if match:
            return self._film(int(match[1]), bool(match[2]), query, faults)
        status, body = self._fixed[path](query, faults) if path in self._fixed else bodies.error(34)
        return status, pack(body)

    def export(self, name: str, faults: Faults) -> bytes | None:
        """Return the gzip file of a daily export, None where there is none."""
        try:
            day = datetime.strptime(name, "movie_ids_%m_%d_%Y.json.gz").replace(tzinfo=UTC).date()
        except ValueError:
            return None
        age = (today() - day).days
        if not faults.missing_exports <= age < EXPORTS_KEPT.days:
            return None
        content = self._export()
        return content[: len(content) // 2] if age < faults.missing_exports + faults.truncated_exports else content

    def _film(self, movie_id: int, credits_only: bool, query: Query, faults: Faults) -> tuple[int, bytes]:
        appended = [name for name in query.get("append_to_response", "").split(",") if name]
        if len(appended) > MOST_APPENDED:
            status, body = bodies.error(27)
            return status, pack(body)
        known = None if movie_id in faults.gone else self._known(movie_id, credits_only, "credits" in appended)
        if known is None:
            status, body = bodies.error(34)
            return status, pack(body)
        return 200, known

    def _packed(self, movie_id: int, credits_only: bool, with_credits: bool) -> bytes | None:
        film = self.catalogue.film(movie_id)
        if film is None:
            return None
        return pack(
            {"id": movie_id, **bodies.credit_lists(film)}
            if credits_only
            else bodies.details(film, with_credits=with_credits)
        )

    def _popular(self, query: Query, faults: Faults) -> Answer:
        number = _page_number(query)
        if number is None:
            return bodies.error(22)
        first = max((number - 1) * PAGE_SIZE - faults.page_overlap * (number > 1), 0)
        chosen = self.catalogue.ids[first : first + PAGE_SIZE]
        rows = [bodies.list_row(film) for film in map(self.catalogue.film, chosen) if film]
        return 200, bodies.page(rows, number, PAGE_SIZE, len(self.catalogue.ids))

    def _changes(self, query: Query, faults: Faults) -> Answer:
        number = _page_number(query)
        if number is None:
            return bodies.error(22)
        try:
            until = date.fromisoformat(query["end_date"]) if "end_date" in query else today()
            since = date.fromisoformat(query["start_date"]) if "start_date" in query else until - timedelta(days=1)
        except ValueError:
            return bodies.error(23)
        if not timedelta(0) <= until - since <= MOST_DAYS:
            return bodies.error(20)
        changed = self._changed(since, until)
        rows = [
            _change(movie_id) for movie_id in changed[(number - 1) * CHANGES_PAGE_SIZE : number * CHANGES_PAGE_SIZE]
        ]
        nothing = [{"id": None, "adult": None}] * faults.null_changes
        return 200, bodies.page([*nothing, *rows], number, CHANGES_PAGE_SIZE, len(changed))

    def _changed(self, since: date, until: date) -> list[int]:
        days = [since + timedelta(days=n) for n in range((until - since).days + 1)]
        if self.changes is not None:
            return list(dict.fromkeys(movie_id for day in days for movie_id in self.changes.get(day, ())))
        keys = {day.toordinal() % 101 for day in days}
        return [movie_id for movie_id in self.catalogue.ids if movie_id * 48_271 % 101 in keys]

    def _packed_export(self) -> bytes:
        ids = array("i", self.catalogue.ids)
        random.Random(5).shuffle(ids)  # noqa: S311 - the real file is not sorted either
        buffer = io.BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1, mtime=0) as file:
            for movie_id in ids:
                film = self.catalogue.film(movie_id) or {}
                row = {
                    "adult": False,
                    "id": movie_id,
                    "original_title": film.get("original_title"),
                    "popularity": film.get("popularity"),
                    "video": False,
                }
                file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        return buffer.getvalue()


def _page_number(query: Query) -> int | None:
    text = query.get("page", "1")
    return int(text) if _PAGE.fullmatch(text) and 1 <= int(text) <= LAST_PAGE else None


def _change(movie_id: int) -> dict[str, Any]:
    return {"id": movie_id} if movie_id % 3 == 0 else {"id": movie_id, "adult": False if movie_id % 3 == 1 else None}
