"""What jobs ask of the outside world: one small protocol for each outside thing.

`adapters` holds the real ones, `tests/fakes.py` one fake for each; one contract suite runs over both.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from movie_pipeline.messages import OffsetRange, Record

if TYPE_CHECKING:
    from pandas import DataFrame


class FilmSource(Protocol):
    """TMDB, or something that speaks its API."""

    def check(self) -> None:
        """Prove that the service answers and takes the key; InvalidKeyError or SourceUnavailableError otherwise."""

    def origin(self) -> str:
        """Return where its films come from: `tmdb`, or `sample` when the service is the sample API."""

    def popular_ids(self, page: int) -> tuple[list[int], int]:
        """Return the ids of one page (from 1) of the popular list, and the number of pages."""

    def changed_ids(self, since: date, until: date) -> Iterator[int]:
        """Yield each id that changed in [since, until] once; windows and pages are the source's business."""

    def exported_ids(self, on: date) -> Iterator[int]:
        """Yield the ids of the newest daily export not after `on`."""

    def details(self, movie_id: int) -> dict[str, Any]:
        """Return a film with its credits; FilmNotFoundError when TMDB has none."""


class Backups(Protocol):
    """Local copies of messages, kept before they are published."""

    damaged: int
    """Pieces that the last `read` could not understand and dropped."""

    def begin(self, films: int) -> None:
        """Choose the form for a run of so many films: a file for each, or segments."""

    def save(self, movie_id: int, content: bytes) -> None:
        """Keep one message, from any thread; it is durable after `commit`. OutputError when that fails."""

    def commit(self) -> None:
        """Make everything saved so far durable."""

    def read(self) -> Iterator[tuple[int, bytes]]:
        """Yield (id, message) of every copy; a film kept several times comes several times."""

    def close(self) -> None:
        """Commit and let go."""


class Retry(NamedTuple):
    """A film that the next producer run takes up again."""

    attempts: int
    reason: str
    since: datetime


class CrawlState(Protocol):
    """How far producer runs have come, and what they owe."""

    def claim(self, name: str) -> None:
        """Keep other producers off this crawl until the program ends; StateConflictError when one has it."""

    def load(self, name: str) -> dict[str, Any] | None:
        """Return what was saved last under this name."""

    def save(self, name: str, state: Mapping[str, Any] | None) -> None:
        """Save under this name, or forget it (None)."""

    def retries(self) -> dict[int, Retry]:
        """Return the films that earlier runs could not settle."""

    def record_retries(self, changes: Mapping[int, Retry | None]) -> None:
        """Put films on the retry list, or take them off it (None)."""

    def stale_ids(self, before: datetime, limit: int) -> list[int]:
        """Return films of the database that were fetched before that moment, oldest first."""


class Publisher(Protocol):
    """The writing side of Kafka."""

    def ensure_topics(self) -> None:
        """Create the topics that are missing, with the contract's configuration."""

    def publish(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        on_delivery: Callable[[Exception | None], None] | None = None,
    ) -> None:
        """Queue one record; `on_delivery` is called once with None or the error.

        BrokerUnavailableError when it cannot be queued.
        """

    def flush(self) -> None:
        """Wait until everything queued is acknowledged; BrokerUnavailableError when it is not."""

    def close(self) -> None:
        """Flush and let go."""


class TopicReader(Protocol):
    """The reading side of Kafka: by offsets, without a group's rebalancing."""

    def partitions(self, topic: str) -> list[int]:
        """Return the partitions of a topic, in order; StateConflictError when there is no such topic."""

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return (first offset, end offset) of each partition."""

    def topic_id(self, topic: str) -> str | None:
        """Return the topic's id, which changes when a topic is made anew; None where the broker does not tell."""

    def read(self, offsets: OffsetRange, max_records: int) -> Iterator[tuple[list[Record], int]]:
        """Yield (records, next offset) in order until the range is through; gaps are passed over."""

    def commit_advice(self, topic: str, positions: Mapping[int, int]) -> None:
        """Commit positions to the consumer group, for lag tools only; a failure is logged."""

    def close(self) -> None:
        """Let go of the connection."""


class Engine(Protocol):
    """Where offset ranges are computed."""

    @property
    def description(self) -> str:
        """Say where, for the log."""

    def run(self, ranges: Sequence[OffsetRange]) -> Iterator[Any]:
        """Run the range task on each range and yield results as they come; a lost range is run again."""

    def scale(self, backlog: int) -> int:
        """Fit the number of workers to the waiting messages; return the number aimed at, 0 when it may be closed."""

    def close(self) -> None:
        """Let the workers go."""


@dataclass(frozen=True)
class Finding:
    """One counted observation about the data's quality."""

    name: str
    count: int
    detail: str | None = None


class Catalogue(Protocol):
    """The films of one moment, aggregated where they lie; every film counts once, whatever its genres and directors.

    Values are cleaned ones: unknown is NULL (NaN in a frame) and no formula runs over it. Medians and quartiles
    interpolate linearly. Deleted films are left out.
    """

    source: str

    def overview(self) -> dict[str, Any]:
        """Return key figures: counts of films and of known values, the span of dates, quantiles of popularity."""

    def top_films(self, limit: int) -> "DataFrame":
        """Return the most popular films with their percentile: the share (0..100) of films not above them."""

    def genres(self) -> "DataFrame":
        """Return one row for each genre name: films, rated, popularity and rating quartiles, ROI; most films first."""

    def directors(self, limit: int, min_films: int) -> "DataFrame":
        """Return directors with at least `min_films` films, by median popularity."""

    def levels(self) -> "DataFrame":
        """Return films by popularity level and rating level (either may be NULL)."""

    def decades(self) -> "DataFrame":
        """Return one row for each decade of release: films, money, profitability; films without a date are left out."""

    def history(self, limit: int) -> "DataFrame":
        """Return every measurement of the `limit` films whose popularity moved most; empty before a second load.

        `percentile` ranks a measurement among those of its day (UTC); NULL where the day has too few.
        """

    def findings(self) -> list[Finding]:
        """Return the counted findings of `quality.CATALOGUE_FINDINGS`, in that order."""

    def corrections(self) -> list[Finding]:
        """Return what cleaning had to correct while loading, summed over all loads."""

    def training_films(self, limit: int) -> "DataFrame":
        """Return films with popularity and rating known, lists as names; a fixed sample of `limit` when more."""

    def film(self, movie_id: int) -> "DataFrame":
        """Return one film in the shape of `training_films`; FilmNotFoundError when there is none."""


class ArtifactStore(Protocol):
    """The output directory: every file is complete or absent under its final name."""

    root: Path

    def write_bytes(self, name: str, content: bytes) -> Path:
        """Write a file below the root, atomically; OutputError when that fails."""

    def folder(self, name: str) -> AbstractContextManager[Path]:
        """Give a temporary folder that becomes `name` when the block ends without an error."""


class RunFolders(ArtifactStore, Protocol):
    """The output directory with its folders of runs: `{prefix}{numbers}`, and one link to the newest."""

    def link(self, name: str, target: str) -> None:
        """Point the relative link `name` at the folder `target`."""

    def prune(self, prefix: str, keep: int) -> list[str]:
        """Remove all but the newest `keep` folders of a prefix (0 keeps all) and return their names."""

    def newest(self, prefix: str) -> str | None:
        """Return the folder that the prefix's `latest` link names."""


class Progress(Protocol):
    """A progress bar on a terminal, plain lines elsewhere."""

    def advance(self, count: int = 1) -> None:
        """Count work as done."""

    def close(self) -> None:
        """End the display."""


ProgressFor = Callable[[str, int | None], Progress]
"""Start a display: what is counted, and how many there will be (None when nobody knows)."""
RangeTask = Callable[[OffsetRange], Any]
Ids = Iterable[int]


class RunLog(Protocol):
    """Where runs leave their record for the tasks after them."""

    def start(self, run_id: str, verb: str, source: str | None = None) -> None:
        """Record a run as running; a retry of the same run starts it anew."""

    def finish(
        self,
        run_id: str,
        verb: str,
        state: str,
        *,
        counts: Mapping[str, Any] | None = None,
        files: Mapping[str, str] | None = None,
        source: str | None = None,
    ) -> None:
        """Record how a run ended: `done`, `failed` or `degraded`."""

    def find(self, run_id: str) -> dict[str, dict[str, Any]]:
        """Return what is recorded of a run, by verb: source, state, degraded, counts, files."""

    def add_findings(self, run_id: str, verb: str, findings: Mapping[str, tuple[int, str | None]]) -> None:
        """Record counted findings {name: (count, example)} of a run; those of an earlier attempt are replaced."""
