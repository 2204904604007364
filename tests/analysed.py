"""Films for the analysis tests: messages, a database loaded from them, and the published figures computed anew.

`Independent` knows nothing of our cleaning or SQL: DuckDB reads the raw messages and applies the contract's rules.
"""

import gzip
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from movie_pipeline import messages
from movie_pipeline.messages import OffsetRange, Record

NOW_MS = 1_800_000_000_000
SAMPLE = Path(__file__).parents[1] / "src/movie_pipeline/sample_api/data/movies.jsonl.gz"
GENRES = {28: "Action", 18: "Drama", 35: "Comedy", 10769: "Foreign", 99999: "Drama", 27: "Horror"}
"""Two ids are called Drama, and two ids are not TMDB's."""


def film(movie_id: int, **fields: Any) -> dict[str, Any]:
    """Return a message with ordinary values, but for the fields given."""
    return {
        "id": movie_id,
        "title": f"Film {movie_id}",
        "release_date": "2001-05-04",
        "popularity": 10.0,
        "vote_average": 6.0,
        "vote_count": 100,
        "budget": 1_000_000,
        "revenue": 3_000_000,
        "runtime": 100,
        "original_language": "en",
        "genres": ["Drama"],
        "genre_ids": [18],
        "production_companies": ["Company"],
        "production_company_ids": [1],
        "directors": ["Director"],
        "director_ids": [1],
        "cast": ["Actor"],
        "cast_ids": [2],
        "schema_version": 1,
        "fetched_at": "2026-11-01T00:00:00Z",
        **fields,
    }


@cache
def sample() -> tuple[dict[str, Any], ...]:
    """Return the 4,803 packaged films as messages."""
    with gzip.open(SAMPLE, "rt", encoding="utf-8") as lines:
        return tuple(messages.build(json.loads(line), fetched_at=messages.SAMPLE_FETCHED_AT) for line in lines)


@cache
def adversarial(count: int = 240, seed: int = 7) -> tuple[dict[str, Any], ...]:
    """Return films with what bites: 3 genres x 2 directors, ties, NULLs, namesakes, borders, no links at all."""
    chance = random.Random(seed)
    return tuple(_awkward(number, chance) for number in range(1, count + 1))


def _awkward(number: int, chance: random.Random) -> dict[str, Any]:
    genre_ids = chance.sample(sorted(GENRES), chance.choice((0, 1, 3, 3)))
    director_ids = chance.sample(range(1, 9), chance.choice((0, 1, 2, 2)))
    cast_ids = chance.sample(range(20, 60), chance.choice((0, 1, 4)))
    votes = chance.choice((0, 3, 500))
    return film(
        number,
        title=chance.choice(("The Host", f"Film {number}")),
        release_date=chance.choice((None, "", "1873-01-01", "1999-12-31", "2000-01-01", "2016-02-29", "2040-01-01")),
        popularity=chance.choice((None, 0.0, 5.0, 10.0, 20.0, 20.0, 7.25, 300.5)),
        vote_average=chance.choice((4.0, 6.0, 8.0, 7.3)) if votes else 0.0,
        vote_count=votes,
        budget=chance.choice((0, None, 5, 1_000, 2_000_000)),
        revenue=chance.choice((0, None, 700, 1_000, 3_000_000_000)),
        runtime=chance.choice((0, None, 90)),
        original_language=chance.choice((None, "en", "es")),
        genres=[GENRES[key] for key in genre_ids],
        genre_ids=genre_ids,
        directors=[f"Director {key % 5}" for key in director_ids],
        director_ids=director_ids,
        cast=[f"Person {key % 20}" for key in cast_ids],
        cast_ids=cast_ids,
        production_companies=[],
        production_company_ids=[],
    )


DATASETS = {
    "sample": sample,
    "adversarial": adversarial,
    "no known money": lambda: tuple({**one, "budget": 0, "revenue": None} for one in adversarial()),
    "one class": lambda: tuple(film(number) for number in range(1, 81)),
    "empty": tuple,
}


def records(films: "tuple[dict[str, Any], ...]", topic: str = "films") -> list[Record]:
    """Return messages as records of one partition."""
    return [
        Record(topic, 0, offset, NOW_MS, messages.key_of(one["id"]), messages.encode(one))
        for offset, one in enumerate(films)
    ]


def load(dsn: str, films: "tuple[dict[str, Any], ...]") -> None:
    """Load messages with the product's own loader."""
    from movie_pipeline.adapters.loader import Loader
    from movie_pipeline.adapters.offsets import PostgresOffsets
    from movie_pipeline.transform.batch import prepare

    PostgresOffsets(dsn).begin("films", 0, 0, None)
    loader = Loader(dsn, run_id="test", send_dead_letters=_none_expected)
    try:
        loader.load(loader.stage(prepare(OffsetRange("films", 0, 0, len(films)), records(films))))
    finally:
        loader.close()


def _none_expected(letters: Any) -> None:
    raise AssertionError(letters)


def frame_catalogue(films: "tuple[dict[str, Any], ...]") -> Any:
    """Return the catalogue in memory over messages."""
    from movie_pipeline.adapters.frames import FrameCatalogue
    from movie_pipeline.transform.clean import clean
    from movie_pipeline.transform.frames import decoded

    cleaned, findings = clean(decoded([messages.decode(record) for record in records(films)]))
    return FrameCatalogue(cleaned, "sample", findings.items())


class Independent:
    """The published figures from raw messages, by DuckDB."""

    def __init__(self, films: "tuple[dict[str, Any], ...]", folder: Path) -> None:
        path = folder / "messages.jsonl"
        path.write_text("\n".join(json.dumps(one) for one in films or (film(1),)), encoding="utf-8")
        self._db = duckdb.connect()
        self._db.execute(f"""
            CREATE TABLE f AS SELECT id, title, NULLIF(budget, 0) AS budget, NULLIF(revenue, 0) AS revenue,
                popularity, CASE WHEN vote_count > 0 THEN vote_average END AS rating, vote_count,
                TRY_CAST(NULLIF(release_date, '') AS DATE) AS released, genres, genre_ids, directors, director_ids,
                "cast", cast_ids, production_companies AS companies,
                CASE WHEN budget > 0 AND revenue > 0 THEN (revenue - budget)::DOUBLE / budget END AS roi,
                fetched_at::TIMESTAMPTZ AS fetched_at
            FROM read_json('{path}', format='newline_delimited', columns={{
                id: 'BIGINT', title: 'VARCHAR', budget: 'BIGINT', revenue: 'BIGINT', popularity: 'DOUBLE',
                vote_average: 'DOUBLE', vote_count: 'BIGINT', release_date: 'VARCHAR', genres: 'VARCHAR[]',
                genre_ids: 'BIGINT[]', directors: 'VARCHAR[]', director_ids: 'BIGINT[]', "cast": 'VARCHAR[]',
                cast_ids: 'BIGINT[]', production_companies: 'VARCHAR[]', fetched_at: 'VARCHAR'}})
            WHERE {"true" if films else "false"}
        """)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query over `f`."""
        return self._db.execute(query).fetchall()

    GROUP = """count(*), count(popularity), median(popularity), quantile_cont(popularity, 0.25),
        quantile_cont(popularity, 0.75), count(rating), avg(rating), quantile_cont(rating, 0.25), median(rating),
        quantile_cont(rating, 0.75), count(roi), median(roi), count(*) FILTER (WHERE roi > 0)"""
    GROUP_NAMES = (
        "films", "measured", "popularity_median", "popularity_q1", "popularity_q3", "rated", "rating_mean", "rating_q1",
        "rating_median", "rating_q3", "rois", "roi_median", "profitable",
    )  # fmt: skip

    def genres(self) -> list[tuple[Any, ...]]:
        """Return name and figures of each genre, most films first."""
        return self.rows(f"""
            SELECT g, {self.GROUP} FROM (SELECT DISTINCT id, unnest(genres) AS g FROM f) m JOIN f USING (id)
            GROUP BY g ORDER BY count(*) DESC, encode(g)""")

    def directors(self, limit: int, at_least: int) -> list[tuple[Any, ...]]:
        """Return id and figures of directors, by median popularity."""
        return self.rows(f"""
            SELECT d, {self.GROUP} FROM (SELECT DISTINCT id, unnest(director_ids) AS d FROM f) m JOIN f USING (id)
            GROUP BY d HAVING count(*) >= {at_least}
            ORDER BY median(popularity) DESC NULLS LAST, d LIMIT {limit}""")

    def top_films(self, limit: int) -> list[tuple[Any, ...]]:
        """Return id, popularity, percentile and ROI of the most popular films."""
        return self.rows(f"""
            SELECT id, popularity, 100.0 * (SELECT count(*) FROM f AS o WHERE o.popularity <= f.popularity)
                   / (SELECT count(popularity) FROM f), roi
            FROM f WHERE popularity IS NOT NULL ORDER BY popularity DESC, id LIMIT {limit}""")

    def levels(self) -> dict[tuple[Any, Any], int]:
        """Return films by both levels, with the contract's borders written out."""
        return {
            (popular, rated): films
            for popular, rated, films in self.rows("""
            SELECT CASE WHEN popularity > 20 THEN 'Alta' WHEN popularity > 10 THEN 'Media' WHEN popularity > 5
                        THEN 'Baja'
                        WHEN popularity IS NOT NULL THEN 'Muy Baja' END,
                   CASE WHEN rating >= 8 THEN 'Excelente' WHEN rating >= 6 THEN 'Buena' WHEN rating >= 4 THEN 'Regular'
                        WHEN rating IS NOT NULL THEN 'Mala' END, count(*)
            FROM f GROUP BY 1, 2""")
        }

    def decades(self) -> list[tuple[Any, ...]]:
        """Return decade, films and money, oldest first."""
        return self.rows("""
            SELECT year(released) // 10 * 10 AS d, count(*), count(budget), median(budget), count(revenue),
                   median(revenue), count(roi), median(roi), count(*) FILTER (WHERE roi > 0)
            FROM f WHERE released IS NOT NULL GROUP BY 1 ORDER BY 1""")

    def overview(self) -> tuple[Any, ...]:
        """Return counts, sum, span and quantiles."""
        return self.rows("""
            SELECT count(*), count(budget), count(revenue), count(roi), count(*) FILTER (WHERE roi > 0), count(rating),
                   count(popularity),
                   sum(revenue)::DOUBLE, min(released), max(released),
                   quantile_cont(popularity, [0.1, 0.25, 0.5, 0.75, 0.9, 0.99]) FROM f""")[0]

    def top_table(self, limit: int) -> list[tuple[Any, ...]]:
        """Return what the table of the most popular films shows."""
        return self.rows(f"""
            SELECT title, year(released), popularity,
                   100.0 * (SELECT count(*) FROM f AS o WHERE o.popularity <= f.popularity)
                   / (SELECT count(popularity) FROM f), rating, vote_count, roi
            FROM f WHERE popularity IS NOT NULL ORDER BY popularity DESC, id LIMIT {limit}""")

    def first_genre(self, figure: str, known: str, at_least: int) -> tuple[Any, ...] | None:
        """Return name, figure and n of the genre with the highest figure among those with enough known values."""
        found = self.rows(f"""
            SELECT g, {figure}, count({known}) FROM (SELECT DISTINCT id, unnest(genres) AS g FROM f) m JOIN f USING (id)
            GROUP BY g HAVING count({known}) >= {at_least} ORDER BY 2 DESC, encode(g) LIMIT 1""")
        return found[0] if found else None

    def findings(self) -> dict[str, int]:
        """Return the counted findings."""
        known = "[12,14,16,18,27,28,35,36,37,53,80,99,878,9648,10402,10749,10751,10752,10770]"
        counts = self.rows(f"""
            SELECT count(*) FILTER (WHERE budget IS NULL) AS unknown_budget,
                   count(*) FILTER (WHERE revenue IS NULL) AS unknown_revenue,
                   count(*) FILTER (WHERE budget < 1000 OR revenue < 1000) AS money_in_millions,
                   count(*) FILTER (WHERE released IS NULL) AS unknown_release_date,
                   count(*) FILTER (WHERE year(released) < 1874 OR year(released) > year(fetched_at) + 10)
                       AS implausible_release_date,
                   count(*) FILTER (WHERE rating IS NULL) AS unrated,
                   count(*) FILTER (WHERE len(genres) = 0) AS no_genre,
                   count(*) FILTER (WHERE len(directors) = 0) AS no_director,
                   count(*) FILTER (WHERE len("cast") = 0) AS no_cast,
                   count(*) FILTER (WHERE len(companies) = 0) AS no_company,
                   count(*) FILTER (WHERE len(list_filter(genre_ids, lambda g: NOT list_contains({known}, g))) > 0)
                       AS unknown_genre
            FROM f""")[0]
        names = ("unknown_budget", "unknown_revenue", "money_in_millions", "unknown_release_date",
                 "implausible_release_date", "unrated", "no_genre", "no_director", "no_cast", "no_company",
                 "unknown_genre")  # fmt: skip
        namesakes = self.rows("""
            SELECT count(*) FROM (SELECT name FROM (
                SELECT unnest(director_ids) AS id, unnest(directors) AS name FROM f
                UNION SELECT unnest(cast_ids), unnest("cast") FROM f) GROUP BY name HAVING count(DISTINCT id) > 1)""")
        titles = self.rows(
            "SELECT coalesce(sum(n), 0)::INT FROM (SELECT count(*) AS n FROM f GROUP BY title HAVING n > 1)"
        )
        return dict(zip(names, counts, strict=True)) | {"namesakes": namesakes[0][0], "same_title": titles[0][0]}


def same(left: Any, right: Any) -> bool:
    """Tell whether two values agree: unknown with unknown, numbers to twelve digits."""
    if _unknown(left) or _unknown(right):
        return _unknown(left) and _unknown(right)
    if isinstance(left, str) or isinstance(right, str):
        return left == right
    return abs(float(left) - float(right)) <= 1e-12 * max(1.0, abs(float(right)))


def _unknown(value: Any) -> bool:
    return bool(value is None or pd.isna(value))
