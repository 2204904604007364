"""The consumer from the topic to the database: batches, dead letters, outages, two at once, and lost positions."""

import threading
import time
from contextlib import closing
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from conftest import new_database
from films import FIGHT_CLUB, message, record
from ingesting import consumer_settings, content, everything, load_topic, make_topic, publish, query
from movie_pipeline.adapters.health import HealthServer
from movie_pipeline.errors import StateConflictError
from movie_pipeline.wiring import consume

WAIT_SECONDS = 90


def eventually(reached, seconds=WAIT_SECONDS):
    """Wait for something that another thread or process brings about."""
    deadline = time.monotonic() + seconds
    while not (found := reached()):
        assert time.monotonic() < deadline, "never reached"
        time.sleep(0.05)
    return found


@pytest.fixture
def place(kafka, migrated_database, topics):
    """A topic of three partitions, an empty database, and settings over both."""
    topic = topics("films")
    make_topic(kafka, topic)
    return consumer_settings(kafka, topic, migrated_database, kafka_dlq_topic=f"{topic}.dlq")


def dsn(place):
    return place.database_dsn()


def send(place, *records):
    publish(place.kafka_bootstrap_servers, place.kafka_topic, records)


def test_bad_messages_end_in_the_dead_letter_topic_with_their_origin_and_the_rest_is_loaded(place):
    good = [record(FIGHT_CLUB), *(record(message(number)) for number in range(1, 30))]
    bad = [
        record(b"not JSON", key=b"801", headers=(("source", b"tmdb"),)),
        record({name: value for name, value in message(802).items() if name != "id"}, key=b"802"),
        record(message(803, budget="a lot")),
        record(message(804), key=b"805"),
    ]
    send(place, *good[:9], *bad, *good[9:])
    counts = load_topic(place)
    assert (counts["new"], counts["dead"]) == (30, 4)
    dead = {item.value: item for item in everything(place.kafka_bootstrap_servers, place.kafka_dlq_topic)}
    assert set(dead) == {item.value for item in bad}
    sent = {
        (item.partition, item.offset): item for item in everything(place.kafka_bootstrap_servers, place.kafka_topic)
    }
    for item in dead.values():
        headers = dict(item.headers)
        origin = sent[int(headers["dlq.partition"]), int(headers["dlq.offset"])]
        assert (origin.key, origin.value) == (item.key, item.value)
        assert headers["dlq.topic"] == place.kafka_topic.encode()
        assert headers["dlq.error.class"] == b"InvalidMessageError"
    assert b"a lot" in dict(dead[bad[2].value].headers)["dlq.error.text"]
    assert dict(dead[b"not JSON"].headers)["source"] == b"tmdb"
    assert load_topic(place).total() == 0


def test_gaps_at_the_end_of_a_partition_do_not_hold_a_run_up(kafka, place):
    with closing(KafkaProducer(bootstrap_servers=kafka, transactional_id=f"t-{place.kafka_topic}")) as producer:
        producer.init_transactions()
        for number in range(1, 6):
            producer.begin_transaction()
            item = record(message(number))
            producer.send(place.kafka_topic, key=item.key, value=item.value)
            producer.commit_transaction()
    began = time.monotonic()
    assert load_topic(place)["new"] == 5
    assert load_topic(place).total() == 0
    assert time.monotonic() - began < WAIT_SECONDS
    # A transaction's end takes an offset that no reader ever sees.
    assert query(dsn(place), "SELECT sum(next_offset) FROM ingest_offsets") == [(10,)]


def test_small_transactions_and_large_ones_give_the_same_tables(kafka, place, postgres, migrated_template):
    versions = [
        message(n, popularity=n + v, fetched_at=f"2026-01-01T00:00:0{v}Z") for v in (2, 0, 3) for n in range(1, 40)
    ]
    send(place, *map(record, versions), record(None, key=b"5"), record(FIGHT_CLUB))
    load_topic(place.model_copy(update={"load_size": 7}))
    with new_database(postgres, template=migrated_template) as other:
        load_topic(consumer_settings(kafka, place.kafka_topic, other))
        assert content(other) == content(dsn(place))


def test_two_consumers_at_once_load_everything_once(place):
    send(place, *(record(message(number)) for number in range(1, 2000)))
    small = place.model_copy(update={"load_size": 100})
    counts = []
    threads = [threading.Thread(target=lambda run=run: counts.append(load_topic(small, run))) for run in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(count["new"] for count in counts) == 1999
    assert query(dsn(place), "SELECT count(*) FROM movie_history") == [(1999,)]
    assert query(dsn(place), "SELECT sum(next_offset) FROM ingest_offsets") == [(1999,)]


def test_a_topic_made_anew_is_a_conflict_until_the_positions_are_reset(kafka, place):
    send(place, *(record(message(number)) for number in range(1, 30)))
    load_topic(place)
    before = content(dsn(place))
    with closing(KafkaAdminClient(bootstrap_servers=kafka)) as admin:
        admin.delete_topics([place.kafka_topic])
        eventually(lambda: place.kafka_topic not in admin.list_topics())
    make_topic(kafka, place.kafka_topic)
    send(place, *(record(message(number)) for number in range(1, 60)))
    with pytest.raises(StateConflictError, match=r"was made anew.*--reset"):
        load_topic(place)
    assert content(dsn(place)) == before
    with consume.driver(place, "again") as driver:
        driver.reset()
        counts = driver.run_until_end()
    assert (counts["unchanged"], counts["new"]) == (29, 30)


def test_a_position_that_retention_has_passed_is_a_conflict(kafka, place):
    send(place, *(record(message(number)) for number in range(1, 30)))
    load_topic(place)
    query(dsn(place), "UPDATE ingest_offsets SET next_offset = 1 WHERE next_offset > 3")
    with closing(KafkaAdminClient(bootstrap_servers=kafka)) as admin:
        name = place.kafka_topic
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs={"cleanup.policy": "delete"})])
        admin.delete_records({TopicPartition(name, number): 3 for number in range(3)})
    with pytest.raises(StateConflictError, match=r"retention has passed it.*--reset"):
        load_topic(place)


def test_a_position_beyond_the_end_is_a_conflict(place):
    send(place, record(message(1)))
    load_topic(place)
    query(dsn(place), "UPDATE ingest_offsets SET next_offset = 500 WHERE next_offset > 0")
    with pytest.raises(StateConflictError, match=r"ends at 1, the next offset is 500.*--reset"):
        load_topic(place)


def test_a_reset_changes_nothing_that_is_current(place):
    send(
        place,
        *(record(message(n, title=f"V{v}", fetched_at=f"2026-01-01T00:00:0{v}Z")) for v in (1, 3, 2) for n in (1, 2)),
    )
    send(place, record(FIGHT_CLUB), record(None, key=b"550"))
    load_topic(place)
    before = content(dsn(place))
    with consume.driver(place, "again") as driver:
        driver.reset()
        driver.run_until_end()
    assert content(dsn(place)) == before


def follow(place, stop, run_id="follow"):
    with (
        consume.driver(place, run_id, follow=True) as driver,
        HealthServer("127.0.0.1", 0, ready=lambda: driver.ready) as health,
    ):
        follow.ports[run_id] = health.port
        follow.counts[run_id] = driver.follow(stop.is_set)


follow.ports, follow.counts = {}, {}


@pytest.fixture
def following(place):
    """Start followers that end with the test."""
    stop, threads = threading.Event(), []

    def start(run_id="follow"):
        threads.append(threading.Thread(target=follow, args=(place, stop, run_id)))
        threads[-1].start()
        return threads[-1]

    yield start
    stop.set()
    for thread in threads:
        thread.join(WAIT_SECONDS)
        assert not thread.is_alive()


def films(place):
    return query(dsn(place), "SELECT count(*) FROM movies")[0][0]


def ask(run_id, path):
    try:
        with urlopen(f"http://127.0.0.1:{follow.ports[run_id]}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_a_follower_loads_what_comes_says_how_it_is_and_stops_in_order(place, following):
    send(place, *(record(message(number)) for number in range(1, 50)))
    thread = following("one")
    eventually(lambda: films(place) == 49)
    send(place, *(record(message(number)) for number in range(50, 60)), record(b"?", key=b"1"))
    eventually(lambda: films(place) == 59)
    eventually(lambda: ask("one", "/readyz")[0] == 200)
    assert ask("one", "/healthz")[0] == 200
    assert ask("one", "/else")[0] == 404
    status, text = ask("one", "/metrics")
    assert status == 200
    for name in ("films_loaded_total", "dead_letters_total", "lag_messages", "batch_seconds", "last_success_timestamp"):
        assert f"movie_pipeline_{name}" in text
    assert thread.is_alive()


def test_two_followers_share_the_partitions_and_load_everything_once(place, following):
    following("first")
    following("second")
    numbers = iter(range(1, 10_000))
    for _ in range(5):
        send(place, *(record(message(next(numbers))) for _ in range(60)))
        time.sleep(0.3)
    eventually(lambda: films(place) == 300)
    assert query(dsn(place), "SELECT count(*) FROM movie_history") == [(300,)]


def test_a_database_that_dies_in_the_middle_is_waited_for(place, following, postgres):
    send(place, *(record(message(number)) for number in range(1, 200)))
    following("waiting")
    eventually(lambda: films(place) == 199)
    postgres.kill()
    send(place, *(record(message(number)) for number in range(200, 400)))
    eventually(lambda: ask("waiting", "/readyz")[0] == 503)
    assert ask("waiting", "/healthz")[0] == 200
    postgres.start()
    eventually(lambda: films(place) == 399)
    eventually(lambda: ask("waiting", "/readyz")[0] == 200)
    assert query(dsn(place), "SELECT count(*) FROM movie_history") == [(399,)]
    assert everything(place.kafka_bootstrap_servers, place.kafka_dlq_topic) == []


def test_a_broker_that_dies_in_the_middle_is_waited_for(place, kafka_server, following):
    send(place, *(record(message(number)) for number in range(1, 100)))
    following("brokerless")
    eventually(lambda: films(place) == 99)
    kafka_server.kill()
    eventually(lambda: ask("brokerless", "/readyz")[0] == 503)
    kafka_server.start()
    send(place, *(record(message(number)) for number in range(100, 200)))
    eventually(lambda: films(place) == 199)


def test_a_follower_waits_for_a_database_that_is_away_at_its_start_and_stops_when_told(place):
    away = place.model_copy(update={"database_url": None, "pghost": "127.0.0.1", "pgport": 1})
    stop = threading.Event()
    thread = threading.Thread(target=follow, args=(away, stop, "away"))
    thread.start()
    eventually(lambda: "away" in follow.ports)
    assert ask("away", "/readyz")[0] == 503
    stop.set()
    began = time.monotonic()
    thread.join(WAIT_SECONDS)
    assert not thread.is_alive()
    assert time.monotonic() - began < 25
