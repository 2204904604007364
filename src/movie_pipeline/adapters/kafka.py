"""Kafka: topics, the publishing side, reading by offsets, and membership of the consumer group.

Reading never relies on the group's offsets: where to go on is the database's knowledge. The group only shares
partitions between several drivers and shows lag to Kafka's own tools.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import (
    AuthorizationError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)
from kafka.structs import OffsetAndMetadata

from movie_pipeline import logs
from movie_pipeline.errors import BrokerUnavailableError, ConfigurationError, StateConflictError
from movie_pipeline.messages import OffsetRange, Record

log = logs.get(__name__)

POLL_MILLISECONDS = 500
LINGER_MILLISECONDS = 20
BATCH_BYTES = 256 * 1024
FETCH_BYTES = 8 * 1024 * 1024
TOPIC_ID_SECONDS = 60
MAX_RECORD_BYTES = 8 * 1024 * 1024
COMPACTED = {"cleanup.policy": "compact", "max.message.bytes": str(MAX_RECORD_BYTES)}
DELETED = {"cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": str(MAX_RECORD_BYTES)}


class KafkaAddress(NamedTuple):
    """How to reach a cluster and as whom."""

    bootstrap_servers: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = None
    ssl_cafile: Path | None = None
    timeout_seconds: float = 15.0

    def options(self) -> dict[str, Any]:
        """Return kafka-python's options, common to all its clients."""
        return {
            "bootstrap_servers": self.bootstrap_servers.split(","),
            "security_protocol": self.security_protocol,
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.sasl_username,
            "sasl_plain_password": self.sasl_password,
            "ssl_cafile": str(self.ssl_cafile) if self.ssl_cafile else None,
            "bootstrap_timeout_ms": int(self.timeout_seconds * 1000),
            "reconnect_backoff_max_ms": 2000,
        }


@contextmanager
def translated(address: KafkaAddress) -> Iterator[None]:
    """Turn Kafka's errors into ours; a wrong SASL password shows as a time-out, so the message names both."""
    try:
        yield
    except AuthorizationError as error:
        raise ConfigurationError(
            f"Kafka refuses {address.sasl_username or 'this client'}: {error}; give the user the ACL it names"
        ) from error
    except UnknownTopicOrPartitionError as error:
        raise StateConflictError(f"Kafka has no such topic: {error}; create it, or check KAFKA_TOPIC") from error
    except (KafkaTimeoutError, KafkaConnectionError) as error:
        hint = " and KAFKA_SASL_USERNAME/KAFKA_SASL_PASSWORD" if address.sasl_mechanism else ""
        raise BrokerUnavailableError(
            f"Kafka does not answer at {address.bootstrap_servers}: {error or type(error).__name__};"
            f" check that it runs, and KAFKA_BOOTSTRAP_SERVERS{hint}"
        ) from error
    except KafkaError as error:
        raise BrokerUnavailableError(
            f"Kafka at {address.bootstrap_servers}: {type(error).__name__}: {error}"
        ) from error


class KafkaTopics:
    """Creating and describing topics; see the publisher's `ensure_topics`."""

    def __init__(self, address: KafkaAddress) -> None:
        self._address = address

    def ensure(self, topics: Mapping[str, Mapping[str, str]], *, partitions: int, replication_factor: int) -> None:
        """Create the topics that are missing; {name: configuration}."""
        with self._admin() as admin:
            existing = set(admin.list_topics())
            missing = {
                name: {"num_partitions": partitions, "replication_factor": replication_factor, "configs": dict(config)}
                for name, config in topics.items()
                if name not in existing
            }
            for name, options in missing.items():
                try:
                    admin.create_topics({name: options})
                except TopicAlreadyExistsError:
                    log.debug("topic exists already", topic=name)
            if missing:
                admin.wait_for_topics(list(missing), timeout_ms=int(self._address.timeout_seconds * 1000))

    def topic_id(self, topic: str) -> str | None:
        """Return the topic's id, None where the broker does not tell one."""
        with self._admin() as admin:
            found = [item for item in admin.describe_topics([topic]) if not item.get("error_code")]
        return str(found[0]["topic_id"]) if found and found[0].get("topic_id") else None

    def check(self) -> None:
        """Prove that a broker answers."""
        with self._admin() as admin:
            admin.list_topics()

    @contextmanager
    def _admin(self) -> Iterator[Any]:
        with translated(self._address):
            admin = KafkaAdminClient(
                **self._address.options(), request_timeout_ms=int(self._address.timeout_seconds * 1000)
            )
            try:
                yield admin
            finally:
                admin.close()


class KafkaPublisher:
    """Idempotent producer with acks from all replicas; see `ports.Publisher`."""

    def __init__(
        self, address: KafkaAddress, *, topic: str, dlq_topic: str, partitions: int = 6, replication_factor: int = 1
    ) -> None:
        self._address = address
        self._topics = {topic: COMPACTED, dlq_topic: DELETED}
        self._partitions, self._replication_factor = partitions, replication_factor
        timeout_ms = int(address.timeout_seconds * 1000)
        with translated(address):
            self._producer = KafkaProducer(
                **address.options(),
                acks="all",
                enable_idempotence=True,
                compression_type="zstd",
                linger_ms=LINGER_MILLISECONDS,
                batch_size=BATCH_BYTES,
                max_request_size=MAX_RECORD_BYTES,
                max_block_ms=timeout_ms,
                request_timeout_ms=timeout_ms,
                delivery_timeout_ms=2 * timeout_ms + LINGER_MILLISECONDS,
                allow_auto_create_topics=False,
            )

    def ensure_topics(self) -> None:
        """Create the films' topic (compacted) and the dead-letter topic where they are missing."""
        KafkaTopics(self._address).ensure(
            self._topics, partitions=self._partitions, replication_factor=self._replication_factor
        )

    def publish(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        on_delivery: Callable[[Exception | None], None] | None = None,
    ) -> None:
        """Queue one record; see `ports.Publisher.publish`."""
        with translated(self._address):
            future = self._producer.send(topic, key=key, value=value, headers=list(headers))
        if on_delivery is not None:
            future.add_callback(lambda _metadata: on_delivery(None))
            future.add_errback(on_delivery)

    def flush(self) -> None:
        """Wait for all acknowledgements; BrokerUnavailableError when time runs out."""
        with translated(self._address):
            self._producer.flush(timeout=2 * self._address.timeout_seconds + 1)

    def close(self) -> None:
        """Flush and let go; BrokerUnavailableError when something queued was never acknowledged."""
        with translated(self._address):
            try:
                self._producer.close(timeout=self._address.timeout_seconds)
            except KafkaError:
                # kafka-python flushes first, and a flush that fails leaves its thread and its sockets behind.
                self._producer._sender.force_close()  # noqa: SLF001 - it has no public way to do so
                raise


class KafkaReader:
    """Reading by offsets with one consumer outside any group; see `ports.TopicReader`."""

    def __init__(self, address: KafkaAddress, *, group: str | None = None, fetch_records: int = 2000) -> None:
        self._address, self._group, self._fetch_records = address, group, fetch_records
        self._consumer = self._connect()
        self._topic_id: tuple[str | None, float] = (None, -math.inf)

    def partitions(self, topic: str) -> list[int]:
        """Return the topic's partitions, in order."""
        with translated(self._address):
            found = self._consumer.partitions_for_topic(topic)
        if not found:
            raise StateConflictError(
                f"Kafka at {self._address.bootstrap_servers} has no topic {topic!r}:"
                " run `movie-pipeline produce` once, or check KAFKA_TOPIC"
            )
        return sorted(found)

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return (first offset, end offset) of each partition."""
        parts = [TopicPartition(topic, partition) for partition in self.partitions(topic)]
        with translated(self._address):
            first, end = self._consumer.beginning_offsets(parts), self._consumer.end_offsets(parts)
        return {part.partition: (first[part], end[part]) for part in parts}

    def topic_id(self, topic: str) -> str | None:
        """Return the topic's id, at most a minute old; None where the broker does not tell one."""
        if time.monotonic() - self._topic_id[1] > TOPIC_ID_SECONDS:
            self._topic_id = (KafkaTopics(self._address).topic_id(topic), time.monotonic())
        return self._topic_id[0]

    def read(self, offsets: OffsetRange, max_records: int) -> Iterator[tuple[list[Record], int]]:
        """Yield (at most max_records records, next offset) until the range is through.

        BrokerUnavailableError when Kafka stays silent, StateConflictError when the start is no longer in the log.
        """
        part = TopicPartition(offsets.topic, offsets.partition)
        chunk: list[Record] = []
        with translated(self._address), _within_log(offsets):
            self._consumer.assign([part])
            self._consumer.seek(part, offsets.start)
            for record in self._records(part, offsets.end):
                chunk.append(record)
                if len(chunk) >= max_records:
                    yield chunk, record.offset + 1
                    chunk = []
        yield chunk, offsets.end

    def commit_advice(self, topic: str, positions: Mapping[int, int]) -> None:
        """Commit positions to the group for lag tools; a failure changes nothing that matters and is logged."""
        offsets = {
            TopicPartition(topic, partition): OffsetAndMetadata(position, "", -1)
            for partition, position in positions.items()
        }
        try:
            self._consumer.commit(offsets, timeout_ms=5000)
        except (KafkaError, AssertionError) as error:
            log.info("group offsets not committed", group=self._group, reason=type(error).__name__)

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close(autocommit=False)

    def _records(self, part: TopicPartition, end: int) -> Iterator[Record]:
        heard = time.monotonic()
        while self._consumer.position(part) < end:
            polled = self._consumer.poll(POLL_MILLISECONDS, max_records=self._fetch_records)
            if polled:
                heard = time.monotonic()
            elif time.monotonic() - heard > self._address.timeout_seconds:
                raise KafkaTimeoutError(f"no records of {part.topic}[{part.partition}] for that long")
            for found in polled.get(part, ()):
                if found.offset >= end:
                    return
                yield _record(found)

    def _connect(self) -> Any:
        with translated(self._address):
            return KafkaConsumer(
                **self._address.options(),
                group_id=self._group,
                enable_auto_commit=False,
                auto_offset_reset="none",
                allow_auto_create_topics=False,
                max_partition_fetch_bytes=FETCH_BYTES,
                max_poll_records=self._fetch_records,
                request_timeout_ms=int(self._address.timeout_seconds * 1000),
                fetch_max_wait_ms=100,
            )


@contextmanager
def _within_log(offsets: OffsetRange) -> Iterator[None]:
    try:
        yield
    except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
        raise StateConflictError(
            f"{offsets.topic}[{offsets.partition}] no longer holds offset {offsets.start}: retention has passed it or"
            " the topic was made anew; `movie-pipeline consume --reset` starts again from what the topic holds"
        ) from error


def _record(found: Any) -> Record:
    return Record(
        found.topic, found.partition, found.offset, found.timestamp, found.key, found.value, tuple(found.headers or ())
    )
