"""The frame that the transform works on, and the Arrow types of its columns."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from movie_pipeline import columns, messages
from movie_pipeline.columns import Kind

ARROW_TYPES: dict[Kind, pa.DataType] = {
    Kind.ID: pa.int64(),
    Kind.TMDB_ID: pa.int64(),
    Kind.COUNT: pa.int64(),
    Kind.MONEY: pa.int64(),
    Kind.REAL: pa.float64(),
    Kind.TEXT: pa.string(),
    Kind.DATE: pa.date32(),
    Kind.FLAG: pa.bool_(),
    Kind.MOMENT: pa.timestamp("us", tz="UTC"),
    Kind.UTC: pa.timestamp("us"),
    Kind.OFFSET: pa.int64(),
    Kind.DIGEST: pa.string(),
    Kind.ORDER: pa.int64(),
}


def decoded(films: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return decoded films (`messages.decode`) as a frame of Python objects, a row a film."""
    rows = list(films)
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in messages.FIELDS})


def arrow(values: Any, kind: Kind) -> pd.Series:
    """Return values as a column of the kind's Arrow type; None is NULL."""
    return wrapped(pa.array(values, type=ARROW_TYPES[kind], from_pandas=False))


def lengths(rows: Sequence[Sequence[Any]]) -> Any:
    """Return the length of each list."""
    return np.fromiter(map(len, rows), np.int32, len(rows))


def cut(items: Any, lengths: Any) -> pd.Series:
    """Return one long array, which Arrow makes faster than many short ones, as a column of lists of these lengths."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return wrapped(pa.ListArray.from_arrays(pa.array(offsets), items))


def wrapped(array: Any) -> pd.Series:
    """Return an Arrow array as a column, without copying it."""
    return pd.Series(pd.arrays.ArrowExtensionArray(array), copy=False)


def unwrapped(column: pd.Series) -> Any:
    """Return the Arrow array of a column, in one piece."""
    array = pa.array(column.array)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def table(frame: pd.DataFrame, names: Iterable[str] | None = None) -> pa.Table:
    """Return (some columns of) a frame as an Arrow table, without copying."""
    chosen = list(frame.columns if names is None else names)
    return pa.table({name: pa.chunked_array([unwrapped(frame[name])]) for name in chosen})


KINDS: dict[str, dict[str, Kind]] = {
    name: {column.name: column.kind for column in fields} for name, fields in columns.TABLES.items()
}
