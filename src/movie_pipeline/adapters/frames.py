"""The catalogue over films in memory: what the DAG's alternative path draws from when PostgreSQL is not the source.

Every figure is the one that `queries` defines; one contract suite holds the two together.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from movie_pipeline import quality
from movie_pipeline.errors import FilmNotFoundError
from movie_pipeline.ports import Finding
from movie_pipeline.transform.plain import LISTS, plain

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
TRAINING_COLUMNS = (
    "id", "title", "release_date", "runtime", "budget", "revenue", "popularity", "vote_average", "vote_count",
    "original_language", *LISTS,
)  # fmt: skip


class FrameCatalogue:
    """Films as `transform.clean` returns them, all of them live and loaded once; see `ports.Catalogue`."""

    def __init__(self, films: pd.DataFrame, source: str, corrections: Iterable[tuple[str, int]] = ()) -> None:
        self.source = source
        self._films = plain(films)
        self._corrections = [Finding(name, count) for name, count in sorted(corrections)]

    def overview(self) -> dict[str, Any]:
        """Return key figures."""
        films = self._films
        quantiles = films["popularity"].dropna().quantile(list(QUANTILES)).tolist()
        released = films["release_date"].dropna()
        return {
            "films": len(films),
            "budgets": int(films["budget"].count()),
            "revenues": int(films["revenue"].count()),
            "rois": int(films["roi"].count()),
            "profitable": int(films["profitable"].sum()),
            "rated": int(films["vote_average"].count()),
            "measured": int(films["popularity"].count()),
            "revenue": float(films["revenue"].sum()) if films["revenue"].count() else None,
            "first_release": released.min().date() if len(released) else None,
            "last_release": released.max().date() if len(released) else None,
            "fetched_at": films["fetched_at"].max() if len(films) else None,
            "popularity": None if films["popularity"].count() == 0 else quantiles,
        }

    def top_films(self, limit: int) -> pd.DataFrame:
        """Return the most popular films; ties by id."""
        films = self._films.dropna(subset="popularity")
        films = films.assign(percentile=100 * films["popularity"].rank(method="max", pct=True))
        ordered = films.sort_values(["popularity", "id"], ascending=[False, True]).head(limit)
        names = [
            "id",
            "title",
            "release_date",
            "release_year",
            "popularity",
            "percentile",
            "vote_average",
            "vote_count",
            "roi",
        ]
        return ordered[names].reset_index(drop=True)

    def genres(self) -> pd.DataFrame:
        """Return the figures of each genre name."""
        members = self._films.explode("genres").dropna(subset="genres").drop_duplicates(["id", "genres"])
        table = _figures(members, ["genres"]).rename(columns={"genres": "genre"})
        return table.sort_values(["films", "genre"], ascending=[False, True], ignore_index=True)

    def directors(self, limit: int, min_films: int) -> pd.DataFrame:
        """Return the figures of prolific directors."""
        pairs = self._films.explode(["director_ids", "directors"]).dropna(subset="director_ids")
        names = pairs.groupby("director_ids")["directors"].first()
        table = _figures(pairs, ["director_ids"]).rename(columns={"director_ids": "id"})
        table.insert(1, "director", table["id"].map(names))
        table = table[table["films"] >= min_films]
        ordered = table.sort_values(["popularity_median", "id"], ascending=[False, True], na_position="last")
        return ordered.head(limit).reset_index(drop=True)

    def levels(self) -> pd.DataFrame:
        """Return films by both levels."""
        names = ["popularity_level", "rating_level"]
        return self._films.groupby(names, dropna=False).size().rename("films").reset_index()

    def decades(self) -> pd.DataFrame:
        """Return the figures of each decade of release, oldest first."""
        dated = self._films.dropna(subset="release_year")
        groups = dated.assign(decade=dated["release_year"] // 10 * 10).groupby("decade")
        return groups.agg(
            films=("id", "size"),
            budgets=("budget", "count"),
            budget_median=("budget", "median"),
            revenues=("revenue", "count"),
            revenue_median=("revenue", "median"),
            rois=("roi", "count"),
            roi_median=("roi", "median"),
            profitable=("profitable", "sum"),
        ).reset_index()

    def history(self, limit: int) -> pd.DataFrame:
        """Return nothing: one load in memory has no past."""
        return pd.DataFrame({name: [] for name in ("id", "title", "data_date", "popularity", "percentile")}).head(limit)

    def findings(self) -> list[Finding]:
        """Count `quality.CATALOGUE_FINDINGS`."""
        counts = {name: int(rule(self._films).sum()) for name, rule in _RULES.items()}
        details: dict[str, str | None] = {quality.UNKNOWN_GENRE: ", ".join(self._unknown_genres()) or None}
        shared = self._people().groupby("name")["id"].nunique()
        counts[quality.NAMESAKES], details[quality.NAMESAKES] = int((shared > 1).sum()), _most(shared)
        titles = self._films["title"].value_counts()
        counts[quality.SAME_TITLE], details[quality.SAME_TITLE] = int(titles[titles > 1].sum()), _most(titles)
        return [Finding(name, counts[name], details.get(name)) for name in quality.CATALOGUE_FINDINGS]

    def corrections(self) -> list[Finding]:
        """Return what cleaning these films had to correct."""
        return self._corrections

    def training_films(self, limit: int) -> pd.DataFrame:
        """Return at most `limit` films; of more, those with the smallest md5(id)."""
        known = self._films.dropna(subset=["popularity", "vote_average"])
        if len(known) > limit:
            lots = known["id"].map(
                lambda movie_id: hashlib.md5(str(movie_id).encode(), usedforsecurity=False).hexdigest()
            )
            known = known.assign(lot=lots).sort_values(["lot", "id"]).head(limit)
        return known.sort_values("id")[list(TRAINING_COLUMNS)].reset_index(drop=True)

    def film(self, movie_id: int) -> pd.DataFrame:
        """Return one film; FilmNotFoundError when it is not among these."""
        found = self._films[self._films["id"] == movie_id]
        if found.empty:
            raise FilmNotFoundError(f"film {movie_id}: not among the {len(self._films)} films at hand; give another id")
        return found[list(TRAINING_COLUMNS)].reset_index(drop=True)

    def _unknown_genres(self) -> list[str]:
        pairs = self._films.explode(["genre_ids", "genres"]).dropna(subset="genre_ids")
        return sorted(set(pairs.loc[~pairs["genre_ids"].isin(quality.TMDB_GENRES), "genres"]))

    def _people(self) -> pd.DataFrame:
        """Return (id, name) of people known by id, the name of the last film that gave one."""
        pairs = pd.concat(
            self._films[[ids, names, "fetched_at"]].explode([ids, names]).set_axis(["id", "name", "at"], axis=1)
            for names, ids in (("directors", "director_ids"), ("cast", "cast_ids"))
        ).dropna(subset="id")
        known = pairs[pairs["id"].astype("int64") > 0].sort_values("at", kind="stable")
        return known.drop_duplicates("id", keep="last")


def _figures(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    groups = rows.groupby(by)
    table = groups.agg(
        films=("id", "size"),
        measured=("popularity", "count"),
        popularity_median=("popularity", "median"),
        rated=("vote_average", "count"),
        rating_mean=("vote_average", "mean"),
        rating_median=("vote_average", "median"),
        rois=("roi", "count"),
        roi_median=("roi", "median"),
        profitable=("profitable", "sum"),
    )
    for name, column, share in (
        ("popularity_q1", "popularity", 0.25),
        ("popularity_q3", "popularity", 0.75),
        ("rating_q1", "vote_average", 0.25),
        ("rating_q3", "vote_average", 0.75),
    ):
        table[name] = groups[column].quantile(share)
    return table.reset_index()


def _most(counts: "pd.Series[Any]") -> str | None:
    """Return the name that is shared most, the first by code points among equals."""
    shared = counts[counts > 1]
    return min(shared.index, key=lambda name: (-shared[name], name)) if len(shared) else None


def _implausible(films: pd.DataFrame) -> "pd.Series[bool]":
    year, latest = films["release_year"], films["fetched_at"].dt.year + quality.YEARS_AHEAD
    return (year < quality.FIRST_FILM_YEAR) | (year > latest)


def _none_of(name: str) -> Callable[[pd.DataFrame], "pd.Series[bool]"]:
    return lambda films: films[name].map(len) == 0


_RULES: dict[str, Callable[[pd.DataFrame], "pd.Series[bool]"]] = {
    quality.UNKNOWN_BUDGET: lambda films: films["budget"].isna(),
    quality.UNKNOWN_REVENUE: lambda films: films["revenue"].isna(),
    quality.MONEY_IN_MILLIONS: lambda films: (
        (films["budget"] < quality.MILLIONS_BELOW) | (films["revenue"] < quality.MILLIONS_BELOW)
    ),
    quality.UNKNOWN_DATE: lambda films: films["release_date"].isna(),
    quality.IMPLAUSIBLE_DATE: _implausible,
    quality.UNRATED: lambda films: films["vote_average"].isna(),
    quality.NO_GENRE: _none_of("genres"),
    quality.NO_DIRECTOR: _none_of("directors"),
    quality.NO_CAST: _none_of("cast"),
    quality.NO_COMPANY: _none_of("production_companies"),
    quality.UNKNOWN_GENRE: lambda films: films["genre_ids"].map(lambda ids: not quality.TMDB_GENRES.issuperset(ids)),
}
