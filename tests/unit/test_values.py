"""The value table of the contracts, row by row: accepted, unknown, counted as a finding, or a dead letter."""

from datetime import date

import pytest

from films import batch, cleaned, message, record, rows
from movie_pipeline.transform.star import star

LOSSLESS = [
    ("budget", 63000000.0, 63_000_000),
    ("budget", "63000000", 63_000_000),
    ("budget", "6.3e7", 63_000_000),
    ("revenue", 2_787_965_087, 2_787_965_087),
    ("vote_average", "8.4", 8.4),
    ("popularity", 7, 7.0),
    ("popularity", "1e2", 100.0),
    ("vote_count", "24408", 24_408),
    ("vote_count", 0, 0),
    ("runtime", 139.0, 139),
    ("runtime", 60_000, 60_000),
    ("release_date", "2000-02-29", date(2000, 2, 29)),
]
UNKNOWN = [
    ("budget", 0),
    ("revenue", 0),
    ("runtime", 0),
    ("budget", "0"),
    ("revenue", 0.0),
    ("budget", ""),
    ("popularity", ""),
    ("vote_count", ""),
    ("release_date", ""),
    ("imdb_id", ""),
    ("overview", ""),
    *((name, None) for name in ("budget", "revenue", "runtime", "popularity", "vote_average", "vote_count")),
    *(
        (name, None)
        for name in ("release_date", "overview", "original_title", "imdb_id", "original_language", "status")
    ),
]
FINDINGS = [
    ("release_date", "1999-02-30", "impossible release_date"),
    ("release_date", "15/10/1999", "impossible release_date"),
    ("release_date", "19991015", "impossible release_date"),
    ("release_date", "1999-10-15T00:00:00Z", "impossible release_date"),
    ("release_date", "0000-00-00", "impossible release_date"),
    ("budget", -1, "impossible budget"),
    ("revenue", -5.0, "impossible revenue"),
    ("revenue", 2**63, "impossible revenue"),
    ("revenue", 10**40, "impossible revenue"),
    ("vote_count", -1, "impossible vote_count"),
    ("vote_count", 2**31, "impossible vote_count"),
    ("popularity", -0.5, "impossible popularity"),
    ("popularity", "1e999", "impossible popularity"),
    ("vote_average", 10.1, "impossible vote_average"),
    ("vote_average", -1, "impossible vote_average"),
    ("runtime", 60_001, "impossible runtime"),
    ("runtime", -90, "impossible runtime"),
]
DEAD = [
    ("budget", "a lot"),
    ("budget", [63]),
    ("revenue", {"usd": 1}),
    ("revenue", True),
    ("vote_count", 1.5),
    ("vote_count", "1.5"),
    ("runtime", 90.25),
    ("popularity", "high"),
    ("popularity", [1]),
    ("popularity", "9" * 5000),
    ("vote_average", False),
    ("id", 0),
    ("id", -7),
    ("id", 7.5),
    ("id", "seven"),
    ("id", None),
    ("id", True),
    ("id", 2**31),
    ("id", 8),
    ("title", ""),
    ("title", "  \t"),
    ("title", "\0"),
    ("title", None),
    ("title", 2012),
    ("title", ["Film"]),
    ("release_date", 19991015),
    ("overview", {"en": "A story."}),
    ("genres", "Drama"),
    ("genres", [{"id": 18, "name": "Drama"}]),
    ("genres", ["Drama"]),
    ("genre_ids", [18]),
    ("genre_ids", [18, "eighty"]),
    ("genre_ids", [18, 0]),
    ("genre_ids", [18, -80]),
    ("genre_ids", [18, 2**31]),
    ("genre_ids", [18, True]),
    ("genre_ids", 18),
    ("cast", ["An Actor", None]),
    ("cast_ids", [11, 12, 13]),
    ("schema_version", 2),
    ("schema_version", "one"),
    ("fetched_at", "yesterday"),
    ("fetched_at", "2026-01-02T03:04:05"),
    ("fetched_at", 1_700_000_000),
]


@pytest.mark.parametrize(("name", "value", "expected"), LOSSLESS)
def test_a_conversion_that_loses_nothing_is_accepted(name, value, expected):
    film, findings = cleaned(**{name: value})
    assert film[name] == expected
    assert not findings


@pytest.mark.parametrize(("name", "value"), UNKNOWN)
def test_what_stands_for_unknown_becomes_null_without_a_finding(name, value):
    film, findings = cleaned(**{name: value})
    assert film[name] is None
    assert not findings


def test_a_rating_without_votes_is_unknown():
    film, findings = cleaned(vote_average=9.0, vote_count=0)
    assert (film["vote_average"], film["vote_count"]) == (None, 0)
    assert not findings


def test_a_rating_of_zero_with_votes_is_a_rating():
    assert cleaned(vote_average=0, vote_count=3)[0]["vote_average"] == 0.0


@pytest.mark.parametrize(("name", "value", "finding"), FINDINGS)
def test_what_cannot_be_true_becomes_null_with_a_counted_finding(name, value, finding):
    film, findings = cleaned(**{name: value})
    assert film[name] is None
    assert findings == {finding: 1}


@pytest.mark.parametrize("token", [b"NaN", b"Infinity", b"-Infinity", b"1e400"])
@pytest.mark.parametrize("name", ["popularity", "vote_average", "budget", "revenue", "runtime", "vote_count"])
def test_not_a_number_becomes_null_with_a_counted_finding(name, token):
    raw = record(message(**{name: "HERE"}))
    done = batch(raw._replace(value=raw.value.replace(b'"HERE"', token)))
    assert not done.dead
    assert done.rounds[0].films[name].isna().all()
    assert done.findings == {f"impossible {name}": 1}


def test_nul_is_removed_from_texts_and_names_and_counted():
    film, findings = cleaned(title="Al\0ien", overview="\0", genres=["Dra\0ma", "Crime"])
    assert (film["title"], film["overview"], list(film["genres"])) == ("Alien", None, ["Drama", "Crime"])
    assert findings == {"NUL removed from a text": 3}


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        ("genres", "genre_ids"),
        ("production_companies", "production_company_ids"),
        ("directors", "director_ids"),
        ("cast", "cast_ids"),
    ],
)
def test_a_doubled_id_stays_once_the_first_by_order_and_is_counted(names, ids):
    film, findings = cleaned(**{names: ["First", "Other", "Second", "First"], ids: [3, 2, 3, 3]})
    assert (list(film[names]), list(film[ids])) == (["First", "Other"], [3, 2])
    assert findings == {f"duplicate in {names}": 2}


def test_a_doubled_name_without_ids_stays_once():
    film, findings = cleaned(cast=["A", "B", "A"], cast_ids=None)
    assert list(film["cast"]) == ["A", "B"]
    assert findings == {"duplicate in cast": 1}


def test_two_ids_with_one_name_are_two_people():
    film, findings = cleaned(directors=["Jason Trost", "Jason Trost"], director_ids=[1009253, 1009255])
    assert list(film["director_ids"]) == [1009253, 1009255]
    assert not findings


@pytest.mark.parametrize(("name", "value"), DEAD)
def test_what_would_have_to_be_guessed_is_a_dead_letter_that_names_the_field(name, value):
    done = batch(record(message(**{name: value}), key=b"7"))
    assert len(done.dead) == 1
    assert done.dead[0].error_class == "InvalidMessageError"
    assert name.removesuffix("_ids") in done.dead[0].error or name in {"genres", "cast"}
    assert not any(len(item.films) for item in done.rounds)


def test_a_bad_message_leaves_the_rest_of_its_batch_alone():
    done = batch(message(1), record(b"not JSON", key=b"2"), message(3))
    assert [item.record.offset for item in done.dead] == [1]
    assert done.rounds[0].films["id"].tolist() == [1, 3]


def _row(**changed):
    (*_, row) = rows(star(batch(message(**changed)).rounds[0].films))
    return row


@pytest.mark.parametrize(
    ("budget", "revenue", "roi", "profitable"),
    [
        (100, 150, 0.5, True),
        (100, 50, -0.5, False),
        (100, 100, 0.0, False),
        (380_000_000, 2_787_965_087, 6.3367502, True),
    ],
)
def test_roi_is_gain_over_budget(budget, revenue, roi, profitable):
    row = _row(budget=budget, revenue=revenue)
    assert row["roi"] == pytest.approx(roi)
    assert row["is_profitable"] == profitable


@pytest.mark.parametrize(("budget", "revenue"), [(0, 150), (100, 0), (None, None), (-3, 5), ("", "")])
def test_roi_and_profit_are_unknown_where_money_is(budget, revenue):
    row = _row(budget=budget, revenue=revenue)
    assert row["roi"] is row["is_profitable"] is None


@pytest.mark.parametrize(
    ("popularity", "label"),
    [
        (20.000001, "Alta"),
        (20, "Media"),
        (10.000001, "Media"),
        (10, "Baja"),
        (5.000001, "Baja"),
        (5, "Muy Baja"),
        (0, "Muy Baja"),
        (None, None),
    ],
)
def test_popularity_passes_a_border_by_exceeding_it(popularity, label):
    assert (_row(popularity=popularity)["popularity_level"]) == label


@pytest.mark.parametrize(
    ("rating", "label"),
    [
        (10, "Excelente"),
        (8, "Excelente"),
        (7.999, "Buena"),
        (6, "Buena"),
        (5.999, "Regular"),
        (4, "Regular"),
        (3.999, "Mala"),
        (0, "Mala"),
        (None, None),
    ],
)
def test_a_rating_passes_a_border_by_reaching_it(rating, label):
    assert (_row(vote_average=rating)["rating_level"]) == label


def test_the_year_comes_from_the_date():
    row = _row(release_date="1916-09-04")
    assert (row["release_year"], row["release_date"]) == (1916, "1916-09-04")
    assert _row(release_date="")["release_year"] is None


def test_a_film_has_a_row_for_each_genre_and_director_and_one_without_them():
    films = batch(
        message(1, directors=["A", "B"], director_ids=[1, 2]),
        message(2, genres=[], genre_ids=[]),
        message(3, genres=None, genre_ids=None, directors=[], director_ids=[]),
    )
    pairs = [(row["tmdb_id"], row["genre"], row["director"]) for row in rows(star(films.rounds[0].films))]
    assert pairs == [
        (1, "Drama", "A"), (1, "Drama", "B"), (1, "Crime", "A"), (1, "Crime", "B"),
        (2, None, "A Director"), (3, None, None),
    ]  # fmt: skip
