"""What the driver's metrics say of ranges that workers load."""

from collections import Counter

from prometheus_client import REGISTRY

from movie_pipeline.jobs.consumer import Consumer, Plan
from movie_pipeline.jobs.ranges import RangeResult


class Topic:
    """One partition with ten records, none of them loaded; reader, offsets, batches and membership at once."""

    def __init__(self):
        self.position = 0

    def bounds(self, topic):
        return {0: (0, 10)}

    def topic_id(self, topic):
        return "id"

    def positions(self, topic):
        return {0: (self.position, "id")}

    def commit_advice(self, positions):
        """Nobody looks at it here."""

    def close_batch(self, counts):
        """Nothing is analysed."""

    def finish(self):
        """Nothing was begun."""


class Workers:
    """An engine whose workers are elsewhere: only their results come back."""

    description = "elsewhere"

    def __init__(self, topic, counts):
        self.topic, self.counts = topic, counts

    def scale(self, backlog):
        return 1

    def run(self, ranges):
        for item in ranges:
            self.topic.position = item.end
            yield RangeResult(item, item.end, Counter(self.counts), 0.1, stale=False)


def _sample(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0


def test_the_driver_counts_what_its_workers_loaded():
    before = (
        _sample("movie_pipeline_films_loaded_total", change="new"),
        _sample("movie_pipeline_dead_letters_total"),
    )
    topic = Topic()
    workers = Workers(topic, {"new": 7, "dead": 3})
    consumer = Consumer(
        Plan("films", 100, 30, 100), reader=topic, offsets=topic, engine=workers, batches=topic, membership=topic
    )
    consumer.run_until_end()
    after = (_sample("movie_pipeline_films_loaded_total", change="new"), _sample("movie_pipeline_dead_letters_total"))
    assert after == (before[0] + 7, before[1] + 3)
