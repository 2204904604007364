"""Every published aggregate equals an independent computation over the raw messages, in both catalogues."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from analysed import DATASETS, Independent, film, frame_catalogue, load, same
from conftest import new_database
from movie_pipeline.adapters.aggregates import PostgresCatalogue
from movie_pipeline.errors import FilmNotFoundError


@pytest.fixture(scope="module", params=sorted(DATASETS))
def films(request: pytest.FixtureRequest) -> tuple[dict[str, Any], ...]:
    return DATASETS[request.param]()


@pytest.fixture(scope="module")
def expected(films: tuple[dict[str, Any], ...], tmp_path_factory: pytest.TempPathFactory) -> Independent:
    return Independent(films, tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module", params=["postgresql", "frame"])
def catalogue(
    request: pytest.FixtureRequest, films: tuple[dict[str, Any], ...], postgres: Any, migrated_template: str
) -> Iterator[Any]:
    if request.param == "frame":
        yield frame_catalogue(films)
        return
    with new_database(postgres, template=migrated_template) as dsn:
        if films:
            load(dsn, films)
        with PostgresCatalogue(dsn) as open_catalogue:
            yield open_catalogue


def assert_rows(found: pd.DataFrame, names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    assert len(found) == len(rows)
    for got, wanted in zip(found[list(names)].itertuples(index=False, name=None), rows, strict=True):
        wrong = [(name, a, b) for name, a, b in zip(names, got, wanted, strict=True) if not same(a, b)]
        assert not wrong, (got, wanted)


def test_the_overview_counts_each_film_once(catalogue: Any, expected: Independent) -> None:
    found = catalogue.overview()
    names = ("films", "budgets", "revenues", "rois", "rated", "measured", "revenue")
    *counts, first, last, quantiles = expected.overview()
    assert all(same(found[name], value) for name, value in zip(names, counts, strict=True)), (found, counts)
    assert (found["first_release"], found["last_release"]) == (first, last)
    assert (found["popularity"] or None) == pytest.approx(quantiles or None)


def test_top_films_have_their_percentile_and_ties_go_by_id(catalogue: Any, expected: Independent) -> None:
    assert_rows(catalogue.top_films(40), ("id", "popularity", "percentile", "roi"), expected.top_films(40))


def test_genre_figures_count_a_film_once_in_each_of_its_genres(catalogue: Any, expected: Independent) -> None:
    assert_rows(catalogue.genres(), ("genre", *Independent.GROUP_NAMES), expected.genres())


def test_director_figures_are_by_id_not_by_name(catalogue: Any, expected: Independent) -> None:
    names = ("id", *Independent.GROUP_NAMES)
    assert_rows(catalogue.directors(25, 5), names, expected.directors(25, 5))


def test_levels_count_each_film_once(catalogue: Any, expected: Independent) -> None:
    found = catalogue.levels()
    keys = [
        [None if pd.isna(value) else value for value in found[name]] for name in ("popularity_level", "rating_level")
    ]
    assert dict(zip(zip(*keys, strict=True), found["films"], strict=True)) == expected.levels()


def test_decades_give_medians_of_known_money(catalogue: Any, expected: Independent) -> None:
    names = (
        "decade",
        "films",
        "budgets",
        "budget_median",
        "revenues",
        "revenue_median",
        "rois",
        "roi_median",
        "profitable",
    )
    assert_rows(catalogue.decades(), names, expected.decades())


def test_findings_are_counted(catalogue: Any, expected: Independent) -> None:
    assert {finding.name: finding.count for finding in catalogue.findings()} == expected.findings()


def test_training_films_are_those_with_popularity_and_rating(catalogue: Any, expected: Independent) -> None:
    rows = expected.rows("SELECT id, genres FROM f WHERE popularity IS NOT NULL AND rating IS NOT NULL ORDER BY id")
    found = catalogue.training_films(10_000)
    assert found["id"].tolist() == [movie_id for movie_id, _ in rows]
    assert [list(names) for names in found["genres"]] == [genres for _, genres in rows]


def test_a_limited_training_sample_is_a_fixed_lottery_by_the_hash_of_the_id(
    catalogue: Any, expected: Independent
) -> None:
    rows = expected.rows("""
        SELECT id FROM (SELECT id FROM f WHERE popularity IS NOT NULL AND rating IS NOT NULL
                        ORDER BY md5(id::VARCHAR) LIMIT 30) ORDER BY id""")
    assert catalogue.training_films(30)["id"].tolist() == [movie_id for (movie_id,) in rows]


def test_a_film_that_is_not_there_is_said_so(catalogue: Any) -> None:
    with pytest.raises(FilmNotFoundError, match="987654321"):
        catalogue.film(987654321)


def test_the_database_gives_its_films_back_as_the_messages_they_came_from(migrated_database: str) -> None:
    from movie_pipeline import messages

    sent = (film(1, cast=["A", "B"], cast_ids=[5, None]), film(2, genres=[], genre_ids=[], budget=None))
    load(migrated_database, sent)
    with PostgresCatalogue(migrated_database) as catalogue:
        found = {key: __import__("json").loads(value) for key, value in catalogue.messages(10)}
    for one in sent:
        given = {**found[one["id"]], "fetched_at": one["fetched_at"]}
        assert {name: given[name] for name in one} == one
    assert set(found[1]) >= {name for pair in messages.LISTS for name in pair}


def test_deleted_films_are_left_out_and_movers_come_from_the_history(migrated_database: str) -> None:
    import psycopg2

    load(migrated_database, tuple(film(number, title=f"T{number}") for number in range(1, 5)))
    connection = psycopg2.connect(migrated_database)
    with connection, connection.cursor() as cursor:
        cursor.execute("UPDATE movies SET deleted_at = now() WHERE id = 4")
        cursor.execute("INSERT INTO movie_history (movie_id, popularity) VALUES (1, 12), (2, 30), (2, 8), (4, 900)")
    connection.close()
    with PostgresCatalogue(migrated_database) as catalogue:
        assert catalogue.overview()["films"] == 3
        history = catalogue.history(5)
        assert history["title"].drop_duplicates().tolist() == ["T2", "T1"]
        assert history[history["id"] == 2]["popularity"].tolist() == [10.0, 30.0, 8.0]
        with pytest.raises(FilmNotFoundError):
            catalogue.film(4)
