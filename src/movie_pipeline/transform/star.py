"""From cleaned films to the rows of the warehouse, with the derived values."""

from itertools import product
from typing import Any

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
    pairs = [
        (index, genre, director)
        for index, (genres, directors) in enumerate(
            zip(_lists(films, "genres"), _lists(films, "directors"), strict=True)
        )
        for genre, director in product(genres or (None,), directors or (None,))
    ]
    rows = pa.array([index for index, _, _ in pairs], type=pa.int64())
    facts = pa.table({name: unwrapped(column) for name, column in derive(films).items()}).take(rows)
    data = {name: wrapped(facts[name].combine_chunks()) for name in facts.column_names}
    data["genre"] = wrapped(pa.array([genre for _, genre, _ in pairs], type=pa.string()))
    data["director"] = wrapped(pa.array([director for _, _, director in pairs], type=pa.string()))
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


def _lists(films: pd.DataFrame, name: str) -> list[list[str]]:
    lists: list[list[str]] = unwrapped(films[name]).to_pylist()
    return lists
