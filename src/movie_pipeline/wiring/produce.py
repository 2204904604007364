"""The TMDB side: producer, replay, sample API."""

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from movie_pipeline import logs, messages
from movie_pipeline.settings import Settings
from movie_pipeline.wiring import parts

if TYPE_CHECKING:
    from movie_pipeline.adapters.kafka import KafkaPublisher
    from movie_pipeline.adapters.tmdb import TmdbSource
    from movie_pipeline.sample_api import SampleApi

log = logs.get(__name__)

DONE, DEGRADED = 0, 3
REAL_HOST = "api.themoviedb.org"
ANY_TOKEN = "any"  # noqa: S105 - the sample API takes every token that is not blank


def produce(
    settings: Settings,
    *,
    pages: int | None = None,
    changes: bool = False,
    since: date | None = None,
    everything: bool = False,
    ids: Path | None = None,
    refresh: bool = False,
) -> int:
    """Fetch films and publish them; 3 when they lie in the backups only."""
    from movie_pipeline.adapters.backups import FileBackups
    from movie_pipeline.adapters.crawl_state import StoredCrawlState
    from movie_pipeline.adapters.progress import progress
    from movie_pipeline.jobs import producer

    mode = _mode(changes=changes, everything=everything, ids=ids, refresh=refresh)
    plan = producer.ProducePlan(
        producer.Mode(mode),
        pages=pages,
        since=since,
        ids=producer.read_ids(ids) if ids else (),
        refresh_days=settings.refresh_days,
        refresh_films=settings.daily_request_budget,
    )
    with ExitStack() as stack:
        record = stack.enter_context(parts.recorded(settings, "produce", optional=True))
        stack.enter_context(_terminable())
        films = stack.enter_context(closing(source(settings)))
        state = stack.enter_context(closing(StoredCrawlState(settings.database_dsn(), settings.output_dir)))
        summary = producer.produce(
            plan,
            source=films,
            connect=partial(_ready_publisher, settings),
            topic=settings.kafka_topic,
            backups=stack.enter_context(closing(FileBackups(settings.output_dir))),
            state=state,
            progress_for=progress,
            run_id=record.run_id,
            threads=settings.tmdb_threads,
            cast_limit=settings.cast_limit,
        )
        record.source, record.counts = summary.source, summary.counts()
        record.state = "degraded" if summary.degraded else "done"
    sys.stdout.write("".join(f"{line}\n" for line in summary.lines()))
    return DEGRADED if summary.degraded else DONE


def replay(settings: Settings, *, dead_letters: bool = False, listing: bool = False) -> int:
    """Publish the backups that the topic lacks, or the dead letters that wait; with `listing` only show them."""
    from movie_pipeline.adapters.backups import FileBackups
    from movie_pipeline.adapters.crawl_state import StoredCrawlState
    from movie_pipeline.adapters.progress import progress
    from movie_pipeline.jobs import replay as job

    with ExitStack() as stack:
        record = stack.enter_context(parts.recorded(settings, "replay", optional=True))
        publisher = stack.enter_context(closing(_ready_publisher(settings)))
        reader = stack.enter_context(closing(parts.reader(settings)))
        if not dead_letters:
            summary = job.replay_backups(
                backups=FileBackups(settings.output_dir),
                reader=reader,
                publisher=publisher,
                topic=settings.kafka_topic,
                run_id=record.run_id,
                progress_for=progress,
                listing=listing,
            )
            record.source, record.counts = messages.SOURCE_BACKUP, dict(vars(summary))
            lines = summary.lines()
        else:
            state = stack.enter_context(closing(StoredCrawlState(settings.database_dsn(), settings.output_dir)))
            dlq = settings.kafka_dlq_topic
            if listing:
                lines = [letter.line() for letter in job.list_dead_letters(reader=reader, state=state, dlq_topic=dlq)]
            else:
                count = job.replay_dead_letters(reader=reader, publisher=publisher, state=state, dlq_topic=dlq)
                record.counts = {"replayed": count}
                lines = [f"{count} dead letters published again"]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return DONE


def source(settings: Settings) -> "TmdbSource":
    """Return TMDB, or what TMDB_API_URL names; a server that is not TMDB needs no key of ours."""
    from movie_pipeline.adapters.rate import SharedLimiter
    from movie_pipeline.adapters.tmdb import TmdbSource

    token = settings.tmdb_api_token.get_secret_value() if settings.tmdb_api_token else None
    key = settings.tmdb_api_key.get_secret_value() if settings.tmdb_api_key else None
    if not (token or key) and urlsplit(settings.tmdb_api_url).hostname != REAL_HOST:
        token = ANY_TOKEN
    return TmdbSource(
        api_url=settings.tmdb_api_url,
        export_url=settings.tmdb_export_url,
        limiter=SharedLimiter(
            settings.database_dsn(), settings.tmdb_requests_per_second, max_producers=settings.max_producers
        ),
        token=token,
        key=key,
        language=settings.tmdb_language,
        region=settings.tmdb_region,
        timeout_seconds=settings.tmdb_timeout_seconds,
        attempts=settings.tmdb_retry_attempts,
        retry_seconds=settings.tmdb_retry_seconds,
    )


def sample_api(_settings: Settings, options: argparse.Namespace) -> int:
    """Serve films as TMDB until interrupted."""
    with served(options) as api, _terminable():
        log.info("sample API listens", url=api.url, exports=api.export_url)
        api.wait()
    return DONE


def served(options: argparse.Namespace) -> "SampleApi":
    """Return the sample API as the command line asks for it."""
    from movie_pipeline.sample_api import Faults, SampleApi

    faults = Faults(
        latency_seconds=options.latency_ms / 1000,
        error_rate=options.error_rate,
        cut_rate=options.cut_rate,
        rate_limit=options.rate_limit,
        missing_exports=int(options.no_export),
    )
    return SampleApi(options.data, host=options.host, port=options.port, faults=faults)


def _ready_publisher(settings: Settings) -> "KafkaPublisher":
    publisher = parts.publisher(settings)
    publisher.ensure_topics()
    return publisher


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does, so that what is acknowledged is saved; process 1 would ignore it."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _mode(*, changes: bool, everything: bool, ids: Path | None, refresh: bool) -> str:
    chosen = {"changes": changes, "all": everything, "ids": ids is not None, "refresh": refresh}
    return next((name for name, wanted in chosen.items() if wanted), "popular")
