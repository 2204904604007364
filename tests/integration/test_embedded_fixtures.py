"""The fixtures that other tests stand on."""

from contextlib import closing

import psycopg2
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic


def test_a_record_comes_back_from_the_broker(kafka, topics):
    topic = topics("films")
    with closing(KafkaAdminClient(bootstrap_servers=kafka)) as admin:
        admin.create_topics([NewTopic(topic, 2, 1)])
    with closing(KafkaProducer(bootstrap_servers=kafka)) as producer:
        producer.send(topic, key=b"550", value=b"{}").get(timeout=30)
    with closing(
        KafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest", consumer_timeout_ms=10_000)
    ) as consumer:
        record = next(consumer)
    assert (record.key, record.value) == (b"550", b"{}")


def test_topic_names_are_never_given_twice(topics):
    assert topics("films") != topics("films")


def test_a_database_begins_empty_and_holds_utf8(database):
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert cursor.fetchone() == (0,)
        cursor.execute("CREATE TABLE t (título text)")
        cursor.execute("INSERT INTO t VALUES ('Amélie 東京') RETURNING título")
        assert cursor.fetchone() == ("Amélie 東京",)


def test_a_migrated_database_has_the_schema_and_no_films(migrated_database):
    with closing(psycopg2.connect(migrated_database)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM movies")
        assert cursor.fetchone() == (0,)
