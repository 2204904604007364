"""The bulk load of an empty database: processes that read and encode partitions, one transaction that loads."""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from movie_pipeline import logs
from movie_pipeline.messages import OffsetRange
from movie_pipeline.settings import Settings
from movie_pipeline.wiring import parts
from movie_pipeline.wiring.ranges import send_dead_letters

if TYPE_CHECKING:
    from movie_pipeline.adapters.bulk import Encoded

log = logs.get(__name__)

BATCH = 3_000
"""Films that are encoded and copied at once; the last ones are copied while nobody encodes any more."""
PROCESSES_MOST = 4


def load_empty_database(settings: Settings, run_id: str, *, batch: int = BATCH) -> dict[str, int]:
    """Load what the topic holds into an empty database, under the role that owns its tables; return the counts.

    Raises as `adapters.bulk.load_empty` does. What comes while this runs is left to the ordinary path.
    """
    # Imported before the fork, so that the children need not import them.
    from movie_pipeline.adapters.bulk import Target, load_empty
    from movie_pipeline.adapters.crew import Crew

    topic = settings.kafka_topic
    with closing(parts.reader(settings)) as reader:
        bounds = reader.bounds(topic)
        target = Target(
            settings.database_dsn(),
            run_id,
            topic,
            reader.topic_id(topic),
            {part: low for part, (low, _) in bounds.items()},
        )
    ranges = [OffsetRange(topic, part, *found) for part, found in sorted(bounds.items()) if found[0] < found[1]]
    with Crew(partial(_encoded, settings, batch), _shares(ranges)) as crew:
        counts = load_empty(target, crew.results(), partial(send_dead_letters, settings))
    log.info("bulk load ended", **counts)
    return dict(counts)


def _shares(ranges: list[OffsetRange]) -> list[list[OffsetRange]]:
    """Deal the partitions out, the longest first."""
    processes = min(PROCESSES_MOST, os.cpu_count() or 1)
    dealt = sorted(ranges, key=lambda item: item.start - item.end)
    return [dealt[first::processes] for first in range(min(processes, len(dealt)))]


def _encoded(settings: Settings, batch: int, ranges: Iterable[OffsetRange]) -> "Iterator[Encoded]":
    from movie_pipeline.adapters.bulk import Encoder

    encoder = Encoder()
    with closing(parts.reader(settings)) as reader:
        for offsets in ranges:
            start = offsets.start
            for records, end in reader.read(offsets, batch):
                yield encoder.encode(offsets._replace(start=start, end=end), records)
                start = end
