"""The database agrees with an independent computation over the sample: plain Python here, nothing of the transform."""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from functools import cache

import pytest

from conftest import new_database
from films import message, record, sample, sample_messages
from ingesting import consumer_settings, load_topic, make_topic, publish, query


@pytest.fixture(scope="module")
def loaded(kafka, postgres, migrated_template) -> Iterator[str]:
    """A database that holds the sample, and six made-up films on the borders of popularity, by way of Kafka."""
    topic = "the-sample"
    make_topic(kafka, topic)
    crafted = [message(10_000_000 + n, popularity=value) for n, value in enumerate((5, 5.01, 10, 10.01, 20, 20.01))]
    publish(kafka, topic, (record(item) for item in [*sample_messages(), *crafted]), compression_type="zstd")
    with new_database(postgres, template=migrated_template) as dsn:
        settings = consumer_settings(kafka, topic, dsn)
        assert load_topic(settings)["new"] == 4803 + len(crafted)
        assert load_topic(settings).total() == 0
        yield dsn


@pytest.fixture
def ask(loaded):
    return lambda statement: query(loaded, statement)


OURS = "WHERE tmdb_id < 10000000"


@cache
def directors(index):
    return once([person for person in sample()[index]["credits"]["crew"] if person["job"] == "Director"])


@cache
def cast(index):
    people = sorted(sample()[index]["credits"]["cast"], key=lambda person: person["order"])
    return once(people[:10])


def once(entities):
    found = {}
    for entity in entities:
        found.setdefault(entity["id"], entity["name"])
    return list(found.items())


def rows_of(choose):
    return {
        (film["id"], key, position)
        for index, film in enumerate(sample())
        for position, (key, _) in enumerate(choose(index, film))
    }


def test_every_film_is_there_with_its_facts(ask):
    expected = {
        (
            film["id"], film["title"], film["original_title"], film["original_language"], film["status"],
            film["imdb_id"], date.fromisoformat(film["release_date"]) if film["release_date"] else None,
            film["runtime"] or None, film["budget"] or None, film["revenue"] or None, film["popularity"],
            film["vote_average"] if film["vote_count"] else None, film["vote_count"],
        )
        for film in sample()
    }  # fmt: skip
    found = ask(
        "SELECT id, title, original_title, original_language, status, imdb_id, release_date, runtime, budget, revenue,"
        f" popularity, vote_average, vote_count FROM movies {OURS}"
    )
    assert len(found) == 4803
    assert set(found) == expected


def test_unknown_money_is_null(ask):
    (counts,) = ask(
        "SELECT count(*) - count(budget), count(*) - count(revenue), count(*) FILTER (WHERE budget IS NULL AND revenue"
        f" IS NULL), count(*) FILTER (WHERE revenue > 2147483647), count(*) - count(runtime) FROM movies {OURS}"
    )
    assert counts == (1037, 1427, 890, 1, 37)


def test_avatars_revenue_needs_64_bits(ask):
    assert ask("SELECT revenue FROM movies WHERE id = 19995") == [(2_787_965_087,)]
    assert set(ask("SELECT revenue, round(roi::numeric, 6)::float FROM movies_in_warehouse WHERE tmdb_id = 19995")) == {
        (2_787_965_087, round((2_787_965_087 - 237_000_000) / 237_000_000, 6))
    }


@pytest.mark.parametrize(
    ("table", "choose"),
    [
        ("movie_genres", lambda _index, film: once(film["genres"])),
        ("movie_production_companies", lambda _index, film: once(film["production_companies"])),
        ("movie_directors", lambda index, _film: directors(index)),
        ("movie_cast", lambda index, _film: cast(index)),
    ],
)
def test_every_pair_is_there_in_its_order_and_no_other(ask, table, choose):
    found = ask(f"SELECT * FROM {table} WHERE movie_id < 10000000")
    assert len(found) == len(set(found))
    assert set(found) == rows_of(choose)


@pytest.mark.parametrize(
    ("table", "choose"),
    [
        ("genres", lambda _index, film: film["genres"]),
        ("production_companies", lambda _index, film: film["production_companies"]),
    ],
)
def test_entities_are_those_of_the_films(ask, table, choose):
    made_up = {18: "Drama", 80: "Crime", 5: "A Company"}
    expected = {item["id"]: item["name"] for index, film in enumerate(sample()) for item in choose(index, film)}
    found = dict(ask(f"SELECT id, name FROM {table}"))
    assert {key: name for key, name in found.items() if key not in made_up} == {
        key: name for key, name in expected.items() if key not in made_up
    }
    assert len(ask(f"SELECT 1 FROM {table} WHERE id < 0")) == 0


def test_people_are_the_directors_and_the_billed_cast(ask):
    made_up = {9, 11, 12}
    expected = {key for index in range(4803) for key, _ in (*directors(index), *cast(index))}
    assert {key for (key,) in ask("SELECT id FROM people")} | made_up == expected | made_up


def test_the_warehouse_has_each_film_genre_and_director(ask):
    expected = Counter(
        (film["id"], genre, director)
        for index, film in enumerate(sample())
        for _, genre in once(film["genres"]) or [(0, None)]
        for _, director in directors(index) or [(0, None)]
    )
    assert Counter(ask(f"SELECT tmdb_id, genre, director FROM movie_data_warehouse {OURS}")) == expected


def test_both_directors_named_jason_trost_are_there(ask):
    assert ask("SELECT id FROM people WHERE name = 'Jason Trost' ORDER BY id") == [(1009253,), (1009255,)]


def test_three_titles_are_shared_by_two_films_each(ask):
    found = ask(f"SELECT title FROM movies {OURS} GROUP BY title HAVING count(*) = 2 ORDER BY title")
    assert found == [("Batman",), ("Out of the Blue",), ("The Host",)]


def test_a_person_twice_in_a_cast_stands_once_at_the_first_billing(ask):
    doubled = 0
    for index, film in enumerate(sample()):
        billed = [person["id"] for person in sorted(film["credits"]["cast"], key=lambda one: one["order"])[:10]]
        doubled += len(billed) - len(cast(index))
    assert doubled > 0
    assert ask("SELECT sum(count) FROM quality_findings WHERE finding = 'duplicate in cast'") == [(doubled,)]


def test_ratings_at_the_borders(ask):
    expected = Counter()
    for film in sample():
        rating = film["vote_average"]
        if film["vote_count"] and rating in {4, 6, 8}:
            expected[rating, {4: "Regular", 6: "Buena", 8: "Excelente"}[rating]] += 1
    found = ask(f"SELECT vote_average, rating_level FROM movies_in_warehouse {OURS} AND vote_average IN (4, 6, 8)")
    assert len(expected) == 3
    assert Counter(found) == expected


def test_popularity_at_the_borders(ask):
    assert ask("SELECT popularity, popularity_level FROM movies_in_warehouse WHERE tmdb_id >= 10000000 ORDER BY 1") == [
        (5, "Muy Baja"), (5.01, "Baja"), (10, "Baja"), (10.01, "Media"), (20, "Media"), (20.01, "Alta"),
    ]  # fmt: skip


def test_levels_and_profit_of_every_film(ask):
    def expected(film):
        rating = film["vote_average"] if film["vote_count"] else None
        popularity = film["popularity"]
        budget, revenue = film["budget"] or None, film["revenue"] or None
        level = "Alta" if popularity > 20 else "Media" if popularity > 10 else "Baja" if popularity > 5 else "Muy Baja"
        grade = None
        if rating is not None:
            grade = "Excelente" if rating >= 8 else "Buena" if rating >= 6 else "Regular" if rating >= 4 else "Mala"
        known = budget is not None and revenue is not None
        return (
            film["id"], level, grade, (revenue - budget) / budget if known else None,
            revenue > budget if known else None, film["release_date"] or None,
            int(film["release_date"][:4]) if film["release_date"] else None,
        )  # fmt: skip

    found = ask(
        "SELECT tmdb_id, popularity_level, rating_level, roi, is_profitable, release_date, release_year"
        f" FROM movies_in_warehouse {OURS}"
    )
    assert set(found) == {expected(film) for film in sample()}


def test_every_film_has_one_row_of_history(ask):
    assert ask("SELECT count(*), count(DISTINCT movie_id) FROM movie_history WHERE movie_id < 10000000") == [
        (4803, 4803)
    ]


def test_the_offsets_stand_at_the_end_of_the_topic(ask):
    assert ask("SELECT sum(next_offset), count(*) FROM ingest_offsets") == [(4809, 3)]
