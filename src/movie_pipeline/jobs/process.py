"""The DAG's pandas path: films from the first source that has some -> `movies_data.json`, `processed_movies_v2.csv`.

Only files are written, never a table. The same pure functions clean and derive as on the Dask path.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson
import pandas as pd

from movie_pipeline import logs, messages
from movie_pipeline.errors import InvalidMessageError, RetryLaterError, SourceUnavailableError
from movie_pipeline.messages import OffsetRange, Record
from movie_pipeline.ports import ArtifactStore, TopicReader
from movie_pipeline.transform.clean import Findings, clean
from movie_pipeline.transform.frames import decoded
from movie_pipeline.transform.plain import LISTS
from movie_pipeline.transform.star import derive

log = logs.get(__name__)

MESSAGES_FILE, PROCESSED_FILE, FACTS_FILE = "movies_data.json", "processed_movies_v2.csv", "processed_movies_v2.json"
MOST_FILMS = 100_000
"""Films of one run at most, the newest ones: the pandas path holds them in memory."""
READ_RECORDS = 2_000


class Source(NamedTuple):
    """A place that may have the films, by the name that the report gives it."""

    name: str
    read: Callable[[], Iterable[Record]]


@dataclass(frozen=True)
class Processed:
    """What `process` left and where it came from."""

    source: str
    films: int
    rejected: int
    findings: Findings
    files: Mapping[str, str]


def process(
    sources: Sequence[Source], store: ArtifactStore, *, run_id: str, degraded: bool, now: datetime
) -> Processed:
    """Write the two files from the first source that can be read and has films.

    A source that is away or empty is passed over with a warning. Raises SourceUnavailableError when none is left.
    """
    for source in sources:
        try:
            records = list(source.read())
        except RetryLaterError as error:
            log.warning("source is away", source=source.name, reason=str(error))
            continue
        films, rejected = _decoded(records)
        if films:
            origin = _origin(records) or source.name
            return _write(
                films,
                rejected,
                origin,
                store,
                {"run_id": run_id, "degraded": degraded, "written": messages.utc_text(now)},
            )
        log.warning("source has no films", source=source.name, rejected=rejected)
    names = ", ".join(source.name for source in sources)
    raise SourceUnavailableError(
        f"no films from {names}: run `movie-pipeline produce` first, or check Kafka and PostgreSQL"
    )


def topic_source(reader: TopicReader, topic: str, run_id: str) -> Source:
    """Return the films of the topic that this run published; where it published none, all that the topic holds."""

    def read() -> list[Record]:
        current = {record.key: record for record in _records(reader, topic) if record.key is not None}
        films = [record for record in current.values() if record.value is not None]
        ours = [record for record in films if (("run_id", run_id.encode()) in record.headers)]
        if not ours:
            log.info("the run published nothing; the films are the topic's", topic=topic, films=len(films))
        chosen = ours or films
        return sorted(chosen, key=lambda record: (record.timestamp_ms, record.partition, record.offset))[-MOST_FILMS:]

    return Source("kafka", read)


def message_source(name: str, read: Callable[[], Iterable[tuple[int, bytes]]], now: datetime) -> Source:
    """Return a source of (id, message): the last message of an id counts."""

    def records() -> list[Record]:
        return _as_records(name, list(dict(read()).items())[-MOST_FILMS:], now)

    return Source(name, records)


def processed_films(content: bytes, now: datetime) -> tuple[pd.DataFrame, Findings]:
    """Return the cleaned films of a `movies_data.json`."""
    films = [(film["id"], orjson.dumps(film)) for film in orjson.loads(content)]
    return clean(decoded(_decoded(_as_records(MESSAGES_FILE, films, now))[0]))


def _as_records(name: str, films: Iterable[tuple[int, bytes]], now: datetime) -> list[Record]:
    """Return messages that lie in no topic as records that came in now."""
    stamp = round(now.timestamp() * 1000)
    return [Record(name, 0, place, stamp, messages.key_of(key), value) for place, (key, value) in enumerate(films)]


def table(films: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each cleaned film: the warehouse's columns but genre and director, and the lists as JSON."""
    derived = derive(films).rename(columns={"tmdb_id": "id"})
    derived["original_language"] = films["original_language"]
    for name in LISTS:
        derived[name] = [orjson.dumps(list(names)).decode() for names in films[name].tolist()]
    return derived


def _records(reader: TopicReader, topic: str) -> Iterable[Record]:
    for partition, (first, end) in sorted(reader.bounds(topic).items()):
        for records, _ in reader.read(OffsetRange(topic, partition, first, end), READ_RECORDS):
            yield from records


def _decoded(records: Sequence[Record]) -> tuple[list[dict[str, Any]], int]:
    films = []
    rejected = 0
    for record in records:
        try:
            film = messages.decode(record)
        except InvalidMessageError as error:
            rejected += 1
            log.warning("message passed over", offset=record.offset, reason=str(error))
            continue
        if film is not None:
            films.append(film)
    return films, rejected


def _origin(records: Sequence[Record]) -> str | None:
    """Return where most of the messages say they come from; None when they do not say."""
    told = Counter(value.decode() for record in records for name, value in record.headers if name == "source")
    return told.most_common(1)[0][0] if told else None


def _write(
    films: list[dict[str, Any]], rejected: int, source: str, store: ArtifactStore, facts: Mapping[str, Any]
) -> Processed:
    cleaned, findings = clean(decoded(films))
    rows = ({name: value for name, value in film.items() if name != "message_offset"} for film in films)
    body = b",\n".join(orjson.dumps(row) for row in rows)
    counts = {"films": len(films), "rejected": rejected}
    paths = {
        "messages": store.write_bytes(MESSAGES_FILE, b"[\n" + body + b"\n]\n"),
        "processed": store.write_bytes(PROCESSED_FILE, table(cleaned).to_csv(index=False).encode()),
    }
    described = {**facts, "source": source, **counts, "findings": dict(findings)}
    paths["facts"] = store.write_bytes(FACTS_FILE, orjson.dumps(described, option=orjson.OPT_INDENT_2))
    return Processed(source, len(films), rejected, findings, {name: str(path) for name, path in paths.items()})
