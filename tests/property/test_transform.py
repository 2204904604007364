"""Properties of the transform: they hold for any films, not for those that somebody thought of."""

import itertools
import json
from datetime import UTC, datetime

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from films import TOPIC, message, record, rows
from movie_pipeline.levels import POPULARITY, RATING
from movie_pipeline.messages import FIELDS, LISTS, OffsetRange, decode, decode_row
from movie_pipeline.transform.batch import prepare
from movie_pipeline.transform.clean import clean, clean_rows, entity_id
from movie_pipeline.transform.frames import decoded, table
from movie_pipeline.transform.normalize import ENTITIES, LINKS, normalize
from movie_pipeline.transform.star import star

settings.register_profile(
    "ours", derandomize=True, deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ours")

TEXTS = st.text(max_size=12) | st.sampled_from(["", "\0", "NULL", "a\0b", '"', "\n", "2001-02-03", "0000-00-00"])
WHOLE = st.integers(-5, 2**64) | st.sampled_from([0, 1, 2**31, 2**63 - 1, 2**63])
REALS = st.floats(allow_nan=True) | st.integers(-5, 10**9)
NAMES = st.sampled_from(["Drama", "drama", "Ana", "Ana ", "Ñ", "x\0y"]) | st.text(min_size=1, max_size=5).filter(
    lambda name: name.replace("\0", "").strip()
)


@st.composite
def _entities(draw):
    """Parallel lists of names and ids, of which some or all may be missing, with doubles."""
    names = draw(st.lists(NAMES, max_size=5))
    ids = draw(st.none() | st.lists(st.none() | st.integers(1, 6), min_size=len(names), max_size=len(names)))
    return names, ids


IDS = st.integers(1, 5)


@st.composite
def film_messages(draw, ids=IDS):
    """A message that is no dead letter."""
    content = message(
        draw(ids),
        title=draw(TEXTS.filter(lambda text: text.replace("\0", "").strip())),
        release_date=draw(st.none() | TEXTS | st.dates().map(str)),
        overview=draw(st.none() | TEXTS),
        popularity=draw(st.none() | REALS),
        vote_average=draw(st.none() | REALS),
        fetched_at=draw(st.datetimes(datetime(2000, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC))).isoformat(),  # noqa: DTZ001
        **{name: draw(st.none() | WHOLE) for name in ("vote_count", "budget", "revenue", "runtime")},
    )
    for names, ids_name in LISTS:
        content[names], content[ids_name] = draw(_entities())
    return content


def raw(content):
    return json.dumps(content).encode()


def films_of(contents):
    """Cleaned films, the first version of each."""
    once = list({content["id"]: content for content in contents}.values())
    records = [record(raw(one), number, key=str(one["id"]).encode()) for number, one in enumerate(once)]
    batch = prepare(OffsetRange(TOPIC, 0, 0, len(records)), records)
    assert not batch.dead
    return batch.rounds[0].films


@given(st.lists(film_messages(), min_size=1, max_size=6))
def test_cleaning_is_idempotent(contents):
    once = films_of(contents)
    again, findings = clean(
        pd.DataFrame({name: pd.Series(table(once)[name].to_pylist(), dtype=object) for name in FIELDS})
    )
    assert table(again).equals(table(once))
    assert not findings


@given(st.lists(film_messages(), min_size=1, max_size=6))
def test_both_ways_into_cleaning_give_the_same_bytes(contents):
    records = [record(raw(one), key=str(one["id"]).encode()) for one in contents]
    first, found = clean(decoded([decode(one) for one in records]))
    second, also = clean_rows([decode_row(one) for one in records])
    assert table(first).equals(table(second))
    assert found == also


@given(film_messages(ids=st.just(7)))
def test_a_message_means_the_same_however_its_numbers_are_spelled(content):
    spelled = {
        name: (str(value) if type(value) is int and name in {"budget", "revenue", "runtime", "vote_count"} else value)
        for name, value in content.items()
    }
    assert repr(decode(record(raw(spelled), key=b"7"))) == repr(decode(record(raw(content), key=b"7")))


@given(st.lists(film_messages(), min_size=1, max_size=6))
def test_normalizing_loses_and_makes_no_pair(contents):
    films = films_of(contents)
    normal = normalize(films)
    keys = {name: {row["id"]: row["name"] for row in rows(normal.entities[name])} for name in ENTITIES}
    for link in LINKS:
        expected = [(film["id"], key, place) for film in rows(films) for place, key in enumerate(film[link.ids])]
        found = [tuple(row.values()) for row in rows(normal.links[link.table])]
        assert found == expected
        assert {key for _, key, _ in found} <= set(keys[link.entities])
    assert len(normal.movies) == len(films)


@given(st.lists(film_messages(), min_size=1, max_size=6))
def test_the_warehouse_has_the_product_of_genres_and_directors(contents):
    films = films_of(contents)
    expected = [
        (film["id"], genre, director)
        for film in rows(films)
        for genre in film["genres"] or [None]
        for director in film["directors"] or [None]
    ]
    assert [(row["tmdb_id"], row["genre"], row["director"]) for row in rows(star(films))] == expected


@given(st.floats(0, 1e9) | st.sampled_from([4.0, 5.0, 6.0, 8.0, 10.0, 20.0]), st.floats(0, 10))
def test_every_number_has_one_label_the_same_by_column_and_by_value(popularity, rating):
    (*_, row) = rows(star(films_of([message(popularity=popularity, vote_average=rating)])))
    assert row["popularity_level"] == POPULARITY.label(popularity)
    assert row["rating_level"] == RATING.label(rating)
    for levels, value in ((POPULARITY, popularity), (RATING, rating)):
        lows = [low for low, _ in levels.bounds] + [float("-inf")]
        tops = [float("inf"), *lows[:-1]]
        inside = [
            (lo <= value < hi) if levels.includes_bound else (lo < value <= hi)
            for lo, hi in zip(lows, tops, strict=True)
        ]
        assert [label for label, hit in zip(levels.labels, inside, strict=True) if hit] == [levels.label(value)]


@given(st.lists(film_messages(), max_size=12), st.lists(st.integers(0, 12), max_size=3))
def test_where_a_log_is_cut_does_not_change_what_its_films_become(contents, cuts):
    records = [record(raw(one), number, key=str(one["id"]).encode()) for number, one in enumerate(contents)]
    edges = sorted({0, len(records), *(cut for cut in cuts if cut < len(records))})

    def cleaned(pieces):
        found = {}
        for start, end in pieces:
            for part in prepare(OffsetRange(TOPIC, 0, start, end), records[start:end]).rounds:
                found |= {film["message_offset"]: film for film in rows(part.films)}
        return found

    assert cleaned(itertools.pairwise(edges)) == cleaned([(0, len(records))])


@given(st.text(max_size=30).filter(lambda text: "\0" not in text))
def test_the_key_of_a_name_depends_on_nothing_but_the_name(name):
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    assert -(2**63) <= entity_id(name) < 0
    assert entity_id(name) == entity_id("".join(name))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(message())), JSON, max_size=5))
def test_any_json_is_a_film_or_a_dead_letter_and_nothing_else(changed):
    content = {**message(), **changed}
    batch = prepare(OffsetRange(TOPIC, 0, 0, 1), [record(raw(content), key=b"7")])
    found = [film for part in batch.rounds for film in rows(part.films)]
    assert len(found) + len(batch.dead) == 1
    assert all(len(letter.error) < 500 for letter in batch.dead)
    assert all(film["id"] == 7 and film["title"].strip() for film in found)


@given(st.binary(max_size=60), st.none() | st.binary(max_size=12), st.integers(-1, 2**62))
def test_any_bytes_are_a_film_a_deletion_or_a_dead_letter(value, key, timestamp_ms):
    for content in (value, None):
        batch = prepare(OffsetRange(TOPIC, 0, 0, 1), [record(content, key=key, timestamp_ms=timestamp_ms)])
        rounds = sum(len(part.films) + len(part.tombstones) for part in batch.rounds)
        assert len(batch.dead) + rounds == 1
