"""Source -> backups -> topic.

Order for each film: fetched, saved as a backup, published, acknowledged, and only then settled in the crawl's state.
A run that is killed at any point is taken up by the next one of the same mode. Delivery is at least once; the
consumer makes it once.
"""

import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from movie_pipeline import logs, messages
from movie_pipeline.errors import ConfigurationError, FilmNotFoundError, RetryLaterError
from movie_pipeline.jobs import crawl as crawls
from movie_pipeline.jobs.crawl import Crawl
from movie_pipeline.jobs.delivery import Keeper, Outcome, ProduceSummary, Topic
from movie_pipeline.jobs.workers import in_parallel, results
from movie_pipeline.ports import Backups, CrawlState, FilmSource, ProgressFor, Publisher

log = logs.get(__name__)

LIST_IS_OLD = timedelta(hours=6)
"""An interrupted crawl older than this is finished, and then the current list is taken, too."""


class Mode(StrEnum):
    """Which films a run is about."""

    POPULAR = "popular"
    CHANGES = "changes"
    ALL = "all"
    IDS = "ids"
    REFRESH = "refresh"


SAME_LIST = frozenset({Mode.ALL, Mode.IDS})
"""Modes whose list a finished crawl has worked off, however long ago it was begun."""


@dataclass(frozen=True)
class ProducePlan:
    """What to fetch: `pages` of the popular list (None: all that TMDB gives), changes `since` a day, or `ids`.

    Changes without `since` begin at the day of the last finished run. They and `refresh` also take up what was
    fetched more than `refresh_days` ago, oldest first, at most `refresh_films`.
    """

    mode: Mode = Mode.POPULAR
    pages: int | None = None
    since: date | None = None
    ids: Sequence[int] = ()
    refresh_days: int = 150
    refresh_films: int = 100_000

    @property
    def name(self) -> str:
        """Name of the crawl's state: the same request goes on where it was."""
        if self.mode is Mode.IDS:
            content = ",".join(map(str, self.ids))
            return f"ids:{hashlib.sha256(content.encode()).hexdigest()[:16]}"
        detail = {Mode.POPULAR: self.pages, Mode.CHANGES: self.since}.get(self.mode)
        return f"{self.mode}:{detail}" if detail else str(self.mode)


def produce(
    plan: ProducePlan,
    *,
    source: FilmSource,
    connect: Callable[[], Publisher],
    topic: str,
    backups: Backups,
    state: CrawlState,
    progress_for: ProgressFor,
    run_id: str,
    threads: int = 16,
    cast_limit: int = 10,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> ProduceSummary:
    """Fetch the plan's films and publish them; return what became of them.

    Films that TMDB did not give within the retry budget are on the retry list afterwards; with Kafka away all films
    go to the backups and the summary is degraded. Raises InvalidKeyError, OutputError, SourceUnavailableError (the
    list cannot be had, or film after film fails) and StateConflictError (the same crawl runs elsewhere).
    """
    started = time.monotonic()
    source.check()
    summary = ProduceSummary(plan.mode, source=source.origin())
    channel = Topic(connect, topic, messages.headers(summary.source, run_id), summary)
    try:
        run = _Run(plan, source, channel, backups, state, progress_for, summary, run_id, threads, cast_limit, now)
        run.go()
    finally:
        channel.close()
    summary.seconds = time.monotonic() - started
    log.info(
        "produced", mode=plan.mode, seconds=round(summary.seconds, 1), degraded=summary.degraded, **summary.counts()
    )
    return summary


def read_ids(path: Path) -> list[int]:
    """Return the TMDB ids of a file (`-`: standard input), one a line; blank lines and comments (#) are passed over."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--ids {path}: {error}; give a text file with one TMDB id a line") from None
    return list(_parsed_ids(path, text))


def _parsed_ids(path: Path, text: str) -> Iterator[int]:
    for number, line in enumerate(text.splitlines(), 1):
        found = line.partition("#")[0].strip()
        if not found:
            continue
        if not (found.isascii() and found.isdigit() and 0 < int(found) <= messages.MAX_ID):
            raise ConfigurationError(f"--ids {path}, line {number}: {line!r} is not a TMDB id; give one id a line")
        yield int(found)


@dataclass
class _Run:
    plan: ProducePlan
    source: FilmSource
    topic: Topic
    backups: Backups
    state: CrawlState
    progress_for: ProgressFor
    summary: ProduceSummary
    run_id: str
    threads: int
    cast_limit: int
    now: Callable[[], datetime]

    def go(self) -> None:
        """Finish what an earlier run left, or take the current list."""
        self.state.claim(self.plan.name)
        left = crawls.unfinished(self.state, self.plan.name)
        if left is not None:
            self.summary.resumed = True
            log.info("crawl taken up", crawl=left.name, films_left=left.left, started=left.started.isoformat())
            self._work_off(left)
        if left is None or (self.plan.mode not in SAME_LIST and self.now() - left.started > LIST_IS_OLD):
            self._work_off(self._listed())

    def _listed(self) -> Crawl:
        started = self.now()
        ids = crawls.unique([*sorted(self.state.retries()), *self._list(started.date())])
        crawl = Crawl(self.plan.name, self.run_id, started, ids)
        crawls.save_plan(self.state, crawl)
        return crawl

    def _list(self, today: date) -> Iterator[int]:
        mode = self.plan.mode
        if mode is Mode.POPULAR:
            yield from self._popular()
        elif mode is Mode.CHANGES:
            yield from self.source.changed_ids(self.plan.since or self._changes_known(today), today)
        elif mode is Mode.ALL:
            # In order, the list of a million ids packs into some hundred kilobytes.
            yield from sorted(self.source.exported_ids(today))
        elif mode is Mode.IDS:
            yield from self.plan.ids
        # The sample's films carry a date of long ago, and asking again would not change it.
        if mode in {Mode.CHANGES, Mode.REFRESH} and self.summary.source != messages.SOURCE_SAMPLE:
            before = self.now() - timedelta(days=self.plan.refresh_days)
            yield from self.state.stale_ids(before, self.plan.refresh_films)

    def _popular(self) -> Iterator[int]:
        first, available = self.source.popular_ids(1)
        last = min(self.plan.pages or available, available)
        display = self.progress_for("popular pages", last)
        display.advance()
        yield from first
        for ids, _ in in_parallel(self.threads, range(2, last + 1), self.source.popular_ids):
            yield from ids
            display.advance()
        display.close()

    def _changes_known(self, today: date) -> date:
        note = self.state.load("changes/until")
        return date.fromisoformat(note["day"]) if note else today - timedelta(days=1)

    def _work_off(self, crawl: Crawl) -> None:
        self.summary.listed += crawl.left
        self.backups.begin(crawl.left)
        keeper = Keeper(
            crawl, self.topic, backups=self.backups, state=self.state, summary=self.summary, now=self.now
        )  # fmt: skip
        display = self.progress_for("films", crawl.left)
        settled = False
        try:
            with closing(results(self.threads, keeper.ledger.next_id, self._fetch)) as outcomes:
                for outcome in outcomes:
                    keeper.take(outcome)
                    display.advance()
        finally:
            display.close()
            settled = keeper.close()
        if settled and crawl.name == Mode.CHANGES:
            self.state.save("changes/until", {"day": crawl.started.date().isoformat()})

    def _fetch(self, movie_id: int) -> Outcome:
        try:
            details = self.source.details(movie_id)
            message = messages.build(details, fetched_at=self._fetched_at(), cast_limit=self.cast_limit)
        except FilmNotFoundError:
            return Outcome(movie_id, gone=True)
        except RetryLaterError as error:
            return Outcome(movie_id, failure=str(error))
        except (KeyError, TypeError, AttributeError) as error:
            return Outcome(movie_id, failure=f"an answer of another shape ({type(error).__name__}: {error})")
        content = messages.encode(message)
        self.backups.save(movie_id, content)
        return Outcome(movie_id, content)

    def _fetched_at(self) -> str:
        sample = self.summary.source == messages.SOURCE_SAMPLE
        return messages.SAMPLE_FETCHED_AT if sample else messages.utc_text(self.now())
