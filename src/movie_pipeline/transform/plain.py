"""Cleaned films as an ordinary pandas frame, for what works on numbers and lists instead of Arrow columns."""

import pandas as pd

from movie_pipeline import messages
from movie_pipeline.transform.star import derive

LISTS = tuple(names for names, _ in messages.LISTS)
ID_LISTS = tuple(ids for _, ids in messages.LISTS)
NUMBERS = ("runtime", "budget", "revenue", "popularity", "vote_average", "vote_count", "release_year", "roi")


def plain(films: pd.DataFrame) -> pd.DataFrame:
    """Return films with float64 numbers, datetime64 dates, object texts and lists, and the derived values."""
    derived = derive(films)
    plain = pd.DataFrame(
        {"id": films["id"].astype("int64"), "fetched_at": films["fetched_at"].astype("datetime64[us, UTC]")}
    )
    for name in NUMBERS:
        plain[name] = derived[name].to_numpy(dtype="float64", na_value=float("nan"))
    plain["release_date"] = pd.to_datetime(pd.Series(films["release_date"].tolist(), dtype=object), errors="coerce")
    for name in ("title", "original_language"):
        plain[name] = films[name].astype(object).where(films[name].notna(), None)
    for name in ("popularity_level", "rating_level"):
        plain[name] = derived[name].astype(object).where(derived[name].notna(), None)
    for name in (*LISTS, *ID_LISTS):
        plain[name] = pd.Series([list(values) for values in films[name].tolist()], dtype=object)
    plain["profitable"] = plain["roi"] > 0
    return plain
