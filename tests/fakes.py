"""One fake for each port, in memory; the contract tests hold them to the adapters' behaviour."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from movie_pipeline.errors import BrokerUnavailableError, FilmNotFoundError, SourceUnavailableError, StateConflictError
from movie_pipeline.messages import OffsetRange, Record
from movie_pipeline.ports import Retry


def film(movie_id: int, **changed: Any) -> dict[str, Any]:
    """TMDB's answer for a film, with credits."""
    return {
        "id": movie_id,
        "title": f"Film {movie_id}",
        "original_title": f"Film {movie_id}",
        "overview": "",
        "release_date": "2001-02-03",
        "status": "Released",
        "imdb_id": None,
        "original_language": "en",
        "runtime": 100,
        "budget": 1_000_000,
        "revenue": 3_000_000,
        "popularity": 12.5,
        "vote_average": 7.1,
        "vote_count": 40,
        "genres": [{"id": 18, "name": "Drama"}],
        "production_companies": [],
        "credits": {"cast": [], "crew": [{"id": 7, "name": "A Director", "job": "Director"}]},
        **changed,
    }


class FakeSource:
    """Films by id; ids in `missing` are listed and answer 404, ids in `broken` never answer usefully."""

    def __init__(self, ids: Sequence[int] = (), *, page_size: int = 20, origin: str = "tmdb") -> None:
        self.films = {movie_id: film(movie_id) for movie_id in ids}
        self.pages = [list(ids[start : start + page_size]) for start in range(0, len(ids), page_size)]
        self.changed: dict[date, list[int]] = {}
        self.missing: set[int] = set()
        self.broken: set[int] = set()
        self.error: Exception | None = None
        self.fetched: Counter[int] = Counter()
        self.asked_since: list[date] = []
        self._origin = origin

    def check(self) -> None:
        if self.error:
            raise self.error

    def origin(self) -> str:
        return self._origin

    def popular_ids(self, page: int) -> tuple[list[int], int]:
        return self.pages[page - 1], len(self.pages)

    def changed_ids(self, since: date, until: date) -> Iterator[int]:
        self.asked_since.append(since)
        yield from dict.fromkeys(i for day, ids in sorted(self.changed.items()) if since <= day <= until for i in ids)

    def exported_ids(self, on: date) -> Iterator[int]:
        yield from reversed(self.films)

    def details(self, movie_id: int) -> dict[str, Any]:
        if movie_id in self.broken:
            raise SourceUnavailableError(f"film {movie_id} does not answer")
        if movie_id in self.missing or movie_id not in self.films:
            raise FilmNotFoundError(f"TMDB has no film {movie_id}")
        self.fetched[movie_id] += 1
        return self.films[movie_id]


class FakeBroker:
    """A log for each topic, in one partition."""

    def __init__(self) -> None:
        self.topics: dict[str, list[Record]] = {}
        self.away = False

    def publisher(self, *topics: str) -> "FakePublisher":
        if self.away:
            raise BrokerUnavailableError("Kafka does not answer")
        return FakePublisher(self, topics)

    def values(self, topic: str) -> dict[bytes | None, bytes | None]:
        """The newest value of each key."""
        return {record.key: record.value for record in self.topics.get(topic, ())}


class FakePublisher:
    """Acknowledges at once, or on `flush` with `held`; `dies_after` records the broker is away."""

    def __init__(self, broker: FakeBroker, topics: Sequence[str] = ()) -> None:
        self._broker, self._topics = broker, topics
        self.held = False
        self.dies_after: int | None = None
        self.refuses: dict[bytes, Exception] = {}
        self.sent = 0
        self._waiting: list[tuple[Record, Callable[[Exception | None], None] | None]] = []

    def ensure_topics(self) -> None:
        for topic in self._topics:
            self._broker.topics.setdefault(topic, [])

    def publish(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        on_delivery: Callable[[Exception | None], None] | None = None,
    ) -> None:
        if self.dies_after is not None and self.sent >= self.dies_after:
            raise BrokerUnavailableError("Kafka went away")
        self.sent += 1
        log = self._broker.topics.setdefault(topic, [])
        record = Record(topic, 0, len(log), int(time.time() * 1000), key, value, tuple(headers))
        self._waiting.append((record, on_delivery))
        if not self.held:
            self.flush()

    def flush(self) -> None:
        while self._waiting:
            record, on_delivery = self._waiting.pop(0)
            error = self.refuses.get(record.key or b"")
            log = self._broker.topics.setdefault(record.topic, [])
            if error is None:
                log.append(record._replace(offset=len(log)))
            if on_delivery:
                on_delivery(error)

    def close(self) -> None:
        self.flush()


class FakeReader:
    """Reads a FakeBroker's logs."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker

    def partitions(self, topic: str) -> list[int]:
        if topic not in self._broker.topics:
            raise StateConflictError(f"Kafka has no topic {topic!r}")
        return [0]

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        return {partition: (0, len(self._broker.topics[topic])) for partition in self.partitions(topic)}

    def topic_id(self, topic: str) -> str | None:
        return f"id of {topic}"

    def read(self, offsets: OffsetRange, max_records: int) -> Iterator[tuple[list[Record], int]]:
        records = self._broker.topics[offsets.topic][offsets.start : offsets.end]
        for start in range(0, len(records), max_records):
            chunk = records[start : start + max_records]
            yield chunk, chunk[-1].offset + 1
        yield [], offsets.end

    def commit_advice(self, topic: str, positions: Mapping[int, int]) -> None:
        pass

    def close(self) -> None:
        pass


class FakeBackups:
    """Messages in the order they were saved."""

    def __init__(self) -> None:
        self.saved: list[tuple[int, bytes]] = []
        self.damaged = 0
        self.expected: list[int] = []

    def begin(self, films: int) -> None:
        self.expected.append(films)

    def save(self, movie_id: int, content: bytes) -> None:
        self.saved.append((movie_id, content))

    def commit(self) -> None:
        pass

    def read(self) -> Iterator[tuple[int, bytes]]:
        yield from self.saved

    def close(self) -> None:
        pass


class FakeState:
    """State that outlives a run, as the database does; `on_save` sees every save first."""

    def __init__(self) -> None:
        self.saved: dict[str, Any] = {}
        self.owed: dict[int, Retry] = {}
        self.stale: list[int] = []
        self.claimed: list[str] = []
        self.on_save: Callable[[str], None] = lambda _name: None

    def claim(self, name: str) -> None:
        self.claimed.append(name)

    def load(self, name: str) -> dict[str, Any] | None:
        return self.saved.get(name)

    def save(self, name: str, state: Mapping[str, Any] | None) -> None:
        self.on_save(name)
        if state is None:
            self.saved.pop(name, None)
        else:
            self.saved[name] = dict(state)

    def retries(self) -> dict[int, Retry]:
        return dict(self.owed)

    def record_retries(self, changes: Mapping[int, Retry | None]) -> None:
        for movie_id, retry in changes.items():
            self.owed.pop(movie_id, None)
            if retry:
                self.owed[movie_id] = retry

    def stale_ids(self, before: datetime, limit: int) -> list[int]:
        return self.stale[:limit]


class FakeProgress:
    """Counts, shows nothing."""

    def __init__(self, what: str = "", total: int | None = None) -> None:
        self.what, self.total, self.done = what, total, 0

    def advance(self, count: int = 1) -> None:
        self.done += count

    def close(self) -> None:
        pass
