"""The Kafka contract: one film as a record of topic `tmdb_data`, built by producers and decoded by consumers.

Nothing here talks to Kafka. Decoding accepts every loss-free spelling of a value and refuses the rest, so that
a bad record becomes a dead letter instead of a guess; turning TMDB's "unknown" into NULL is `transform.clean`'s.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
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
FIELDS = (
    "id", *TEXTS, *COUNTS, *FLOATS, *(names for names, _ in LISTS), *(ids for _, ids in LISTS), "fetched_at",
    "message_offset",
)  # fmt: skip
"""What a decoded film consists of, in the order of `decode_row`."""


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


def dead_letter_headers(record: Record, error_class: str, error: str) -> list[tuple[str, bytes]]:
    """Return a dead letter's headers: the record's own, and its origin, error and time.

    Replaying uses `dlq.topic`, `dlq.partition` and `dlq.offset` to know one dead letter from another.
    """
    origin = {
        "dlq.topic": record.topic,
        "dlq.partition": str(record.partition),
        "dlq.offset": str(record.offset),
        "dlq.error.class": error_class,
        "dlq.error.text": error,
        "dlq.time": utc_text(datetime.now(UTC)),
    }
    # Kafka knows headers without a value, its Python client refuses to send them.
    kept = [(name, value or b"") for name, value in record.headers if name not in origin]
    return [*kept, *((name, value.encode()) for name, value in origin.items())]


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
    cast = sorted(
        credit.get("cast") or (), key=lambda person: person.get("order") if person.get("order") is not None else MAX_ID
    )
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


def decode(record: Record) -> dict[str, Any] | None:
    """Return a record's film as a dict of typed values, or None for a tombstone.

    The dict holds every name of `FIELDS`: texts as str or None, numbers as int or float or None (0, NaN
    and the impossible still in them: cleaning is `transform.clean`'s), lists as lists, `fetched_at` as an aware
    datetime (the record's own time where the message has none) and `message_offset`.

    Raises InvalidMessageError, naming the field, the value and what is allowed, for what contracts call a dead
    letter: never a guess.
    """
    row = decode_row(record)
    return None if row is None else dict(zip(FIELDS, row, strict=True))


def decode_row(record: Record) -> tuple[Any, ...] | None:
    """Return the values of `decode` alone, in the order of `FIELDS`: what is decoded by the million needs no names."""
    movie_id = _key(record.key)
    if record.value is None:
        return None
    message = _object(record.value)
    found = message.get("id")
    if type(found) is not int:
        found = _whole("id", found)
    if found != movie_id:
        raise InvalidMessageError(f"id {found!r} is not the record's key {movie_id}: both must be the same TMDB id")
    version = message.get("schema_version")
    if version is not None and version != SCHEMA_VERSION:
        raise InvalidMessageError(
            f"schema_version {version!r}: this release reads {SCHEMA_VERSION}; upgrade the consumer"
        )
    values = _exact_values(message) or _converted_values(movie_id, message)
    moment = _moment(message, record)
    title = values[1]
    if not title or not title.replace("\0", "").strip():
        raise InvalidMessageError(f"title {title!r}: a title that is not blank is required")
    return (*values, moment, record.offset)


def written_at(record: Record) -> datetime:
    """Return the record's own time; 1970 where it has none, and never beyond what a database can store."""
    return datetime.fromtimestamp(min(max(record.timestamp_ms, 0), _LAST_MILLISECOND) / 1000, UTC)


def tombstone_id(record: Record) -> int:
    """Return the film that a record without value declares gone; InvalidMessageError when the key is none."""
    return _key(record.key)


# Python reads no more than 4,300 digits; no number of a film has even forty.
_NUMERAL = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,9})?")
_KEY = re.compile(rb"[1-9][0-9]{0,9}")
_SHOWN = 80
_LAST_MILLISECOND = 253_402_300_799_000  # 9999-12-31T23:59:59Z


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _key(key: bytes | None) -> int:
    movie_id = int(key) if key is not None and _KEY.fullmatch(key) else 0
    if not 0 < movie_id <= MAX_ID:
        raise InvalidMessageError(f"key {_shown(key)}: a TMDB id as ASCII digits is required, 1 to {MAX_ID}")
    return movie_id


def _object(value: bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(value)
    except orjson.JSONDecodeError:
        message = _lenient_object(value)
    if not isinstance(message, dict):
        raise InvalidMessageError(f"value {_shown(value)}: a JSON object is required")
    return message


def _lenient_object(value: bytes) -> Any:
    """NaN and Infinity are no JSON, yet Python's own encoder writes them: they count as unknown numbers."""
    try:
        message = json.loads(value.decode())
        json.dumps(message, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidMessageError(f"value {_shown(value)}: not JSON in UTF-8 ({error})") from None
    return message


_ONLY_TEXT, _ONLY_WHOLE = frozenset({str}), frozenset({int})
_VALUES = itemgetter(*FIELDS[:-2])
_NONE: type[Any] = type(None)
_EXACT_TYPES: tuple[set[Any], ...] = (
    {int},
    *({str, _NONE} for _ in TEXTS),
    *({int, _NONE} for _ in COUNTS),
    *({float, int, _NONE} for _ in FLOATS),
    *({list} for _ in (*LISTS, *LISTS)),
)


@lru_cache(maxsize=4096)
def _exact(types: tuple[type, ...]) -> bool:
    return all(found in allowed for found, allowed in zip(types, _EXACT_TYPES, strict=True))


def _exact_values(message: dict[str, Any]) -> tuple[Any, ...] | None:
    """The values of a message in which nothing needs converting, None for any other.

    A short cut for what our own producer writes, several times as fast as `_converted_values`, with the same result.
    """
    try:
        values: tuple[Any, ...] = _VALUES(message)
    except KeyError:
        return None
    if not _exact((*map(type, values),)):
        return None
    genres, companies, directors, cast, genre_ids, company_ids, director_ids, cast_ids = values[-8:]
    if not (
        len(genres) == len(genre_ids)
        and len(companies) == len(company_ids)
        and len(directors) == len(director_ids)
        and len(cast) == len(cast_ids)
    ):
        return None
    ids = [*genre_ids, *company_ids, *director_ids, *cast_ids]
    plain = (
        _ONLY_TEXT.issuperset(map(type, [*genres, *companies, *directors, *cast]))
        and _ONLY_WHOLE.issuperset(map(type, ids))
        and (not ids or (min(ids) > 0 and max(ids) <= MAX_ID))
    )
    return values if plain else None


def _converted_values(movie_id: int, message: dict[str, Any]) -> tuple[Any, ...]:
    film: dict[str, Any] = {"id": movie_id} | {name: _text(name, message.get(name)) for name in TEXTS}
    for name in COUNTS:
        value = message.get(name)
        film[name] = value if type(value) is int else _whole(name, value)
    for name in FLOATS:
        value = message.get(name)
        film[name] = value if type(value) is float else _number(name, value)
    for names, ids in LISTS:
        film[names], film[ids] = _entities(names, message.get(names), ids, message.get(ids))
    return tuple(film[name] for name in FIELDS[:-2])


def _text(name: str, value: Any) -> str | None:
    if value is None or type(value) is str:
        return value
    raise InvalidMessageError(f"{name} {_shown(value)}: a text or null is required")


def _number(name: str, value: Any) -> int | float | None:
    if value is None or value == "":
        return None
    if type(value) is int or type(value) is float:
        return value
    if type(value) is str and _NUMERAL.fullmatch(value):
        return float(value) if any(mark in value for mark in ".eE") else int(value)
    raise InvalidMessageError(f"{name} {_shown(value)}: a number or null is required")


def _whole(name: str, value: Any) -> int | float | None:
    """A whole number; NaN and the infinities pass, for cleaning to count."""
    number = _number(name, value)
    if type(number) is float and number - number == 0:
        if not number.is_integer():
            raise InvalidMessageError(f"{name} {_shown(value)}: a whole number or null is required")
        return int(number)
    return number


def _moment(message: Mapping[str, Any], record: Record) -> datetime:
    """When TMDB was asked; a clock that ran ahead must not lock a film against every later message."""
    value = message.get("fetched_at")
    if value is None:
        return written_at(record)
    moment, at_ms = _parsed_moment(value) if type(value) is str else _NO_MOMENT
    if moment is None:
        raise InvalidMessageError(f"fetched_at {_shown(value)}: an RFC 3339 time is required, e.g. {SAMPLE_FETCHED_AT}")
    return written_at(record) if 0 <= record.timestamp_ms < at_ms else moment


_NO_MOMENT: tuple[datetime | None, float] = (None, 0.0)


@lru_cache(maxsize=4096)
def _parsed_moment(value: str) -> tuple[datetime | None, float]:
    """A moment, also in milliseconds."""
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            return _NO_MOMENT
        return moment.astimezone(UTC), moment.timestamp() * 1000
    except (ValueError, OverflowError):
        return _NO_MOMENT


def _entities(names_field: str, names: Any, ids_field: str, ids: Any) -> tuple[list[str], list[int | None]]:
    names = [] if names is None else names
    if type(names) is not list or not _ONLY_TEXT.issuperset(map(type, names)):
        raise InvalidMessageError(f"{names_field} {_shown(names)}: a list of texts is required")
    if ids is None:
        ids = [None] * len(names)
    elif type(ids) is not list:
        raise InvalidMessageError(f"{ids_field} {_shown(ids)}: a list of TMDB ids is required")
    if len(names) != len(ids):
        raise InvalidMessageError(
            f"{names_field} has {len(names)} entries, {ids_field} has {len(ids)}: arrays of equal length are required"
        )
    if ids and not (_ONLY_WHOLE.issuperset(map(type, ids)) and min(ids) > 0 and max(ids) <= MAX_ID):
        ids = _checked_ids(ids_field, names, ids)
    return names, ids


def _checked_ids(field: str, names: list[str], ids: list[Any]) -> list[int | None]:
    checked: list[int | None] = []
    for name, entity in zip(names, ids, strict=True):
        number = _whole(field, entity)
        if number is None and not name.replace("\0", "").strip():
            raise InvalidMessageError(f"{field}: an entity has neither an id nor a name; one of them is required")
        if number is not None and not (type(number) is int and 0 < number <= MAX_ID):
            raise InvalidMessageError(f"{field} {_shown(entity)}: a TMDB id is required, 1 to {MAX_ID}")
        checked.append(number)
    return checked
