"""Back to the topic: backups that it lacks, and dead letters after a fix."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from movie_pipeline import logs, messages
from movie_pipeline.errors import InvalidMessageError, StateConflictError
from movie_pipeline.messages import OffsetRange, Record
from movie_pipeline.ports import Backups, CrawlState, ProgressFor, Publisher, TopicReader

log = logs.get(__name__)

READ_RECORDS = 2_000
MOST_UNACKNOWLEDGED = 5_000
ATTEMPT_HEADER = "replay.attempt"
POSITIONS = "dead-letters/positions"


@dataclass
class ReplaySummary:
    """What a replay published, and what it passed over and why."""

    published: int = 0
    in_topic: int = 0
    deleted_since: int = 0
    older_copies: int = 0
    invalid: int = 0
    damaged: int = 0

    def lines(self) -> list[str]:
        """Return the result for people."""
        reasons = {
            "in the topic already": self.in_topic,
            "deleted at TMDB since": self.deleted_since,
            "older copies of a film": self.older_copies,
            "not valid messages": self.invalid,
            "damaged pieces": self.damaged,
        }
        skipped = "; ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
        return [f"{self.published} backups published", f"skipped: {skipped or 'nothing'}"]


class DeadLetter(NamedTuple):
    """A record of the dead-letter topic with its origin and what was wrong."""

    record: Record
    topic: str
    origin: str
    error: str
    time: str
    attempts: int

    def line(self) -> str:
        """Return the dead letter as one line for people."""
        key = (self.record.key or b"-").decode("utf-8", "replace")
        return f"{self.origin}  key {key}  {self.time}  replayed {self.attempts} times  {self.error}"


class _Known(NamedTuple):
    """The newest record of a film in the topic."""

    fetched_at: float
    deleted: bool


def replay_backups(
    *,
    backups: Backups,
    reader: TopicReader,
    publisher: Publisher,
    topic: str,
    run_id: str,
    progress_for: ProgressFor,
    listing: bool = False,
) -> ReplaySummary:
    """Publish each film's newest backup unless the topic holds one as new; with `listing` only count.

    The films in the topic are known by their keys and `fetched_at`; memory grows with their number, by some hundred
    bytes each. Raises BrokerUnavailableError when Kafka is away.
    """
    publisher.ensure_topics()
    known = _known(reader, topic)
    newest: dict[int, float] = {}
    for movie_id, content in backups.read():
        newest[movie_id] = max(_fetched_at(movie_id, content) or 0.0, newest.get(movie_id, 0.0))
    summary = ReplaySummary()
    headers = messages.headers(messages.SOURCE_BACKUP, run_id)
    display = progress_for("backups", len(newest))
    for movie_id, content in backups.read():
        if not _wanted(movie_id, _fetched_at(movie_id, content), newest, known, summary):
            continue
        display.advance()
        summary.published += 1
        if not listing:
            publisher.publish(topic, messages.key_of(movie_id), content, headers)
            if summary.published % MOST_UNACKNOWLEDGED == 0:
                publisher.flush()
    publisher.flush()
    display.close()
    summary.damaged = backups.damaged
    log.info("backups replayed", listing=listing, **vars(summary))
    return summary


def list_dead_letters(*, reader: TopicReader, state: CrawlState, dlq_topic: str) -> Iterator[DeadLetter]:
    """Yield the dead letters that were not replayed yet, by partition and offset."""
    for partition, (start, end) in _waiting(reader, state, dlq_topic).items():
        for records, _ in reader.read(OffsetRange(dlq_topic, partition, start, end), READ_RECORDS):
            yield from map(_dead_letter, records)


def replay_dead_letters(*, reader: TopicReader, publisher: Publisher, state: CrawlState, dlq_topic: str) -> int:
    """Publish waiting dead letters to their origin as they were, plus a counter; return how many.

    How far they are replayed is saved after the acknowledgements, so a crash repeats some and loses none.
    """
    ends = {partition: end for partition, (_, end) in _waiting(reader, state, dlq_topic).items()}
    count = 0
    for letter in list_dead_letters(reader=reader, state=state, dlq_topic=dlq_topic):
        own = [header for header in letter.record.headers if not header[0].startswith("dlq.")]
        kept = [header for header in own if header[0] != ATTEMPT_HEADER]
        attempt = (ATTEMPT_HEADER, str(letter.attempts + 1).encode())
        publisher.publish(letter.topic, letter.record.key, letter.record.value, [*kept, attempt])
        count += 1
    publisher.flush()
    state.save(POSITIONS, {**(state.load(POSITIONS) or {}), **{str(part): end for part, end in ends.items()}})
    log.info("dead letters replayed", count=count)
    return count


def _wanted(
    movie_id: int, fetched_at: float | None, newest: dict[int, float], known: dict[int, _Known], summary: ReplaySummary
) -> bool:
    """Tell whether this copy goes to the topic, and count why not."""
    if fetched_at is None:
        summary.invalid += 1
        return False
    if fetched_at < newest[movie_id]:
        summary.older_copies += 1
        return False
    in_topic = known.get(movie_id)
    if in_topic and in_topic.fetched_at >= fetched_at:
        summary.deleted_since += in_topic.deleted
        summary.in_topic += not in_topic.deleted
        return False
    known[movie_id] = _Known(fetched_at, deleted=False)
    return True


def _known(reader: TopicReader, topic: str) -> dict[int, _Known]:
    known: dict[int, _Known] = {}
    for partition, (start, end) in reader.bounds(topic).items():
        for records, _ in reader.read(OffsetRange(topic, partition, start, end), READ_RECORDS):
            for record in records:
                _learn(known, record)
    return known


def _learn(known: dict[int, _Known], record: Record) -> None:
    try:
        film = messages.decode(record)
        if film is None:
            known[messages.tombstone_id(record)] = _Known(record.timestamp_ms / 1000, deleted=True)
        else:
            known[film["id"]] = _Known(film["fetched_at"].timestamp(), deleted=False)
    except InvalidMessageError:
        log.debug("a record that is no film", partition=record.partition, offset=record.offset)


def _fetched_at(movie_id: int, content: bytes) -> float | None:
    """Return when a backup was fetched, None when it is not a valid message."""
    record = Record("", 0, 0, int(time.time() * 1000), str(movie_id).encode(), content)
    try:
        film = messages.decode(record)
    except InvalidMessageError:
        return None
    return film["fetched_at"].timestamp() if film else None


def _waiting(reader: TopicReader, state: CrawlState, dlq_topic: str) -> dict[int, tuple[int, int]]:
    try:
        bounds = reader.bounds(dlq_topic)
    except StateConflictError:
        return {}
    replayed = state.load(POSITIONS) or {}
    return {part: (max(start, replayed.get(str(part), 0)), end) for part, (start, end) in bounds.items()}


def _dead_letter(record: Record) -> DeadLetter:
    told = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    origin = f"{told.get('dlq.topic')}[{told.get('dlq.partition')}]@{told.get('dlq.offset')}"
    error = f"{told.get('dlq.error.class')}: {told.get('dlq.error.text')}"
    attempts = int(told.get(ATTEMPT_HEADER, "0"))
    return DeadLetter(record, told.get("dlq.topic", ""), origin, error, told.get("dlq.time", ""), attempts)
