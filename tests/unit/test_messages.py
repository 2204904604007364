"""Decoding: keys, encodings, times, the seed's message, and the headers of records."""

from datetime import UTC, datetime

import orjson
import pytest

from films import FIGHT_CLUB, NOW_MS, TOPIC, batch, message, record
from movie_pipeline import messages
from movie_pipeline.errors import InvalidMessageError
from movie_pipeline.messages import decode
from movie_pipeline.transform.clean import entity_id


def test_the_seeds_fifteen_fields_are_enough():
    film = decode(record(FIGHT_CLUB))
    assert (film["id"], film["title"], film["budget"], film["vote_average"]) == (550, "Fight Club", 63000000, 8.4)
    assert film["genre_ids"] == [None, None]
    assert film["imdb_id"] is film["status"] is film["original_language"] is None
    assert film["fetched_at"] == datetime.fromtimestamp(NOW_MS / 1000, UTC)


def test_names_without_ids_get_the_same_key_in_every_process():
    assert entity_id("Drama") == entity_id("Drama") == -5228307529107194854
    assert entity_id("Drama") != entity_id("drama")
    assert batch(FIGHT_CLUB).rounds[0].films["genre_ids"].iloc[0][0] == entity_id("Drama")


def test_the_key_of_a_name_is_below_zero_and_fits_64_bits():
    assert all(-(2**63) <= entity_id(str(number)) < 0 for number in range(2000))


def test_some_ids_may_be_missing_where_the_names_are_there():
    film = decode(record(message(cast=["Known", "Unknown"], cast_ids=[11, None])))
    assert film["cast_ids"] == [11, None]


@pytest.mark.parametrize("name", ["", "  ", "\0"])
def test_an_entity_needs_an_id_or_a_name(name):
    with pytest.raises(InvalidMessageError, match="neither an id nor a name"):
        decode(record(message(cast=[name], cast_ids=[None])))


def test_unknown_fields_are_ignored():
    assert decode(record(message(tagline="?", adult=False))) == decode(record(message()))


@pytest.mark.parametrize(
    "key", [None, b"", b"0", b"007", b"+7", b"-7", b"7 ", b"7.0", b"seven", b"2147483648", b"9" * 5000, "٧".encode()]
)
def test_a_key_is_the_id_as_ascii_digits(key):
    for value in (orjson.dumps(message()), None):
        (dead,) = batch(record(value, key=key)).dead
        assert "1 to 2147483647 as ASCII digits" in dead.error or "as ASCII digits is required" in dead.error


def test_the_greatest_id_is_two_to_the_31_less_one():
    assert decode(record(message(2**31 - 1)))["id"] == 2**31 - 1


def test_the_key_must_equal_the_id():
    with pytest.raises(InvalidMessageError, match="id 7 is not the record's key 8"):
        decode(record(message(7), key=b"8"))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"not JSON",
        b"{",
        b"null",
        b"7",
        b'"text"',
        b"[]",
        b'{"id": 7, "title": "\xff"}',
        b'{"id": 7, "title": "\\ud800"}',
        b"\xef\xbb\xbf" + orjson.dumps(message()),
        orjson.dumps(message()).decode().encode("utf-16"),
        b"[" * 200_000,
        b'{"id": 7, "title": "a", "budget": ' + b"9" * 5000 + b"}",
    ],
)
def test_anything_but_a_json_object_in_utf8_is_a_dead_letter(value):
    (dead,) = batch(record(value, key=b"7")).dead
    assert dead.record.value == value
    assert len(dead.error) < 500


def test_nan_in_a_message_does_not_change_how_the_rest_is_read():
    raw = record(message(title="Ñandú \U0001f3ac", popularity="HERE"))
    film = decode(raw._replace(value=raw.value.replace(b'"HERE"', b"NaN")))
    assert film["popularity"] != film["popularity"]
    assert film | {"popularity": 0} == decode(record(message(title="Ñandú \U0001f3ac", popularity=0)))


@pytest.mark.parametrize(
    ("fetched_at", "expected"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T04:04:05+01:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.25Z", datetime(2026, 1, 2, 3, 4, 5, 250_000, tzinfo=UTC)),
    ],
)
def test_fetched_at_is_a_moment_in_utc(fetched_at, expected):
    assert decode(record(message(fetched_at=fetched_at)))["fetched_at"] == expected


def test_a_clock_that_ran_ahead_cannot_lock_a_film():
    film = decode(record(message(fetched_at="2999-01-01T00:00:00Z")))
    assert film["fetched_at"] == datetime.fromtimestamp(NOW_MS / 1000, UTC)


def test_a_record_without_a_time_keeps_the_messages_own():
    film = decode(record(message(), timestamp_ms=-1))
    assert film["fetched_at"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("timestamp_ms", [-1, 0, 2**62])
def test_no_time_of_a_record_stops_the_consumer(timestamp_ms):
    done = batch(record(None, key=b"7", timestamp_ms=timestamp_ms), record(FIGHT_CLUB, timestamp_ms=timestamp_ms))
    (gone,) = done.rounds[0].tombstones
    assert 1970 <= gone.at.year <= 9999
    assert done.rounds[0].films["id"].tolist() == [550]


def test_a_tombstone_has_its_records_time():
    (gone,) = batch(record(None, key=b"7")).rounds[0].tombstones
    assert gone == (7, 0, datetime.fromtimestamp(NOW_MS / 1000, UTC))


def test_a_film_that_comes_again_waits_for_the_next_round():
    done = batch(message(1), message(2), message(1, title="Again"), record(None, key=b"1"), message(2))
    assert [item.films["title"].tolist() for item in done.rounds] == [["Film 1", "Film 2"], ["Again", "Film 2"], []]
    assert [len(item.tombstones) for item in done.rounds] == [0, 0, 1]


def test_a_dead_letter_keeps_the_records_headers_and_adds_its_origin():
    source = record(b"?", 5, key=b"7", headers=(("source", b"tmdb"), ("empty", None), ("dlq.offset", b"1")))
    found = dict(messages.dead_letter_headers(source, "InvalidMessageError", "Ñ"))
    assert datetime.fromisoformat(found.pop("dlq.time").decode()).tzinfo is not None
    assert found == {
        "source": b"tmdb",
        "empty": b"",
        "dlq.topic": TOPIC.encode(),
        "dlq.partition": b"0",
        "dlq.offset": b"5",
        "dlq.error.class": b"InvalidMessageError",
        "dlq.error.text": "Ñ".encode(),
    }


def test_a_published_film_has_the_contracts_headers():
    assert messages.headers("sample", "run-1") == [
        ("source", b"sample"), ("run_id", b"run-1"), ("schema_version", b"1"),
    ]  # fmt: skip


def _crew(*people):
    return {"id": 7, "title": "T", "credits": {"crew": [{"id": i, "name": n, "job": j} for i, n, j in people]}}


def test_directors_come_in_the_order_of_the_crew_each_once():
    details = _crew((2, "B", "Director"), (3, "C", "Writer"), (1, "A", "Director"), (2, "B", "Director"))
    built = messages.build(details, fetched_at=messages.SAMPLE_FETCHED_AT)
    assert (built["directors"], built["director_ids"]) == (["B", "A"], [2, 1])


def test_the_cast_is_the_first_by_billing_order():
    cast = [{"id": i, "name": f"P{i}", "order": order} for i, order in ((1, 5), (2, 0), (3, None), (4, 0), (5, 1))]
    built = messages.build(
        {"id": 7, "title": "T", "credits": {"cast": cast}}, fetched_at=messages.SAMPLE_FETCHED_AT, cast_limit=4
    )
    assert built["cast_ids"] == [2, 4, 5, 1]


def test_a_built_message_is_read_again_without_a_change():
    built = messages.build({"id": 7, "title": "T", "release_date": "", "budget": 0}, fetched_at="2017-09-01T00:00:00Z")
    film = decode(record(messages.encode(built), key=b"7"))
    assert (film["release_date"], film["budget"], film["genres"], film["cast_ids"]) == (None, 0, [], [])
