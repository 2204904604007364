"""What the driver's metrics say of ranges that workers load."""

from collections import Counter

from prometheus_client import REGISTRY

from movie_pipeline.jobs.consumer import Consumer, Plan
from movie_pipeline.jobs.ranges import RangeResult


class Topic:
    """One partition with ten records, none of them loaded; reader, offsets, batches and membership at once."""

    def __init__(self):
        self.position, self.mine = 0, [0]

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

    def tend(self):
        """Nothing waits."""

    def finish(self, seconds=None):
        """Nothing was begun."""

    def assigned(self):
        return self.mine


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


def test_the_lag_of_a_partition_that_another_driver_took_over_is_no_longer_reported():
    topic = Topic()
    consumer = Consumer(
        Plan("films", 100, 30, 4),
        reader=topic,
        offsets=topic,
        engine=Workers(topic, {}),
        batches=topic,
        membership=topic,
    )
    seen = []

    def stopping():
        seen.append(REGISTRY.get_sample_value("movie_pipeline_lag_messages", {"partition": "0"}))
        topic.mine = [0] if topic.position < 4 else []
        return len(seen) > 30 or (topic.mine == [] and seen[-1] is None)

    consumer.follow(stopping)
    assert 10 in seen
    assert seen[-1] is None
