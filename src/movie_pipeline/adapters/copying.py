"""Frames to PostgreSQL by COPY, as CSV that Arrow writes.

Arrow's CSV quotes every text and leaves NULL unquoted, which is how COPY tells an empty text from NULL.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import sql
from pyarrow import csv

from movie_pipeline.transform.frames import table

WRITE_OPTIONS = csv.WriteOptions(include_header=False, quoting_style="needed", batch_size=65_536)
PIECE_BYTES = 4 * 1024 * 1024
"""What is handed to the connection at once. Between pieces it needs Python's lock, for which it waits up to 5 ms when
a thread beside it prepares the next batch: with psycopg2's 8 KiB that took longer than the COPY."""


class Rows(NamedTuple):
    """Encoded rows for COPY: the columns, the bytes, their number."""

    columns: tuple[str, ...]
    content: pa.Buffer
    number: int


def encode(frame: pd.DataFrame) -> Rows:
    """Encode a frame's rows, in its column order."""
    sink = pa.BufferOutputStream()
    csv.write_csv(_with_written_moments(table(frame)), sink, WRITE_OPTIONS)
    return Rows(tuple(frame.columns), sink.getvalue(), len(frame))


def copy(cursor: Any, target: str, rows: Rows, options: str = "") -> int:
    """COPY encoded rows into a table; return their number.

    `options` are COPY's own beside the format; FREEZE needs a table that this transaction has made or emptied.
    """
    if rows.number:
        statement = _copy_statement(target, rows.columns, options).as_string(cursor)
        cursor.copy_expert(statement, BytesIO(rows.content), PIECE_BYTES)
    return rows.number


def _with_written_moments(rows: pa.Table) -> pa.Table:
    """Write each moment once, however many rows have it: Arrow takes longer for one than for the rest of a row."""
    for place, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            moments = pc.dictionary_encode(rows.column(place).combine_chunks())
            rows = rows.set_column(place, field.name, moments.dictionary.cast(pa.string()).take(moments.indices))
    return rows


def _copy_statement(target: str, columns: Sequence[str], options: str) -> sql.Composed:
    return sql.SQL("COPY {} ({}) FROM STDIN WITH (FORMAT csv{})").format(
        sql.Identifier(target), sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(options and f", {options}")
    )
