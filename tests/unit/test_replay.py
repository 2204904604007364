"""Replay on fakes: what the topic lacks goes there, and what is passed over is counted."""

import orjson

from fakes import FakeBackups, FakeBroker, FakeProgress, FakeReader, FakeState, film
from movie_pipeline import messages
from movie_pipeline.jobs.replay import list_dead_letters, replay_backups, replay_dead_letters
from movie_pipeline.messages import Record

TOPIC, DLQ = "films", "films.dlq"


def message(movie_id, fetched_at="2026-11-20T00:00:00Z"):
    return messages.encode(messages.build(film(movie_id), fetched_at=fetched_at))


def replay(backups, broker, *, listing=False):
    return replay_backups(
        backups=backups, reader=FakeReader(broker), publisher=broker.publisher(TOPIC), topic=TOPIC, run_id="r",
        progress_for=FakeProgress, listing=listing,
    )  # fmt: skip


def world(*saved):
    backups, broker = FakeBackups(), FakeBroker()
    backups.saved = list(saved)
    return backups, broker, broker.publisher(TOPIC)


def test_only_what_the_topic_lacks_is_published_with_its_source():
    backups, broker, publisher = world(*((movie_id, message(movie_id)) for movie_id in (1, 2, 3)))
    publisher.publish(TOPIC, b"2", message(2), [])
    summary = replay(backups, broker)
    assert (summary.published, summary.in_topic) == (2, 1)
    assert set(broker.values(TOPIC)) == {b"1", b"2", b"3"}
    assert dict(broker.topics[TOPIC][-1].headers)["source"] == b"backup"
    assert replay(backups, broker).published == 0, "a second replay has nothing to do"


def test_the_newest_copy_counts_against_older_copies_and_an_older_topic():
    newer = message(1, "2026-11-22T00:00:00Z")
    backups, broker, publisher = world((1, message(1)), (1, newer), (2, message(2)))
    publisher.publish(TOPIC, b"1", message(1, "2026-11-01T00:00:00Z"), [])
    publisher.publish(TOPIC, b"2", message(2, "2026-11-21T00:00:00Z"), [])
    summary = replay(backups, broker)
    assert (summary.published, summary.older_copies, summary.in_topic) == (1, 1, 1)
    assert broker.values(TOPIC)[b"1"] == newer


def test_a_film_deleted_since_stays_deleted():
    backups, broker, publisher = world((1, message(1)))
    publisher.publish(TOPIC, b"1", None, [])
    summary = replay(backups, broker)
    assert (summary.published, summary.deleted_since, broker.values(TOPIC)[b"1"]) == (0, 1, None)


def test_what_is_no_message_is_counted_and_said():
    backups, broker, _ = world((1, message(1)), (2, orjson.dumps({"id": 2})))
    backups.damaged = 3
    summary = replay(backups, broker)
    assert (summary.published, summary.invalid, summary.damaged) == (1, 1, 3)
    assert summary.lines() == ["1 backups published", "skipped: 1 not valid messages; 3 damaged pieces"]


def test_a_listing_sends_nothing():
    backups, broker, _ = world((1, message(1)))
    assert replay(backups, broker, listing=True).published == 1
    assert broker.topics[TOPIC] == []


def dead(broker, offset, *, headers=()):
    record = Record(TOPIC, 0, offset, 0, b"5", b'{"id": 5, "budget": "a lot"}', headers)
    error = messages.dead_letter_headers(record, "InvalidMessageError", "budget 'a lot'")
    broker.publisher().publish(DLQ, record.key, record.value, error)


def test_dead_letters_are_listed_with_origin_and_error():
    broker = FakeBroker()
    dead(broker, 41)
    (letter,) = list_dead_letters(reader=FakeReader(broker), state=FakeState(), dlq_topic=DLQ)
    assert "films[0]@41  key 5" in letter.line()
    assert "InvalidMessageError: budget 'a lot'" in letter.line()


def test_dead_letters_go_back_as_they_were_once_and_with_a_counter():
    broker, state = FakeBroker(), FakeState()
    reader, publisher = FakeReader(broker), broker.publisher()
    dead(broker, 41, headers=(("source", b"tmdb"),))
    assert replay_dead_letters(reader=reader, publisher=publisher, state=state, dlq_topic=DLQ) == 1
    (record,) = broker.topics[TOPIC]
    assert (record.key, record.value) == (b"5", b'{"id": 5, "budget": "a lot"}')
    assert dict(record.headers) == {"source": b"tmdb", "replay.attempt": b"1"}
    assert replay_dead_letters(reader=reader, publisher=publisher, state=state, dlq_topic=DLQ) == 0
    dead(broker, 42, headers=record.headers)
    assert replay_dead_letters(reader=reader, publisher=publisher, state=state, dlq_topic=DLQ) == 1
    assert dict(broker.topics[TOPIC][-1].headers)["replay.attempt"] == b"2"


def test_no_dead_letter_topic_means_no_dead_letters():
    broker = FakeBroker()
    arguments = {"reader": FakeReader(broker), "state": FakeState(), "dlq_topic": DLQ}
    assert list(list_dead_letters(**arguments)) == []
    assert replay_dead_letters(publisher=broker.publisher(), **arguments) == 0
