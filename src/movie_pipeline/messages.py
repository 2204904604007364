"""The Kafka contract: one film as a record of topic `tmdb_data`, built by producers and decoded by consumers.

Nothing here talks to Kafka. Decoding accepts every loss-free spelling of a value and refuses the rest, so that
a bad record becomes a dead letter instead of a guess; turning TMDB's "unknown" into NULL is `transform.clean`'s.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from movie_pipeline.errors import InvalidMessageError

SCHEMA_VERSION = 1
MAX_ID = 2**31 - 1
SAMPLE_FETCHED_AT = "2017-09-01T00:00:00Z"
"""Date of the packaged snapshot: fixed, so that sample films never overwrite live ones."""

SOURCE_TMDB, SOURCE_SAMPLE, SOURCE_BACKUP = "tmdb", "sample", "backup"

LISTS = (
    ("genres", "genre_ids"),
    ("production_companies", "production_company_ids"),
    ("directors", "director_ids"),
    ("cast", "cast_ids"),
)
"""Pairs of parallel arrays: names, and the TMDB ids of the same entities."""

FLOATS = ("popularity", "vote_average")
COUNTS = ("vote_count", "budget", "revenue", "runtime")
TEXTS = ("title", "original_title", "overview", "release_date", "imdb_id", "original_language", "status")


class Record(NamedTuple):
    """One Kafka record, as it lies in the log."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class OffsetRange(NamedTuple):
    """Offsets [start, end) of one partition; compaction leaves gaps, so the count of records is unknown."""

    topic: str
    partition: int
    start: int
    end: int


def key_of(movie_id: int) -> bytes:
    """Return the record key of a film: its TMDB id as ASCII digits."""
    return str(movie_id).encode("ascii")


def headers(source: str, run_id: str) -> list[tuple[str, bytes]]:
    """Return the headers of a published film."""
    return [("source", source.encode()), ("run_id", run_id.encode()), ("schema_version", str(SCHEMA_VERSION).encode())]


def utc_text(moment: datetime) -> str:
    """Return a moment as RFC 3339 in UTC with seconds, e.g. `2026-11-23T08:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def encode(message: Mapping[str, Any]) -> bytes:
    """Return a message as the UTF-8 JSON bytes of a record value."""
    return orjson.dumps(message)


def build(details: Mapping[str, Any], *, fetched_at: str, cast_limit: int = 10) -> dict[str, Any]:
    """Flatten TMDB's answer of `/movie/{id}?append_to_response=credits` into a message.

    Directors come in the order of the crew list, each once; the cast by billing order (`order`, then the order
    of the answer), the first `cast_limit`.
    """
    credit = details.get("credits") or {}
    directors = {person["id"]: person for person in credit.get("crew") or () if person.get("job") == "Director"}
    cast = sorted(credit.get("cast") or (), key=lambda person: person.get("order") if person.get("order") is not None else MAX_ID)
    people = {"directors": list(directors.values()), "cast": cast[:cast_limit]}
    message: dict[str, Any] = {name: details.get(name) for name in ("id", *TEXTS, *FLOATS, *COUNTS)}
    message["release_date"] = message["release_date"] or None
    message["imdb_id"] = message["imdb_id"] or None
    for names, ids in LISTS:
        entities = people[names] if names in people else details.get(names) or ()
        message[names] = [entity["name"] for entity in entities]
        message[ids] = [entity["id"] for entity in entities]
    message["schema_version"] = SCHEMA_VERSION
    message["fetched_at"] = fetched_at
    return message
