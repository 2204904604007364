"""The consumer group as a way to share partitions: nothing is fetched by it, and its offsets decide nothing."""

import time
from collections.abc import Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from movie_pipeline import logs
from movie_pipeline.adapters.kafka import POLL_MILLISECONDS, KafkaAddress, translated

log = logs.get(__name__)

JOIN_SECONDS = 5.0
"""A join lasts until every member has come, which a member with a range at hand may do later: then the next call."""


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
            self._poll()
            self._end_joining()
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

    def _poll(self) -> None:
        self._consumer.poll(POLL_MILLISECONDS // 5, max_records=1, update_offsets=False)

    def _end_joining(self) -> None:
        """Poll on without a pause while a join is under way, for JOIN_SECONDS at most.

        kafka-python 3.0 loses a join that no poll is waiting for. One that ends between two polls is thrown away and
        begun anew, which sets every member joining again: members that pause between polls can go on like that for
        minutes. One that new metadata caused is forgotten altogether, unless it is asked for again: the group gave
        this member partitions, the member never takes them, sends no heartbeats any more, and nobody else has them.
        """
        coordinator = self._consumer._coordinator  # noqa: SLF001 - it has no public way to say so
        until = time.monotonic() + JOIN_SECONDS
        while coordinator._join_task is not None and time.monotonic() < until:  # noqa: SLF001
            coordinator.request_rejoin()
            self._poll()
