"""What the model sees of a film.

The target is `0.7 * popularity + 0.3 * (vote_average * 10)`. Neither part, nor a level made from one, is a
feature: `frame` does not read those columns at all.
"""

from enum import StrEnum
from typing import NamedTuple

import pandas as pd

POPULARITY_WEIGHT, RATING_WEIGHT = 0.7, 0.3
TARGET_TEXT = "0.7 * popularity + 0.3 * (vote_average * 10)"
NOTHING = "-"
"""Stands for an absent person, company, language or genre: absence may tell something too."""
SEPARATOR = "|"
LEADS = ("lead_1", "lead_2", "lead_3")


class FeatureSet(StrEnum):
    """Which features a model uses."""

    SEED = "seed"
    PRE_RELEASE = "pre_release"


class Features(NamedTuple):
    """Columns of a feature set, by how they are prepared."""

    numbers: tuple[str, ...]
    labels: tuple[str, ...]
    bags: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All columns in the model's order."""
        return (*self.numbers, *self.bags, *self.labels)


_KNOWN_BEFORE = ("budget", "runtime", "release_year", "release_month", "companies", "cast_size")
_LABELS = ("director", "company", *LEADS, "language")
FEATURE_SETS: dict[FeatureSet, Features] = {
    FeatureSet.SEED: Features((*_KNOWN_BEFORE, "revenue", "vote_count"), _LABELS, ("genres",)),
    FeatureSet.PRE_RELEASE: Features(_KNOWN_BEFORE, _LABELS, ("genres",)),
}


def target(films: pd.DataFrame) -> pd.Series:
    """Return the target of each film; NaN where popularity or rating is unknown."""
    rating = pd.to_numeric(films["vote_average"]).astype("float64")
    popularity = pd.to_numeric(films["popularity"]).astype("float64")
    return (POPULARITY_WEIGHT * popularity + RATING_WEIGHT * (rating * 10)).rename("target")


def frame(films: pd.DataFrame) -> pd.DataFrame:
    """Return the features of films (columns of `Catalogue.training_films`): float64 numbers, genres joined, labels.

    A label stands as the 64-bit hash of its text: encoding thousands of names is several times faster by number.
    """
    numbers = {name: _numbers(films[name]) for name in ("budget", "runtime", "revenue", "vote_count")}
    released = pd.to_datetime(films["release_date"])
    return pd.DataFrame(
        {
            **numbers,
            "release_year": released.dt.year.astype("float64"),
            "release_month": released.dt.month.astype("float64"),
            "companies": films["production_companies"].map(len).astype("float64"),
            "cast_size": films["cast"].map(len).astype("float64"),
            "genres": films["genres"].map(lambda names: SEPARATOR.join(names) or NOTHING).astype(object),
            "director": _nth(films["directors"], 0),
            "company": _nth(films["production_companies"], 0),
            **{lead: _nth(films["cast"], position) for position, lead in enumerate(LEADS)},
            "language": _hashed(films["original_language"].astype(object).fillna(NOTHING)),
        },
        index=films.index,
    )


def _numbers(values: pd.Series) -> pd.Series:
    return pd.to_numeric(values).astype("float64")


def _nth(lists: pd.Series, position: int) -> pd.Series:
    return _hashed(lists.map(lambda names: names[position] if len(names) > position else NOTHING).astype(object))


def _hashed(labels: pd.Series) -> pd.Series:
    return pd.Series(pd.util.hash_array(labels.to_numpy()).view("int64"), index=labels.index)
