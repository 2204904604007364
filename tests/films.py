"""Messages and records for tests of the consuming side: the sample's, the seed's, and made-up ones."""

import gzip
import json
from functools import lru_cache
from importlib import resources
from typing import Any

from movie_pipeline import messages
from movie_pipeline.messages import OffsetRange, Record
from movie_pipeline.transform.batch import Batch, prepare
from movie_pipeline.transform.frames import table

TOPIC = "films"
NOW_MS = 1_780_000_000_000

FIGHT_CLUB = {
    "id": 550,
    "title": "Fight Club",
    "original_title": "Fight Club",
    "overview": "A ticking-time-bomb insomniac...",
    "release_date": "1999-10-15",
    "popularity": 68.626,
    "vote_average": 8.4,
    "vote_count": 24408,
    "budget": 63000000,
    "revenue": 100853753,
    "runtime": 139,
    "genres": ["Drama", "Thriller"],
    "production_companies": ["Regency Enterprises", "Fox 2000 Pictures"],
    "directors": ["David Fincher"],
    "cast": ["Edward Norton", "Brad Pitt", "Helena Bonham Carter"],
}
"""The seed's own message: fifteen fields, no ids."""


def message(movie_id: int = 7, **changed: Any) -> dict[str, Any]:
    """A complete message of a film whose every value is known."""
    return {
        "id": movie_id,
        "title": f"Film {movie_id}",
        "original_title": f"Film {movie_id}",
        "overview": "A story.",
        "release_date": "2001-02-03",
        "imdb_id": "tt0000007",
        "original_language": "en",
        "status": "Released",
        "popularity": 12.5,
        "vote_average": 7.5,
        "vote_count": 40,
        "budget": 1_000_000,
        "revenue": 3_000_000,
        "runtime": 100,
        "genres": ["Drama", "Crime"],
        "genre_ids": [18, 80],
        "production_companies": ["A Company"],
        "production_company_ids": [5],
        "directors": ["A Director"],
        "director_ids": [9],
        "cast": ["An Actor", "An Actress"],
        "cast_ids": [11, 12],
        "schema_version": 1,
        "fetched_at": "2026-01-02T03:04:05Z",
        **changed,
    }


def record(content: Any, offset: int = 0, *, key: bytes | str | None = "", **changed: Any) -> Record:
    """The record of a message (a dict), of raw bytes, or of a tombstone (None with a key)."""
    value = json.dumps(content, ensure_ascii=False).encode() if isinstance(content, dict) else content
    if key == "":
        key = str(content["id"]).encode() if isinstance(content, dict) and "id" in content else b"7"
    return Record(TOPIC, 0, offset, NOW_MS + offset, key, value)._replace(**changed)


def batch(*contents: Any) -> Batch:
    """What becomes of messages (or ready records), in their order."""
    records = [item if isinstance(item, Record) else record(item) for item in contents]
    numbered = [item._replace(offset=offset) for offset, item in enumerate(records)]
    return prepare(OffsetRange(TOPIC, 0, 0, len(numbered)), numbered)


def cleaned(**changed: Any) -> tuple[dict[str, Any], dict[str, int]]:
    """The one film of a message with these values after cleaning, and the findings; it must not be a dead letter."""
    done = batch(message(**changed))
    assert not done.dead, done.dead[0].error
    (film,) = rows(done.rounds[0].films)
    return film, done.findings


def rows(frame: Any) -> list[dict[str, Any]]:
    """A frame's rows as plain Python values, None for NULL."""
    found: list[dict[str, Any]] = table(frame).to_pylist()
    return found


@lru_cache(maxsize=1)
def sample() -> tuple[dict[str, Any], ...]:
    """TMDB's answers for the 4,803 films of the packaged sample."""
    packed = resources.files("movie_pipeline.sample_api") / "data" / "movies.jsonl.gz"
    return tuple(json.loads(line) for line in gzip.decompress(packed.read_bytes()).splitlines())


def sample_messages() -> list[dict[str, Any]]:
    """The sample as the producer would publish it."""
    return [messages.build(film, fetched_at=messages.SAMPLE_FETCHED_AT) for film in sample()]
