"""Loading in tests: batches straight into a database, or a topic through the whole consumer; and what came of it."""

from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import psycopg2
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from films import TOPIC, record
from movie_pipeline import settings as settings_module
from movie_pipeline.adapters.kafka import COMPACTED, DELETED, KafkaAddress, KafkaTopics
from movie_pipeline.adapters.loader import Loader, Outcome
from movie_pipeline.adapters.offsets import PostgresOffsets
from movie_pipeline.messages import OffsetRange, Record
from movie_pipeline.settings import Settings
from movie_pipeline.transform.batch import DeadLetter, prepare
from movie_pipeline.wiring import consume

CONTENT = {
    "movies": """SELECT id, tmdb_id, imdb_id, title, original_title, overview, original_language, status, release_date,
        runtime, budget, revenue, popularity, vote_average, vote_count, fetched_at, content_digest, links_digest,
        deleted_at FROM movies""",
    "genres": "SELECT id, tmdb_id, name FROM genres",
    "production_companies": "SELECT id, tmdb_id, name FROM production_companies",
    "people": "SELECT id, tmdb_id, name FROM people",
    "movie_genres": "SELECT * FROM movie_genres",
    "movie_production_companies": "SELECT * FROM movie_production_companies",
    "movie_directors": "SELECT * FROM movie_directors",
    "movie_cast": "SELECT * FROM movie_cast",
    "movie_history": """SELECT movie_id, row_number() OVER (PARTITION BY movie_id ORDER BY id), popularity,
        vote_average, vote_count, revenue FROM movie_history""",
    "movie_data_warehouse": """SELECT tmdb_id, title, release_date, release_year, genre, budget, revenue, runtime,
        director, popularity, vote_average, vote_count, roi, popularity_level, rating_level, is_profitable
        FROM movie_data_warehouse""",
}
"""All that a load leaves, but for serial ids and times of loading."""


def query(dsn: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run one statement and return its rows, if it has any."""
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def content(dsn: str) -> dict[str, Counter[tuple[Any, ...]]]:
    """Every table's rows with how often each stands there."""
    return {name: Counter(query(dsn, statement)) for name, statement in CONTENT.items()}


class Desk:
    """One partition's log in memory, and a loader that takes batches from it."""

    def __init__(self, dsn: str, run_id: str = "run") -> None:
        self.dsn = dsn
        self.dead: list[DeadLetter] = []
        self.end = 0
        self.loader = Loader(dsn, run_id=run_id, send_dead_letters=self.dead.extend)
        PostgresOffsets(dsn).begin(TOPIC, 0, 0, None)

    def load(self, *contents: Any) -> Outcome:
        """Append messages (or records) to the log and load them as one batch."""
        records = [item if isinstance(item, Record) else record(item) for item in contents]
        return self.load_records([item._replace(offset=self.end + n) for n, item in enumerate(records)])

    def load_records(self, records: list[Record]) -> Outcome:
        """Load records of consecutive offsets as one batch."""
        start, self.end = self.end, self.end + len(records)
        outcome = self.loader.load(self.loader.stage(prepare(OffsetRange(TOPIC, 0, start, self.end), records)))
        return Outcome(+outcome.counts, outcome.stale)

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        return query(self.dsn, statement, *values)


def make_topic(bootstrap: str, name: str, partitions: int = 3) -> None:
    """Create a topic of films and its dead-letter topic."""
    topics = {name: COMPACTED, f"{name}.dlq": DELETED}
    KafkaTopics(KafkaAddress(bootstrap)).ensure(topics, partitions=partitions, replication_factor=1)


def publish(bootstrap: str, topic: str, records: Iterable[Record], **options: Any) -> None:
    """Send records to a topic, partitioned by key, and wait for the acknowledgements."""
    with closing(KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=20, **options)) as producer:
        for item in records:
            producer.send(topic, key=item.key, value=item.value, headers=list(item.headers))
        producer.flush()


def everything(bootstrap: str, topic: str) -> list[Record]:
    """Read all that a topic holds."""
    with closing(KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")) as consumer:
        parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        consumer.assign(parts)
        ends = consumer.end_offsets(parts)
        found: list[Record] = []
        while any(consumer.position(part) < ends[part] for part in parts):
            for items in consumer.poll(500).values():
                found += [
                    Record(i.topic, i.partition, i.offset, i.timestamp, i.key, i.value, tuple(i.headers)) for i in items
                ]
    return found


def consumer_settings(bootstrap: str, topic: str, dsn: str, **changed: Any) -> Settings:
    """Settings of a consumer that computes in its own process and draws nothing."""
    options = {
        "kafka_bootstrap_servers": bootstrap,
        "kafka_topic": topic,
        "kafka_dlq_topic": f"{topic}.dlq",
        "kafka_consumer_group": f"group-{topic}",
        "database_url": dsn,
        "dask_engine": "inline",
        "analysis": False,
        "kafka_timeout_seconds": 5,
    }
    return settings_module.load(**{**options, **changed})


def load_topic(settings: Settings, run_id: str = "run") -> Counter[str]:
    """Load what the topic holds now, as `consume --until-end` does."""
    with consume.driver(settings, run_id) as driver:
        return driver.run_until_end()
