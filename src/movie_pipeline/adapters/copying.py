"""Frames to PostgreSQL by COPY, as CSV that Arrow writes.

Arrow's CSV quotes every text and leaves NULL unquoted, which is how COPY tells an empty text from NULL.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
from psycopg2 import sql
from pyarrow import csv

from movie_pipeline.transform.frames import table

WRITE_OPTIONS = csv.WriteOptions(include_header=False, quoting_style="needed", batch_size=65_536)


class Rows(NamedTuple):
    """Encoded rows for COPY: the columns, the bytes, their number."""

    columns: tuple[str, ...]
    content: pa.Buffer
    number: int


def encode(frame: pd.DataFrame) -> Rows:
    """Encode a frame's rows, in its column order."""
    sink = pa.BufferOutputStream()
    csv.write_csv(table(frame), sink, WRITE_OPTIONS)
    return Rows(tuple(frame.columns), sink.getvalue(), len(frame))


def copy(cursor: Any, target: str, rows: Rows) -> int:
    """COPY encoded rows into a table; return their number."""
    if rows.number:
        cursor.copy_expert(_copy_statement(target, rows.columns).as_string(cursor), BytesIO(rows.content))
    return rows.number


def _copy_statement(target: str, columns: Sequence[str]) -> sql.Composed:
    return sql.SQL("COPY {} ({}) FROM STDIN WITH (FORMAT csv)").format(
        sql.Identifier(target), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
