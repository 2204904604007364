"""From cleaned films to the rows of the warehouse, with the derived values."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from movie_pipeline.levels import POPULARITY, RATING, Levels
from movie_pipeline.transform.frames import unwrapped, wrapped

WAREHOUSE_COLUMNS = (
    "tmdb_id", "title", "release_date", "release_year", "genre", "budget", "revenue", "runtime", "director",
    "popularity", "vote_average", "vote_count", "roi", "popularity_level", "rating_level", "is_profitable",
)  # fmt: skip


def star(films: pd.DataFrame) -> pd.DataFrame:
    """Return the warehouse rows of cleaned films: one for each film x genre x director.

    A film without genre or director keeps its row with NULL there. Columns as in `WAREHOUSE_COLUMNS`.
    """
    genres, directors = unwrapped(films["genres"]), unwrapped(films["directors"])
    genre_counts, director_counts = _counts(genres), _counts(directors)
    rows_of = np.maximum(genre_counts, 1) * np.maximum(director_counts, 1)
    film = np.repeat(np.arange(len(films)), rows_of)
    place = np.arange(len(film)) - np.repeat(np.cumsum(rows_of) - rows_of, rows_of)
    genre, director = np.divmod(place, np.maximum(director_counts, 1)[film])
    facts = pa.table({name: unwrapped(column) for name, column in derive(films).items()}).take(pa.array(film))
    data = {name: wrapped(facts[name].combine_chunks()) for name in facts.column_names}
    data["genre"] = wrapped(_picked(genres, genre_counts, film, genre))
    data["director"] = wrapped(_picked(directors, director_counts, film, director))
    return pd.DataFrame({name: data[name] for name in WAREHOUSE_COLUMNS}, copy=False)


def derive(films: pd.DataFrame) -> pd.DataFrame:
    """Return one row a film with the warehouse's values: the facts as they are, and what is computed of them."""
    released = unwrapped(films["release_date"])
    budget, revenue = unwrapped(films["budget"]), unwrapped(films["revenue"])
    roi = pc.divide(
        pc.cast(pc.subtract(revenue, budget), pa.float64(), safe=False), pc.cast(budget, pa.float64(), safe=False)
    )
    values: dict[str, Any] = {
        "tmdb_id": unwrapped(films["id"]),
        "title": unwrapped(films["title"]),
        "release_date": pc.cast(released, pa.string()),
        "release_year": pc.year(released),
        "budget": budget,
        "revenue": revenue,
        **{name: unwrapped(films[name]) for name in ("runtime", "popularity", "vote_average", "vote_count")},
        "roi": roi,
        "popularity_level": _labels(unwrapped(films["popularity"]), POPULARITY),
        "rating_level": _labels(unwrapped(films["vote_average"]), RATING),
        "is_profitable": pc.greater(roi, 0.0),
    }
    return pd.DataFrame({name: wrapped(value) for name, value in values.items()}, copy=False)


def _labels(values: Any, levels: Levels) -> Any:
    """The same as `Levels.label`, for a whole column."""
    passes = pc.greater_equal if levels.includes_bound else pc.greater
    labels = pa.scalar(levels.lowest)
    for bound, label in reversed(levels.bounds):
        labels = pc.if_else(passes(values, float(bound)), label, labels)
    return pc.if_else(pc.is_valid(values), labels, pa.scalar(None, pa.string()))


def _counts(lists: Any) -> Any:
    return np.asarray(lists.value_lengths(), dtype=np.int64)


def _picked(lists: Any, counts: Any, film: Any, place: Any) -> Any:
    """One item for each row: that of the film's list at that place, NULL where the list is empty."""
    starts = np.cumsum(counts) - counts
    return lists.flatten().take(pa.array(starts[film] + place, mask=counts[film] == 0))
