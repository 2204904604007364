"""Every published aggregate equals an independent computation over the raw messages, in both catalogues."""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysed import DATASETS, Independent, film, frame_catalogue, load, same
from conftest import new_database
from movie_pipeline.adapters.aggregates import PostgresCatalogue
from movie_pipeline.adapters.artifacts import RunStore
from movie_pipeline.errors import FilmNotFoundError
from movie_pipeline.jobs import analysis
from movie_pipeline.levels import POPULARITY, RATING
from movie_pipeline.model.learning import untrained
from movie_pipeline.report import charts, page
from movie_pipeline.report.page import RunFacts
from movie_pipeline.settings import Language
from movie_pipeline.texts import Texts

NOW = datetime(2026, 11, 23, tzinfo=UTC)


class Published:
    """What the charts, the page and the summary of a catalogue show, read back from them."""

    def __init__(self, catalogue: Any) -> None:
        analyst = analysis.Analyst(RunStore(Path()), Texts(Language.SPANISH), 0, lambda: NOW, ThreadPoolExecutor(1))
        facts = RunFacts("run", "report", "sample", degraded=False, at=NOW, seconds={}, versions={})
        numbers, model = analysis.gather(catalogue), untrained("-")
        self._drawn = analyst._figures(numbers, facts)
        self._content = analyst._content(facts, numbers, model, {})
        self.summary = page.summary(self._content, analyst.texts).decode()
        self._html = page.html(self._content, analyst.texts).decode()

    def table(self, key: str) -> list[list[Any]]:
        """Return the values that a table is sorted by, which stand beside their rounded texts."""
        (table,) = [table for table in self._content.tables if table.key == key]
        return [[cell.order for cell in row] for row in table.rows]

    def bars(self, chart: str) -> list[float]:
        """Return the lengths of a chart's bars, panel by panel."""
        return [bar.get_width() for axes in self._drawn[chart].axes for bar in axes.patches]

    def dots(self, chart: str) -> list[float]:
        """Return the places of a chart's dots."""
        from matplotlib.collections import PathCollection

        found = [one for axes in self._drawn[chart].axes for one in axes.collections if isinstance(one, PathCollection)]
        return [float(place) for one in found for place in one.get_offsets()[:, 0]]

    def key_figures(self) -> list[str]:
        return re.findall(r"<dd>(.*?)</dd>", self._html)


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
    names = ("films", "budgets", "revenues", "rois", "profitable", "rated", "measured", "revenue")
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


@pytest.fixture(scope="module")
def published(catalogue: Any) -> Published:
    return Published(catalogue)


def test_tables_show_what_was_computed_independently(published: Published, expected: Independent) -> None:
    assert_shown(published.table("films"), expected.top_table(analysis.TABLE_FILMS))
    group = [
        0,
        1,
        3,
        6,
        7,
        11,
        12,
        13,
    ]  # name, films, median popularity, rated, mean rating, ROIs, median ROI, profitable
    genres = [[row[place] for place in group] for row in expected.genres()]
    assert_shown(published.table("genres"), [[Texts(Language.SPANISH).genre(row[0]), *row[1:]] for row in genres])
    directors = expected.directors(analysis.TOP_DIRECTORS, analysis.DIRECTOR_FILMS)
    shown = published.table("directors")
    assert_shown([row[1:] for row in shown], [[row[place] for place in group[1:]] for row in directors])
    decades = [
        (decade, films, millions(budget), millions(revenue), rois, roi, profitable)
        for decade, films, _, budget, _, revenue, rois, roi, profitable in expected.decades()
    ]
    assert_shown(published.table("decades"), decades)


def millions(dollars: float | None) -> float | None:
    return None if dollars is None else dollars / 1e6


def assert_shown(shown: list[list[Any]], wanted: Sequence[Sequence[Any]]) -> None:
    assert len(shown) == len(wanted)
    for got, row in zip(shown, wanted, strict=True):
        assert all(same(a, b) for a, b in zip(got, row, strict=True)), (got, row)


def test_charts_draw_what_was_computed_independently(published: Published, expected: Independent) -> None:
    top = expected.top_films(analysis.TOP_FILMS)
    assert published.bars(charts.TOP) == pytest.approx([popularity for _, popularity, *_ in top])
    large_first = sorted(expected.genres(), key=lambda row: row[1] < 30)
    assert published.bars(charts.GENRES) == pytest.approx([row[1] for row in large_first])
    assert published.dots(charts.GENRES) == pytest.approx([row[3] for row in large_first], nan_ok=True)
    rated = sorted((row for row in expected.genres() if row[6]), key=lambda row: (row[6] < 30, -row[7], row[0]))
    assert published.dots(charts.RATINGS) == pytest.approx([row[7] for row in rated])
    levels = expected.levels()
    decades = [row for row in expected.decades() if row[2] or row[4]]
    profits = [row for row in decades if row[6]][-8:]
    if levels:
        assert published.bars(charts.WAREHOUSE) == pytest.approx([
            *(sum(n for (level, _), n in levels.items() if level == name) for name in (*POPULARITY.labels, None)),
            *(sum(n for (_, level), n in levels.items() if level == name) for name in (*RATING.labels, None)),
            *(profitable / rois for *_, rois, _, profitable in profits),
            *((row[3] or 0) / 1e6 for row in decades[-8:]),
            *((row[5] or 0) / 1e6 for row in decades[-8:]),
        ])  # fmt: skip


def span(first: Any, last: Any) -> str:
    return "–" if first is None else "–".join(dict.fromkeys([str(first.year), str(last.year)]))


def test_key_figures_and_sentences_say_what_was_computed_independently(
    published: Published, expected: Independent
) -> None:
    texts = Texts(Language.SPANISH)
    films, budgets, revenues, rois, profitable, rated, _, revenue, first, last, quantiles = expected.overview()
    figures = [texts.number(films), texts.number(rated), texts.number(rois), texts.number((revenue or 0) / 1e9, 1)]
    figures += [texts.number(quantiles[2], 1) if quantiles else "–", span(first, last)]
    assert published.key_figures() == figures
    said = published.summary
    if rois:
        share = texts.percent(profitable / rois, 1)
        assert f"De las {texts.number(rois)} películas" in said
        assert f"{texts.number(profitable)} ({share}) ingresaron más" in said
    if films:
        unknown = [texts.percent((films - known) / films, 1) for known in (budgets, revenues)]
        assert f"se desconoce en el {unknown[0]} de las películas y los ingresos en el {unknown[1]}" in said
    popular = expected.first_genre("median(popularity)", "popularity", 30)
    loved = expected.first_genre("avg(rating)", "rating", 30)
    assert ("El género de popularidad" in said) == bool(popular and loved)
    if popular and loved:
        assert (
            f"{texts.genre(popular[0])} ({texts.number(popular[1], 1)}; n = {texts.number(popular[2])}); el de" in said
        )
        assert f"{texts.genre(loved[0])} ({texts.number(loved[1], 2)}; n = {texts.number(loved[2])})." in said
    for name, count in expected.findings().items():
        assert f"  {texts[f'finding_{name}']}: {texts.number(count)}" in said


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


def test_a_measurement_is_ranked_in_the_load_of_its_day(migrated_database: str) -> None:
    import duckdb
    import psycopg2

    load(migrated_database, tuple(film(number, popularity=float(number % 40)) for number in range(1, 81)))
    connection = psycopg2.connect(migrated_database)
    with connection, connection.cursor() as cursor:
        cursor.execute("""
            INSERT INTO movie_history (movie_id, popularity, data_date)
            SELECT id, CASE WHEN id % 9 > 0 THEN (id * 7 % 50)::float8 END, timestamp '2030-01-05 23:30' FROM movies
            UNION ALL SELECT id, 1000 + id, timestamp '2030-01-06 00:10' FROM movies WHERE id < 20""")
        cursor.execute("SELECT movie_id, popularity, data_date::text FROM movie_history")
        raw = pd.DataFrame(cursor.fetchall(), columns=["film", "popularity", "at"])
    connection.close()
    independent = duckdb.connect()
    independent.register("raw", raw)
    with PostgresCatalogue(migrated_database) as catalogue:
        found = catalogue.history(6)
    rows = independent.execute("""
        SELECT a.film, a.at, 100.0 * count(*) FILTER (WHERE b.popularity <= a.popularity) / count(*)
        FROM raw a JOIN raw b ON a.at::TIMESTAMP::DATE = b.at::TIMESTAMP::DATE AND b.popularity IS NOT NULL
        WHERE a.popularity IS NOT NULL GROUP BY 1, 2 HAVING count(*) >= 30""").fetchall()
    wanted = {(key, at): percentile for key, at, percentile in rows}
    assert len(found) == 18
    assert found["percentile"].isna().sum() >= 6  # the third day's load is too small to rank anything
    for row in found.itertuples():
        assert same(row.percentile, wanted.get((row.id, str(row.data_date))))


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
