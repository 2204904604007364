"""From cleaned films to the rows of the normalized tables."""

from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from movie_pipeline.transform.frames import unwrapped, wrapped

MOVIE_COLUMNS = (
    "id", "imdb_id", "title", "original_title", "overview", "original_language", "status", "release_date", "runtime",
    "budget", "revenue", "popularity", "vote_average", "vote_count", "fetched_at", "message_offset", "content_digest",
    "links_digest",
)  # fmt: skip
HISTORY_COLUMNS = ("id", "popularity", "vote_average", "vote_count", "revenue")


class Link(NamedTuple):
    """A join table: where its entities lie in a film, and how its columns are called."""

    table: str
    names: str
    ids: str
    key: str
    order: str
    entities: str


LINKS = (
    Link("movie_genres", "genres", "genre_ids", "genre_id", "position", "genres"),
    Link(
        "movie_production_companies",
        "production_companies",
        "production_company_ids",
        "company_id",
        "position",
        "production_companies",
    ),
    Link("movie_directors", "directors", "director_ids", "person_id", "position", "people"),
    Link("movie_cast", "cast", "cast_ids", "person_id", "billing_order", "people"),
)
ENTITIES = ("genres", "production_companies", "people")


class Normalized(NamedTuple):
    """Frames by table name: `movies`, the three entity tables, and the four join tables."""

    movies: pd.DataFrame
    entities: dict[str, pd.DataFrame]
    links: dict[str, pd.DataFrame]


def normalize(films: pd.DataFrame) -> Normalized:
    """Split cleaned films into the rows of the normalized tables.

    No pair is lost or made: a join table has exactly the (film, entity) pairs of the lists, in their order.
    Entities come once each, sorted by id; of several names for one id the newest counts (by `fetched_at`, then
    the greater text).
    """
    return Normalized(
        films[list(MOVIE_COLUMNS)],
        {name: _entities(films, [link for link in LINKS if link.entities == name]) for name in ENTITIES},
        {link.table: _pairs(films, link) for link in LINKS},
    )


def history(films: pd.DataFrame) -> pd.DataFrame:
    """Return the moving numbers of each film, as rows of `movie_history`."""
    return films[list(HISTORY_COLUMNS)].rename(columns={"id": "movie_id"})


def _pairs(films: pd.DataFrame, link: Link) -> pd.DataFrame:
    lists = unwrapped(films[link.ids])
    parents = pc.list_parent_indices(lists)
    lengths = np.asarray(lists.value_lengths())
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return pd.DataFrame(
        {
            "movie_id": wrapped(unwrapped(films["id"]).take(parents)),
            link.key: wrapped(lists.flatten()),
            link.order: wrapped(pa.array(np.arange(len(parents)) - starts)),
        },
        copy=False,
    )


def _entities(films: pd.DataFrame, links: list[Link]) -> pd.DataFrame:
    ordered = films.sort_values("fetched_at", kind="stable")
    ids, names, moments = (
        [*chain.from_iterable(column)] for column in zip(*(_named(ordered, link) for link in links), strict=True)
    )
    latest = dict(zip(ids, names, strict=True))
    named_at = dict(zip(ids, moments, strict=True))
    if any(latest[key] != name for key, name in zip(ids, names, strict=True)):
        best = {key: (moment, name) for moment, name, key in sorted(zip(moments, names, ids, strict=True))}
        latest = {key: name for key, (_, name) in best.items()}
        named_at = {key: moment for key, (moment, _) in best.items()}
    keys = sorted(latest)
    return pd.DataFrame(
        {
            "id": wrapped(pa.array(keys, type=pa.int64())),
            "name": wrapped(pa.array([latest[key] for key in keys], type=pa.string())),
            "named_at": wrapped(
                pa.array([named_at[key] for key in keys], type=pa.int64()).cast(pa.timestamp("us", tz="UTC"))
            ),
        },
        copy=False,
    )


def _named(films: pd.DataFrame, link: Link) -> tuple[list[Any], list[Any], list[Any]]:
    """Flat lists of the entities' ids, names and the film's `fetched_at` in microseconds."""
    ids, names = unwrapped(films[link.ids]), unwrapped(films[link.names])
    moments = unwrapped(films["fetched_at"]).cast(pa.int64()).take(pc.list_parent_indices(ids))
    return ids.flatten().to_pylist(), names.flatten().to_pylist(), moments.to_pylist()
