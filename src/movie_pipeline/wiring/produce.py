"""The producer, the way back from backups and dead letters, and the sample API."""

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from movie_pipeline import logs
from movie_pipeline.settings import Settings
from movie_pipeline.wiring import parts

if TYPE_CHECKING:
    from movie_pipeline.adapters.crawl_state import StoredCrawlState
    from movie_pipeline.adapters.rate import Limiter
    from movie_pipeline.adapters.tmdb import TmdbSource
    from movie_pipeline.jobs.delivery import ProduceSummary
    from movie_pipeline.jobs.producer import ProducePlan

log = logs.get(__name__)

DEGRADED = 3
SAMPLE_TOKEN = "sample"  # noqa: S105 - the sample API takes any
"""What is sent to an address that is not TMDB's when no credential is set."""


def source(settings: Settings, limiter: "Limiter | None" = None) -> "TmdbSource":
    """Return TMDB as the settings describe it; without a limiter, one of this process alone."""
    from movie_pipeline.adapters.rate import ThreadLimiter
    from movie_pipeline.adapters.tmdb import TmdbSource

    token = settings.tmdb_api_token.get_secret_value() if settings.tmdb_api_token else None
    key = settings.tmdb_api_key.get_secret_value() if settings.tmdb_api_key else None
    elsewhere = settings.tmdb_api_url != Settings.model_fields["tmdb_api_url"].default
    return TmdbSource(
        api_url=settings.tmdb_api_url,
        export_url=settings.tmdb_export_url,
        limiter=limiter or ThreadLimiter(settings.tmdb_requests_per_second),
        token=token or (SAMPLE_TOKEN if elsewhere and not key else None),
        key=key,
        language=settings.tmdb_language,
        region=settings.tmdb_region,
        timeout_seconds=settings.tmdb_timeout_seconds,
        attempts=settings.tmdb_retry_attempts,
        retry_seconds=settings.tmdb_retry_seconds,
    )


def produce(
    settings: Settings,
    *,
    pages: int = 500,
    changes: bool = False,
    since: date | None = None,
    everything: bool = False,
    ids: Path | None = None,
    refresh: bool = False,
) -> int:
    """Fetch films, back them up and publish them; 3 when some lie in the backups only."""
    from movie_pipeline.jobs.producer import Mode, ProducePlan, read_ids

    chosen = {Mode.CHANGES: changes, Mode.ALL: everything, Mode.IDS: ids is not None, Mode.REFRESH: refresh}
    mode = next((mode for mode, wanted in chosen.items() if wanted), Mode.POPULAR)
    plan = ProducePlan(
        mode,
        pages=pages,
        since=since,
        ids=read_ids(ids) if ids else (),
        refresh_days=settings.refresh_days,
        refresh_films=settings.daily_request_budget,
    )
    with parts.recorded(settings, "produce", optional=True) as record, _terminable():
        summary = run_producer(settings, plan, record.run_id)
        record.counts.update(summary.counts())
        record.source = summary.source
        record.state = "degraded" if summary.degraded else "done"
    _say(summary.lines())
    return DEGRADED if summary.degraded else 0


def run_producer(settings: Settings, plan: "ProducePlan", run_id: str) -> "ProduceSummary":
    """Run the producer with the settings' adapters, and let go of them."""
    from movie_pipeline.adapters.backups import FileBackups
    from movie_pipeline.adapters.progress import progress
    from movie_pipeline.adapters.rate import SharedLimiter
    from movie_pipeline.jobs import producer

    with ExitStack() as stack:
        limiter = SharedLimiter(
            settings.database_dsn(), settings.tmdb_requests_per_second, max_producers=settings.max_producers
        )
        stack.callback(limiter.close)
        films = source(settings, limiter)
        stack.callback(films.close)
        state = _state(settings)
        stack.callback(state.close)
        return producer.produce(
            plan,
            source=films,
            connect=lambda: parts.publisher(settings),
            topic=settings.kafka_topic,
            backups=FileBackups(settings.output_dir),
            state=state,
            progress_for=progress,
            run_id=run_id,
            threads=settings.tmdb_threads,
            cast_limit=settings.cast_limit,
        )


def replay(settings: Settings, *, dead_letters: bool = False, listing: bool = False) -> int:
    """Publish backups that the topic lacks, or dead letters after a fix; with `listing` only show them."""
    with parts.recorded(settings, "replay", optional=True) as record, ExitStack() as stack:
        publisher, reader, state = parts.publisher(settings), parts.reader(settings), _state(settings)
        for part in (publisher, reader, state):
            stack.callback(part.close)
        if dead_letters:
            _say(_replay_dead_letters(settings, publisher, reader, state, record, listing=listing))
        else:
            _say(_replay_backups(settings, publisher, reader, record, listing=listing))
    return 0


def sample_api(_settings: Settings, options: argparse.Namespace) -> int:
    """Serve the sample until Ctrl-C or SIGTERM."""
    from movie_pipeline.sample_api import Faults, SampleApi

    faults = Faults(
        latency_seconds=options.latency_ms / 1000,
        error_rate=options.error_rate,
        cut_rate=options.cut_rate,
        rate_limit=options.rate_limit,
        missing_exports=int(options.no_export),
    )
    with SampleApi(options.data, host=options.host, port=options.port, faults=faults) as api, _terminable():
        _say([f"TMDB_API_URL={api.url}", f"TMDB_EXPORT_URL={api.export_url}"])
        try:
            api.wait()
        except KeyboardInterrupt:
            log.info("sample API stopped", **api.counts.summary())
    return 0


def _replay_backups(settings: Settings, publisher: Any, reader: Any, record: Any, *, listing: bool) -> list[str]:
    from movie_pipeline.adapters.backups import FileBackups
    from movie_pipeline.adapters.progress import progress
    from movie_pipeline.jobs.replay import replay_backups

    summary = replay_backups(
        backups=FileBackups(settings.output_dir),
        reader=reader,
        publisher=publisher,
        topic=settings.kafka_topic,
        run_id=record.run_id,
        progress_for=progress,
        listing=listing,
    )
    record.counts.update(vars(summary))
    return [*summary.lines(), *(["nothing was sent: this was a listing"] if listing else [])]


def _replay_dead_letters(
    settings: Settings, publisher: Any, reader: Any, state: Any, record: Any, *, listing: bool
) -> list[str]:
    from movie_pipeline.jobs.replay import list_dead_letters, replay_dead_letters

    topic = settings.kafka_dlq_topic
    if listing:
        letters = [letter.line() for letter in list_dead_letters(reader=reader, state=state, dlq_topic=topic)]
        return [*letters, f"{len(letters)} dead letters wait"]
    count = replay_dead_letters(reader=reader, publisher=publisher, state=state, dlq_topic=topic)
    record.counts["published"] = count
    return [f"{count} dead letters published again"]


def _state(settings: Settings) -> "StoredCrawlState":
    from movie_pipeline.adapters.crawl_state import StoredCrawlState

    return StoredCrawlState(settings.database_dsn(), settings.output_dir)


def _say(lines: list[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does: what is acknowledged is saved first."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
