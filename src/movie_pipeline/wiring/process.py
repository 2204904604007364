"""The DAG's pandas path: which source the films come from."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from movie_pipeline import logs, messages
from movie_pipeline.errors import RetryLaterError, StateConflictError
from movie_pipeline.settings import Settings
from movie_pipeline.wiring import parts
from movie_pipeline.wiring.analyse import keep_findings

if TYPE_CHECKING:
    from movie_pipeline.jobs.process import Processed, Source

log = logs.get(__name__)

DONE, DEGRADED = 0, 3


def process(settings: Settings, *, alternative: bool = False) -> int:
    """Write the run's films to files: from Kafka, or by the alternative path when Kafka is away or not wanted."""
    with parts.recorded(settings, "process", optional=True) as record:
        outcome = None if alternative else _from_kafka(settings, record.run_id)
        if outcome is None:
            record.state = "degraded"
            outcome = _run(settings, _alternatives(settings), record.run_id, degraded=True)
        record.source = outcome.source
        record.counts.update(films=outcome.films, rejected=outcome.rejected)
        record.files.update(outcome.files)
        findings = {name: (count, None) for name, count in outcome.findings.items()}
        keep_findings(settings, record.run_id, "process", findings)
    print(outcome.files["processed"])  # noqa: T201 - the result of the verb
    return DEGRADED if record.state == "degraded" else DONE


def _from_kafka(settings: Settings, run_id: str) -> "Processed | None":
    from movie_pipeline.jobs.process import topic_source

    try:
        with closing(parts.reader(settings)) as reader:
            return _run(settings, [topic_source(reader, settings.kafka_topic, run_id)], run_id, degraded=False)
    except (RetryLaterError, StateConflictError) as error:
        log.warning("taking the alternative path", reason=str(error))
        return None


def _run(settings: Settings, sources: "list[Source]", run_id: str, *, degraded: bool) -> "Processed":
    from movie_pipeline.jobs.process import process as run

    return run(sources, parts.store(settings), run_id=run_id, degraded=degraded, now=datetime.now(UTC))


def _alternatives(settings: Settings) -> "list[Source]":
    from movie_pipeline.adapters.backups import FileBackups
    from movie_pipeline.jobs.process import message_source

    now = datetime.now(UTC)
    return [
        message_source("postgresql", lambda: _database_messages(settings), now),
        message_source(messages.SOURCE_BACKUP, FileBackups(settings.output_dir).read, now),
        message_source(messages.SOURCE_SAMPLE, lambda: _sample_messages(settings), now),
    ]


def _database_messages(settings: Settings) -> Iterator[tuple[int, bytes]]:
    from movie_pipeline.adapters.aggregates import PostgresCatalogue
    from movie_pipeline.jobs.process import MOST_FILMS

    with PostgresCatalogue(settings.database_dsn()) as catalogue:
        yield from catalogue.messages(MOST_FILMS)


def _sample_messages(settings: Settings) -> Iterator[tuple[int, bytes]]:
    from movie_pipeline.sample_api.catalogue import packaged

    films = packaged()
    for movie_id in films.ids:
        details = films.film(movie_id)
        assert details is not None
        built = messages.build(details, fetched_at=messages.SAMPLE_FETCHED_AT, cast_limit=settings.cast_limit)
        yield movie_id, messages.encode(built)
