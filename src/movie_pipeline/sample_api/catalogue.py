"""The films behind the sample API: from a file of the sample's shape, or made up by rule."""

import gzip
import mmap
import shutil
import tempfile
from array import array
from collections.abc import Iterator, Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Protocol

import orjson

from movie_pipeline.errors import ConfigurationError

GZIP_MAGIC = b"\x1f\x8b"


class Catalogue(Protocol):
    """Films by id, in the order of their popularity."""

    @property
    def ids(self) -> "array[int]":
        """All ids, most popular first."""

    def film(self, movie_id: int) -> dict[str, Any] | None:
        """Return one film in the sample's shape, None when there is none."""


class FileCatalogue:
    """Films of one file: a JSON object a line, plain or gzip.

    The text stays in one memory map (of the file, or of an unnamed unpacked copy), so that a catalogue of any size
    costs a few bytes a film. Raises ConfigurationError when the file is absent or a line is not a film.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._text = _map(path)
        except OSError as error:
            raise ConfigurationError(
                f"sample data {path}: {error.strerror or error}; give a file of films, one JSON object a line"
            ) from None
        self._places: dict[int, tuple[int, int]] = {}
        ranks = []
        for start, end in _lines(self._text):
            movie_id, popularity = _identity(path, self._text[start:end])
            self._places[movie_id] = (start, end)
            ranks.append((-popularity, movie_id))
        self.ids = array("i", (movie_id for _, movie_id in sorted(ranks)))

    def film(self, movie_id: int) -> dict[str, Any] | None:
        """Return one film in the sample's shape, None when there is none."""
        place = self._places.get(movie_id)
        return orjson.loads(self._text[place[0] : place[1]]) if place else None


class SyntheticCatalogue:
    """Small made-up films with the ids 1..count, for trying big crawls."""

    def __init__(self, count: int) -> None:
        self.ids = array("i", range(1, count + 1))

    def film(self, movie_id: int) -> dict[str, Any] | None:
        """Return the made-up film of this id, None outside 1..count."""
        if not 1 <= movie_id <= len(self.ids):
            return None
        director, actor = movie_id % 9_973 + 1, movie_id % 7_919 + 20_000
        return {
            **_SYNTHETIC,
            "id": movie_id,
            "title": f"Film {movie_id}",
            "original_title": f"Film {movie_id}",
            "budget": movie_id * 10,
            "revenue": movie_id * 25,
            "popularity": 1_000 / movie_id,
            "credits": {
                "cast": [{"id": actor, "name": f"Actor {actor}", "order": 0, **_CREDIT}],
                "crew": [
                    {
                        "id": director,
                        "name": f"Director {director}",
                        "job": "Director",
                        "department": "Directing",
                        **_CREDIT,
                    }
                ],
            },
        }


_CREDIT: Mapping[str, Any] = {"gender": 0, "credit_id": "52fe4250c3a36847f80149f3"}
_SYNTHETIC: Mapping[str, Any] = {
    "imdb_id": None,
    "original_language": "en",
    "overview": "",
    "release_date": "2001-02-03",
    "status": "Released",
    "runtime": 100,
    "vote_average": 6.5,
    "vote_count": 12,
    "genres": [{"id": 18, "name": "Drama"}],
    "production_companies": [],
    "production_countries": [],
    "spoken_languages": [],
}


def packaged() -> FileCatalogue:
    """Return the 4,803 films that come with the package."""
    with as_file(files("movie_pipeline.sample_api") / "data" / "movies.jsonl.gz") as path:
        return FileCatalogue(path)


def _map(path: Path) -> mmap.mmap | bytes:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP_MAGIC
        if not packed:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
    with gzip.open(path) as source, tempfile.TemporaryFile() as copy:
        try:
            shutil.copyfileobj(source, copy, 1 << 20)
        except (EOFError, gzip.BadGzipFile):
            raise ConfigurationError(f"sample data {path}: the gzip file is damaged; fetch it again") from None
        copy.flush()
        return mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ) if copy.tell() else b""


def _lines(text: mmap.mmap | bytes) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = text.find(b"\n", start)
        end = len(text) if end < 0 else end
        if text[start:end].strip():
            yield start, end
        start = end + 1


def _identity(path: Path, line: bytes) -> tuple[int, float]:
    try:
        film = orjson.loads(line)
        return int(film["id"]), float(film.get("popularity") or 0)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigurationError(
            f"sample data {path}: {line[:60]!r} is not a film; give one JSON object with an id a line"
        ) from None
