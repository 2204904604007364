"""The charts' names, their titles, and what they say for those who cannot see them."""

from collections.abc import Sequence

import pandas as pd

from movie_pipeline.levels import POPULARITY, RATING
from movie_pipeline.texts import Texts

TOP, GENRES, RATINGS, WAREHOUSE, IMPORTANCE, TRENDS = (
    "top_películas_popularidad",
    "generos_populares",
    "generos_valoracion",
    "analisis_warehouse",
    "feature_importance",
    "tendencias_popularidad",
)
"""The seed's names of the pictures, and one of ours for the trends."""

TITLES = {
    TOP: "top_films",
    GENRES: "popular_genres",
    RATINGS: "genre_rating",
    WAREHOUSE: "warehouse",
    IMPORTANCE: "importance",
    TRENDS: "trends",
}


def title(name: str, texts: Texts) -> str:
    """Return a chart's title."""
    return texts[TITLES[name]]


def described(
    *,
    films: pd.DataFrame,
    genres: pd.DataFrame,
    levels: pd.DataFrame,
    history: pd.DataFrame,
    texts: Texts,
    small_group: int,
) -> dict[str, str]:
    """Return what each chart of the catalogue's frames says, by its name; small groups are not called first."""
    return {
        TOP: _list(films.head(3), "title", "popularity", texts),
        GENRES: _list(_named(genres.head(3), texts), "genre", "films", texts),
        RATINGS: _list(_named(_well_rated(genres, small_group), texts), "genre", "rating_mean", texts),
        WAREHOUSE: "; ".join(
            f"{texts[panel]}: {_levels(levels, column, labels, texts)}"
            for panel, column, labels in (
                ("by_popularity", "popularity_level", POPULARITY.labels),
                ("by_rating", "rating_level", RATING.labels),
            )
        ),
        TRENDS: ", ".join(dict.fromkeys(history["title"])),
    }


def described_importance(importance: pd.DataFrame, texts: Texts) -> str:
    """Return what the chart of a feature set's importances says."""
    named = importance.head(3)
    named = named.assign(feature=named["feature"].map(lambda feature: texts[f"feature_{feature}"]))
    return _list(named, "feature", "importance", texts)


def _levels(counts: pd.DataFrame, column: str, labels: Sequence[str], texts: Texts) -> str:
    films = counts.groupby(column)["films"].sum()
    return ", ".join(f"{texts[label]} ({texts.number(int(films.get(label, 0)))})" for label in labels)


def _named(genres: pd.DataFrame, texts: Texts) -> pd.DataFrame:
    return genres.assign(genre=genres["genre"].map(texts.genre))


def _well_rated(genres: pd.DataFrame, small_group: int) -> pd.DataFrame:
    return genres[genres["rated"] >= small_group].sort_values("rating_mean", ascending=False).head(3)


def _list(frame: pd.DataFrame, name: str, value: str, texts: Texts) -> str:
    first = texts.choose("Primero: ", "First: ")
    pairs = [
        f"{label} ({texts.number(number, 0 if float(number).is_integer() else 2)})"
        for label, number in zip(frame[name], frame[value], strict=True)
    ]
    return first + ", ".join(pairs) if pairs else texts["no_data"]
