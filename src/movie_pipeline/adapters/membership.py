"""The consumer group as a way to share partitions: nothing is fetched by it, and its offsets decide nothing."""

from collections.abc import Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from movie_pipeline import logs
from movie_pipeline.adapters.kafka import POLL_MILLISECONDS, KafkaAddress, translated

log = logs.get(__name__)


class GroupMember:
    """A follow-mode driver's share of the partitions, by the consumer group's protocol.

    The member never fetches: its partitions stay paused. Being a member only decides what this driver plans.
    """

    def __init__(self, address: KafkaAddress, *, group: str, topic: str) -> None:
        self._address, self._topic = address, topic
        with translated(address):
            self._consumer = KafkaConsumer(
                **address.options(),
                group_id=group,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                allow_auto_create_topics=False,
                # A topic that is made after its followers is theirs within seconds, not after five minutes.
                metadata_max_age_ms=5_000,
                session_timeout_ms=15_000,
                max_poll_interval_ms=600_000,
            )
            self._consumer.subscribe([topic])

    def assigned(self) -> list[int]:
        """Return the partitions that are this member's now; takes part in a rebalance when there is one."""
        with translated(self._address):
            self._consumer.poll(POLL_MILLISECONDS // 5, max_records=1, update_offsets=False)
            self._keep_joining()
            parts = self._consumer.assignment()
            self._consumer.pause(*parts)
        return sorted(part.partition for part in parts)

    def commit_advice(self, positions: Mapping[int, int]) -> None:
        """Commit positions for lag tools; a failure changes nothing that matters and is logged."""
        offsets = {
            TopicPartition(self._topic, partition): OffsetAndMetadata(position, "", -1)
            for partition, position in positions.items()
        }
        try:
            self._consumer.commit(offsets, timeout_ms=5000)
        except KafkaError as error:
            log.info("group offsets not committed", reason=type(error).__name__)

    def close(self) -> None:
        """Leave the group, so that the others take over at once."""
        self._consumer.close(autocommit=False)

    def _keep_joining(self) -> None:
        """Have the next poll go on with a join that this one began and did not end.

        kafka-python 3.0 forgets such a join when new metadata was its cause: the group gave this member partitions,
        the member never takes them, sends no heartbeats any more, and nobody else has them.
        """
        coordinator = self._consumer._coordinator  # noqa: SLF001 - it has no public way to say so
        if coordinator._join_task is not None:  # noqa: SLF001
            coordinator.request_rejoin()
