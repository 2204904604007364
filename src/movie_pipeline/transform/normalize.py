"""From cleaned films to the rows of the normalized tables."""

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
        entities(films),
        {link.table: _pairs(films, link) for link in LINKS},
    )


def entities(films: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return what cleaned films name, by table, as in `normalize`."""
    return {name: _entities(films, [link for link in LINKS if link.entities == name]) for name in ENTITIES}


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
    ids, moments, names = _named(films, links)
    order = np.lexsort((moments, ids))
    sorted_ids, sorted_moments = ids[order], moments[order]
    last = np.append(np.flatnonzero(np.diff(sorted_ids)), len(order) - 1) if len(order) else order
    # Several films of one moment may spell a name differently: the greater text counts, whatever their order.
    group = np.repeat(np.arange(len(last)), np.diff(last, prepend=-1))
    latest = np.flatnonzero(sorted_moments == sorted_moments[last][group])
    chosen = names.take(pa.array(order[last])).to_pylist()
    differ = pc.not_equal(names.take(pa.array(order[latest])), pa.array(chosen, pa.string()).take(group[latest]))
    for place in latest[np.asarray(differ)]:
        chosen[group[place]] = max(chosen[group[place]], names[order[place]].as_py())
    return pd.DataFrame(
        {
            "id": wrapped(pa.array(sorted_ids[last])),
            "name": wrapped(pa.array(chosen, pa.string())),
            "named_at": wrapped(pa.array(sorted_moments[last]).cast(pa.timestamp("us", tz="UTC"))),
        },
        copy=False,
    )


def _named(films: pd.DataFrame, links: list[Link]) -> tuple[Any, Any, Any]:
    """Flat arrays of the entities' ids, of the film's `fetched_at` in microseconds, and of the names."""
    fetched = np.asarray(unwrapped(films["fetched_at"]).cast(pa.int64()))
    ids = [unwrapped(films[link.ids]) for link in links]
    return (
        np.concatenate([np.asarray(lists.flatten()) for lists in ids]),
        np.concatenate([np.repeat(fetched, np.asarray(lists.value_lengths())) for lists in ids]),
        pa.concat_arrays([unwrapped(films[link.names]).flatten() for link in links]),
    )
