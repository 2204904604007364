"""Adapters from settings, and the record of a run around a verb."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from movie_pipeline import logs
from movie_pipeline.errors import DatabaseUnavailableError, PipelineError
from movie_pipeline.settings import Settings

if TYPE_CHECKING:
    from movie_pipeline.adapters.files import FileStore
    from movie_pipeline.adapters.kafka import KafkaAddress, KafkaPublisher, KafkaReader
    from movie_pipeline.adapters.runs import PostgresRunLog

log = logs.get(__name__)


def run_id(settings: Settings) -> str:
    """Return the run's identity; made up of time and chance when none was given."""
    return settings.run_id or f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex[:6]}"


def kafka_address(settings: Settings) -> "KafkaAddress":
    """Return how to reach Kafka."""
    from movie_pipeline.adapters.kafka import KafkaAddress

    return KafkaAddress(
        settings.kafka_bootstrap_servers,
        settings.kafka_security_protocol,
        settings.kafka_sasl_mechanism,
        settings.kafka_sasl_username,
        settings.kafka_sasl_password.get_secret_value() if settings.kafka_sasl_password else None,
        settings.kafka_ssl_cafile,
        settings.kafka_timeout_seconds,
    )


def publisher(settings: Settings) -> "KafkaPublisher":
    """Return the writing side of Kafka."""
    from movie_pipeline.adapters.kafka import KafkaPublisher

    return KafkaPublisher(
        kafka_address(settings),
        topic=settings.kafka_topic,
        dlq_topic=settings.kafka_dlq_topic,
        partitions=settings.kafka_partitions,
        replication_factor=settings.kafka_replication_factor,
    )


def reader(settings: Settings, group: str | None = None) -> "KafkaReader":
    """Return the reading side of Kafka."""
    from movie_pipeline.adapters.kafka import KafkaReader

    return KafkaReader(kafka_address(settings), group=group, fetch_records=min(settings.load_size, 2000))


def run_log(settings: Settings) -> "PostgresRunLog":
    """Return where runs leave their record."""
    from movie_pipeline.adapters.runs import PostgresRunLog

    return PostgresRunLog(settings.database_dsn())


def store(settings: Settings) -> "FileStore":
    """Return the output directory."""
    from movie_pipeline.adapters.files import FileStore

    return FileStore(settings.output_dir)


@dataclass
class Record:
    """What a verb says of its run while it works."""

    run_id: str
    state: str = "done"
    source: str | None = None
    counts: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


@contextmanager
def recorded(settings: Settings, verb: str, *, identity: str | None = None, optional: bool = False) -> Iterator[Record]:
    """Record a run in `pipeline_runs` from start to end; with `optional`, go on without where PostgreSQL is away."""
    runs = run_log(settings)
    record = Record(identity or run_id(settings))
    known = _tolerated(lambda: runs.start(record.run_id, verb), optional=optional)
    state = "failed"
    try:
        yield record
        state = record.state
    finally:
        if known:
            _tolerated(
                lambda: runs.finish(
                    record.run_id, verb, state, counts=record.counts, files=record.files, source=record.source
                ),
                optional=True,
            )
        log.info("run ended", verb=verb, run_id=record.run_id, state=state, **record.counts)


def _tolerated(call: Any, *, optional: bool) -> bool:
    try:
        call()
    except PipelineError as error:
        if not (optional and isinstance(error, DatabaseUnavailableError)):
            raise
        log.warning("the run is not recorded", reason=str(error))
        return False
    return True
