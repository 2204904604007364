"""Prometheus metrics of the long-running processes, on the default registry."""

from collections.abc import Mapping

from prometheus_client import Counter, Gauge, Histogram

FILMS_LOADED = Counter("movie_pipeline_films_loaded_total", "Films whose transaction was committed", ["change"])
DEAD_LETTERS = Counter("movie_pipeline_dead_letters_total", "Records sent to the dead-letter topic")
BATCH_SECONDS = Histogram("movie_pipeline_batch_seconds", "Seconds from planning a batch to its last commit")
LAG = Gauge(
    "movie_pipeline_lag_messages", "Offsets between the database's position and the end of the topic", ["partition"]
)
LAST_SUCCESS = Gauge("movie_pipeline_last_success_timestamp_seconds", "When a batch was last committed, as Unix time")
WORKERS = Gauge("movie_pipeline_dask_workers", "Dask workers at work")
FILMS_FETCHED = Counter("movie_pipeline_films_fetched_total", "Films answered by TMDB")
REQUESTS = Counter("movie_pipeline_tmdb_requests_total", "Requests to TMDB by HTTP status", ["status"])
ANALYSIS_FAILURES = Counter("movie_pipeline_analysis_failures_total", "Batches whose charts or model could not be made")


def count_loaded(counts: Mapping[str, int]) -> None:
    """Add a range's counts, in the driver: what a Dask worker counted itself would be scraped by nobody."""
    for change in ("new", "changed", "refreshed", "unchanged", "older", "deleted"):
        if counts.get(change):
            FILMS_LOADED.labels(change=change).inc(counts[change])
    DEAD_LETTERS.inc(counts.get("dead", 0))


def report_lag(lags: Mapping[int, int]) -> None:
    """Set the lag of this driver's partitions; those that are another's now are no longer reported by this one."""
    for partition in _reported - lags.keys():
        LAG.remove(str(partition))
    for partition, lag in lags.items():
        LAG.labels(partition=str(partition)).set(lag)
    _reported.clear()
    _reported.update(lags)


_reported: set[int] = set()
