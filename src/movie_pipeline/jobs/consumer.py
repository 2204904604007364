"""The consumer's driver: plan offset ranges from the database's offsets, have them computed, close batches.

Films never pass through here: workers read Kafka and load PostgreSQL themselves. The plan may be wrong at any
time (a second driver, a retried task): moving the offset by compare-and-set is the fence, not the plan.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

from movie_pipeline import logs, metrics
from movie_pipeline.errors import RetryLaterError, StateConflictError
from movie_pipeline.jobs.ranges import RangeResult
from movie_pipeline.messages import OffsetRange
from movie_pipeline.ports import Engine, Progress, ProgressFor, TopicReader

log = logs.get(__name__)

Result = TypeVar("Result")

IDLE_SECONDS = 1.0
OUTAGE_PAUSE_SECONDS = 1.0
OUTAGE_PAUSE_MOST_SECONDS = 30.0
STOP_SECONDS = 20.0
"""How long a follower that is told to stop waits for the analysis of its batches; its films are loaded anyhow."""
LOOK_SECONDS = 0.2
"""How often a pause looks whether it is to end."""


class Offsets(Protocol):
    """The database's own offsets, which decide where loading goes on."""

    def positions(self, topic: str) -> dict[int, tuple[int, str | None]]:
        """Return (next offset, topic id) of each partition that has one."""

    def begin(self, topic: str, partition: int, first: int, topic_id: str | None) -> None:
        """Make a partition known; nothing happens when it is."""

    def forget(self, topic: str) -> None:
        """Forget a topic's positions, so that loading starts again from what the topic holds."""


class Batches(Protocol):
    """What happens with a closed batch: it gets a number, and is analysed beside the loading."""

    def close_batch(self, counts: Mapping[str, int]) -> None:
        """Number a batch and see to its analysis, without waiting for it."""

    def tend(self) -> None:
        """Begin the analysis of what closed while another batch was analysed, if that one has ended."""

    def finish(self, seconds: float | None = None) -> None:
        """Wait until every closed batch is analysed, or end the analysis after so many seconds."""


class Membership(Protocol):
    """Which partitions this driver plans."""

    def assigned(self) -> list[int]:
        """Return the partitions that are this driver's now."""

    def commit_advice(self, positions: Mapping[int, int]) -> None:
        """Tell Kafka's lag tools how far the database is."""


class Plan(NamedTuple):
    """How a consumer cuts its work; sizes in messages, times in seconds."""

    topic: str
    batch_size: int
    batch_seconds: float
    range_size: int
    outage_seconds: float | None = None
    """How long an outage is waited out before the run fails; None waits for ever."""


class Consumer:
    """Drives loads until the topic's end, or for as long as it is let."""

    def __init__(
        self,
        plan: Plan,
        *,
        reader: TopicReader,
        offsets: Offsets,
        engine: Engine,
        batches: Batches,
        membership: Membership,
        progress: ProgressFor | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the parts; `check` is asked before following and raises when loading cannot begin."""
        self._check = check
        self._plan, self._reader, self._offsets, self._engine = plan, reader, offsets, engine
        self._batches, self._membership, self._progress = batches, membership, progress
        self._counts: Counter[str] = Counter()
        self._batch: Counter[str] = Counter()
        self._batch_began = time.monotonic()
        self.ready = False

    def reset(self) -> None:
        """Forget the topic's positions: what it holds is loaded again, which changes nothing that is current."""
        self._offsets.forget(self._plan.topic)
        log.warning("offsets forgotten", topic=self._plan.topic)

    def run_until_end(self) -> Counter[str]:
        """Load everything that the topic holds now, and return the counts.

        Messages that arrive while this runs belong to the next run. Outages are waited out for `outage_seconds`.
        """
        ends = self._patiently(self._ends)
        progress = None
        while ranges := self._patiently(partial(self._ranges_until, ends)):
            waiting = _messages(ranges)
            progress = progress or (self._progress("messages", waiting) if self._progress else None)
            self._patiently(partial(self._compute, ranges, progress))
        if progress:
            progress.close()
        self._patiently(self._close_batch)
        self._patiently(self._batches.finish)
        return self._counts

    def follow(self, stopping: Callable[[], bool]) -> Counter[str]:
        """Load what comes until `stopping()`; the range at hand is finished, the open batch is closed."""
        with suppress(_StoppedError):
            self._patiently(self._check, stopping)
            while not stopping():
                self._follow_once(stopping)
        try:
            self._close_batch()
            self._batches.finish(STOP_SECONDS)
        except RetryLaterError as error:
            log.warning("the last batch has no number: its films are loaded all the same", reason=str(error))
        return self._counts

    def _follow_once(self, stopping: Callable[[], bool]) -> None:
        ranges = self._patiently(self._assigned_ranges, stopping)
        if ranges:
            self._patiently(partial(self._compute, ranges, None, stopping), stopping)
        else:
            self._engine.scale(0)
            _pause(IDLE_SECONDS, stopping)
        if self._batch and time.monotonic() - self._batch_began >= self._plan.batch_seconds:
            self._patiently(self._close_batch, stopping)
        self._patiently(self._batches.tend, stopping)

    def _assigned_ranges(self) -> list[OffsetRange]:
        mine = self._membership.assigned()
        bounds = self._reader.bounds(self._plan.topic)
        ranges = self._ranges(bounds, mine, {})
        self.ready = True
        metrics.report_lag(
            dict.fromkeys(mine, 0) | {item.partition: bounds[item.partition][1] - item.start for item in ranges}
        )
        return ranges

    def _ends(self) -> dict[int, int]:
        return {part: end for part, (_, end) in self._reader.bounds(self._plan.topic).items()}

    def _ranges_until(self, ends: Mapping[int, int]) -> list[OffsetRange]:
        return self._ranges(self._reader.bounds(self._plan.topic), sorted(ends), ends)

    def _ranges(
        self, bounds: Mapping[int, tuple[int, int]], partitions: Iterable[int], ends: Mapping[int, int]
    ) -> list[OffsetRange]:
        """Return the next range of each partition that has something waiting, up to `ends` where given."""
        topic = self._plan.topic
        stored = self._offsets.positions(topic)
        topic_id = self._reader.topic_id(topic)
        ranges = []
        for partition in partitions:
            if partition not in bounds:
                continue
            first, end = bounds[partition]
            if partition not in stored:
                self._offsets.begin(topic, partition, first, topic_id)
            position, known_id = stored.get(partition, (first, topic_id))
            _require_same_topic(topic, partition, position, (first, end), (known_id, topic_id))
            until = min(ends.get(partition, end), position + self._plan.range_size)
            if position < until:
                ranges.append(OffsetRange(topic, partition, position, until))
        return ranges

    def _compute(
        self, ranges: list[OffsetRange], progress: Progress | None, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        started = time.monotonic()
        self._engine.scale(_messages(ranges))
        if not self._batch:
            self._batch_began = started
        for result in self._engine.run(ranges):
            self._take(result)
            if progress:
                progress.advance(result.next_offset - result.offsets.start)
            if self._batch.total() >= self._plan.batch_size:
                self._close_batch()
            if stopping():
                break
        metrics.BATCH_SECONDS.observe(time.monotonic() - started)
        self.ready = True

    def _take(self, result: RangeResult) -> None:
        self._counts += result.counts
        self._batch += result.counts
        metrics.LAST_SUCCESS.set_to_current_time()
        metrics.count_loaded(result.counts)
        self._membership.commit_advice({result.offsets.partition: result.next_offset})
        log.info(
            "range loaded",
            partition=result.offsets.partition,
            start=result.offsets.start,
            next=result.next_offset,
            seconds=round(result.seconds, 3),
            stale=result.stale,
            **result.counts,
        )

    def _close_batch(self) -> None:
        if self._batch:
            self._batches.close_batch(dict(self._batch))
            self._batch = Counter()
            self._batch_began = time.monotonic()

    def _patiently(self, attempt: Callable[[], Result], stopping: Callable[[], bool] = lambda: False) -> Result:
        """Try until no outage is in the way; _StoppedError when told to stop meanwhile.

        A stale range or a lost worker is not an outage: the next plan starts from the database's offsets anyhow.
        """
        pause, began = OUTAGE_PAUSE_SECONDS, time.monotonic()
        while not stopping():
            try:
                return attempt()
            except RetryLaterError as error:
                self.ready = False
                most = self._plan.outage_seconds
                if most is not None and time.monotonic() - began > most:
                    raise
                log.warning("waiting out an outage", reason=str(error), pause_seconds=pause)
                _pause(pause, stopping)
                pause = min(2 * pause, OUTAGE_PAUSE_MOST_SECONDS)
        raise _StoppedError


class _StoppedError(Exception):
    """Told to stop while waiting."""


def _pause(seconds: float, stopping: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not stopping() and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, LOOK_SECONDS))


def _messages(ranges: Iterable[OffsetRange]) -> int:
    return sum(item.end - item.start for item in ranges)


def _require_same_topic(
    topic: str, partition: int, position: int, bounds: tuple[int, int], ids: tuple[str | None, str | None]
) -> None:
    first, end = bounds
    known, found = ids
    fix = "nothing was loaded; `movie-pipeline consume --reset` starts again from what the topic holds"
    if known and found and known != found:
        raise StateConflictError(f"topic {topic} was made anew (id {found}, stored {known}): {fix}")
    if position < first:
        raise StateConflictError(
            f"{topic}[{partition}] begins at {first}, the next offset is {position}: retention has passed it; {fix}"
        )
    if position > end:
        raise StateConflictError(f"{topic}[{partition}] ends at {end}, the next offset is {position}: {fix}")
