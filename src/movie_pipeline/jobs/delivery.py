"""From a fetched film to a settled one: publishing, acknowledgements, retry list, checkpoints."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from movie_pipeline import logs, messages
from movie_pipeline.errors import BrokerUnavailableError, SourceUnavailableError
from movie_pipeline.jobs import crawl as crawls
from movie_pipeline.jobs.crawl import Crawl, Ledger
from movie_pipeline.ports import Backups, CrawlState, Publisher, Retry

log = logs.get(__name__)

GONE = "gone"
"""Reason on the retry list: TMDB answered 404 once; a second look decides."""
CHECKPOINT_FILMS = 32
CHECKPOINT_SECONDS = 1.0
MOST_OPEN = 2_000
"""Films fetched and not acknowledged; beyond that fetching waits for Kafka."""
FAILURES_IN_A_ROW = 50
"""Films that fail one after the other before TMDB counts as away."""


@dataclass
class ProduceSummary:
    """Counts of one run; `degraded` means that films lie in the backups only."""

    mode: str
    source: str = messages.SOURCE_TMDB
    resumed: bool = False
    listed: int = 0
    fetched: int = 0
    published: int = 0
    gone: int = 0
    tombstones: int = 0
    failed: int = 0
    undelivered: int = 0
    broker_reason: str | None = None
    seconds: float = 0.0

    @property
    def degraded(self) -> bool:
        """Whether the topic lacks films of this run."""
        return self.undelivered > 0 or self.broker_reason is not None

    def counts(self) -> dict[str, Any]:
        """Return the figures by name, for `pipeline_runs` and logs."""
        names = ("listed", "fetched", "published", "gone", "tombstones", "failed", "undelivered", "resumed")
        return {name: getattr(self, name) for name in names}

    def lines(self) -> list[str]:
        """Return the last lines of the run, for people."""
        said = [f"{self.published} of {self.listed} films published ({self.source}, {self.seconds:.1f} s)"]
        if self.resumed:
            said.append("an interrupted run was taken up where it was")
        if self.gone or self.tombstones:
            said.append(f"{self.gone} films answered 404 and are looked at again, {self.tombstones} marked deleted")
        if self.failed:
            said.append(f"{self.failed} films failed and are on the retry list of the next run")
        if self.degraded:
            said.append(f"DEGRADED: {self.undelivered} films lie in the backups only; {self.broker_reason}")
            said.append("publish them with: movie-pipeline replay")
        return said


class Outcome(NamedTuple):
    """What became of one film at TMDB: a message, a 404, or a reason why there is none yet."""

    movie_id: int
    content: bytes | None = None
    gone: bool = False
    failure: str | None = None


class Topic:
    """The topic, as long as Kafka is there; after the first outage the run goes on without it."""

    def __init__(
        self,
        connect: Callable[[], Publisher],
        name: str,
        headers: Sequence[tuple[str, bytes]],
        summary: ProduceSummary,
    ) -> None:
        self._name, self._headers, self._summary = name, headers, summary
        self._publisher: Publisher | None = None
        try:
            self._publisher = connect()
            self._publisher.ensure_topics()
        except BrokerUnavailableError as error:
            self.give_up(error)

    @property
    def broken(self) -> bool:
        """Whether Kafka was found away."""
        return self._summary.broker_reason is not None

    def give_up(self, error: Exception) -> None:
        """Publish nothing more in this run."""
        if not self.broken:
            self._summary.broker_reason = str(error) or type(error).__name__
            log.warning("Kafka is away, films go to the backups only", reason=self._summary.broker_reason)

    def send(self, key: bytes, value: bytes | None, on_delivery: Callable[[Exception | None], None]) -> None:
        """Queue one record; `on_delivery` hears the outcome, at once when Kafka is away."""
        if self._publisher is None or self.broken:
            on_delivery(BrokerUnavailableError("Kafka is away"))
            return
        try:
            self._publisher.publish(self._name, key, value, self._headers, on_delivery)
        except BrokerUnavailableError as error:
            on_delivery(error)

    def flush(self) -> None:
        """Wait until everything queued is acknowledged or refused."""
        if self._publisher is not None:
            try:
                self._publisher.flush()
            except BrokerUnavailableError as error:
                self.give_up(error)

    def close(self) -> None:
        """Let go of the connection."""
        if self._publisher is not None:
            try:
                self._publisher.close()
            except BrokerUnavailableError as error:
                self.give_up(error)


class Keeper:
    """Takes outcomes to the topic and keeps a crawl's state.

    One thread calls it; acknowledgements come from the publisher's. A film is settled when its record is acknowledged
    or its fate is on the retry list, and a mark is saved only behind settled films.
    """

    def __init__(
        self,
        crawl: Crawl,
        topic: Topic,
        *,
        backups: Backups,
        state: CrawlState,
        summary: ProduceSummary,
        now: Callable[[], datetime],
    ) -> None:
        self._crawl, self._topic, self._backups, self._state = crawl, topic, backups, state
        self._summary, self._now = summary, now
        self.ledger = Ledger(crawl)
        self._owed = state.retries()
        self._retries: dict[int, Retry | None] = {}
        self._since_checkpoint = self._failures_in_a_row = 0
        self._checkpoint_at = time.monotonic()

    def take(self, outcome: Outcome) -> None:
        """Settle one film, now or when its record is acknowledged."""
        if outcome.failure:
            self._failed(outcome.movie_id, outcome.failure)
        elif outcome.gone:
            self._gone(outcome.movie_id)
        else:
            self._summary.fetched += 1
            self._failures_in_a_row = 0
            self._send(outcome.movie_id, outcome.content)
        self._since_checkpoint += 1
        late = time.monotonic() - self._checkpoint_at > CHECKPOINT_SECONDS
        if late or self._since_checkpoint >= CHECKPOINT_FILMS:
            self._checkpoint()

    def close(self) -> bool:
        """Wait for Kafka, save what came of it; return whether every film is settled (then the crawl is forgotten)."""
        self._topic.flush()
        self._checkpoint()
        mark = self.ledger.mark()
        if self._topic.broken:
            self._summary.undelivered += len(mark.open_ids)
        settled = mark.position == len(self._crawl.ids) and not mark.open_ids
        if settled:
            crawls.forget(self._state, self._crawl)
        return settled

    def _send(self, movie_id: int, content: bytes | None) -> None:
        while not self._topic.broken and not self.ledger.wait_below(MOST_OPEN, timeout_seconds=1.0):
            log.debug("waiting for Kafka", films=MOST_OPEN)
        deleted = content is None
        self._topic.send(messages.key_of(movie_id), content, lambda error: self._delivered(movie_id, deleted, error))

    def _delivered(self, movie_id: int, deleted: bool, error: Exception | None) -> None:
        if error is None:
            self._summary.published += not deleted
            self._summary.tombstones += deleted
            if movie_id in self._owed:
                self._retries[movie_id] = None
            self.ledger.settle(movie_id)
        elif getattr(error, "retriable", True):
            self._topic.give_up(error)
        else:
            self._owe(movie_id, f"Kafka refuses the record: {type(error).__name__}: {error}")

    def _gone(self, movie_id: int) -> None:
        before = self._owed.get(movie_id)
        if before and before.reason == GONE and before.since < self._crawl.started:
            self._send(movie_id, None)
            return
        self._summary.gone += 1
        self._retries[movie_id] = Retry(1, GONE, self._now())
        self.ledger.settle(movie_id)

    def _failed(self, movie_id: int, reason: str) -> None:
        self._owe(movie_id, reason)
        # Films that failed before say nothing new: fifty that never answer would stop every run at its beginning.
        self._failures_in_a_row += movie_id not in self._owed
        if self._failures_in_a_row >= FAILURES_IN_A_ROW:
            raise SourceUnavailableError(
                f"TMDB is away: {self._failures_in_a_row} films failed in a row, the last with: {reason}; run it again"
                " later, it goes on where it was"
            )

    def _owe(self, movie_id: int, reason: str) -> None:
        log.warning("film put on the retry list", movie_id=movie_id, reason=reason)
        before = self._owed.get(movie_id)
        self._summary.failed += 1
        self._retries[movie_id] = Retry((before.attempts if before else 0) + 1, reason, self._now())
        self.ledger.settle(movie_id)

    def _checkpoint(self) -> None:
        """Save the state behind what is settled: backups first, then the retry list, then the mark."""
        mark = self.ledger.mark()
        retries = {movie_id: self._retries.pop(movie_id) for movie_id in tuple(self._retries)}
        self._backups.commit()
        self._state.record_retries(retries)
        if not self._topic.broken:
            crawls.save_mark(self._state, self._crawl, mark)
        self._since_checkpoint, self._checkpoint_at = 0, time.monotonic()
