"""Loading in tests: batches straight into a database, or a topic through the whole consumer; and what came of it."""

from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from typing import Any

from benchmarks.tables import content, query
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

__all__ = ["content", "query"]


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
        sent = [producer.send(topic, key=i.key, value=i.value, headers=list(i.headers)) for i in records]
        producer.flush()
        for future in sent:
            future.get()


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
